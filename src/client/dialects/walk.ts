// Walks of any length, in every dialect: as many names a message as the protocol and msize allow, and a second try where the
// server's table of fids was full and some of ours could be given up.
// Guarantees: a walk that does not reach its end leaves no fid.

import { type AbortSignalLike, unlessAborted } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import { byteLength } from '../../common/text.ts';
import { MAXWELEM } from '../../wire/p9/constants.ts';
import type { Qid } from '../../wire/p9/types.ts';
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

/** What a walk shows of the directory in which the last name was looked for: another than was meant; none; or nothing at all. */
type Way = 'elsewhere' | 'refused' | 'untold';

/**
 * A walk may have gone another way than was meant. elsewhere: it went through another directory, or ended before it: ESTALE.
 * refused: the server answers no partial walks, and the name may be all that is missing: ENOENT. untold: the server gives the
 * qid of the last name for all of them (nfs-ganesha): ESTALE, unless the way is found out otherwise.
 */
export class WrongWay extends ErrnoError {
  readonly way: Way;

  constructor(way: Way) {
    super(way === 'refused' ? errno.ENOENT : errno.ESTALE, 'Twalk');
    this.way = way;
  }
}

/** Throws WrongWay unless `qids`, those of `names` as far as they were found, show that the last name was looked for in `above`. */
function checkWay(names: readonly string[], qids: readonly Qid[], above: Qid, refused: boolean): void {
  if (names.length < 2) return;
  const there = qids[names.length - 2];
  if (there === undefined) throw new WrongWay(refused ? 'refused' : 'elsewhere');
  // nothing lies in itself
  if (there.path === qids.at(names.length - 1)?.path) throw new WrongWay('untold');
  if (there.path !== above.path || there.type !== above.type) throw new WrongWay('elsewhere');
}

/**
 * A new fid for a path below `from`; ENOENT where it ends before. No names: a clone. `above` is the qid that the directory of
 * the last name must have; otherwise WrongWay is thrown.
 */
export async function walk(
  calls: Calls,
  from: Fid,
  names: readonly string[],
  signal?: AbortSignalLike,
  above?: Qid,
): Promise<Fid> {
  const { msize } = calls.connection;
  const found: Qid[] = [];
  let fid: Fid | undefined;
  let refused = true;
  const add = (qids: readonly Qid[], wanted: number) => {
    found.push(...qids);
    if (qids.length === wanted) return;
    refused = false;
    throw new ErrnoError(errno.ENOENT, 'Twalk');
  };
  try {
    let at = oneWalk(names, 0, msize);
    const first = await firstWalk(calls, from, names.slice(0, at), signal);
    fid = first.fid;
    add(first.qids, at);
    while (at < names.length) {
      const end = oneWalk(names, at, msize);
      const part = names.slice(at, end);
      at = end;
      add(await calls.step(fid!, part, signal), part.length);
    }
    if (above !== undefined) checkWay(names, found, above, false);
    return fid!;
  } catch (error) {
    if (fid !== undefined) calls.clunk(fid);
    if (above !== undefined && isErrno(error, errno.ENOENT)) checkWay(names, found, above, refused);
    throw error;
  }
}
