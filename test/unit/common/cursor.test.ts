// Cursor and Writer against DataView, and the limits that the peers of this project can reach: ends of buffers, 64-bit
// values that no number holds, text with NUL. A fault is sticky and yields zeros.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asBuffer, Cursor } from '../../../src/common/cursor.ts';
import { encodeText } from '../../../src/common/text.ts';
import { Writer } from '../../../src/common/writer.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const u64s = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  fc.constantFrom(0n, 1n, (1n << 53n) - 1n, 1n << 53n),
);
const i64s = fc.oneof(
  fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
  fc.constantFrom(-(1n << 53n), -(1n << 53n) + 1n, -(1n << 53n) + 2n, -(1n << 63n), -1n, (1n << 53n) - 1n, 1n << 53n),
);
const eight = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt.asIntN(64, value));
  return bytes;
};
const clamp = (value: bigint): number => {
  const limit = BigInt(MAX);
  return Number(value > limit ? limit : value < -limit ? -limit : value);
};
const counted = (bytes: Uint8Array): Buffer => {
  const whole = Buffer.alloc(2 + bytes.length);
  whole.writeUInt16LE(bytes.length);
  whole.set(bytes, 2);
  return whole;
};

/** Every way to read, with the bytes it needs at least and what it yields where they lack. */
const reads: readonly [string, number, (cursor: Cursor) => unknown, unknown][] = [
  ['u8', 1, (c) => c.u8(), 0],
  ['u16', 2, (c) => c.u16(), 0],
  ['u32', 4, (c) => c.u32(), 0],
  ['i32', 4, (c) => c.i32(), 0],
  ['u64', 8, (c) => c.u64(), 0n],
  ['u53', 8, (c) => c.u53(), 0],
  ['i53', 8, (c) => c.i53(), 0],
  ['view', 5, (c) => c.view(5).length, 0],
  ['text', 5, (c) => c.text(5), ''],
  ['string', 2, (c) => c.string(), ''],
];

