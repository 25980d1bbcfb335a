// The record locks of one file: who of this mount has which, and what the server has been asked for on behalf of all of
// them. To the server the mount is one owner, with one fid a file, because real servers tie a lock to the fid (diod,
// nfs-ganesha) and some know no ranges (diod): what processes here may do beside each other is decided here, exactly, and
// what other clients may do is decided there, as exactly as the server can.
// Guarantees: whoever has a lock here, the mount has it at the server; requests about one file go to the server one after
// the other; the fid lives while a descriptor of the file does.

import type { Fid } from '../../client/fids.ts';
import { type AbortSignalLike, unlessAborted } from '../../common/abort.ts';
import { deferred } from '../../common/deadline.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import { LOCK_EOF, LOCK_STATUS, LOCK_TYPE, LockTable, type RecordLock } from '../../common/locktable.ts';
import type { Logger } from '../../common/log.ts';
import type { Locks } from './locks.ts';

const { RDLCK, WRLCK, UNLCK } = LOCK_TYPE;

type Kind = (typeof LOCK_TYPE)[keyof typeof LOCK_TYPE];
interface Range {
  start: bigint;
  end: bigint;
}

/** The two questions about locks that a dialect answers. */
export interface RemoteLocks {
  lock(fid: Fid, lock: RecordLock, signal?: AbortSignalLike): Promise<'granted' | 'blocked'>;
  getlock(fid: Fid, lock: RecordLock, signal?: AbortSignalLike): Promise<RecordLock | undefined>;
}

export interface NodeLocksOptions {
  remote: RemoteLocks;
  locks: Locks;
  /** A fid of the file's own, opened for the locks, or for asking only. */
  open(signal: AbortSignalLike): Promise<Fid>;
  /** Counts the changes of names through which such a fid may have lost the file; undefined: none can. */
  moves(): number | undefined;
  clunk(fid: Fid): void;
  /** A lock was granted: what is done before its taker may go on. An abort hurries it, and does not make it fail. */
  granted(signal: AbortSignalLike): Promise<void>;
  logger: Logger;
}

/** Behind whatever programs lock (sqlite: at 1 GiB), and far from the end of all offsets. */
const FAR = 2n ** 62n;

export class NodeLocks {
  readonly table = new LockTable();
  readonly #options: NodeLocksOptions;
  #fid: Fid | undefined;
  /** NodeLocksOptions.moves when the fid was opened. */
  #moves: number | undefined;
  /** What the mount has if the server keeps no ranges apart. */
  #whole: Kind = UNLCK;
  /** Settles when the last request that was let through has ended. */
  #turn: Promise<void> = Promise.resolve();
  #changed = deferred<void>();

  constructor(options: NodeLocksOptions) {
    this.#options = options;
  }

  /** 'here': another process of this mount has it; 'there': another client. `lock` names its owner by number (locks.ts). */
  async take(lock: RecordLock, file: object, signal: AbortSignalLike): Promise<'granted' | 'here' | 'there'> {
    const answer = await this.#inTurn(signal, async () => {
      if (this.table.conflict(lock) !== undefined) return 'here';
      if (this.table.isFull) throw new ErrnoError(errno.ENOLCK, 'too many ranges');
      if (!(await this.#acquire(lock, signal))) return 'there';
      if (this.table.set(lock, file) !== LOCK_STATUS.SUCCESS) throw new ErrnoError(errno.ENOLCK, 'too many ranges');
      // a lock that became weaker lets others in
      this.#wake();
      return 'granted';
    });
    if (answer === 'granted') {
      try {
        await this.#options.granted(signal);
      } catch (error) {
        void this.free(lock); // what the server says of that is in the log
        throw error;
      }
    }
    return answer;
  }

