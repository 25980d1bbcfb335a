// compile() turns any layout into functions that agree with each other: size is what write writes, read reads it back,
// a payload travels beside the head and is held to its count.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cursor } from '../../../src/common/cursor.ts';
import {
  bits,
  compile,
  data,
  type FieldType,
  i53,
  lateU32,
  mode,
  string,
  u8,
  u16,
  u32,
  u53,
  u64,
} from '../../../src/common/layout.ts';
import { Writer } from '../../../src/common/writer.ts';

// biome-ignore lint/suspicious/noExplicitAny: field types of every value type meet here, as in the layout itself
type AnyField = FieldType<any>;
const word = fc.nat(0xffff_ffff);
const fieldArbitraries: readonly (readonly [AnyField, fc.Arbitrary<unknown>])[] = [
  [u8, fc.nat(0xff)],
  [u16, fc.nat(0xffff)],
  [u32, word],
  [mode, word],
  [bits, word],
  [u64, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })],
  [u53, fc.maxSafeNat()],
  [i53, fc.maxSafeInteger()],
  [string, fc.string({ unit: 'grapheme', maxLength: 8 }).map((text) => text.replaceAll('\0', ''))],
];
const fieldWithValue = fc
  .constantFrom(...fieldArbitraries)
  .chain(([type, values]) => values.map((value) => ({ type, value })));

describe('compile', () => {
  test('size, write and read of any layout agree', () => {
    fc.assert(
      fc.property(fc.array(fieldWithValue, { maxLength: 12 }), (fields) => {
        const layout = compile(Object.fromEntries(fields.map(({ type }, i) => [`f${i}`, type])));
        const values = Object.fromEntries(fields.map(({ value }, i) => [`f${i}`, value]));
        const writer = Writer.sized(layout.size(values));
        layout.write(writer, values);
        expect(writer.left).toBe(0);
        const cursor = new Cursor(writer.bytes);
        const into: Record<string, unknown> = {};
        layout.read(cursor, into, undefined);
        expect(cursor.fault).toBeUndefined();
        expect(cursor.left).toBe(0);
        expect(into).toEqual(values);
        expect(Object.keys(into)).toEqual(Object.keys(values));
        expect(layout.hasData).toBe(false);
      }),
    );
  });

  test('a payload is not in the head, and comes back as the memory that was given', () => {
    const layout = compile({ fid: u32, data });
    expect(layout.hasData).toBe(true);
    const payload = new Uint8Array([1, 2, 3]);
    const fields = { fid: 7, data: payload };
    expect(layout.size(fields)).toBe(8);
    const writer = Writer.sized(8);
    layout.write(writer, fields);
    const into: Record<string, unknown> = {};
    layout.read(new Cursor(writer.bytes), into, payload);
    expect(into['data']).toBe(payload);
  });

  test.each([0, 2, 4, 0xffff_ffff])('a payload of 3 bytes with a count of %i is a fault', (count) => {
    const layout = compile({ data });
    const head = Writer.sized(4);
    head.u32(count);
    const beside = new Cursor(head.bytes);
    layout.read(beside, {}, new Uint8Array(3));
    expect(beside.fault).toMatch(`count ${count}, but 3 bytes follow`);
    const behind = new Cursor(Buffer.concat([head.bytes, Buffer.alloc(3)]));
    layout.read(behind, {}, undefined);
    expect(behind.fault).toMatch(`count ${count}, but 3 bytes follow`);
  });

  test('a payload anywhere but last is refused when the layout is compiled', () => {
    expect(() => compile({ data, fid: u32 })).toThrow('last');
  });

  test('data is never read through the cursor', () => {
    expect(() => data.read(new Cursor(Buffer.alloc(8)))).toThrow();
  });

  test('a number that old peers leave out is 0, but half of it is a fault', () => {
    const layout = compile({ fid: u32, datasync: lateU32 });
    const read = (length: number): [Record<string, unknown>, string | undefined] => {
      const cursor = new Cursor(Buffer.alloc(length, 1));
      const into = {};
      layout.read(cursor, into, undefined);
      return [into, cursor.fault];
    };
    expect(read(4)).toEqual([{ fid: 0x01010101, datasync: 0 }, undefined]);
    expect(read(8)).toEqual([{ fid: 0x01010101, datasync: 0x01010101 }, undefined]);
    expect(read(6)[1]).toBeDefined();
    expect(layout.size({ fid: 1, datasync: 1 })).toBe(8);
  });

  test('shows each field in the base that its kind is read in', () => {
    const layout = compile({ fid: u32, mode, flags: bits, name: string, cookie: u64, data });
    const shown = layout.show({
      fid: 1,
      mode: 0o644,
      flags: 0x7ff,
      name: 'a "b"\n',
      cookie: 1n << 63n,
      data: Buffer.alloc(9),
    });
    const line = shown.map((field) => field.join(' ')).join(' ');
    expect(line).toBe('fid 1 mode 0644 flags 0x7ff name "a \\"b\\"\\n" cookie 9223372036854775808 data [9 bytes]');
  });
});
