// Setuid and setgid bits, and the group of what is made: what a local file system does by itself when a file changes.

import type { Fid } from '../../client/fids.ts';
import { errno } from '../../common/errno.ts';
import { isErrno } from '../../common/errors.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import { S_ISGID, withoutPrivileges } from '../attributes/attrs.ts';
import type { Bridge } from '../context.ts';
import type { Node } from '../nodes/node.ts';

/** Runs a change with a fid of the file (attributes/change.ts), or does not where none can be had. */
type Through = (work: (fid: Fid) => Promise<void>) => Promise<unknown>;

/**
 * Clears setuid and setgid before a write or truncation by somebody who may not keep them (HANDLE_KILLPRIV_V2 leaves that to
 * us). A server that acts as the writer refuses the chmod, and clears them itself when the write comes.
 */
export function clearPrivileges(fs: Bridge, ctx: RequestContext, node: Node, through: Through): Promise<void> {
  return setMode(fs, ctx, node, withoutPrivileges(node.stat.mode), through);
}

/** An ACL is set by an owner who is not in the file's group; a server that acts as the owner does it by itself. */
export function clearSgid(fs: Bridge, ctx: RequestContext, node: Node, through: Through): Promise<void> {
  return setMode(fs, ctx, node, node.stat.mode & ~S_ISGID, through);
}

async function setMode(
  { session }: Bridge,
  { signal }: RequestContext,
  node: Node,
  mode: number,
  through: Through,
): Promise<void> {
  if (mode === node.stat.mode) return;
  try {
    await through((fid) => session.dialect.change(fid, { mode: mode & 0o7777 }, signal));
  } catch (error) {
    if (!isErrno(error, errno.EPERM, errno.EACCES)) throw error;
  }
  node.changed({ mode: mode & 0o7777 });
}

/**
 * The group of what is created in a directory: the directory's where it is setgid, else the caller's (inode_init_owner).
 * Throws EPERM before anything is made for a caller who is nobody at the server.
 */
export function groupIn({ users, owners }: Bridge, ctx: RequestContext, parent: Node): number {
  if (users.shared) owners.uids.toServer(ctx.uid);
  return (parent.stat.mode & S_ISGID) !== 0 ? parent.stat.gid : owners.gids.toServer(ctx.gid);
}
