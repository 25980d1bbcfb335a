// Files whose name was removed while they are open, on servers where an open file does not outlive its last name: they keep
// one, hidden, until the last descriptor is closed (as NFS clients do it).
// Guarantees: to this mount the name is gone at once and the hidden one is never seen; what cannot be moved aside is removed
// all the same. What a mount that dies leaves behind are files named .ninefs-*.

import { sideName } from '../client/sidename.ts';
import { errno } from '../common/errno.ts';
import { CancelledError, ErrnoError } from '../common/errors.ts';
import type { RequestContext } from '../fuse/operations.ts';
import { isDirectory } from './attrs.ts';
import { type Bridge, withoutSignal } from './bridge.ts';
import type { Node } from './nodes.ts';

/** Where a node waits for its end, and as whom it was put there. */
export interface Aside {
  readonly parent: Node;
  readonly name: string;
  readonly by: RequestContext;
}

/** Whether the file would be taken from under those who have it open. */
export function mustStepAside(fs: Bridge, node: Node | undefined): node is Node {
  if (node === undefined || !fs.session.dialect.openNeedsName || isDirectory(node.stat)) return false;
  return node.opens.size > 0 && node.places.length <= 1 && node.aside === undefined;
}

/** Gives the node a hidden name instead of this one. False: the server does not rename it, and nothing has changed. */
export async function stepAside(fs: Bridge, ctx: RequestContext, parent: Node, name: string): Promise<boolean> {
  const node = fs.nodes.child(parent, name);
  if (node === undefined) return false;
  const hidden = sideName();
  try {
    await move(fs, ctx, parent, name, hidden);
  } catch (error) {
    if (!(error instanceof ErrnoError) || error instanceof CancelledError) throw error;
    fs.logger.debug({ name, errno: error.code }, 'an open file could not be moved aside');
    return false;
  }
  node.aside = { parent, name: hidden, by: withoutSignal(ctx) };
  node.stat = { ...node.stat, nlink: 0 };
  return true;
}

/** Undoes stepAside. */
export async function stepBack(fs: Bridge, node: Node, name: string): Promise<void> {
  const { aside } = node;
  if (aside === undefined) return;
  await move(fs, aside.by, aside.parent, aside.name, name);
  node.aside = undefined;
  node.stat = { ...node.stat, nlink: 1 };
}

async function move(fs: Bridge, ctx: RequestContext, parent: Node, from: string, to: string): Promise<void> {
  await fs.withFids(ctx, [parent], (dir) => fs.session.dialect.rename(dir, from, dir, to, ctx.signal));
  fs.nodes.renamed(parent, from, parent, to);
}

/** Nobody has it open any more, or its directory is to go. Does not reject. */
export async function endAside(fs: Bridge, node: Node): Promise<void> {
  const { aside } = node;
  if (aside === undefined) return;
  node.aside = undefined;
  const { parent, name, by } = aside;
  try {
    await fs.withFids(by, [parent], (dir) => fs.session.dialect.unlink(dir, name, false));
  } catch (error) {
    // nobody waits for it; somebody else may have removed it
    if (!(error instanceof ErrnoError) || error.errno !== errno.ENOENT) {
      fs.logger.warn({ name, reason: (error as Error).message }, 'a hidden file stays behind');
    }
  }
  fs.nodes.unlinked(parent, name);
}

/** Those that wait in a directory. */
export function asidesIn(parent: Node): Node[] {
  return [...parent.names.values()].filter((node) => node.aside?.parent === parent);
}
