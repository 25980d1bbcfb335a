// Appends (O_APPEND): what a server makes of them, and how no byte is lost whatever that is.
// Owns two facts of a connection: whether the server writes at the end through a fid that was opened with O_APPEND, or
// at the offset that it is told (nfs-ganesha), and whether it refuses to write through such a fid at all (p9ufs). What
// the server does with the first appends tells both; they are logged.
// Guarantees: what append() reports is in the file, in its order. Clients that hold the server's lock of the file while
// they append overwrite nothing of each other; on a server that writes at the end, nobody does.

import { type AbortSignalLike, unlessAborted } from '../common/abort.ts';
import { deferred } from '../common/deadline.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError, isErrno } from '../common/errors.ts';
import { QT } from '../wire/p9/constants.ts';
import type { Calls, Signal } from './calls.ts';
import type { Dialect } from './dialects/dialect.ts';
import type { Fid } from './fids.ts';
import { chunkSize, write } from './io.ts';

export interface AppendOptions {
  /** Where the caller takes the file's end to be: what a server is told that does not look at it. */
  offset: number;
  /** The fid was opened without O_APPEND, so that the server appends nothing through it. */
  plain?: boolean | undefined;
  signal?: AbortSignalLike | undefined;
  /**
   * Runs work that looks for the end and writes there, under the server's lock of the file, and tells it whether it
   * could get that lock: without it nothing is learned. Absent where there is no such lock.
   */
  lock?: (<T>(work: (held: boolean) => Promise<T>) => Promise<T>) | undefined;
  /**
   * A fid of the file that was opened for writing without O_APPEND, which stays the caller's. It is asked for before
   * every write once the server has refused to write through the other kind. Absent where the caller cannot get one.
   */
  reopen?: (() => Promise<Fid>) | undefined;
  /**
   * How to learn and set the file's length at the server. Absent: through the fid that is written to, which must reach
   * the same file then for its attributes.
   */
  length?: FileLength | undefined;
}

export interface FileLength {
  get(signal: Signal): Promise<number>;
  set(length: number, signal: Signal): Promise<void>;
}

export interface Appended {
  /** How many bytes from the start of the data are in the file. */
  count: number;
  /** Where the file ends at least, as far as the client can know. */
  end: number;
}

/** What a server says that does not write through a fid that was opened with O_APPEND. */
const REFUSALS = [errno.EIO, errno.EBADF, errno.EINVAL] as const;

/**
 * Bytes by which an append misses the end of the file where that tells something (#probe). It is a prime number, which
 * several appends of one length, as lines of a log often are, do not make up.
 */
const GAP = 509;

/** The appends of one connection. */
export class Appending {
  readonly #calls: Calls;
  readonly #dialect: Pick<Dialect, 'stat' | 'change'>;
  #appendsAtEnd: boolean | undefined;
  #refusesAppend: boolean | undefined;
  /** By qid.path: the append that looks for the end of a file and writes there, until it is over. */
  readonly #writing = new Map<bigint, Promise<void>>();

  constructor(calls: Calls, dialect: Pick<Dialect, 'stat' | 'change' | 'appends'>) {
    this.#calls = calls;
    this.#dialect = dialect;
    if (!dialect.appends) this.#appendsAtEnd = false;
  }

  /** Whether the server writes at the end through a fid that was opened with O_APPEND; undefined until it was seen. */
  get appendsAtEnd(): boolean | undefined {
    return this.#appendsAtEnd;
  }

  /** Whether it refuses to: then files are to be opened without O_APPEND, and are `plain`. Undefined: not seen yet. */
  get refusesAppend(): boolean | undefined {
    return this.#refusesAppend;
  }

