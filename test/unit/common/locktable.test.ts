// The table of record locks against the plainest model there is: for each byte, who holds it and how.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LOCK_EOF, LockTable } from '../../../src/common/locktable.ts';
import { LOCK_STATUS, LOCK_TYPE } from '../../../src/wire/p9/constants.ts';

const SIZE = 24;
const files = [0, 1, 2].map((id) => ({ id }));

const step = fc.record({
  kind: fc.constantFrom(LOCK_TYPE.RDLCK, LOCK_TYPE.WRLCK, LOCK_TYPE.UNLCK),
  start: fc.integer({ min: 0, max: SIZE - 1 }),
  length: fc.integer({ min: 0, max: SIZE }),
  owner: fc.integer({ min: 0, max: 2 }),
  file: fc.integer({ min: 0, max: 2 }),
  close: fc.boolean(),
});

interface Cell {
  owner: number;
  kind: number;
  file: number;
}

test('it grants and refuses what a table of bytes would', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const table = new LockTable();
      const cells: Cell[][] = Array.from({ length: SIZE }, () => []);
      for (const { kind, start, length, owner, file, close } of steps) {
        const end = length === 0 ? SIZE - 1 : Math.min(SIZE - 1, start + length - 1);
        const span = cells.slice(start, end + 1);
        const blocked =
          kind !== LOCK_TYPE.UNLCK &&
          span.some((held) =>
            held.some((c) => c.owner !== owner && (c.kind === LOCK_TYPE.WRLCK || kind === LOCK_TYPE.WRLCK)),
          );
        const wanted = {
          kind,
          start: BigInt(start),
          end: end === SIZE - 1 ? LOCK_EOF : BigInt(end),
          procId: owner,
          clientId: 'c',
        };
        expect(table.conflict(wanted) !== undefined).toBe(blocked);
        expect(table.set(wanted, files[file]!)).toBe(blocked ? LOCK_STATUS.BLOCKED : LOCK_STATUS.SUCCESS);
        if (!blocked) {
          for (let at = start; at <= end; at++) {
            cells[at] = cells[at]!.filter((c) => c.owner !== owner);
            if (kind !== LOCK_TYPE.UNLCK) cells[at]!.push({ owner, kind, file });
          }
        }
        if (!close) continue;
        table.drop(files[file]!);
        for (let at = 0; at < SIZE; at++) cells[at] = cells[at]!.filter((c) => c.file !== file);
      }
      for (const owner of [0, 1, 2])
        expect(table.owns({ clientId: 'c', procId: owner })).toBe(cells.some((c) => c.some((x) => x.owner === owner)));
      // ranges that touch and are alike are one
      expect(table.size).toBeLessThanOrEqual(3 * SIZE);
    }),
    { numRuns: 400 },
  );
});

test('neighbours become one range', () => {
  const table = new LockTable();
  const base = { kind: LOCK_TYPE.WRLCK, procId: 1, clientId: 'c' };
  for (let at = 0n; at < 100n; at += 2n) table.set({ ...base, start: at, end: at }, files[0]!);
  expect(table.size).toBe(50);
  for (let at = 1n; at < 100n; at += 2n) table.set({ ...base, start: at, end: at }, files[0]!);
  expect(table.size).toBe(1);
});

test('the ranges of a file are bounded, and can still be dropped', () => {
  const table = new LockTable();
  const base = { kind: LOCK_TYPE.WRLCK, procId: 1, clientId: 'c' };
  let status: number = LOCK_STATUS.SUCCESS;
  let at = 0n;
  for (; status === LOCK_STATUS.SUCCESS && at < 100_000n; at += 2n)
    status = table.set({ ...base, start: at, end: at }, files[0]!);
  expect(status).toBe(LOCK_STATUS.ERROR);
  expect(table.size).toBeLessThanOrEqual(2048);
  expect(table.set({ ...base, kind: LOCK_TYPE.UNLCK, start: 0n, end: LOCK_EOF }, files[0]!)).toBe(LOCK_STATUS.SUCCESS);
  expect(table.size).toBe(0);
});
