// Reads little-endian values and counted strings from a byte range, with a sticky fault: a read past the end, or a
// string that holds NUL, sets `fault` and yields zeros, so that a decoder checks once, at the end.
// Never allocates by a count it has read.

import { decodeText } from './text.ts';

const TWO32 = 0x1_0000_0000;
const MAX_HIGH = 0x1f_ffff;
const EMPTY = new Uint8Array(0);

export class Cursor {
  bytes: Buffer;
  at: number;
  end: number;
  /** What went wrong first, or undefined. */
  fault: string | undefined;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.bytes = asBuffer(bytes);
    this.at = at;
    this.end = end;
  }

  /** Starts over on other bytes; lets one cursor serve a whole connection. */
  reset(bytes: Uint8Array, at = 0, end: number = bytes.length): void {
    this.bytes = asBuffer(bytes);
    this.at = at;
    this.end = end;
    this.fault = undefined;
  }

  get left(): number {
    return this.end - this.at;
  }

  fail(why: string): void {
    this.fault ??= why;
  }

  #take(count: number): number {
    const at = this.at;
    if (this.end - at < count) {
      this.fault ??= `needs ${count} bytes at ${at}, has ${this.end - at}`;
      this.at = this.end;
      return -1;
    }
    this.at = at + count;
    return at;
  }

  /** By hand: Buffer's own readers check again what #take() has checked. */
  #word(at: number): number {
    const bytes = this.bytes;
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  }

  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.bytes[at]!;
  }

  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.bytes[at]! | (this.bytes[at + 1]! << 8);
  }

  u32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#word(at);
  }

  i32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.bytes.readInt32LE(at);
  }

  u64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.bytes.readBigUInt64LE(at);
  }

  /** u64 as a number; what does not fit in 53 bits saturates at Number.MAX_SAFE_INTEGER. */
  u53(): number {
    const at = this.#take(8);
    if (at < 0) return 0;
    const high = this.#word(at + 4);
    return high > MAX_HIGH ? Number.MAX_SAFE_INTEGER : high * TWO32 + this.#word(at);
  }

  /** i64 as a number (times may lie before 1970); saturates at plus or minus Number.MAX_SAFE_INTEGER. */
  i53(): number {
    const at = this.#take(8);
    if (at < 0) return 0;
    const high = this.bytes.readInt32LE(at + 4);
    if (high > MAX_HIGH) return Number.MAX_SAFE_INTEGER;
    return Math.max(high * TWO32 + this.#word(at), -Number.MAX_SAFE_INTEGER);
  }

  /** A view, not a copy. */
  view(count: number): Uint8Array {
    const at = this.#take(count);
    return at < 0 ? EMPTY : this.bytes.subarray(at, at + count);
  }

  /** Text of `count` bytes, whatever they are (text.ts); faults on NUL. */
  text(count: number): string {
    const at = this.#take(count);
    return at < 0 ? '' : this.#decode(at, at + count);
  }

  /** u16 count, then so many bytes of text (intro(9P)). */
  string(): string {
    return this.text(this.u16());
  }

  /** Bytes up to the next NUL, which is skipped (FUSE names). */
  cstring(): string {
    const nul = this.bytes.indexOf(0, this.at);
    if (nul < 0 || nul >= this.end) {
      this.fail(`no NUL after ${this.at}`);
      this.at = this.end;
      return '';
    }
    const text = this.#decode(this.at, nul);
    this.at = nul + 1;
    return text;
  }

  #decode(from: number, to: number): string {
    const bytes = this.bytes;
    for (let i = from; i < to; i++) {
      const byte = bytes[i]!;
      if (byte === 0) {
        this.fail(`NUL in the string at ${from}`);
        return '';
      }
      if (byte >= 0x80) {
        const rest = bytes.subarray(from, to);
        if (!rest.includes(0)) return decodeText(rest);
        this.fail(`NUL in the string at ${from}`);
        return '';
      }
    }
    return bytes.toString('latin1', from, to);
  }
}

/** The same bytes as a Buffer; no copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
