// The stat structure: what is written is read back in both dialects, directories are read entry by entry, and what a
// hostile server says of their sizes is not believed.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cursor } from '../../../../src/common/cursor.ts';
import { Writer } from '../../../../src/common/writer.ts';
import {
  readStats,
  type Stat,
  statDotu,
  statLegacy,
  statSize,
  UNTOUCHED,
  writeStat,
} from '../../../../src/wire/p9/stat.ts';
import { statValues } from './arbitraries.ts';

/** type, dev, qid, mode, atime, mtime, length. */
const FIXED = 2 + 4 + 13 + 4 + 4 + 4 + 8;

const example: Stat = { ...UNTOUCHED, qid: { type: 0, version: 1, path: 2n }, length: 3, name: 'file', uid: 'glenda' };

function payloadOf(stats: readonly Stat[], extended: boolean): Buffer {
  const writer = Writer.sized(stats.reduce((sum, stat) => sum + statSize(stat, extended), 0));
  for (const stat of stats) writeStat(writer, stat, extended);
  expect(writer.left).toBe(0);
  return writer.bytes;
}

function fieldOf(stat: Stat, extended: boolean): Buffer {
  const type = extended ? statDotu : statLegacy;
  const writer = Writer.sized(type.size?.(stat) ?? 0);
  type.write(writer, stat);
  expect(writer.left).toBe(0);
  return writer.bytes;
}

describe.each([
  ['9P2000.u', true],
  ['9P2000', false],
] as const)('a stat of %s', (_dialect, extended) => {
  const values = statValues(extended).map((stat) => ({ ...stat, name: stat.name.replaceAll('/', '_') || 'x' }));
  const type = extended ? statDotu : statLegacy;

  test('says its size twice in a message, once in a directory', () => {
    fc.assert(
      fc.property(values, (stat) => {
        const entry = payloadOf([stat], extended);
        const field = fieldOf(stat, extended);
        expect(entry.readUInt16LE(0)).toBe(entry.length - 2);
        expect(field.readUInt16LE(0)).toBe(entry.length);
        expect(field.subarray(2)).toEqual(entry);
      }),
    );
  });

  test('whose sizes do not agree with it is refused', () => {
    for (const at of [0, 2]) {
      for (const change of [-1, 1]) {
        const field = fieldOf({ ...example, extension: '', nUid: 1 }, extended);
        field.writeUInt16LE(field.readUInt16LE(at) + change, at);
        const cursor = new Cursor(field);
        type.read(cursor);
        expect(cursor.fault).toMatch(/says that it has/);
      }
    }
  });

  test('of which nothing is touched is all ones and empty strings', () => {
    const bytes = payloadOf([UNTOUCHED], extended);
    expect(bytes.subarray(2, 2 + FIXED).every((byte) => byte === 0xff)).toBe(true);
    const strings = extended ? 5 : 4;
    expect(bytes.subarray(2 + FIXED, 2 + FIXED + 2 * strings).every((byte) => byte === 0)).toBe(true);
    expect(bytes.subarray(2 + FIXED + 2 * strings)).toEqual(Buffer.alloc(extended ? 12 : 0, 0xff));
  });

  test('knows a length that is not to be touched from one that is too great for a number', () => {
    const bytes = payloadOf([example], extended);
    const at = 2 + FIXED - 8;
    const lengthOf = (value: bigint) => {
      bytes.writeBigUInt64LE(value, at);
      return readStats(bytes, extended).entries[0]?.length;
    };
    expect(lengthOf(0xffff_ffff_ffff_ffffn)).toBe(-1);
    expect(lengthOf(0xffff_ffff_ffff_fffen)).toBe(Number.MAX_SAFE_INTEGER);
    expect(lengthOf(1n << 63n)).toBe(Number.MAX_SAFE_INTEGER);
    expect(lengthOf(1n << 53n)).toBe(Number.MAX_SAFE_INTEGER);
    expect(lengthOf(5n)).toBe(5);
  });

  test('is one line when it is shown', () => {
    fc.assert(fc.property(values, (stat) => !/[\n\r\t]/.test(type.show(stat))));
  });

  describe('in a directory', () => {
    test('is read as it was written', () => {
      fc.assert(
        fc.property(fc.array(values, { maxLength: 12 }), (stats) => {
          expect(readStats(payloadOf(stats, extended), extended)).toEqual({ entries: stats, fault: undefined });
        }),
      );
    });

    test('that ends within an entry: the whole ones before it are there, and it is said', () => {
      fc.assert(
        fc.property(fc.array(values, { minLength: 1, maxLength: 3 }), (stats) => {
          const payload = payloadOf(stats, extended);
          const ends = stats.map((_, i) => payloadOf(stats.slice(0, i + 1), extended).length);
          for (let length = 0; length < payload.length; length++) {
            const { entries, fault } = readStats(payload.subarray(0, length), extended);
            expect(entries).toEqual(stats.slice(0, ends.filter((end) => end <= length).length));
            expect(fault === undefined).toBe(length === 0 || ends.includes(length));
          }
        }),
        { numRuns: 20 },
      );
    });

    test.each([
      ['empty', Buffer.alloc(0)],
      ['with a slash', Buffer.from('a/b')],
      ['with NUL', Buffer.from('a\0b')],
    ])('with a name %s spoils itself only', (_what, bad) => {
      const place = 'x'.repeat(bad.length);
      const payload = payloadOf([example, { ...example, name: place }, { ...example, name: 'last' }], extended);
      payload.set(bad, statSize(example, extended) + 2 + FIXED + 2);
      const { entries, fault } = readStats(payload, extended);
      expect(fault).toBeUndefined();
      expect(entries.map(({ name }) => name)).toEqual(['file', undefined, 'last']);
    });

    test('any bytes are entries or a fault', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
          const { entries, fault } = readStats(bytes, extended);
          if (bytes.length > 0) expect(entries.length > 0 || fault !== undefined).toBe(true);
        }),
        { numRuns: 500 },
      );
    });
  });
});
