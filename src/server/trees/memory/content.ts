// The bytes of one regular file, in chunks that exist only where something was written, so that holes cost nothing.
// Guarantees: what read() returns does not change until it is released, whatever is written meanwhile (a chunk that is lent
// out is copied before it is written to); what was cut off or never written reads as zeros; memory is taken from the
// budget before it is used, and counts for as long as it is lent, also when the file has others in its place by then;
// ENOSPC leaves the file as it was but for what was already written.

import type { ReadResult } from '../../tree.ts';
import type { Budget } from './budget.ts';

export const CHUNK = 256 * 1024;
const SMALLEST = 4096;
/** Up to this size a copy costs less than the bookkeeping of a loan. */
const COPY_MAX = 16 * 1024;
const ZEROS = Buffer.alloc(CHUNK);
const EMPTY: ReadResult = { data: new Uint8Array(0) };

interface Chunk {
  /** As long as the highest byte written needed, rounded up; what lies behind it is zeros. */
  bytes: Buffer;
  /** Reads that have not been released. */
  lent: number;
  /** No longer the file's: the last read of it gives its memory back. */
  retired: boolean;
}

export class Content {
  size = 0;
  readonly #chunks = new Map<number, Chunk>();
  readonly #budget: Budget;
  #allocated = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Bytes of memory. */
  get allocated(): number {
    return this.#allocated;
  }

  read(offset: number, count: number): ReadResult {
    const end = Math.min(this.size, offset + count);
    if (offset >= end) return EMPTY;
    if (end - offset <= COPY_MAX) return { data: this.#copy(offset, end) };
    const pieces: Uint8Array[] = [];
    const lent: Chunk[] = [];
    for (let at = offset; at < end; ) {
      const index = Math.floor(at / CHUNK);
      const from = at - index * CHUNK;
      const to = Math.min(CHUNK, end - index * CHUNK);
      const chunk = this.#chunks.get(index);
      const there = chunk === undefined ? from : Math.max(from, Math.min(to, chunk.bytes.length));
      if (chunk !== undefined && there > from) {
        pieces.push(chunk.bytes.subarray(from, there));
        chunk.lent++;
        lent.push(chunk);
      }
      if (there < to) pieces.push(ZEROS.subarray(there, to));
      at = index * CHUNK + to;
    }
    const release = () => {
      for (const chunk of lent) if (--chunk.lent === 0 && chunk.retired) this.#budget.give(chunk.bytes.length);
    };
    return { data: pieces.length === 1 ? pieces[0]! : pieces, release };
  }

  #copy(offset: number, end: number): Buffer {
    const out = Buffer.allocUnsafe(end - offset);
    for (let at = offset; at < end; ) {
      const index = Math.floor(at / CHUNK);
      const from = at - index * CHUNK;
      const to = Math.min(CHUNK, end - index * CHUNK);
      const bytes = this.#chunks.get(index)?.bytes;
      const copied = bytes === undefined || from >= bytes.length ? 0 : bytes.copy(out, at - offset, from, to);
      if (copied < to - from) out.fill(0, at - offset + copied, at - offset + to - from);
      at = index * CHUNK + to;
    }
    return out;
  }

  /** Throws ENOSPC only when nothing could be written; otherwise returns how much was. */
  write(offset: number, data: Uint8Array): number {
    let written = 0;
    while (written < data.length) {
      const at = offset + written;
      const index = Math.floor(at / CHUNK);
      const from = at - index * CHUNK;
      const length = Math.min(CHUNK - from, data.length - written);
      try {
        this.#writable(index, from, from + length).set(
          length === data.length ? data : data.subarray(written, written + length),
          from,
        );
      } catch (error) {
        if (written === 0) throw error;
        break;
      }
      written += length;
    }
    if (written > 0) this.size = Math.max(this.size, offset + written);
    return written;
  }

  /** The bytes of a chunk, of which [from, to) is about to be overwritten. */
  #writable(index: number, from: number, to: number): Buffer {
    const chunk = this.#chunks.get(index);
    if (chunk === undefined) {
      const bytes = this.#allocate(index, to, undefined);
      bytes.fill(0, 0, from);
      bytes.fill(0, to);
      return bytes;
    }
    const { bytes } = chunk;
    if (to <= bytes.length && chunk.lent === 0) return bytes;
    const grown = this.#allocate(index, Math.max(to, bytes.length), chunk);
    bytes.copy(grown);
    grown.fill(0, bytes.length);
    return grown;
  }

  /** A chunk for `length` bytes, not zeroed, in the place of another. */
  #allocate(index: number, length: number, replaced: Chunk | undefined): Buffer {
    let size = SMALLEST;
    while (size < length) size *= 2;
    const before = replaced?.bytes.length ?? 0;
    this.#budget.take(replaced?.lent === 0 ? size - before : size);
    if (replaced !== undefined) replaced.retired = true;
    this.#allocated += size - before;
    const bytes = Buffer.allocUnsafeSlow(size);
    this.#chunks.set(index, { bytes, lent: 0, retired: false });
    return bytes;
  }

  resize(size: number): void {
    if (size < this.size) {
      this.#clearTail(size); // which may fail, and has changed nothing then
      const last = Math.ceil(size / CHUNK);
      for (const index of this.#chunks.keys()) if (index >= last) this.#forget(index);
    }
    this.size = size;
  }

  /** What lies behind the new end must read as zeros should the file grow again. */
  #clearTail(size: number): void {
    const index = Math.floor(size / CHUNK);
    const chunk = this.#chunks.get(index);
    const from = size - index * CHUNK;
    // a chunk of which nothing is left goes as a whole
    if (from === 0 || chunk === undefined || from >= chunk.bytes.length) return;
    if (chunk.lent === 0) {
      chunk.bytes.fill(0, from);
      return;
    }
    const copy = this.#allocate(index, chunk.bytes.length, chunk);
    chunk.bytes.copy(copy, 0, 0, from);
    copy.fill(0, from);
  }

  #forget(index: number): void {
    const chunk = this.#chunks.get(index);
    if (chunk === undefined) return;
    this.#chunks.delete(index);
    this.#allocated -= chunk.bytes.length;
    if (chunk.lent > 0) chunk.retired = true;
    else this.#budget.give(chunk.bytes.length);
  }

  /** The file is gone; reads that are lent out keep their bytes. */
  free(): void {
    this.resize(0);
  }
}
