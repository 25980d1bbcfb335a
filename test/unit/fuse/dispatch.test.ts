// The table of opcodes against the kernel's list, written here a second time with what the session has to do about
// each; and the types that keep an opcode from being forgotten.

import { describe, expect, test } from 'vitest';
import { Cursor } from '../../../src/common/cursor.ts';
import { errno } from '../../../src/common/errno.ts';
import { handlers, rowOf } from '../../../src/fuse/dispatch.ts';
import { type OpcodeRow, type Opcodes, on, refused } from '../../../src/fuse/opcodes.ts';
import { IN_HEADER, type OpcodeName, opcode } from '../../../src/wire/fuse/constants.ts';
import { requestBytes } from '../../support/kernel.ts';

/** The names that are left out are requests. */
const OTHERS: Partial<Record<OpcodeName, string>> = {
  FORGET: 'forget',
  INIT: 'init EOPNOTSUPP',
  INTERRUPT: 'interrupt',
  BMAP: 'refused ENOSYS',
  IOCTL: 'refused ENOTTY',
  POLL: 'refused ENOSYS',
  NOTIFY_REPLY: 'reply',
  BATCH_FORGET: 'forget',
  FALLOCATE: 'refused ENOSYS',
  LSEEK: 'refused ENOSYS',
  COPY_FILE_RANGE: 'refused ENOSYS',
  SETUPMAPPING: 'refused EOPNOTSUPP',
  REMOVEMAPPING: 'refused EOPNOTSUPP',
  SYNCFS: 'refused ENOSYS',
  TMPFILE: 'refused ENOSYS',
  STATX: 'refused ENOSYS',
  COPY_FILE_RANGE_64: 'refused ENOSYS',
};
const all = Object.entries(opcode) as [OpcodeName, number][];
const named = Object.entries(errno);

function summary(row: OpcodeRow): string {
  if (!('errno' in row)) return row.kind;
  const [name] = named.find(([, number]) => number === row.errno) ?? [];
  return `${row.kind} ${name}`;
}

test.each(all)('%s is treated as its kind', (name, number) => {
  const row = rowOf(number);
  expect(summary(row)).toBe(OTHERS[name] ?? 'request');
  expect(handlers[number]).toBe(row.kind === 'request' ? row : undefined);
  if (row.kind === 'request') expect(row.name).toBe(name);
  if ('why' in row) expect(row.why).toMatch(/^[A-Za-z0-9].{10,}[^.]$/);
});

test('numbers that no opcode has are refused, without the kernel remembering it', () => {
  for (const number of [0, 7, 19, 54, 63, 64, 4096, 2 ** 32 - 1]) {
    expect(summary(rowOf(number))).toBe('refused EOPNOTSUPP');
    expect(handlers[number]).toBeUndefined();
  }
});

test('only a WRITE keeps its payload where it was read, and its payload begins at byte 80', () => {
  const holding = handlers.filter((handler) => handler?.holds);
  expect(holding.map((handler) => [handler?.name, IN_HEADER + (handler?.body.fixed ?? 0)])).toEqual([['WRITE', 80]]);
});

test('only RELEASE and RELEASEDIR give something back', () => {
  const names = handlers.flatMap((handler) => (handler?.givesBack ? [handler.name] : []));
  expect(names.toSorted()).toEqual(['RELEASE', 'RELEASEDIR']);
});

describe('messages without a reply', () => {
  const bodyOf = (bytes: Buffer) => new Cursor(bytes.subarray(IN_HEADER));

  test.each<[OpcodeName, Buffer, [number, number][]]>([
    ['FORGET', requestBytes('FORGET', { nlookup: 3 }), [[7, 3]]],
    [
      'BATCH_FORGET',
      requestBytes('BATCH_FORGET', {
        list: [
          { nodeid: 8, nlookup: 1 },
          { nodeid: 9, nlookup: 2 },
        ],
      }),
      [
        [8, 1],
        [9, 2],
      ],
    ],
  ])('%s names nodes and how many lookups of each are over', (name, bytes, expected) => {
    const row = rowOf(opcode[name]);
    if (row.kind !== 'forget') throw new Error(row.kind);
    const forgotten: number[][] = [];
    row.each(7, bodyOf(bytes), (...args) => forgotten.push(args));
    expect(forgotten).toEqual(expected);
  });

  test('INTERRUPT names its request', () => {
    const row = rowOf(opcode.INTERRUPT);
    if (row.kind !== 'interrupt') throw new Error(row.kind);
    expect(row.target(bodyOf(requestBytes('INTERRUPT', { target: 42 })))).toBe(42);
  });
});

// What must not compile; tsc says so when it does.
test('an opcode that is forgotten, taken for another or not treated as any kind does not compile', () => {
  const parts = { run: () => {}, reply: () => {} };
  const made = [
    // @ts-expect-error all other opcodes are missing
    { DESTROY: on('DESTROY', parts) } satisfies Opcodes,
    // @ts-expect-error the handler is that of another opcode
    { DESTROY: on('STATFS', parts) } satisfies Pick<Opcodes, 'DESTROY'>,
    // @ts-expect-error no such kind
    { DESTROY: { kind: 'ignored' } } satisfies Pick<Opcodes, 'DESTROY'>,
    // @ts-expect-error no reason
    { POLL: { kind: 'refused', errno: errno.ENOSYS } } satisfies Pick<Opcodes, 'POLL'>,
    // @ts-expect-error the kernel has no such opcode
    { NONSENSE: on('DESTROY', parts), POLL: refused(errno.ENOSYS, 'why') } satisfies Pick<Opcodes, 'POLL'>,
    { DESTROY: on('DESTROY', parts), POLL: refused(errno.ENOSYS, 'why') } satisfies Pick<Opcodes, 'DESTROY' | 'POLL'>,
  ];
  expect(made).toHaveLength(6);
});
