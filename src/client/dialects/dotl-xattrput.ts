// Sets one extended attribute of 9P2000.L: a clone of the file's fid, which Txattrcreate turns into one to write to, the Twrite of
// the value, and the Tclunk that makes it so. Where the server lets them, the clone leaves with the Txattrcreate, and the
// value with the Tclunk: two round trips, not four.
// Owns two facts of a connection, each learned from what the server did:
//   overtakes    it carries a request out before an earlier one (diod, which has a pool of threads). A Txattrcreate that has
//                overtaken its clone is refused without effect, and sent again behind it.
//   refusesShort it refuses to clunk a fid that got fewer bytes than were announced, and sets nothing. Only there may a Tclunk be
//                under way while its Twrite is: diod sets the bytes that it has, and zeros behind them.
// Guarantees: nothing is set by a clunk whose write failed; what is reported is the clunk's outcome, or why it came to none.

import type { AbortSignalLike } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { CancelledError, ErrnoError, isErrno } from '../../common/errors.ts';
import { QT } from '../../wire/p9/constants.ts';
import type { Fid } from '../fids.ts';
import { chunkSize, write } from '../io.ts';
import type { DotLCalls } from './dotl-calls.ts';

/** What Txattrcreate says of an attribute beside its size. */
export interface Setting {
  readonly name: string;
  /** XATTR_CREATE 1, XATTR_REPLACE 2 (setxattr(2)). */
  readonly flags: number;
}

interface Facts {
  overtakes: boolean;
  refusesShort: boolean | undefined;
  /** How many values have been set. */
  count: number;
}

const factsOf = new WeakMap<DotLCalls, Facts>();

function facts(calls: DotLCalls): Facts {
  let known = factsOf.get(calls);
  if (known === undefined) {
    known = { overtakes: false, refusesShort: undefined, count: 0 };
    factsOf.set(calls, known);
  }
  return known;
}

/** What servers say to a fid that they do not know yet: diod and nfs-ganesha EIO. */
const UNKNOWN_FID = [errno.EBADF, errno.EIO, errno.EINVAL, errno.ERANGE, errno.ENOENT] as const;

/** Sets a value; size 0 removes. Nothing aborts the clunk. What is interrupted has had no effect. */
export async function put(
  calls: DotLCalls,
  file: Fid,
  setting: Setting,
  value: Uint8Array,
  signal: AbortSignalLike | undefined,
): Promise<void> {
  const known = facts(calls);
  const fid = await begin(calls, file, setting, value.length, signal);
  if (value.length === 0) return calls.commitXattr(fid, signal);
  known.count++;
  // one value may be all that is ever set
  if (known.count === 2 && !known.overtakes) learn(calls, file);
  const fits = value.length <= chunkSize(calls, fid);
  if (known.refusesShort !== true || known.overtakes || !fits) return inTurn(calls, fid, setting, value, signal);
  if (await together(calls, fid, setting, value, signal)) return;
  const again = await begin(calls, file, setting, value.length, signal, true);
  await inTurn(calls, again, setting, value, signal);
  overtaken(calls, 'Twrite');
}

/** A fid that takes the value. `alone`: the clone is answered before anything names it. */
async function begin(
  calls: DotLCalls,
  file: Fid,
  { name, flags }: Setting,
  size: number,
  signal: AbortSignalLike | undefined,
  alone = facts(calls).overtakes,
): Promise<Fid> {
  const create = (fid: Fid) => calls.xattrcreate(fid, name, size, flags, signal);
  const clone = alone ? undefined : calls.cloning(file, signal);
  let fid: Fid | undefined;
  try {
    if (clone === undefined) {
      fid = (await calls.walk(file, [], signal)).fid;
      if (fid === undefined) throw new ErrnoError(errno.EIO, 'a clone that is none');
      await create(fid);
      return fid;
    }
    const [made, created] = await Promise.allSettled([clone.made, create(clone.fid)]);
    if (made.status === 'rejected') throw made.reason;
    fid = made.value;
    if (created.status === 'fulfilled') return fid;
    if (!isErrno(created.reason, ...UNKNOWN_FID)) throw created.reason;
    await create(fid);
    overtaken(calls, 'Txattrcreate');
    return fid;
  } catch (error) {
    if (fid !== undefined) calls.clunk(fid);
    throw refused(file, error);
  }
}

