// Reads and writes of any length, cut into chunks of at most msize - 24 and mostly the iounit, a bounded number of which
// travel at a time (chunks.ts), in turn with those of other transfers (turns.ts).
// Guarantees: all receive memory of a read is taken from the pool before the first Tread leaves, so that readers that
// hold part of what they need cannot block each other, and from the streams' share where it may be held for long; it goes
// back once, when the consumer and every request that may still write into it have let go; a write reports what is
// contiguously written.

import type { AbortSignalLike } from '../common/abort.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError, isErrno } from '../common/errors.ts';
import type { Calls } from './calls.ts';
import { moveInChunks } from './chunks.ts';
import type { Fid } from './fids.ts';
import { Lease } from './lease.ts';
import { Sending } from './sending.ts';

/** Treads of one read that are on their way at once: no more than may be left unanswered when it is given up (limits.ts). */
const READS_AT_ONCE = 64;
/** Twrites of one write. */
const WRITES_AT_ONCE = 8;
/** Bytes: the smallest iounit that is believed. */
const LEAST_CHUNK = 4096;

export interface ReadData {
  data: Uint8Array;
  /** Gives the memory back; exactly once, also when data is empty. */
  release(): void;
}

export interface ReadOptions {
  /**
   * Ask again after a short read until `size` bytes, an empty read, or the known end of the file are reached. Without
   * it one short reply is the answer (stream files).
   */
  whole: boolean;
  /** The file may be a stream, and not answer for as long as it likes. */
  stream?: boolean | undefined;
  /**
   * Where the file was last known to end, bytes: a read that comes to just there is not asked about again. A file that
   * turns out longer is read on.
   */
  end?: number | undefined;
  signal?: AbortSignalLike | undefined;
}

/**
 * Largest transfer in one message on this fid, bytes. An iounit says what moves in one piece (open(9P)), not what may be
 * asked for: one that would cut a page of memory into pieces counts only once the server has refused more.
 */
export function chunkSize(calls: Calls, fid: Fid): number {
  const most = calls.connection.chunk;
  if (fid.iounit === 0 || fid.iounit >= most) return most;
  return fid.insists ? fid.iounit : Math.min(most, Math.max(fid.iounit, LEAST_CHUNK));
}

/** Whether a transfer was refused because it was longer than the iounit: it can be made in shorter ones, as from now on all are. */
function isTooMuch(fid: Fid, size: number, error: unknown): boolean {
  if (fid.iounit === 0 || size <= fid.iounit || !isErrno(error, errno.EMSGSIZE, errno.EINVAL)) return false;
  fid.insists = true;
  return true;
}

/** Reads up to `size` bytes at `offset`. Fewer: the end of the file, or any number without options.whole. */
export async function read(
  calls: Calls,
  fid: Fid,
  offset: number,
  size: number,
  options: ReadOptions,
): Promise<ReadData> {
  const { pool, streams } = calls.connection;
  const chunk = chunkSize(calls, fid);
  const most = options.whole ? size : Math.min(size, chunk);
  const slab = options.stream
    ? await streams.take(most, options.signal)
    : (pool.tryTake(most) ?? (await pool.take(most, options.signal)));
  const lease = new Lease(slab);
  try {
    const total =
      most <= chunk
        ? await fill(calls, fid, offset, lease, 0, most, options)
        : await fillChunks(calls, fid, offset, lease, chunk, options);
    return { data: lease.bytes.subarray(0, total), release: lease.releaseOnce() };
  } catch (error) {
    lease.drop();
    throw error;
  }
}

/** Fills lease.bytes[from, to) from the file at offset + from; returns how many bytes came. */
async function fill(
  calls: Calls,
  fid: Fid,
  offset: number,
  lease: Lease,
  from: number,
  to: number,
  { whole, end, signal }: ReadOptions,
): Promise<number> {
  let at = from;
  let until = to;
  while (at < to) {
    lease.hold();
    try {
      const count = await calls.read(fid, offset + at, lease.bytes.subarray(at, until), () => lease.drop(), signal);
      at += count;
      if (count === 0 || !whole || offset + at === end) break;
    } catch (error) {
      if (!isTooMuch(fid, until - at, error)) throw error;
    }
    until = Math.min(to, at + chunkSize(calls, fid));
  }
  return at - from;
}

/** Fills lease.bytes, which is longer than a chunk. */
async function fillChunks(
  calls: Calls,
  fid: Fid,
  offset: number,
  lease: Lease,
  chunk: number,
  options: ReadOptions,
): Promise<number> {
  const { signal, end } = options;
  const { turns } = calls.connection;
  /** Fills [start, to), and returns where the bytes end. */
  const part = async (start: number, to: number, how: ReadOptions): Promise<number> => {
    const move = (from: number, until: number) => fill(calls, fid, offset, lease, start + from, start + until, how);
    const { count, error } = await moveInChunks(turns, {
      size: to - start,
      chunk,
      atOnce: READS_AT_ONCE,
      signal,
      move,
    });
    if (error !== undefined) throw error;
    return start + count;
  };
  const size = lease.bytes.length;
  // nothing lies behind the end: one request there is enough, when it is the first
  const likely = end === undefined ? size : Math.min(size, chunk * Math.max(1, Math.ceil((end - offset) / chunk)));
  const came = await part(0, likely, options);
  if (came < likely || likely === size || offset + likely === end) return came;
  return part(likely, size, { ...options, end: undefined });
}

export interface WriteOptions {
  /** One Twrite after the other: the server decides where each goes (append-only). */
  inOrder: boolean;
  signal?: AbortSignalLike | undefined;
}

/**
 * Writes all of `data` at `offset`. Returns how many bytes from its start are known to be written: fewer than all only
 * after an error, which is thrown when that is none. `data` must not change until this settles.
 */
export async function write(
  calls: Calls,
  fid: Fid,
  offset: number,
  data: Uint8Array,
  options: WriteOptions,
): Promise<number> {
  const chunk = chunkSize(calls, fid);
  if (data.length <= chunk) return drain(calls, fid, offset, data, options.signal);
  return writeChunks(calls, fid, offset, data, chunk, options);
}

async function writeChunks(
  calls: Calls,
  fid: Fid,
  offset: number,
  data: Uint8Array,
  chunk: number,
  { inOrder, signal }: WriteOptions,
): Promise<number> {
  const move = (from: number, to: number) => drain(calls, fid, offset + from, data.subarray(from, to), signal);
  const atOnce = inOrder ? 1 : WRITES_AT_ONCE;
  const { count, error } = await moveInChunks(calls.connection.turns, {
    size: data.length,
    chunk,
    atOnce,
    signal,
    move,
  });
  if (error !== undefined && count === 0) throw error;
  return count;
}

/** Writes `data` with as many Twrites as the server's short counts make necessary. */
async function drain(
  calls: Calls,
  fid: Fid,
  offset: number,
  data: Uint8Array,
  signal: AbortSignalLike | undefined,
): Promise<number> {
  let done = 0;
  let part = data;
  while (done < data.length) {
    const sending = new Sending();
    try {
      const count = await calls.write(fid, offset + done, part, sending.taken, signal);
      // a server that takes nothing would be asked for ever
      if (count === 0) throw new ErrnoError(errno.EIO, 'Twrite: the server took 0 bytes');
      done += count;
    } catch (error) {
      if (!isTooMuch(fid, part.length, error)) {
        if (done > 0) return done;
        throw error;
      }
    } finally {
      if (!sending.done) await sending.wait(calls, signal);
    }
    if (done < data.length) part = data.subarray(done, done + chunkSize(calls, fid));
  }
  return done;
}
