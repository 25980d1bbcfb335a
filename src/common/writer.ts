// Writes little-endian values into a buffer that the caller sized; never grows it (a write past the end is our bug and
// throws RangeError). A length that is only known at the end is back-filled with setU32.

import { asBuffer } from './cursor.ts';
import { byteLength, writeText } from './text.ts';

/** Up to so many characters a string is written in a loop. */
const SHORT = 32;
const TWO32 = 0x1_0000_0000;

export class Writer {
  bytes: Buffer;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = asBuffer(bytes);
    this.at = at;
  }

  /** A fresh buffer of `size` bytes, not zeroed. */
  static sized(size: number): Writer {
    return new Writer(Buffer.allocUnsafe(size));
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  u8(value: number): void {
    this.at = this.bytes.writeUInt8(value, this.at);
  }

  u16(value: number): void {
    this.at = this.bytes.writeUInt16LE(value, this.at);
  }

  u32(value: number): void {
    this.#word(value, value >= 0 && value <= 0xffff_ffff);
  }

  i32(value: number): void {
    this.#word(value, value >= -0x8000_0000 && value <= 0x7fff_ffff);
  }

  /** Four bytes. By hand, because Buffer's methods cost three times as much, and a reply has some twenty such. */
  #word(value: number, fits: boolean): void {
    const { bytes, at } = this;
    if (!fits || at + 4 > bytes.length) throw new RangeError(`${value} as four bytes at ${at} of ${bytes.length}`);
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
    this.at = at + 4;
  }

  u64(value: bigint): void {
    this.at = this.bytes.writeBigUInt64LE(value, this.at);
  }

  /** A non-negative safe integer as u64. */
  u53(value: number): void {
    const high = Math.floor(value / TWO32);
    this.u32(value - high * TWO32);
    this.u32(high);
  }

  /** A safe integer, possibly negative, as i64. */
  i53(value: number): void {
    const high = Math.floor(value / TWO32);
    this.u32(value - high * TWO32);
    this.i32(high);
  }

  raw(bytes: Uint8Array): void {
    if (bytes.length > this.left) throw new RangeError(`${bytes.length} bytes do not fit in ${this.left}`);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** u16 count, then text (intro(9P)). Throws ErrnoError EILSEQ for a string that has no bytes (text.ts). */
  string(text: string): void {
    const { bytes } = this;
    const from = this.at + 2;
    const count = text.length;
    let length = 0;
    // names are short, and nearly all of them ASCII: a loop is cheaper than two calls into the engine
    if (count <= SHORT && from + count <= bytes.length) {
      while (length < count) {
        const code = text.charCodeAt(length);
        if (code >= 0x80) break;
        bytes[from + length++] = code;
      }
    }
    if (length < count) {
      length = byteLength(text);
      if (length > 0xffff || from + length > bytes.length) throw new RangeError(`string of ${length} bytes`);
      writeText(text, bytes, from, length);
    }
    bytes.writeUInt16LE(length, this.at);
    this.at = from + length;
  }

  zeros(count: number): void {
    this.bytes.fill(0, this.at, this.at + count);
    this.at += count;
  }

  setU32(at: number, value: number): void {
    this.bytes.writeUInt32LE(value, at);
  }
}