  /** Takes a range away. Nothing interrupts it: it would leave others waiting. */
  free(lock: RecordLock): Promise<void> {
    return this.#inTurn(undefined, async () => {
      const had = this.table.within(lock.start, lock.end).some(({ procId }) => procId === lock.procId);
      this.table.set({ ...lock, kind: UNLCK }, this);
      if (!had) return;
      this.#wake();
      await this.#giveBack(lock);
    });
  }

  /** A descriptor ends, and the locks that were taken through it. Settles when nothing that came before is under way. */
  async closed(file: object): Promise<void> {
    const dropped = this.table.drop(file);
    if (dropped.length > 0) this.#wake();
    await this.#inTurn(undefined, async () => {
      for (const range of dropped) await this.#giveBack(range);
    });
  }

  /** The first lock in the way, and whether it is one of this mount's. */
  async inTheWay(lock: RecordLock, signal: AbortSignalLike): Promise<{ lock: RecordLock; here: boolean } | undefined> {
    const ours = this.table.conflict(lock);
    if (ours !== undefined) return { lock: ours, here: true };
    return this.#inTurn(signal, async () => {
      const { remote, locks } = this.#options;
      const asked = this.#mine({ ...lock, kind: lock.kind as Kind });
      const found = await remote.getlock(await this.#opened(signal), asked, signal);
      if (found === undefined || (found.clientId === locks.clientId && found.procId === locks.procId)) return undefined;
      return { lock: found, here: false };
    });
  }

  /** Settles when something is given up here from now on: to be had before the question, as that may be answered late. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  /** The last descriptor of the file is gone, and what it owed is given back. */
  end(): void {
    if (this.#fid !== undefined) this.#options.clunk(this.#fid);
    this.#fid = undefined;
    this.#whole = UNLCK;
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = deferred();
  }

  #mine({ kind, start, end }: Range & { kind: Kind }): RecordLock {
    const { procId, clientId } = this.#options.locks;
    return { kind, start, end, procId, clientId };
  }

  async #opened(signal: AbortSignalLike): Promise<Fid> {
    const moves = this.#options.moves();
    // with locks it is kept: the server may keep them by the fid
    if (moves !== this.#moves && moves !== undefined && this.#whole === UNLCK && this.table.size === 0) this.end();
    this.#moves = moves;
    this.#fid ??= await this.#options.open(signal);
    return this.#fid;
  }

  /** Whether the mount has it now. */
  async #acquire(lock: RecordLock, signal: AbortSignalLike): Promise<boolean> {
    const { remote, locks } = this.#options;
    const kind = lock.kind === WRLCK ? WRLCK : RDLCK;
    const fid = await this.#opened(signal);
    if (locks.keepsRanges === false) {
      if (this.#whole === WRLCK || this.#whole === kind) return true;
      const granted = await remote.lock(fid, this.#mine({ kind, start: 0n, end: LOCK_EOF }), signal);
      if (granted !== 'granted') return false;
      this.#whole = kind;
      return true;
    }
    const { start, end } = lock;
    if ((await remote.lock(fid, this.#mine({ kind, start, end }), signal)) !== 'granted') return false;
    this.#whole = kind;
    if (locks.keepsRanges === undefined) await this.#learn(lock, signal);
    return true;
  }

  /**
   * Asks, as a stranger with a fid of its own, for a byte that nobody has a reason to lock. A server that then says that the
   * range just granted is in the way keeps no ranges apart. Some give the question back, diod when the file is locked and
   * nfs-ganesha always: there the stranger tries to have the byte. The lock is granted whatever becomes of the question.
   */
  async #learn({ start, end }: Range, signal: AbortSignalLike): Promise<void> {
    const { remote, locks, clunk, logger } = this.#options;
    // two mounts that ask at a time should not be in each other's way
    const far = FAR + BigInt(locks.procId);
    const at = end < far ? far : start - 1n;
    if (at < 0n || this.table.within(at, at).length > 0) return;
    let other: Fid | undefined;
    try {
      other = await this.#options.open(signal);
      const stranger = { ...this.#mine({ kind: WRLCK, start: at, end: at }), procId: (locks.procId % 0x7fff_fffe) + 1 };
      const found = await remote.getlock(other, stranger, signal);
      if (found?.procId === stranger.procId && found.clientId === stranger.clientId) {
        locks.keepsRanges = (await remote.lock(other, stranger, signal)) === 'granted';
        if (locks.keepsRanges) await remote.lock(other, { ...stranger, kind: UNLCK });
      } else {
        const covers = found !== undefined && found.start <= start && found.end >= end;
        // somebody else may read all of it, as we do
        if (covers && found.kind === RDLCK && found.procId !== locks.procId) return;
        locks.keepsRanges = !covers;
      }
      if (!locks.keepsRanges) {
        logger.info({}, 'the server locks whole files only: ranges are kept apart on this mount, not between clients');
      }
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      logger.debug({ error: String(error) }, 'whether the server keeps ranges apart is not known yet');
    } finally {
      if (other !== undefined) clunk(other);
    }
  }

  /** What nobody here holds any more goes back to the server. */
  async #giveBack(range: Range): Promise<void> {
    const { remote, locks, logger } = this.#options;
    if (this.#fid === undefined) return;
    const wanted: (Range & { kind: Kind })[] = [];
    if (locks.keepsRanges === false) {
      const left = this.table.within(0n, LOCK_EOF);
      const kind = left.length === 0 ? UNLCK : left.some((held) => held.kind === WRLCK) ? WRLCK : RDLCK;
      if (kind !== this.#whole) wanted.push({ kind, start: 0n, end: LOCK_EOF });
      this.#whole = kind;
    } else {
      for (const gap of gaps(range, this.table.within(range.start, range.end))) wanted.push({ kind: UNLCK, ...gap });
      if (wanted.length > 0) this.#whole = UNLCK;
    }
    for (const each of wanted) {
      try {
        await remote.lock(this.#fid, this.#mine(each));
      } catch (error) {
        // it goes with the fid at the latest; to the caller an unlock does not fail
        logger.warn({ fid: this.#fid.number, error: String(error) }, 'the server did not take a lock back');
      }
    }
  }

  async #inTurn<T>(signal: AbortSignalLike | undefined, work: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    const mine = deferred<void>();
    this.#turn = before.then(() => mine.promise);
    try {
      await unlessAborted(before, signal);
      return await work();
    } finally {
      mine.resolve();
    }
  }
}

/** The parts of a range that none of `held` covers. */
function gaps({ start, end }: Range, held: readonly Range[]): Range[] {
  const found: Range[] = [];
  let at = start;
  for (const each of [...held].sort((a, b) => (a.start < b.start ? -1 : 1))) {
    if (each.start > at) found.push({ start: at, end: each.start - 1n });
    if (each.end >= at) at = each.end + 1n;
  }
  if (at <= end) found.push({ start: at, end });
  return found;
}