/**
 * A server that has to open a file for its attributes cannot open a symbolic link, and one (nfs-ganesha) says EIO. cp and
 * the like would take that for a broken disk; without attributes is what such links are.
 */
export function refused(file: Fid, error: unknown): unknown {
  const unreachable = (file.qid.type & QT.SYMLINK) !== 0 && isErrno(error, errno.EIO);
  return unreachable ? new ErrnoError(errno.EOPNOTSUPP, 'attributes of a symbolic link') : error;
}

/**
 * Twrite, and when all of the value was taken Tclunk. Not given up half way, unless that is known to set nothing: diod would set
 * the bytes that it has, and nfs-ganesha has set zeros already.
 */
function inTurn(
  calls: DotLCalls,
  fid: Fid,
  { name }: Setting,
  value: Uint8Array,
  signal: AbortSignalLike | undefined,
): Promise<void> {
  const send = async (until: AbortSignalLike | undefined) => {
    try {
      const count = await write(calls, fid, 0, value, { inOrder: true, signal: until });
      if (count !== value.length) throw partly(name, count, value);
    } catch (error) {
      calls.clunk(fid);
      throw error;
    }
    await calls.commitXattr(fid, until);
  };
  return facts(calls).refusesShort === true ? send(signal) : calls.finish(signal, send);
}

/** Twrite with the Tclunk behind it. False: nothing was set, maybe because the Tclunk has overtaken the Twrite. */
async function together(
  calls: DotLCalls,
  fid: Fid,
  { name }: Setting,
  value: Uint8Array,
  signal: AbortSignalLike | undefined,
): Promise<boolean> {
  const [written, clunked] = await calls.writeAndClunk(fid, value, signal);
  const whole = written.status === 'fulfilled' && written.value === value.length;
  if (clunked.status === 'fulfilled') {
    // given up, and done before the server heard of it
    if (whole || (written.status === 'rejected' && written.reason instanceof CancelledError)) return true;
    facts(calls).refusesShort = false;
  } else if (whole) throw clunked.reason;
  if (written.status === 'fulfilled') throw partly(name, written.value, value);
  const { reason } = written;
  if (clunked.status === 'fulfilled' || !(reason instanceof ErrnoError) || reason instanceof CancelledError)
    throw reason;
  return false;
}

function partly(name: string, count: number, value: Uint8Array): ErrnoError {
  return new ErrnoError(errno.EIO, `${name}: ${count} of ${value.length} bytes taken`);
}

function overtaken(calls: DotLCalls, what: string): void {
  facts(calls).overtakes = true;
  const { logger, peer } = calls.connection;
  logger.info({ peer, op: what }, 'the server carries out requests in another order: attributes are set step by step');
}

/** Without a name space, so that no system sets it, whatever its server makes of a value that was never sent. */
const UNSETTABLE = 'ninefs-probe';

/** Finds out whether the server refuses a short value, beside what others do; it is known to nobody until it is answered. */
function learn(calls: DotLCalls, file: Fid): void {
  const known = facts(calls);
  calls.connection.fids
    .during([file], () => refusesShort(calls, file))
    .then(
      (is) => {
        known.refusesShort ??= is;
      },
      (error: unknown) => {
        calls.connection.logger.debug({ error: String(error) }, 'whether short values are refused was not found out');
      },
    );
}

async function refusesShort(calls: DotLCalls, file: Fid): Promise<boolean> {
  const setting = { name: UNSETTABLE, flags: 0 };
  const fid = await begin(calls, file, setting, 1, undefined);
  try {
    await calls.commitXattr(fid);
  } catch (error) {
    // EOPNOTSUPP would come from the file system, to which the server has passed what it had
    return isErrno(error, errno.EINVAL);
  }
  await put(calls, file, setting, new Uint8Array(0), undefined);
  return false;
}