  /**
   * Writes `data` at the end of the file. Fewer bytes than all are written only after an error, which is thrown when
   * that is none; an abort is an error too. ETIMEDOUT: something is written, and the server has not told where.
   * `data` must not change until this settles.
   */
  async append(fid: Fid, data: Uint8Array, options: AppendOptions): Promise<Appended> {
    if (this.#finds(fid, options)) return this.#send(fid, data, options);
    const { lock, signal } = options;
    return this.#oneAtATime(fid.qid.path, signal, () =>
      lock === undefined ? this.#look(fid, data, options, false) : lock((held) => this.#look(fid, data, options, held)),
    );
  }

  /** Whether the server is known to find the end by itself, as every server does in an append-only file (open(9P)). */
  #finds(fid: Fid, { plain }: AppendOptions): boolean {
    return (fid.qid.type & QT.APPEND) !== 0 || (this.#appendsAtEnd === true && plain !== true);
  }

  /** The server finds the end: one Twrite after the other, since it decides where each goes. */
  async #send(fid: Fid, data: Uint8Array, { offset, signal }: AppendOptions): Promise<Appended> {
    const count = await write(this.#calls, fid, offset, data, { inOrder: true, signal });
    return { count, end: offset + count };
  }

  /** Two appends of this client would find the same end, and no lock keeps a client from itself. */
  async #oneAtATime<T>(path: bigint, signal: Signal, work: () => Promise<T>): Promise<T> {
    for (let other = this.#writing.get(path); other !== undefined; other = this.#writing.get(path)) {
      await unlessAborted(other, signal);
    }
    const over = deferred<void>();
    this.#writing.set(path, over.promise);
    try {
      return await work();
    } finally {
      this.#writing.delete(path);
      over.resolve();
    }
  }

  /** The client looks for the end before each Twrite, as long as the server is not known to find it. */
  async #look(fid: Fid, data: Uint8Array, options: AppendOptions, held: boolean): Promise<Appended> {
    let count = 0;
    let end = options.offset;
    while (count < data.length) {
      const rest = count === 0 ? data : data.subarray(count);
      try {
        const piece = this.#finds(fid, options)
          ? await this.#send(fid, rest, { ...options, offset: end })
          : await this.#piece(fid, rest, options, held);
        count += piece.count;
        ({ end } = piece);
      } catch (error) {
        // the count of bytes that were written is the answer where there are any (write(2))
        if (count === 0) throw error;
        break;
      }
    }
    return { count, end };
  }

  async #piece(fid: Fid, data: Uint8Array, options: AppendOptions, held: boolean): Promise<Appended> {
    const { plain, reopen, signal } = options;
    const refused = plain !== true && this.#refusesAppend === true && reopen !== undefined;
    const target = refused ? await reopen() : fid;
    const at = await this.#lengthOf(target, options, signal);
    if (plain === true || refused) return this.#put(target, at, data, signal);
    // what has no length may be no file on a disk, and its server may mind where it is written to
    const probe = this.#appendsAtEnd === undefined && held && at > 0;
    return probe ? this.#probe(fid, at, data, options) : this.#try(fid, at, data, options);
  }

  async #lengthOf(fid: Fid, { length }: AppendOptions, signal: Signal): Promise<number> {
    return length === undefined ? (await this.#dialect.stat(fid, signal)).size : length.get(signal);
  }

  /** What fits into one message, at its place. */
  async #put(fid: Fid, at: number, data: Uint8Array, signal: Signal): Promise<Appended> {
    const part = data.subarray(0, chunkSize(this.#calls, fid));
    const count = await write(this.#calls, fid, at, part, { inOrder: true, signal });
    return { count, end: at + count };
  }

  /**
   * Writes through a fid that was opened with O_APPEND. Where the first such write of the connection is refused, and
   * one through a fid without O_APPEND is not, it is O_APPEND that the server does not want.
   */
  async #try(fid: Fid, at: number, data: Uint8Array, { reopen, signal }: AppendOptions): Promise<Appended> {
    try {
      const done = await this.#put(fid, at, data, signal);
      this.#refusesAppend ??= false;
      return done;
    } catch (error) {
      if (!isErrno(error, ...REFUSALS) || this.#refusesAppend === false || reopen === undefined) throw error;
      const done = await this.#put(await reopen(), at, data, signal);
      this.#refusesAppend = true;
      this.#appendsAtEnd = false;
      this.#tell('the server refuses to write to files that were opened with O_APPEND: they are opened without');
      return done;
    }
  }

  /**
   * Finds out what the server makes of O_APPEND, by an append that misses the end: with the file's end at S, n bytes
   * are written in one piece at S + GAP, under the lock. The length then says where they went:
   *
   *   S + n ... S + n + GAP - 1  to the end: the server appends. Clients that know this already do not lock any more,
   *                              and have appended less than GAP bytes meanwhile.
   *   S + n + GAP                behind a gap: the server does not append, and the gap is closed.
   *   another                    clients that do not lock have changed the length: nothing is learned this time.
   *
   * On a server that appends, the append is in its place at once and in one piece, whatever others do. Such a server
   * passes for one of the other kind only when others append just GAP bytes meanwhile. What closes the gap then goes to
   * the end: the bytes are there twice, and no byte is lost. (To write the first byte at S and the others at S as well
   * would tell as much. But it tears an append in two where others append without a lock.)
   *
   * On a server that does not append, the lock keeps other clients that lock away until the gap is closed. A client
   * that does not lock may lose what it writes between a look and a write of another client, there as at every append.
   * If the connection ends before the gap is closed, everything is there, and GAP zero bytes or GAP surplus bytes.
   *
   * Without the lock, or where the file is empty, this is not tried: to ask for the end and to write there is right on
   * both kinds of server.
   */
  async #probe(fid: Fid, at: number, data: Uint8Array, options: AppendOptions): Promise<Appended> {
    let count: number;
    try {
      ({ count } = await this.#put(fid, at + GAP, data, options.signal));
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      // the server may have refused the gap, not the append
      return this.#try(fid, at, data, options);
    }
    this.#refusesAppend ??= false;
    return this.#calls.finish(options.signal, (rest) => this.#judge(fid, at, data.subarray(0, count), options, rest));
  }

  async #judge(fid: Fid, at: number, data: Uint8Array, options: AppendOptions, signal: Signal): Promise<Appended> {
    const count = data.length;
    const end = await this.#lengthOf(fid, options, signal);
    if (end === at + count + GAP) return this.#closeGap(fid, at, data, options, signal);
    if (end >= at + count && end < at + count + GAP) this.#learn(true);
    return { count, end };
  }

  /**
   * Writes once more what seems to lie behind a gap. Where it does, the length stays what it was, and what then lies
   * behind the data is cut off. Otherwise the server has appended it once more.
   */
  async #closeGap(fid: Fid, at: number, data: Uint8Array, options: AppendOptions, signal: Signal): Promise<Appended> {
    const count = data.length;
    for (let done = 0; done < count; ) {
      done += await write(this.#calls, fid, at + done, data.subarray(done), { inOrder: true, signal });
    }
    const end = await this.#lengthOf(fid, options, signal);
    const before = at + count + GAP;
    if (end >= before + count) return { count, end };
    this.#learn(false);
    // bytes that a client has appended without the lock are not cut off
    if (end !== before) return { count, end };
    const { length } = options;
    await (length === undefined
      ? this.#dialect.change(fid, { size: at + count }, signal)
      : length.set(at + count, signal));
    return { count, end: at + count };
  }

  #learn(appends: boolean): void {
    this.#appendsAtEnd = appends;
    this.#tell(
      appends
        ? 'the server appends to files that were opened with O_APPEND'
        : 'the server does not append to files that were opened with O_APPEND: it is asked for their end',
    );
  }

  #tell(what: string): void {
    const { logger, peer } = this.#calls.connection;
    logger.info({ peer, appendsAtEnd: this.#appendsAtEnd, refusesAppend: this.#refusesAppend }, what);
  }
}
