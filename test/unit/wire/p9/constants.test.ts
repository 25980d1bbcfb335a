// The numbers of the protocol against each other and against this host's, where Linux has the same.

import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as p9 from '../../../../src/wire/p9/constants.ts';

const masks = { QT: p9.QT, DM: p9.DM, GETATTR: p9.GETATTR, SETATTR: p9.SETATTR };

describe('constants', () => {
  test('the default msize carries a whole MiB, and the smallest something', () => {
    expect(p9.DEFAULT_MSIZE - p9.IOHDR).toBe(1024 * 1024);
    expect(p9.MIN_MSIZE - p9.IOHDR).toBeGreaterThan(0);
  });

  test.each(Object.entries(masks))('bits of %s are single and distinct', (_name, mask) => {
    const single = Object.entries(mask).filter(([name]) => !['FILE', 'BASIC', 'ALL'].includes(name));
    let all = 0;
    for (const [name, bit] of single) {
      expect(bit & (bit - 1), name).toBe(0);
      expect(all & bit, name).toBe(0);
      all |= bit;
    }
  });

  test('BASIC and ALL of getattr are the sums of their bits', () => {
    const { BASIC, ALL, ...bits } = p9.GETATTR;
    const { BTIME, GEN, DATA_VERSION, ...basic } = bits;
    const sum = (part: object): number => Object.values(part).reduce((a: number, b: number) => a | b, 0);
    expect(sum(basic)).toBe(BASIC);
    expect(sum(bits)).toBe(ALL);
    expect(BTIME | GEN | DATA_VERSION).toBe(ALL & ~BASIC);
  });

  // the generic numbers, which .L uses everywhere, are those of x86; other hosts differ in a few
  test.runIf(process.platform === 'linux' && process.arch === 'x64')('open flags are those of Linux', () => {
    for (const name of [
      'RDONLY',
      'WRONLY',
      'RDWR',
      'EXCL',
      'NOCTTY',
      'TRUNC',
      'APPEND',
      'NONBLOCK',
      'DSYNC',
    ] as const) {
      expect(p9.OPEN[name], name).toBe(constants[`O_${name}`]);
    }
    for (const name of ['DIRECT', 'DIRECTORY', 'NOFOLLOW', 'NOATIME'] as const) {
      expect(p9.OPEN[name], name).toBe(constants[`O_${name}`]);
    }
    expect(p9.OPEN.CREATE).toBe(constants.O_CREAT);
    expect(p9.OPEN.SYNC | p9.OPEN.DSYNC).toBe(constants.O_SYNC);
  });
});
