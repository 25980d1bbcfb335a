// Walks of any length, in every dialect: as many names a message as the protocol and msize allow, and a second try where the
// server's table of fids was full and some of ours could be given up.
// Guarantees: a walk that does not reach its end leaves no fid.

import { type AbortSignalLike, unlessAborted } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import { byteLength } from '../../common/text.ts';
import { MAXWELEM } from '../../wire/p9/constants.ts';
import type { Calls } from '../calls.ts';
import type { Fid } from '../fids.ts';

/** size[4] type[1] tag[2] fid[4] newfid[4] nwname[2]. */
const TWALK_HEAD = 17;

/** Where the names end that one Twalk can carry, beginning at `from`: as many as the protocol and msize allow, one at least. */
function oneWalk(names: readonly string[], from: number, msize: number): number {
  let size = TWALK_HEAD;
  let at = from;
  while (at < names.length && at < from + MAXWELEM) {
    size += 2 + byteLength(names[at]!);
    if (size > msize && at > from) break;
    at++;
  }
  return at;
}

/** The server's table of fids (ERANGE: nfs-ganesha) or of open files is full. */
function isShortage(error: unknown): boolean {
  return isErrno(error, errno.ERANGE, errno.EMFILE, errno.ENFILE);
}

/** Once more after a refusal for want of fids, where some can be given up. */
async function firstWalk(calls: Calls, from: Fid, names: readonly string[], signal: AbortSignalLike | undefined) {
  try {
    return await calls.walk(from, names, signal);
  } catch (error) {
    if (!isShortage(error) || !(await unlessAborted(calls.connection.fids.makeRoom(), signal))) throw error;
    return calls.walk(from, names, signal);
  }
}

/** A new fid for a path below `from`; ENOENT where it ends before. No names: a clone. */
export async function walk(calls: Calls, from: Fid, names: readonly string[], signal?: AbortSignalLike): Promise<Fid> {
  const { msize } = calls.connection;
  let at = oneWalk(names, 0, msize);
  const { fid } = await firstWalk(calls, from, names.slice(0, at), signal);
  if (fid === undefined) throw new ErrnoError(errno.ENOENT, 'Twalk');
  try {
    while (at < names.length) {
      const end = oneWalk(names, at, msize);
      const part = names.slice(at, end);
      at = end;
      const qids = await calls.step(fid, part, signal);
      if (qids.length < part.length) throw new ErrnoError(errno.ENOENT, 'Twalk');
    }
  } catch (error) {
    calls.clunk(fid);
    throw error;
  }
  return fid;
}
