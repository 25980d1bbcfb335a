// Writes little-endian values into a buffer that the caller sized; never grows it (a write past the end is our bug and
// throws RangeError). A length that is only known at the end is back-filled with setU32.

import { asBuffer } from './cursor.ts';

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
    this.at = this.bytes.writeUInt32LE(value, this.at);
  }

  i32(value: number): void {
    this.at = this.bytes.writeInt32LE(value, this.at);
  }

  u64(value: bigint): void {
    this.at = this.bytes.writeBigUInt64LE(value, this.at);
  }

  /** A non-negative safe integer as u64. */
  u53(value: number): void {
    this.at = this.bytes.writeUInt32LE(value % TWO32, this.at);
    this.at = this.bytes.writeUInt32LE(Math.floor(value / TWO32), this.at);
  }

  /** A safe integer, possibly negative, as i64. */
  i53(value: number): void {
    const high = Math.floor(value / TWO32);
    this.at = this.bytes.writeUInt32LE(value - high * TWO32, this.at);
    this.at = this.bytes.writeInt32LE(high, this.at);
  }

  raw(bytes: Uint8Array): void {
    if (bytes.length > this.left) throw new RangeError(`${bytes.length} bytes do not fit in ${this.left}`);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** u16 count, then UTF-8 (intro(9P)). */
  string(text: string): void {
    const from = this.at + 2;
    const length = Buffer.byteLength(text, 'utf8');
    if (length > 0xffff || from + length > this.bytes.length) throw new RangeError(`string of ${length} bytes`);
    this.bytes.writeUInt16LE(length, this.at);
    this.bytes.write(text, from, length, 'utf8');
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
