// Directory entries: what is written is read back, and what a hostile server writes spoils its own entry at most.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cursor } from '../../../../src/common/cursor.ts';
import { Writer } from '../../../../src/common/writer.ts';
import { type Dirent, direntSize, names, qid, qids, readDirents, writeDirent } from '../../../../src/wire/p9/types.ts';
import { qidValues, textValues, u64Values } from './arbitraries.ts';

const HEAD = 13 + 8 + 1 + 2;
const name = textValues.map((text) => text.replaceAll('/', '_') || 'x');
const dirent: fc.Arbitrary<Dirent> = fc.record(
  { qid: qidValues, offset: u64Values, type: fc.nat(0xff), name },
  { noNullPrototype: true },
);

function payloadOf(entries: readonly Dirent[]): Buffer {
  const writer = Writer.sized(entries.reduce((sum, entry) => sum + direntSize(entry.name), 0));
  for (const entry of entries) writeDirent(writer, entry);
  expect(writer.left).toBe(0);
  return writer.bytes;
}

/** An entry whose name is any bytes. */
function rawEntry(offset: bigint, bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeBigUInt64LE(offset, 13);
  head.writeUInt16LE(bytes.length, 22);
  return Buffer.concat([head, bytes]);
}

describe('readDirents', () => {
  test('reads what writeDirent wrote', () => {
    fc.assert(
      fc.property(fc.array(dirent, { maxLength: 20 }), (entries) => {
        expect(readDirents(payloadOf(entries))).toEqual({ entries, fault: undefined });
      }),
    );
  });

  test('reads a plain Uint8Array in the middle of other bytes', () => {
    const entry: Dirent = { qid: { type: 0x80, version: 1, path: 2n }, offset: 3n, type: 4, name: 'caf\u00e9' };
    const bytes = payloadOf([entry]);
    const around = new Uint8Array(bytes.length + 8).fill(0xff);
    around.set(bytes, 3);
    expect(readDirents(around.subarray(3, 3 + bytes.length)).entries).toEqual([entry]);
  });

  test('a payload that ends within an entry yields the whole entries before it, and says so', () => {
    fc.assert(
      fc.property(fc.array(dirent, { minLength: 1, maxLength: 4 }), (entries) => {
        const payload = payloadOf(entries);
        const ends = entries.map((_, i) => payloadOf(entries.slice(0, i + 1)).length);
        for (let length = 0; length < payload.length; length++) {
          const whole = ends.filter((end) => end <= length).length;
          const { entries: found, fault } = readDirents(payload.subarray(0, length));
          expect(found).toEqual(entries.slice(0, whole));
          expect(fault === undefined, `${length} of ${payload.length}`).toBe(length === 0 || ends.includes(length));
        }
      }),
      { numRuns: 20 },
    );
  });

  test.each([
    ['empty', Buffer.alloc(0)],
    ['a slash', Buffer.from('/')],
    ['a path', Buffer.from('../../etc/passwd')],
    ['NUL', Buffer.from('a\0b')],
    ['NUL at the end', Buffer.from('ab\0')],
  ])('a name that is %s: its cookie is kept, its neighbours are read', (_what, bytes) => {
    const payload = Buffer.concat([
      rawEntry(1n, Buffer.from('a')),
      rawEntry(2n, bytes),
      rawEntry(3n, Buffer.from('b')),
    ]);
    const { entries, fault } = readDirents(payload);
    expect(entries.map((entry) => [entry.offset, entry.name])).toEqual([
      [1n, 'a'],
      [2n, undefined],
      [3n, 'b'],
    ]);
    expect(fault).toBeUndefined();
  });

  test.each([
    ['not UTF-8', Buffer.from([0x66, 0xff, 0x6f]), 'f\udcffo'],
    ['an overlong slash', Buffer.from([0x2e, 0x2e, 0xc0, 0xaf]), '..\udcc0\udcaf'],
    ['a surrogate', Buffer.from([0xed, 0xa0, 0x80]), '\udced\udca0\udc80'],
  ])('a name that is %s is a name, and takes the room of its bytes', (_what, bytes, text) => {
    const payload = rawEntry(2n, bytes);
    const { entries, fault } = readDirents(payload);
    expect([entries.map((entry) => entry.name), fault]).toEqual([[text], undefined]);
    expect(direntSize(text)).toBe(payload.length);
    expect(payloadOf(entries as Dirent[])).toEqual(payload);
  });

  test('dot and dot-dot are passed on, a long name too', () => {
    const long = 'n'.repeat(0xffff);
    const payload = Buffer.concat(['.', '..', long].map((text, i) => rawEntry(BigInt(i), Buffer.from(text))));
    expect(readDirents(payload).entries.map((entry) => entry.name)).toEqual(['.', '..', long]);
  });

  test('never yields a name that a directory cannot hold, nor throws, whatever the bytes', () => {
    const hostile = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.tuple(u64Values, fc.uint8Array({ maxLength: 10 })).map(([offset, bytes]) => rawEntry(offset, bytes)),
      ),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(hostile, (pieces) => {
        const payload = Buffer.concat(pieces);
        const { entries, fault } = readDirents(payload);
        for (const { name: found } of entries) if (found !== undefined) expect(found).toMatch(/^[^/\0]+$/);
        // every entry takes its head at least: no count makes it loop
        expect(entries.length * HEAD).toBeLessThanOrEqual(payload.length);
        if (payload.length === 0) expect(fault).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });
});

describe('compound values', () => {
  test.each([0, 1, 16])('lists of %i have the size that they are written with', (count) => {
    const list = Array(count).fill('caf\u00e9');
    const writer = Writer.sized(names.size!(list));
    names.write(writer, list);
    expect(writer.left).toBe(0);
    expect(names.read(new Cursor(writer.bytes))).toEqual(list);
    const ids = Array(count).fill({ type: 0x80, version: 1, path: (1n << 64n) - 1n });
    const other = Writer.sized(qids.size!(ids));
    qids.write(other, ids);
    expect(other.left).toBe(0);
    expect(qids.read(new Cursor(other.bytes))).toEqual(ids);
  });

  test('are shown so that they can be told apart', () => {
    expect(qid.show({ type: 0x80, version: 7, path: 255n })).toBe('(80 v7 0xff)');
    expect(qids.show([{ type: 0, version: 0, path: 1n }])).toBe('[(00 v0 0x1)]');
    expect(names.show(['a', 'b c'])).toBe('["a" "b c"]');
    expect(names.show([])).toBe('[]');
  });
});
