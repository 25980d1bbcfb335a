// Extended attributes of 9P2000.L. A value travels through a fid of its own: Txattrwalk makes one to read from; how one is
// written is dotl-xattrput.ts's.
// Guarantees: whatever happens no fid is left; a value is at most 64 KiB (XATTR_SIZE_MAX), whatever the server says.

import { type AbortSignalLike, unlessAborted } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import type { Fid } from '../fids.ts';
import { read } from '../io.ts';
import type { DotLCalls } from './dotl-calls.ts';
import { put, refused } from './dotl-xattrput.ts';

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h. */
const MAX = 65536;
/** setxattr(2). */
const XATTR = { CREATE: 1, REPLACE: 2 } as const;
const EMPTY = new Uint8Array(0);

export async function get(calls: DotLCalls, file: Fid, name: string, signal?: AbortSignalLike): Promise<Uint8Array> {
  const { fid, size } = await calls.xattrwalk(file, name, signal).catch((error) => {
    throw refused(file, error);
  });
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

/** An attribute that exists for the length of a question. */
const PROBE = 'user.ninefs-probe';
/** By connection: whether its server can hold an empty value, once somebody has wanted one. */
const holdsEmpty = new WeakMap<DotLCalls, Promise<boolean>>();

/** Size 0 means removal, to some servers even for an attribute that must be new: asked with one that nobody misses. */
async function canHoldEmpty(calls: DotLCalls, file: Fid): Promise<boolean> {
  try {
    await put(calls, file, { name: PROBE, flags: XATTR.CREATE }, EMPTY, undefined);
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
  if (value.length > 0) return put(calls, file, { name, flags }, value, signal);
  let can = holdsEmpty.get(calls);
  if (can === undefined) {
    can = canHoldEmpty(calls, file);
    holdsEmpty.set(calls, can);
    can.catch(() => holdsEmpty.delete(calls));
  }
  if (!(await unlessAborted(can, signal)))
    throw new ErrnoError(errno.EOPNOTSUPP, `${name}: the server cannot hold an empty value`);
  if (flags === XATTR.CREATE) return put(calls, file, { name, flags }, value, signal);
  try {
    await remove(calls, file, name, signal);
  } catch (error) {
    const absent = isErrno(error, errno.ENODATA);
    if (!absent || flags === XATTR.REPLACE) throw error;
  }
  // what was there is gone by now
  await calls.finish(signal, (rest) => put(calls, file, { name, flags: XATTR.CREATE }, value, rest));
}

export function remove(calls: DotLCalls, file: Fid, name: string, signal?: AbortSignalLike): Promise<void> {
  return put(calls, file, { name, flags: XATTR.REPLACE }, EMPTY, signal);
}
