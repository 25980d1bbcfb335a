// Setuid and setgid bits, and the group of what is made: what a local file system does by itself when a file changes.
// Guarantees: before a write or truncation that took such bits away is answered, the kernel has been told to ask for the mode
// again. It would run the new content with the old rights for as long as it keeps attributes.

import type { Fid } from '../../client/fids.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import { privilegesIn, S_ISGID, S_IXGRP, withoutPrivileges } from '../attributes/attrs.ts';
import type { Bridge } from '../context.ts';
import type { Node } from '../nodes/node.ts';
import { isMember } from './membership.ts';

/** Runs a change with a fid of the file (attributes/change.ts), or does not where none can be had. */
type Through = (work: (fid: Fid) => Promise<void>) => Promise<unknown>;

/**
 * Runs a write or truncation by somebody who may not keep setuid and setgid: they are cleared first (HANDLE_KILLPRIV_V2 leaves
 * that to us). A server that acts as the writer refuses the chmod, and clears them itself when the write comes. So the kernel
 * is told behind the write, and whatever has become of that. Nobody can execute the file before: it is open for writing.
 */
export async function losingPrivileges<T>(
  fs: Bridge,
  ctx: RequestContext,
  node: Node,
  through: Through,
  work: () => T | Promise<T>,
): Promise<T> {
  if (!node.privileged) return work();
  try {
    await setMode(fs, ctx, node, withoutPrivileges(node.stat.mode), through);
    return await work();
  } finally {
    await forgetMode(fs, node);
  }
}

async function forgetMode({ kernel, policy, logger }: Bridge, node: Node): Promise<void> {
  try {
    if (policy.attrTtl > 0) await kernel.expireAttr(node);
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error;
    // what was written is written; node.privileged stays true, so that the next write tells the kernel again
    logger.warn({ nodeid: node.id, errno: error.code }, 'the kernel could not be told that setuid and setgid are gone');
    return;
  }
  node.privileged = privilegesIn(node.stat.mode) !== 0;
}

/**
 * An ACL is set by an owner who is not in the file's group; a server that acts as the owner does it by itself. The kernel asks
 * for the attributes again after it has set an ACL.
 */
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

/**
 * Of the setuid and setgid bits that a caller asks for when it makes a file in a directory, those that it may have: setgid of a
 * program is for members of the group that it gets (Linux: mode_strip_sgid).
 */
export function privilegesFor({ owners }: Bridge, ctx: RequestContext, parent: Node, mode: number): number {
  const asked = privilegesIn(mode);
  const inherited = (parent.stat.mode & S_ISGID) !== 0;
  if (!inherited || (asked & S_ISGID) === 0 || (mode & S_IXGRP) === 0 || ctx.uid === 0) return asked;
  return isMember(ctx, owners.gids.toLocal(parent.stat.gid)) ? asked : asked & ~S_ISGID;
}
