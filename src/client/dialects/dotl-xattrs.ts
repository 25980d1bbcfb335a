// Extended attributes of 9P2000.L. A value travels through a fid of its own: Txattrwalk makes one to read from,
// Txattrcreate turns a clone of the file's fid into one to write to, and that one's clunk is when it takes effect.
// Guarantees: whatever happens no fid is left; a value is at most 64 KiB (XATTR_SIZE_MAX), whatever the server says.

import { type AbortSignalLike, unlessAborted } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import { QT } from '../../wire/p9/constants.ts';
import type { Fid } from '../fids.ts';
import { read, write } from '../io.ts';
import type { DotLCalls } from './dotl-calls.ts';

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h. */
const MAX = 65536;
/** setxattr(2). */
const XATTR = { CREATE: 1, REPLACE: 2 } as const;

export async function get(calls: DotLCalls, file: Fid, name: string, signal?: AbortSignalLike): Promise<Uint8Array> {
  const { fid, size } = await calls.xattrwalk(file, name, signal).catch((error) => refused(file, error));
  try {
    if (size > MAX) throw new ErrnoError(errno.E2BIG, `${name || 'the list of attributes'}: ${size} bytes`);
    if (size === 0) return new Uint8Array(0);
    const { data, release } = await read(calls, fid, 0, size, { whole: true, end: size, signal });
    const value = Buffer.from(data);
    release();
    return value;
  } finally {
    calls.clunk(fid);
  }
}

/**
 * A server that has to open a file for its attributes cannot open a symbolic link, and one (nfs-ganesha) says EIO. cp and
 * the like would take that for a broken disk; without attributes is what such links are.
 */
function refused(file: Fid, error: unknown): never {
  const unreachable = (file.qid.type & QT.SYMLINK) !== 0 && isErrno(error, errno.EIO);
  throw unreachable ? new ErrnoError(errno.EOPNOTSUPP, 'attributes of a symbolic link') : error;
}

/** Nothing aborts the clunk that makes it so: what was interrupted before it has had no effect. */
async function put(
  calls: DotLCalls,
  file: Fid,
  name: string,
  value: Uint8Array,
  flags: number,
  signal: AbortSignalLike | undefined,
): Promise<void> {
  const { fid } = await calls.walk(file, [], signal);
  if (fid === undefined) throw new ErrnoError(errno.EIO, 'a clone that is none');
  try {
    await calls.xattrcreate(fid, name, value.length, flags, signal).catch((error) => refused(file, error));
    if (value.length > 0) {
      const count = await write(calls, fid, 0, value, { inOrder: true, signal });
      if (count !== value.length) throw new ErrnoError(errno.EIO, `${name}: ${count} of ${value.length} bytes taken`);
    }
  } catch (error) {
    // fewer bytes than were announced: the server refuses the clunk and keeps what was there
    calls.clunk(fid);
    throw error;
  }
  await calls.commitXattr(fid, signal);
}

/** An attribute that exists for the length of a question. */
const PROBE = 'user.ninefs-probe';
/** By connection: whether its server can hold an empty value, once somebody has wanted one. */
const holdsEmpty = new WeakMap<DotLCalls, Promise<boolean>>();

/** Size 0 means removal, to some servers even for an attribute that must be new: asked with one that nobody misses. */
async function canHoldEmpty(calls: DotLCalls, file: Fid): Promise<boolean> {
  try {
    await put(calls, file, PROBE, new Uint8Array(0), XATTR.CREATE, undefined);
    await get(calls, file, PROBE);
  } catch (error) {
    if (isErrno(error, errno.ENODATA)) return false;
    throw error;
  }
  await remove(calls, file, PROBE);
  return true;
}

export async function set(
  calls: DotLCalls,
  file: Fid,
  name: string,
  value: Uint8Array,
  flags: number,
  signal?: AbortSignalLike,
): Promise<void> {
  if (value.length > 0) return put(calls, file, name, value, flags, signal);
  let can = holdsEmpty.get(calls);
  if (can === undefined) {
    can = canHoldEmpty(calls, file);
    holdsEmpty.set(calls, can);
    can.catch(() => holdsEmpty.delete(calls));
  }
  if (!(await unlessAborted(can, signal)))
    throw new ErrnoError(errno.EOPNOTSUPP, `${name}: the server cannot hold an empty value`);
  if (flags === XATTR.CREATE) return put(calls, file, name, value, flags, signal);
  try {
    await remove(calls, file, name, signal);
  } catch (error) {
    const absent = isErrno(error, errno.ENODATA);
    if (!absent || flags === XATTR.REPLACE) throw error;
  }
  // what was there is gone by now
  await calls.finish(signal, (rest) => put(calls, file, name, value, XATTR.CREATE, rest));
}

export function remove(calls: DotLCalls, file: Fid, name: string, signal?: AbortSignalLike): Promise<void> {
  return put(calls, file, name, new Uint8Array(0), XATTR.REPLACE, signal);
}
