// The table of record locks against the plainest model there is: for each byte, who holds it and how.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LOCK_EOF, type LockRoom, LockTable, type RecordLock } from '../../../src/common/locktable.ts';
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

/** What the rules say, with a look at every range. */
class Plain {
  held: (RecordLock & { file: object })[] = [];

  set({ kind, start, end, ...owner }: RecordLock, file: object): void {
    this.held = this.held.flatMap((each) => {
      if (each.procId !== owner.procId || each.start > end || each.end < start) return [each];
      const left = each.start < start ? [{ ...each, end: start - 1n }] : [];
      return each.end > end ? [...left, { ...each, start: end + 1n }] : left;
    });
    if (kind !== LOCK_TYPE.UNLCK) this.held.push({ kind, start, end, ...owner, file });
  }

  conflict({ kind, start, end, procId }: RecordLock): bigint | undefined {
    const inTheWay = this.held.filter(
      (each) =>
        kind !== LOCK_TYPE.UNLCK &&
        each.procId !== procId &&
        each.start <= end &&
        each.end >= start &&
        (kind === LOCK_TYPE.WRLCK || each.kind === LOCK_TYPE.WRLCK),
    );
    return inTheWay.map((each) => each.start).sort((a, b) => Number(a - b))[0];
  }

  /** Which owner holds a byte, and how. */
  at(byte: bigint): string[] {
    return this.held
      .filter(({ start, end }) => start <= byte && byte <= end)
      .map(({ procId, kind }) => `${procId} ${kind}`)
      .sort();
  }
}

test('with many owners and long ranges among short ones it finds what a look at all would', () => {
  const wide = fc.record({
    kind: fc.constantFrom(LOCK_TYPE.RDLCK, LOCK_TYPE.RDLCK, LOCK_TYPE.WRLCK, LOCK_TYPE.UNLCK),
    start: fc.nat(200),
    length: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 200 })),
    procId: fc.nat(9),
    file: fc.nat(2),
    close: fc.nat(19),
  });
  fc.assert(
    fc.property(fc.array(wide, { minLength: 1, maxLength: 120 }), (steps) => {
      const table = new LockTable();
      const plain = new Plain();
      for (const { kind, start, length, procId, file, close } of steps) {
        const wanted = { kind, start: BigInt(start), end: BigInt(start + length - 1), procId, clientId: 'c' };
        expect(table.conflict(wanted)?.start === undefined).toBe(plain.conflict(wanted) === undefined);
        const status = table.set(wanted, files[file]!);
        expect(status).toBe(plain.conflict(wanted) === undefined ? LOCK_STATUS.SUCCESS : LOCK_STATUS.BLOCKED);
        if (status === LOCK_STATUS.SUCCESS) plain.set(wanted, files[file]!);
        if (close === 0) {
          table.drop(files[file]!);
          plain.held = plain.held.filter((each) => each.file !== files[file]);
        }
        for (const byte of [wanted.start, wanted.end, BigInt((start * 7) % 400)]) {
          const shown = table.within(byte, byte).map((each) => `${each.procId} ${each.kind}`);
          expect(shown.sort()).toEqual(plain.at(byte));
        }
      }
      const starts = table.within(0n, LOCK_EOF).map((each) => each.start);
      expect(starts).toEqual([...starts].sort((a, b) => Number(a - b)));
      for (const file of files) table.drop(file);
      expect(table.size).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test('a request is held against a few ranges, and not against every one', () => {
  const table = new LockTable();
  for (let i = 0; i < 2000; i++) {
    const at = BigInt(2 * i);
    table.set({ kind: LOCK_TYPE.WRLCK, start: at, end: at, procId: i, clientId: 'c' }, files[0]!);
  }
  let looks = 0;
  const counted = (kind: number, at: bigint): RecordLock => ({
    kind,
    procId: 5000,
    clientId: 'c',
    get start() {
      looks++;
      return at;
    },
    get end() {
      looks++;
      return at;
    },
  });
  expect(table.conflict(counted(LOCK_TYPE.WRLCK, 3000n))).toMatchObject({ start: 3000n });
  expect(table.set(counted(LOCK_TYPE.WRLCK, 3001n), files[1]!)).toBe(LOCK_STATUS.SUCCESS);
  expect(table.set(counted(LOCK_TYPE.UNLCK, 3001n), files[1]!)).toBe(LOCK_STATUS.SUCCESS);
  expect(looks).toBeLessThan(50);
});

test('what several tables have room for together is counted as ranges come and go', () => {
  let left = 6;
  const room: LockRoom = {
    take(count) {
      if (count > left) return false;
      left -= count;
      return true;
    },
    add(count) {
      left -= count;
    },
    give(count) {
      left += count;
    },
  };
  const tables = [new LockTable(), new LockTable()] as const;
  const lock = (at: bigint, kind: number = LOCK_TYPE.WRLCK, end = at) => ({
    ...{ kind, start: at, end, procId: 1, clientId: 'c' },
  });
  expect(tables[0].set(lock(0n, LOCK_TYPE.WRLCK, 9n), files[0]!, room)).toBe(LOCK_STATUS.SUCCESS);
  expect(tables[0].set(lock(5n, LOCK_TYPE.UNLCK), files[0]!)).toBe(LOCK_STATUS.SUCCESS);
  expect(left).toBe(4);
  expect(tables[1].set(lock(0n), files[1]!, room)).toBe(LOCK_STATUS.SUCCESS);
  expect(tables[1].set(lock(2n), files[1]!, room)).toBe(LOCK_STATUS.SUCCESS);
  expect(tables[1].set(lock(1n), files[1]!, room)).toBe(LOCK_STATUS.SUCCESS);
  expect(left).toBe(3);
  expect(tables[1].set(lock(4n), files[1]!, room)).toBe(LOCK_STATUS.SUCCESS);
  expect(tables[0].set(lock(20n), files[0]!, room)).toBe(LOCK_STATUS.SUCCESS);
  expect(tables[0].set(lock(22n), files[0]!, room)).toBe(LOCK_STATUS.ERROR);
  tables[0].drop(files[0]!);
  expect(left).toBe(4);
  tables[1].drop(files[1]!);
  expect(left).toBe(6);
});
