// The chunked content of a memory file against a plain buffer, and what lending, holes and the budget promise.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { Budget } from '../../../src/server/trees/memory/budget.ts';
import { CHUNK, Content } from '../../../src/server/trees/memory/content.ts';

const LIMIT = 3 * CHUNK;

function bytesOf({ data }: ReturnType<Content['read']>): Buffer {
  return data instanceof Uint8Array ? Buffer.from(data) : Buffer.concat(data);
}

/** Offsets that like the edges of chunks. */
const offset = fc.oneof(
  fc.integer({ min: 0, max: LIMIT }),
  fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -2, max: 2 })).map(([n, d]) => Math.max(0, n * CHUNK + d)),
);
const length = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: LIMIT }));
const step = fc.oneof(
  fc.record({ op: fc.constant('write' as const), at: offset, length, fill: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ op: fc.constant('resize' as const), at: offset }),
  fc.record({ op: fc.constant('read' as const), at: offset, length }),
);

test('it holds what a plain buffer would, whatever is written, cut and read', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const budget = new Budget(100 * CHUNK);
      const content = new Content(budget);
      const model = Buffer.alloc(2 * LIMIT + 10);
      let size = 0;
      const lent: { result: ReturnType<Content['read']>; was: Buffer }[] = [];
      for (const each of steps) {
        if (each.op === 'write') {
          content.write(each.at, Buffer.alloc(each.length, each.fill));
          model.fill(each.fill, each.at, each.at + each.length);
          size = each.length === 0 ? size : Math.max(size, each.at + each.length);
        } else if (each.op === 'resize') {
          content.resize(each.at);
          model.fill(0, Math.min(each.at, size));
          size = each.at;
        } else {
          const result = content.read(each.at, each.length);
          const was = Buffer.from(model.subarray(each.at, Math.max(each.at, Math.min(size, each.at + each.length))));
          expect(bytesOf(result).equals(was)).toBe(true);
          lent.push({ result, was });
        }
        expect(content.size).toBe(size);
      }
      for (const { result, was } of lent) {
        expect(bytesOf(result).equals(was)).toBe(true);
        result.release?.();
      }
      const whole = content.read(0, size);
      expect(bytesOf(whole).equals(model.subarray(0, size))).toBe(true);
      whole.release?.();
      expect(budget.used).toBe(content.allocated);
      content.free();
      expect(budget.used).toBe(0);
    }),
    { numRuns: 150 },
  );
});

describe('memory', () => {
  test('a chunk that is not lent is read without a copy and written in place', () => {
    const content = new Content(new Budget(10 * CHUNK));
    content.write(0, Buffer.alloc(CHUNK, 1));
    const first = content.read(0, CHUNK);
    first.release?.();
    content.write(5, Buffer.of(9));
    expect(bytesOf(first)[5]).toBe(9);
  });

  test('a hole costs nothing, a small file little', () => {
    const budget = new Budget(10 * CHUNK);
    const content = new Content(budget);
    content.resize(2 ** 40);
    expect(budget.used).toBe(0);
    content.write(2 ** 39, Buffer.of(1));
    expect(budget.used).toBeLessThanOrEqual(CHUNK);
    expect(bytesOf(content.read(2 ** 39 - 1, 3))).toEqual(Buffer.of(0, 1, 0));
  });

  test('what is lent counts until it is released, also when the file has other bytes by then', () => {
    const budget = new Budget(3 * CHUNK);
    const content = new Content(budget);
    content.write(0, Buffer.alloc(CHUNK, 1));
    const reads = [];
    for (let i = 2; i <= 3; i++) {
      reads.push(content.read(0, CHUNK));
      content.write(0, Buffer.of(i));
      expect(budget.used).toBe(i * CHUNK);
    }
    reads.push(content.read(0, CHUNK));
    expect(() => content.write(0, Buffer.of(4))).toThrow(expect.objectContaining({ errno: errno.ENOSPC }));
    expect(reads.map((read) => bytesOf(read)[0])).toEqual([1, 2, 3]);
    content.free();
    expect(budget.used).toBe(3 * CHUNK);
    for (const read of reads) read.release?.();
    expect(budget.used).toBe(0);
  });

  test('a full tree writes what fits, then nothing, and has room again when something goes', () => {
    const content = new Content(new Budget(2 * CHUNK));
    expect(content.write(0, Buffer.alloc(3 * CHUNK, 1))).toBe(2 * CHUNK);
    expect(content.size).toBe(2 * CHUNK);
    expect(() => content.write(2 * CHUNK, Buffer.of(1))).toThrow(expect.objectContaining({ errno: errno.ENOSPC }));
    content.resize(CHUNK);
    expect(content.write(CHUNK, Buffer.of(1))).toBe(1);
  });
});
