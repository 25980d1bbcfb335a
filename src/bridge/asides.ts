// Files whose name was removed while they are open, on servers where an open file does not outlive its last name: they keep
// one, hidden, until the last descriptor is closed (as NFS clients do it).
// Guarantees: to this mount the name is gone at once and the hidden one is never seen; what cannot be moved aside is removed
// all the same. What a mount that dies leaves behind are files named .ninefs-*.

import { unlessAborted } from '../common/abort.ts';
import { errno } from '../common/errno.ts';
import { CancelledError, ErrnoError, isErrno } from '../common/errors.ts';
import type { RequestContext } from '../fuse/operations.ts';
import { isDirectory } from './attrs.ts';
import { type Bridge, withoutSignal } from './bridge.ts';
import type { Node } from './node.ts';

/** Where a node waits for its end, and as whom it was put there. */
export interface Aside {
  readonly parent: Node;
  readonly name: string;
  readonly by: RequestContext;
  /** Its removal, once that has begun. */
  ending?: Promise<void>;
}

/** The file of a name, if its removal would take it from under those who have it open. */
export async function whoMustStepAside(
  fs: Bridge,
  ctx: RequestContext,
  parent: Node,
  name: string,
): Promise<Node | undefined> {
  const node = fs.nodes.child(parent, name);
  if (node === undefined || node.opens.size === 0 || node.places.length > 1) return undefined;
  if (node.aside !== undefined || isDirectory(node.stat)) return undefined;
  const { dialect } = fs.session;
  await fs.withFids(ctx, [parent], (dir) => dialect.learnNames(dir, ctx.signal));
  return dialect.openNeedsName ? node : undefined;
}

/** Gives the node a hidden name instead of this one. False: the server does not rename it, and nothing has changed. */
export async function stepAside(fs: Bridge, ctx: RequestContext, parent: Node, name: string): Promise<boolean> {
  const node = fs.nodes.child(parent, name);
  const hidden = fs.sideNames.next();
  if (node === undefined || !(await tried(fs, name, move(fs, ctx, parent, name, hidden)))) return false;
  await hide(fs, node, { parent, name: hidden, by: withoutSignal(ctx) }, ctx);
  return true;
}

/**
 * The same for a file that another is to be renamed over, by `rename`: where there are links it has both names until then,
 * so that at no time there is nothing by the name. It is as before when `rename` fails.
 */
export async function renameOver(
  fs: Bridge,
  ctx: RequestContext,
  parent: Node,
  name: string,
  rename: (ctx: RequestContext) => Promise<void>,
): Promise<void> {
  const target = await whoMustStepAside(fs, ctx, parent, name);
  if (target === undefined) return rename(ctx);
  const hidden = fs.sideNames.next();
  const { hasLinks } = fs.session.dialect;
  const moving = hasLinks ? link(fs, ctx, parent, target, hidden) : move(fs, ctx, parent, name, hidden);
  if (!(await tried(fs, name, moving))) return rename(ctx);
  const aside = { parent, name: hidden, by: withoutSignal(ctx) };
  const rest = fs.finishing(ctx);
  try {
    // from here on it is done or undone, and not left in the middle
    await rename(rest);
  } catch (error) {
    // also where he has waited long enough for the rename
    const undoing = fs.finishing(rest);
    if (hasLinks) await remove(fs, { ...aside, by: undoing });
    else if (!(await tried(fs, name, move(fs, undoing, parent, hidden, name)))) {
      fs.logger.warn({ name, hidden }, 'a file that was not replaced could not get its name back');
    }
    throw error;
  }
  await hide(fs, target, aside, ctx);
}

async function hide(fs: Bridge, node: Node, aside: Aside, ctx: RequestContext): Promise<void> {
  node.aside = aside;
  node.stat = { ...node.stat, nlink: 0 };
  if (node.opens.size > 0) return;
  // closed by the last who had it open while it was on its way there
  const { signal } = fs.finishing(ctx);
  try {
    await unlessAborted(endAside(fs, node), signal);
  } catch (error) {
    // by its name it is gone already; the rest goes on without who has waited long enough
    if (!(error instanceof CancelledError)) throw error;
  } finally {
    signal.done();
  }
}

/** False: the server refuses. */
async function tried(fs: Bridge, name: string, step: Promise<void>): Promise<boolean> {
  try {
    await step;
    return true;
  } catch (error) {
    if (!(error instanceof ErrnoError) || error instanceof CancelledError) throw error;
    fs.logger.debug({ name, errno: error.code }, 'an open file could not be kept aside');
    return false;
  }
}

async function move(
  fs: Bridge,
  ctx: RequestContext,
  parent: Node,
  from: string,
  to: string,
  into = parent,
): Promise<void> {
  const { dialect } = fs.session;
  await fs.withFids(ctx, [parent, into], (dir, other) => dialect.rename(dir, from, other, to, ctx.signal));
  fs.nodes.renamed(parent, from, into, to);
}

async function link(fs: Bridge, ctx: RequestContext, parent: Node, node: Node, name: string): Promise<void> {
  await fs.withFids(ctx, [parent, node], (dir, file) => fs.session.dialect.link(dir, file, name, ctx.signal));
  fs.nodes.linked(parent, name, node);
}

/** Its directory is to go: it waits in another one, or ends where the server takes it to none. */
export async function leaveDirectory(fs: Bridge, node: Node, into: Node): Promise<void> {
  const { aside } = node;
  if (aside === undefined) return;
  const { parent, name, by, ending } = aside;
  if (ending === undefined && (await tried(fs, name, move(fs, by, parent, name, name, into)))) {
    await hide(fs, node, { parent: into, name, by }, by);
  } else await endAside(fs, node);
}

/** Nobody has it open any more. Does not reject. */
export async function endAside(fs: Bridge, node: Node): Promise<void> {
  const { aside } = node;
  if (aside === undefined) return;
  aside.ending ??= remove(fs, aside).finally(() => {
    if (node.aside === aside) node.aside = undefined;
  });
  await aside.ending;
}

async function remove(fs: Bridge, { parent, name, by }: Aside): Promise<void> {
  try {
    await fs.withFids(by, [parent], (dir) => fs.session.dialect.unlink(dir, name, false, by.signal));
  } catch (error) {
    // nobody waits for it; somebody else may have removed it
    if (!isErrno(error, errno.ENOENT)) {
      fs.logger.warn({ name, reason: (error as Error).message }, 'a hidden file stays behind');
    }
  }
  fs.nodes.unlinked(parent, name);
}

/** Those that wait in a directory. */
export function asidesIn(parent: Node): Node[] {
  return [...parent.names.values()].filter((node) => node.aside?.parent === parent);
}
