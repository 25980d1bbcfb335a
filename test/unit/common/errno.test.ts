// The errno table against the kernel's (as Node knows it on Linux), the names against the numbers, and the clamp.

import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clampErrno, type ErrnoName, errno, errnoName, errnoOf } from '../../../src/common/errno.ts';
import { ErrnoError } from '../../../src/common/errors.ts';

const linux = process.platform === 'linux';

describe('errno', () => {
  test.runIf(linux)('every number that Node knows is in the table under a name that Node knows', () => {
    for (const [name, number] of Object.entries(constants.errno)) {
      const known = errnoName(number);
      expect(constants.errno[known as keyof typeof constants.errno], name).toBe(number);
    }
  });

  test('names and numbers are one to one, in order', () => {
    const numbers = Object.values(errno);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers);
    for (const [name, number] of Object.entries(errno)) expect(errnoName(number)).toBe(name);
  });

  test('a number without a name is shown as a number', () => {
    expect([0, -5, 200, 4095].map(errnoName)).toEqual(['errno 0', 'errno -5', 'errno 200', 'errno 4095']);
  });
});

describe('errnoOf', () => {
  const raised = (code: string, number?: number): Error => Object.assign(new Error(code), { code, errno: number });

  test('takes the name, whatever number the host has for it', () => {
    expect(errnoOf(raised('ENOTEMPTY', -66))).toBe(39);
    expect(errnoOf(raised('EAGAIN', -35))).toBe(11);
    expect(errnoOf(new ErrnoError(errno.EDQUOT))).toBe(122);
  });

  test.runIf(linux)('knows every system error that Node can raise here', () => {
    for (const [number, [name]] of getSystemErrorMap()) {
      if (-number > 133) continue; // libuv's own, not the kernel's
      expect(errnoOf(raised(name, number)), name).toBe(-number);
    }
  });

  test.runIf(linux)('knows those for which libuv has no name', () => {
    for (const number of [errno.EDQUOT, errno.ESTALE, errno.ENOLCK, errno.EDEADLK, errno.EUCLEAN]) {
      expect(errnoOf(raised(`Unknown system error -${number}`, -number))).toBe(number);
    }
  });

  test('is EIO for everything else', () => {
    const others = [raised('ERR_INVALID_ARG_TYPE'), raised('toString'), raised('UNKNOWN', -4094), new Error('x')];
    for (const other of [...others, undefined, null, 'ENOENT', { code: 'ENOENT' }])
      expect(errnoOf(other)).toBe(errno.EIO);
  });
});

describe('clampErrno', () => {
  test('passes what /dev/fuse takes and nothing else', () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: -600, max: 600 }), fc.integer(), fc.double()), (number) => {
        const clamped = clampErrno(number);
        expect(Number.isInteger(clamped) && clamped >= 1 && clamped <= 511).toBe(true);
        expect(clamped).not.toBe(errno.ENOSYS);
        if (Number.isInteger(number) && number >= 1 && number <= 511 && number !== errno.ENOSYS) {
          expect(clamped).toBe(number);
        }
      }),
    );
  });

  test('the edges', () => {
    expect([0, 1, 511, 512, -1, 38, 2 ** 31].map(clampErrno)).toEqual([5, 1, 511, 5, 5, 95, 5]);
  });

  test('every named errno except ENOSYS passes', () => {
    for (const name of Object.keys(errno) as ErrnoName[]) {
      expect(clampErrno(errno[name])).toBe(name === 'ENOSYS' ? errno.EOPNOTSUPP : errno[name]);
    }
  });
});
