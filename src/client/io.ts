// Reads and writes of any length, cut into chunks of min(iounit, msize - 24) that travel several at a time.
// Guarantees: all receive memory of a read is taken from the pool before the first Tread leaves, so that readers that
// hold part of what they need cannot block each other, and from the streams' share where it may be held for long; it goes
// back once, when the consumer and every request that may still write into it have let go; a write reports what is
// contiguously written.

import type { AbortSignalLike } from '../common/abort.ts';
import type { Slab } from '../common/bufpool.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError } from '../common/errors.ts';
import type { Calls } from './calls.ts';
import type { Fid } from './fids.ts';

/** Twrites of one write that are on their way at once. */
const WRITES_AT_ONCE = 8;

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

/** A slab with several holders. */
class Lease {
  readonly bytes: Buffer;
  readonly #slab: Slab;
  #holders = 1;

  constructor(slab: Slab) {
    this.#slab = slab;
    this.bytes = slab.bytes;
  }

  hold(): void {
    this.#holders++;
  }

  drop(): void {
    if (--this.#holders === 0) this.#slab.release();
  }

  /** The consumer's own drop: a second one would take the memory from a request that still writes into it. */
  releaseOnce(): () => void {
    let lent = true;
    return () => {
      if (!lent) throw new Error('read data released twice');
      lent = false;
      this.drop();
    };
  }
}

/** Largest transfer in one message on this fid, bytes. */
export function chunkSize(calls: Calls, fid: Fid): number {
  const most = calls.connection.chunk;
  return fid.iounit > 0 && fid.iounit < most ? fid.iounit : most;
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
        : await fillChunks(calls, fid, offset, lease, 0, chunk, options);
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
  while (at < to) {
    lease.hold();
    const count = await calls.read(fid, offset + at, lease.bytes.subarray(at, to), () => lease.drop(), signal);
    at += count;
    if (count === 0 || !whole || offset + at === end) break;
  }
  return at - from;
}

/** Fills lease.bytes from `start` to its end, all chunks at once. */
async function fillChunks(
  calls: Calls,
  fid: Fid,
  offset: number,
  lease: Lease,
  start: number,
  chunk: number,
  options: ReadOptions,
): Promise<number> {
  const size = lease.bytes.length;
  const { end } = options;
  const parts: Promise<number>[] = [];
  let from = start;
  for (; from < size; from += chunk) {
    // nothing lies behind the end: one request there is enough, when it is the first
    if (from > start && end !== undefined && offset + from >= end) break;
    parts.push(fill(calls, fid, offset, lease, from, Math.min(from + chunk, size), options));
  }
  // all must have settled before the error is reported: none may be left writing unobserved
  const counts = await Promise.allSettled(parts);
  let total = 0;
  for (const [i, count] of counts.entries()) {
    if (count.status === 'rejected') throw count.reason;
    total += count.value;
    if (total < Math.min((i + 1) * chunk, size - start)) return total;
  }
  if (from >= size || offset + from === end) return total;
  return total + (await fillChunks(calls, fid, offset, lease, from, chunk, { ...options, end: undefined }));
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
  options: WriteOptions,
): Promise<number> {
  const batch = options.inOrder ? chunk : chunk * WRITES_AT_ONCE;
  let done = 0;
  while (done < data.length) {
    const end = Math.min(done + batch, data.length);
    const parts: Promise<number>[] = [];
    for (let at = done; at < end; at += chunk) {
      parts.push(drain(calls, fid, offset + at, data.subarray(at, Math.min(at + chunk, end)), options.signal));
    }
    const counts = await Promise.allSettled(parts);
    for (const [i, count] of counts.entries()) {
      if (count.status === 'rejected') {
        if (done === 0) throw count.reason;
        return done;
      }
      done += count.value;
      if (done < end && done % chunk !== 0 && i < counts.length - 1) return done;
    }
    if (done < end) return done;
  }
  return done;
}

/**
 * Whether the system has taken a payload. It has when an honest server answers; one that answers before it has read all
 * would otherwise be sent what its caller puts into the memory next.
 */
class Sending {
  done = false;
  #wake: (() => void) | undefined;

  readonly taken = (): void => {
    this.done = true;
    this.#wake?.();
  };

  /** No deadline: a transport takes what it was given, or ends. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
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
  while (done < data.length) {
    const sending = new Sending();
    try {
      const rest = done === 0 ? data : data.subarray(done);
      const count = await calls.write(fid, offset + done, rest, sending.taken, signal);
      // a server that takes nothing would be asked for ever
      if (count === 0) throw new ErrnoError(errno.EIO, 'Twrite: the server took 0 bytes');
      done += count;
    } catch (error) {
      if (done > 0) return done;
      throw error;
    } finally {
      if (!sending.done) await sending.wait();
    }
  }
  return done;
}
