import { describe, expect, test } from 'vitest';
import { defaults, type FuseSettings, negotiate } from '../../../src/fuse/init.ts';
import { type InitFlag, initBit } from '../../../src/wire/fuse/constants.ts';

const ALL = (1n << 64n) - 1n;
const bitOf = (flag: InitFlag) => 1n << BigInt(initBit[flag]);

function agree(settings: Partial<FuseSettings> = {}, kernel: { major?: number; minor?: number; flags?: bigint } = {}) {
  const offer = { major: 7, minor: 45, maxReadahead: 131072, flags: ALL, ...kernel };
  return negotiate(offer, { ...defaults, ...settings });
}

function flagsOf({ reply }: ReturnType<typeof agree>): Set<string> {
  const mask = (BigInt(reply.flags2) << 32n) | BigInt(reply.flags);
  return new Set(Object.keys(initBit).filter((flag) => (mask & bitOf(flag as InitFlag)) !== 0n));
}

test('the defaults are those of a POSIX network file system', () => {
  expect([...flagsOf(agree())].sort()).toEqual(
    [
      'ABORT_ERROR',
      'ASYNC_DIO',
      'ASYNC_READ',
      'ATOMIC_O_TRUNC',
      'AUTO_INVAL_DATA',
      'BIG_WRITES',
      'CACHE_SYMLINKS',
      'DIRECT_IO_ALLOW_MMAP',
      'DONT_MASK',
      'DO_READDIRPLUS',
      'HANDLE_KILLPRIV_V2',
      'HAS_EXPIRE_ONLY',
      'INIT_EXT',
      'MAX_PAGES',
      'NO_EXPORT_SUPPORT',
      'PARALLEL_DIROPS',
      'READDIRPLUS_AUTO',
      'SETXATTR_EXT',
    ].sort(),
  );
  expect(agree().reply).toMatchObject({ major: 7, minor: 45, maxWrite: 1 << 20, maxPages: 256, timeGran: 1 });
});

test('what the set says is what the reply says', () => {
  const result = agree();
  expect(flagsOf(result)).toEqual(new Set(result.negotiated.flags));
});

test('nothing is set that was not offered', () => {
  for (const flag of Object.keys(initBit) as InitFlag[]) {
    const result = agree({ posixAcl: true, writebackCache: true, posixLocks: true }, { flags: ALL & ~bitOf(flag) });
    expect(result.negotiated.flags.has(flag)).toBe(false);
    expect(flagsOf(result).has(flag)).toBe(false);
  }
});

const choices: [Partial<FuseSettings>, InitFlag[], InitFlag[]][] = [
  [{ writebackCache: true }, ['WRITEBACK_CACHE'], []],
  [{ posixLocks: true }, ['POSIX_LOCKS'], ['FLOCK_LOCKS']],
  [{ readdirplus: 'never' }, [], ['DO_READDIRPLUS', 'READDIRPLUS_AUTO']],
  [{ readdirplus: 'always' }, ['DO_READDIRPLUS'], ['READDIRPLUS_AUTO']],
  [{ explicitInvalData: true }, ['EXPLICIT_INVAL_DATA'], ['AUTO_INVAL_DATA']],
  [{ killpriv: false }, [], ['HANDLE_KILLPRIV_V2', 'HANDLE_KILLPRIV']],
  [{ asyncRead: false, asyncDio: false }, [], ['ASYNC_READ', 'ASYNC_DIO']],
  [
    { cacheSymlinks: false, autoInvalData: false, dontMask: false },
    [],
    ['CACHE_SYMLINKS', 'AUTO_INVAL_DATA', 'DONT_MASK'],
  ],
];
test.each(choices)('%j', (settings, on, off) => {
  const flags = flagsOf(agree(settings));
  for (const flag of on) expect(flags).toContain(flag);
  for (const flag of off) expect(flags).not.toContain(flag);
});

describe('versions', () => {
  test('the lower minor of both holds', () => {
    expect(agree({}, { minor: 39 }).reply.minor).toBe(39);
    expect(agree({}, { minor: 31 }).reply.minor).toBe(31);
    expect(agree({}, { minor: 99 }).negotiated).toMatchObject({ minor: 45, kernelMinor: 99 });
  });

  test.each([
    { major: 7, minor: 30 },
    { major: 6, minor: 99 },
  ])('$major.$minor is refused by name', (kernel) => {
    expect(() => agree({}, kernel)).toThrow(
      `this kernel speaks FUSE ${kernel.major}.${kernel.minor}, ninefs needs 7.31 (Linux 5.4) or newer`,
    );
  });
});

test('sizes are kept inside what their fields and the kernel take', () => {
  expect(agree({ maxWrite: 1 }).reply).toMatchObject({ maxWrite: 4096, maxPages: 1 });
  expect(agree({ maxWrite: 100_000 }).reply).toMatchObject({ maxWrite: 100_000, maxPages: 25 });
  expect(agree({ maxWrite: 2 ** 31 }).reply.maxPages).toBe(0xffff);
  expect(agree({ maxBackground: 10 ** 6 }).reply).toMatchObject({ maxBackground: 0xffff, congestionThreshold: 49151 });
  expect(agree({ maxBackground: 0 }).reply).toMatchObject({ maxBackground: 1, congestionThreshold: 1 });
  expect(agree({ maxReadahead: 4096 }).reply.maxReadahead).toBe(4096);
  expect(agree({ maxReadahead: 1 << 30 }).reply.maxReadahead).toBe(131072);
});
