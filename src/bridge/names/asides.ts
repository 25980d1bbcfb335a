// Files whose name was removed while they are open, on servers where an open file does not outlive its last name, and on those of
// which that is not known yet: they keep one, hidden, until the last descriptor is closed (as NFS clients do it).
// Guarantees: to this mount the name is gone at once and the hidden one is never seen; what cannot be moved aside is removed
// all the same. What a mount that dies leaves behind are files named .ninefs-*.

import { unlessAborted } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { CancelledError, ErrnoError, isErrno } from '../../common/errors.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import { isDirectory } from '../attributes/attrs.ts';
import type { Bridge } from '../context.ts';
import { askOpenNameless } from '../fids/probes.ts';
import type { OpenFile } from '../files/handles.ts';
import { unhurried, withoutSignal } from '../finish.ts';
import type { Aside, Node } from '../nodes/node.ts';
import { moveName } from './move.ts';

/** The file of a name, if its removal would take it from under those who have it open. */
export function whoMustStepAside(fs: Bridge, parent: Node, name: string): Node | undefined {
  const node = fs.nodes.child(parent, name);
  if (node === undefined || !node.isOpen || node.place?.next !== undefined) return undefined;
  if (node.life.kind !== 'named' || isDirectory(node.stat)) return undefined;
  return fs.session.fidFacts.openNeedsNoName ? undefined : node;
}

/** Gives the node a hidden name instead of this one. False: the server does not rename it, and nothing has changed. */
export async function stepAside(fs: Bridge, ctx: RequestContext, parent: Node, name: string): Promise<boolean> {
  const node = fs.nodes.child(parent, name);
  const hidden = fs.sideNames.next();
  if (node === undefined || !(await tried(fs, name, moveName(fs, ctx, parent, name, parent, hidden)))) return false;
  await hide(fs, node, { parent, name: hidden, by: withoutSignal(ctx) }, ctx);
  return true;
}

/**
 * Does so for a file that another is to be renamed over, by `rename`: where there are links it has both names until then,
 * so that at no time there is nothing by the name. It is as before when `rename` fails.
 */
export async function renameOver(
  fs: Bridge,
  ctx: RequestContext,
  parent: Node,
  name: string,
  rename: (ctx: RequestContext) => Promise<void>,
): Promise<void> {
  const target = whoMustStepAside(fs, parent, name);
  if (target === undefined) return rename(ctx);
  const hidden = fs.sideNames.next();
  const { hasLinks } = fs.session.dialect;
  const moving = hasLinks ? link(fs, ctx, parent, target, hidden) : moveName(fs, ctx, parent, name, parent, hidden);
  if (!(await tried(fs, name, moving))) return rename(ctx);
  const aside = { parent, name: hidden, by: withoutSignal(ctx) };
  const rest = unhurried(fs, ctx);
  try {
    // from here on it is done or undone, and not left in the middle
    await rename(rest);
  } catch (error) {
    // also where the caller has waited long enough for the rename
    const undoing = unhurried(fs, rest);
    try {
      if (hasLinks) await remove(fs, { ...aside, by: undoing });
      else if (!(await tried(fs, name, moveName(fs, undoing, parent, hidden, parent, name)))) {
        fs.logger.warn({ name, hidden }, 'a file that was not replaced could not get its name back');
      }
    } finally {
      undoing.signal.done();
    }
    throw error;
  } finally {
    rest.signal.done();
  }
  await hide(fs, target, aside, ctx);
}

async function hide(fs: Bridge, node: Node, aside: Aside, ctx: RequestContext): Promise<void> {
  if (!node.hasName) return; // its hidden name is gone already
  node.become({ kind: 'aside', aside });
  if (node.isOpen) return;
  // closed by the last who had it open while it was on its way there
  const { signal } = unhurried(fs, ctx);
  try {
    await unlessAborted(endAside(fs, node), signal);
  } catch (error) {
    // by its name it is gone already; the rest goes on without a caller that has waited long enough
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

async function link(fs: Bridge, ctx: RequestContext, parent: Node, node: Node, name: string): Promise<void> {
  await fs.fids.sure(ctx, [parent, node], (dir, file) => fs.session.dialect.link(dir, file, name, ctx.signal));
  fs.nodes.linked(parent, name, node);
}

/** Its directory is to go: it waits in another one, or ends where the server takes it to none. */
export async function leaveDirectory(fs: Bridge, node: Node, into: Node): Promise<void> {
  if (node.life.kind !== 'aside') return;
  const { parent, name, by, ending } = node.life.aside;
  if (ending === undefined && (await tried(fs, name, moveName(fs, by, parent, name, into, name)))) {
    await hide(fs, node, { parent: into, name, by }, by);
  } else await endAside(fs, node);
}

/**
 * Nobody has it open any more. Does not reject. `last` is the file that was closed last and has its fid still: what becomes of
 * such a fid without a name is asked of it.
 */
export async function endAside(fs: Bridge, node: Node, last?: OpenFile): Promise<void> {
  if (node.life.kind !== 'aside') return;
  const { aside } = node.life;
  aside.ending ??= remove(fs, aside);
  await aside.ending;
  if (last !== undefined && !node.hasName) await askOpenNameless(fs, aside.by, last);
}

async function remove(fs: Bridge, { parent, name, by }: Aside): Promise<void> {
  try {
    await fs.fids.sure(by, [parent], (dir) => fs.session.dialect.unlink(dir, name, false, by.signal));
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
  return [...parent.names.values()].filter((node) => node.life.kind === 'aside' && node.life.aside.parent === parent);
}
