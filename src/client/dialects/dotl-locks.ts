// Record locks of 9P2000.L: Tlock and Tgetlock, their statuses as results. Nothing here waits for a lock; whoever wants one
// that another has asks again. Source: diod's protocol.md; fs/9p/vfs_file.c for how statuses are taken.

import type { AbortSignalLike } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import { LOCK_EOF, LOCK_STATUS, LOCK_TYPE, type RecordLock } from '../../common/locktable.ts';
import type { Fid } from '../fids.ts';
import type { DotLCalls } from './dotl-calls.ts';

/** On the wire length 0 is "to the end, whatever it will be". */
function lengthOf({ start, end }: RecordLock): bigint {
  return end === LOCK_EOF ? 0n : end - start + 1n;
}

/**
 * A server that has no locks says so in several ways; to the caller it is ENOLCK (fcntl(2)). nfs-ganesha says EINVAL to a
 * client_id that is no host's name to it.
 */
function noLocks(error: unknown): never {
  throw isErrno(error, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
    ? new ErrnoError(errno.ENOLCK, 'the server keeps no locks')
    : error;
}

export async function lock(
  calls: DotLCalls,
  fid: Fid,
  wanted: RecordLock,
  signal?: AbortSignalLike,
): Promise<'granted' | 'blocked'> {
  const { kind, start, procId, clientId } = wanted;
  // without the flag that asks for waiting, which some servers take at its word
  const body = { kind, flags: 0, start, length: lengthOf(wanted), procId, clientId };
  const status = await calls.lock(fid, body, signal).catch(noLocks);
  if (status === LOCK_STATUS.SUCCESS) return 'granted';
  if (status === LOCK_STATUS.BLOCKED) return 'blocked';
  throw new ErrnoError(errno.ENOLCK, status === LOCK_STATUS.GRACE ? 'the server is in its grace period' : 'Tlock');
}

export async function getlock(
  calls: DotLCalls,
  fid: Fid,
  wanted: RecordLock,
  signal?: AbortSignalLike,
): Promise<RecordLock | undefined> {
  const { kind, start, procId, clientId } = wanted;
  const body = { kind, start, length: lengthOf(wanted), procId, clientId };
  const found = await calls.getlock(fid, body, signal).catch(noLocks);
  if (found.kind !== LOCK_TYPE.RDLCK && found.kind !== LOCK_TYPE.WRLCK) return undefined;
  const end = found.length === 0n ? LOCK_EOF : found.start + found.length - 1n;
  if (found.start > LOCK_EOF || end > LOCK_EOF) throw new ErrnoError(errno.EIO, 'Rgetlock: a range beyond 2^63');
  return { kind: found.kind, start: found.start, end, procId: found.procId, clientId: found.clientId };
}
