// Writer: what it writes Cursor reads, values that do not fit throw instead of being cut, and the buffer never grows.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cursor } from '../../../src/common/cursor.ts';
import { Writer } from '../../../src/common/writer.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const TWO32 = 2 ** 32;

const plain: readonly [string, number, (w: Writer, v: number) => void, (c: Cursor) => number, number, number][] = [
  ['u8', 1, (w, v) => w.u8(v), (c) => c.u8(), 0, 0xff],
  ['u16', 2, (w, v) => w.u16(v), (c) => c.u16(), 0, 0xffff],
  ['u32', 4, (w, v) => w.u32(v), (c) => c.u32(), 0, 0xffff_ffff],
  ['i32', 4, (w, v) => w.i32(v), (c) => c.i32(), -(2 ** 31), 2 ** 31 - 1],
  ['u53', 8, (w, v) => w.u53(v), (c) => c.u53(), 0, MAX],
  ['i53', 8, (w, v) => w.i53(v), (c) => c.i53(), -MAX, MAX],
];

describe('Writer', () => {
  test.each(plain)('%s: every value in its range comes back', (_name, size, write, read, min, max) => {
    const near = [min, min + 1, max - 1, max, 0, 1, TWO32 - 1, TWO32, TWO32 + 1, -1, -TWO32, -TWO32 - 1];
    const edges = near.filter((value) => value >= min && value <= max);
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.constantFrom(...edges)), fc.nat(4), (any, at) => {
        const value = Math.min(Math.max(any, min), max) + 0;
        const writer = new Writer(Buffer.alloc(at + size), at);
        write(writer, value);
        expect([writer.at, writer.left]).toEqual([at + size, 0]);
        expect(read(new Cursor(writer.bytes, at))).toBe(value);
      }),
    );
  });

  test.each(plain.slice(0, 4))('%s: a value outside its range throws', (_name, size, write, _read, min, max) => {
    for (const value of [min - 1, max + 1, 2 ** 53, -(2 ** 53), Number.POSITIVE_INFINITY]) {
      expect(() => write(Writer.sized(size), value)).toThrow(RangeError);
    }
  });

  test('u53 and i53 throw where 64 bits do not hold the value', () => {
    for (const value of [-1, -TWO32, 2 ** 64, Number.NaN]) expect(() => Writer.sized(8).u53(value)).toThrow(RangeError);
    for (const value of [2 ** 63, -(2 ** 64), Number.NaN]) expect(() => Writer.sized(8).i53(value)).toThrow(RangeError);
  });

  test("times before 1970 are two's complement", () => {
    const writer = Writer.sized(16);
    writer.i53(-1);
    writer.i53(-86400);
    expect(writer.bytes.readBigInt64LE(0)).toBe(-1n);
    expect(writer.bytes.readBigInt64LE(8)).toBe(-86400n);
  });

  test('u64 takes all 64 bits and no more', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (value) => {
        const writer = Writer.sized(8);
        writer.u64(value);
        expect(new Cursor(writer.bytes).u64()).toBe(value);
      }),
    );
    expect(() => Writer.sized(8).u64(1n << 64n)).toThrow(RangeError);
    expect(() => Writer.sized(8).u64(-1n)).toThrow(RangeError);
  });

  test('nothing is written past the end', () => {
    for (const [, size, write] of plain) {
      const around = Buffer.alloc(32, 0xaa);
      const short = around.subarray(0, 8 + size - 1);
      expect(() => write(new Writer(short, 8), 1)).toThrow(RangeError);
      expect([...around.subarray(short.length)].every((byte) => byte === 0xaa)).toBe(true);
    }
    expect(() => new Writer(Buffer.alloc(4)).raw(Buffer.alloc(5))).toThrow(RangeError);
    expect(() => new Writer(Buffer.alloc(4)).zeros(5)).toThrow(RangeError);
    expect(() => new Writer(Buffer.alloc(4)).string('abc')).toThrow(RangeError);
    expect(() => new Writer(Buffer.alloc(4)).string('\u20ac')).toThrow(RangeError);
    expect(() => new Writer(Buffer.alloc(4)).setU32(1, 0)).toThrow(RangeError);
  });

  test('short and long strings, ASCII or not, are written alike', () => {
    for (const length of [0, 1, 31, 32, 33, 200]) {
      for (const text of ['x'.repeat(length), `${'x'.repeat(length)}\u00e9`, `\u20ac${'x'.repeat(length)}`]) {
        const writer = new Writer(Buffer.alloc(2 + Buffer.byteLength(text) + 1, 0xaa));
        writer.string(text);
        expect(writer.left).toBe(1);
        expect(writer.bytes.subarray(2, -1).toString()).toBe(text);
        expect([writer.bytes.readUInt16LE(0), writer.bytes.at(-1)]).toEqual([Buffer.byteLength(text), 0xaa]);
      }
    }
  });

  test('a string with bytes that are not UTF-8 is written as those bytes', () => {
    for (const length of [0, 31, 32, 200]) {
      const writer = new Writer(Buffer.alloc(2 + length + 2 + 1, 0xaa));
      writer.string(`${'x'.repeat(length)}\udcff\udc80`);
      expect(writer.left).toBe(1);
      expect(writer.bytes.readUInt16LE(0)).toBe(length + 2);
      expect([...writer.bytes.subarray(2 + length)]).toEqual([0xff, 0x80, 0xaa]);
    }
    expect(() => Writer.sized(10).string('a\ud800')).toThrow('EILSEQ');
  });

  test('a string has at most 65535 bytes, however many characters', () => {
    const writer = Writer.sized(70_000);
    writer.string('x'.repeat(0xffff));
    expect(writer.at).toBe(2 + 0xffff);
    expect(() => Writer.sized(70_000).string('x'.repeat(0x10000))).toThrow(RangeError);
    expect(() => Writer.sized(70_000).string('\u00e9'.repeat(0x8000))).toThrow(RangeError);
    writer.at = 0;
    writer.string('\udcff'.repeat(0xffff));
    expect(writer.at).toBe(2 + 0xffff);
  });

  test('raw, zeros and a length that is filled in later', () => {
    const writer = new Writer(Buffer.alloc(12, 0xff));
    writer.u32(0);
    writer.raw(new Uint8Array([1, 2, 3]));
    writer.zeros(2);
    writer.setU32(0, writer.at);
    expect([...writer.bytes]).toEqual([9, 0, 0, 0, 1, 2, 3, 0, 0, 0xff, 0xff, 0xff]);
    expect(writer.left).toBe(3);
  });
});
