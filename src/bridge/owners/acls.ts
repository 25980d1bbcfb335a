// POSIX ACLs (posixacl): stored by the server as extended attributes, enforced by the kernel; what is left to do here is what a
// local file system does when something is made. Where the directory has a default ACL it takes the place of the umask
// (acl(5)), and the server, whose file system applies it, must be sent the mode without.
// Whether a directory has one is asked of the server, and known for as long as attributes are.

import type { AbortSignalLike } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { type ErrnoError, isErrno } from '../../common/errors.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import type { Bridge } from '../context.ts';
import type { Node } from '../nodes/node.ts';

export const ACCESS_ACL = 'system.posix_acl_access';
export const DEFAULT_ACL = 'system.posix_acl_default';

async function hasDefaultAcl(fs: Bridge, ctx: RequestContext, dir: Node): Promise<boolean> {
  const known = dir.defaultAcl;
  if (known !== undefined && performance.now() < known.until) return known.is;
  const until = performance.now() + fs.policy.attrTtl * 1000;
  let is = true;
  try {
    const value = await fs.fids.checked(ctx, dir, (fid) => fs.session.dialect.getxattr(fid, DEFAULT_ACL, ctx.signal));
    is = value.length > 0;
  } catch (error) {
    if (!isNone(error)) throw error;
    is = false;
  }
  dir.defaultAcl = { is, until };
  return is;
}

/** The mode in which something is made. */
export async function modeIn(fs: Bridge, ctx: RequestContext, dir: Node, mode: number, umask: number): Promise<number> {
  return fs.posixAcl && umask !== 0 && (await hasDefaultAcl(fs, ctx, dir)) ? mode : mode & ~umask;
}

/** Whether the server keeps ACLs for this file. */
export async function keepsAcls(
  getxattr: (name: string, signal?: AbortSignalLike) => Promise<unknown>,
): Promise<boolean> {
  try {
    await getxattr(ACCESS_ACL);
    return true;
  } catch (error) {
    if (!isNone(error)) throw error;
    return error.errno === errno.ENODATA;
  }
}

function isNone(error: unknown): error is ErrnoError {
  return isErrno(error, errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS);
}