describe('Cursor', () => {
  test('reads what a DataView reads, at any place', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 30, maxLength: 60 }), fc.nat(3), (bytes, at) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        const cursor = new Cursor(bytes, at);
        expect(cursor.u8()).toBe(view.getUint8(at));
        expect(cursor.u16()).toBe(view.getUint16(at + 1, true));
        expect(cursor.u32()).toBe(view.getUint32(at + 3, true));
        expect(cursor.i32()).toBe(view.getInt32(at + 7, true));
        expect(cursor.u64()).toBe(view.getBigUint64(at + 11, true));
        expect(Buffer.from(cursor.view(5))).toEqual(Buffer.from(bytes.subarray(at + 19, at + 24)));
        expect(cursor.left).toBe(bytes.length - at - 24);
        expect(cursor.fault).toBeUndefined();
      }),
    );
  });

  test('u53 and i53 are exact where a number is, and saturate elsewhere', () => {
    const runs = { numRuns: 300 };
    const exact = (value: bigint, read: number): void => {
      expect(read).toBe(clamp(value));
    };
    fc.assert(
      fc.property(u64s, (value) => exact(value, new Cursor(eight(value)).u53())),
      runs,
    );
    fc.assert(
      fc.property(i64s, (value) => exact(value, new Cursor(eight(value)).i53())),
      runs,
    );
  });

  test.each(reads)('%s at every distance from the end', (name, needs, read, nothing) => {
    const fill = name === 'string' ? 0 : 1; // a string of no bytes, a text without NUL
    for (let left = 0; left <= needs; left++) {
      // bytes behind `end` are there, but are not ours
      const cursor = new Cursor(Buffer.alloc(20, fill), 10 - left, 10);
      const value = read(cursor);
      if (left < needs) expect(value).toBe(nothing);
      expect(cursor.fault === undefined, `${left} left`).toBe(left >= needs);
      expect(cursor.at).toBeLessThanOrEqual(10);
    }
  });

  test('a fault is sticky: the first is kept, all that follows is zero', () => {
    const cursor = new Cursor(Buffer.from([1, 2, 3]));
    expect(cursor.u32()).toBe(0);
    const first = cursor.fault;
    expect(first).toMatch(/4 bytes at 0, has 3/);
    for (const [, , read, nothing] of reads) expect(read(cursor)).toBe(nothing);
    cursor.fail('later');
    expect(cursor.fault).toBe(first);
    expect(cursor.left).toBe(0);
    cursor.reset(Buffer.from([9]));
    expect([cursor.fault, cursor.u8(), cursor.left]).toEqual([undefined, 9, 0]);
  });

  test('a view is a view, and its count allocates nothing', () => {
    const bytes = Buffer.from([1, 2, 3, 4]);
    const view = new Cursor(bytes, 1).view(2);
    bytes[1] = 99;
    expect([...view]).toEqual([99, 3]);
    const greedy = new Cursor(bytes);
    expect(greedy.view(0xffff_ffff)).toHaveLength(0);
    expect(greedy.fault).toBeDefined();
  });

  test('any Unicode text without NUL is read as it was written', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(5), (raw, at) => {
        const text = raw.replaceAll('\0', '');
        const writer = new Writer(Buffer.alloc(at + 2 + Buffer.byteLength(text)), at);
        writer.string(text);
        expect(writer.left).toBe(0);
        const cursor = new Cursor(writer.bytes, at);
        expect(cursor.string()).toBe(text);
        expect(cursor.left).toBe(0);
        expect(cursor.fault).toBeUndefined();
      }),
    );
  });

  test('a byte order mark is part of the text', () => {
    expect(new Cursor(counted(Buffer.from('\ufeffx'))).string()).toBe('\ufeffx');
  });

  test('any bytes without NUL are text, which has them all', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc.string({ unit: 'grapheme', maxLength: 3 }).map((text) => new Uint8Array(Buffer.from(text))),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 4 }), (pieces) => {
        const bytes = Buffer.concat(pieces);
        const cursor = new Cursor(counted(bytes));
        const nul = bytes.includes(0);
        expect(encodeText(cursor.string())).toEqual(nul ? Buffer.alloc(0) : bytes);
        expect(cursor.fault === undefined).toBe(!nul);
        expect(cursor.left).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['in ASCII', [0x61, 0x00]],
    ['behind UTF-8', [0xc3, 0xa9, 0x00]],
    ['behind what is not UTF-8', [0x61, 0xff, 0x00]],
    ['in front of it', [0x00, 0xff]],
  ])('refuses NUL %s', (_what, bytes) => {
    const cursor = new Cursor(counted(Buffer.from(bytes)));
    expect(cursor.string()).toBe('');
    expect(cursor.fault).toMatch(/NUL/);
  });

  test.each([
    ['a lone continuation byte', [0x61, 0x80], 'a\udc80'],
    ['an overlong slash, which is no slash', [0xc0, 0xaf], '\udcc0\udcaf'],
    ['a surrogate', [0xed, 0xa0, 0x80], '\udced\udca0\udc80'],
    ['a character that is cut', [0xe2, 0x82], '\udce2\udc82'],
    ['above U+10FFFF', [0xf4, 0x90, 0x80, 0x80], '\udcf4\udc90\udc80\udc80'],
  ])('reads %s byte by byte', (_what, bytes, text) => {
    const cursor = new Cursor(counted(Buffer.from(bytes)));
    expect([cursor.string(), cursor.fault]).toEqual([text, undefined]);
  });

  test('cstring stops at the NUL, within the range only', () => {
    const bytes = Buffer.from('ab\0caf\u00e9\0rest\0');
    const cursor = new Cursor(bytes);
    expect([cursor.cstring(), cursor.cstring(), cursor.left]).toEqual(['ab', 'caf\u00e9', 5]);
    expect(cursor.fault).toBeUndefined();
    const cut = new Cursor(bytes, 0, 2); // the NUL lies behind the end
    expect([cut.cstring(), cut.left]).toEqual(['', 0]);
    expect(cut.fault).toMatch(/no NUL/);
    const empty = new Cursor(Buffer.from([0]));
    expect([empty.cstring(), empty.left, empty.fault]).toEqual(['', 0, undefined]);
    const odd = new Cursor(Buffer.from([0xff, 0, 0x61]));
    expect([odd.cstring(), odd.left, odd.fault]).toEqual(['\udcff', 1, undefined]);
  });

  test('works on any Uint8Array, at its offset, without a copy', () => {
    const whole = new Uint8Array([0, 0, 7, 8]);
    const part = whole.subarray(2);
    const buffer = asBuffer(part);
    expect(Buffer.isBuffer(buffer)).toBe(true);
    expect(asBuffer(buffer)).toBe(buffer);
    whole[2] = 9;
    expect([new Cursor(part).u8(), buffer[0]]).toEqual([9, 9]);
  });
});
