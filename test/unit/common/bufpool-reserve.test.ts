// A pool with a reserve: who wants little passes those who wait for much, as far as the reserve goes; nobody is starved,
// and each of the two lines is first come, first served.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Abort } from '../../../src/common/abort.ts';
import { BufferPool, type Slab } from '../../../src/common/bufpool.ts';
import { PoolShare } from '../../../src/common/poolshare.ts';

const CAPACITY = 64 * 1024;
const LITTLE = 4096;
const RESERVE = { little: LITTLE, bytes: 8192 };
/** All that large takes may have together. */
const LARGE = 16 * 1024;

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const taken = (pool: BufferPool, size: number, count: number) =>
  Array.from({ length: count }, () => pool.tryTake(size) as Slab);

describe('a pool with a reserve', () => {
  test('keeps it free of large takes, and gives it to little ones though large ones wait', async () => {
    const pool = new BufferPool(CAPACITY, RESERVE);
    const large = taken(pool, LARGE, 3);
    expect(pool.tryTake(LARGE)).toBeUndefined();
    const waiting = pool.take(LARGE);
    const little = taken(pool, LITTLE, 2);
    expect(little.every((slab) => slab !== undefined)).toBe(true);
    // the reserve is used up, and somebody waits for what is left beside it
    expect(pool.tryTake(LITTLE)).toBeUndefined();
    const next = pool.take(LITTLE);
    expect(pool.stats).toMatchObject({ waiting: 2, inUse: 3 * LARGE + 2 * LITTLE });
    little[0]?.release();
    (await next).release();
    large[0]?.release();
    (await waiting).release();
    for (const slab of [little[1], ...large.slice(1)]) slab?.release();
    expect(pool.stats).toMatchObject({ inUse: 0, waiting: 0 });
  });

  test('gives little takes all of it while nobody waits for much', () => {
    const pool = new BufferPool(CAPACITY, RESERVE);
    const little = taken(pool, LITTLE, CAPACITY / LITTLE);
    expect(pool.stats.inUse).toBe(CAPACITY);
    for (const slab of little) slab.release();
  });

  test('lets no stream of little takes starve a large one, even one of all that there is', async () => {
    for (const size of [LARGE, CAPACITY]) {
      const pool = new BufferPool(CAPACITY, RESERVE);
      const little = taken(pool, LITTLE, CAPACITY / LITTLE);
      let got = false;
      const large = pool.take(size).then((slab) => {
        got = true;
        return slab;
      });
      // each that is given back is wanted again at once
      for (let i = 0; i < 100 && !got; i++) {
        little.shift()?.release();
        const again = pool.tryTake(LITTLE);
        if (again !== undefined) little.push(again);
        await settled();
      }
      expect(got).toBe(true);
      (await large).release();
      for (const slab of little) slab.release();
      expect(pool.stats).toMatchObject({ inUse: 0, waiting: 0 });
    }
  });

  test('serves little takes again when the large one in their way gives up', async () => {
    const pool = new BufferPool(CAPACITY, RESERVE);
    const little = taken(pool, LITTLE, 3);
    const abort = new Abort();
    const large = pool.take(CAPACITY, abort);
    const next = pool.take(LITTLE);
    await settled();
    expect(pool.stats.waiting).toBe(2);
    abort.abort();
    await expect(large).rejects.toMatchObject({ code: 'EINTR' });
    (await next).release();
    for (const slab of little) slab.release();
  });

  test('does not lend the reserve to a share of it, whose takers may keep it for as long as they like', async () => {
    const pool = new BufferPool(CAPACITY, RESERVE);
    const share = new PoolShare(pool, CAPACITY / 2);
    const streams = await Promise.all(Array.from({ length: CAPACITY / 2 / LITTLE }, () => share.take(LITTLE)));
    const large = taken(pool, LARGE, 1);
    const waiting = pool.take(LARGE);
    expect(pool.stats).toMatchObject({ waiting: 1, inUse: CAPACITY / 2 + LARGE });
    const little = taken(pool, LITTLE, 2);
    expect(little.every((slab) => slab !== undefined)).toBe(true);
    for (const slab of [...streams, ...large, ...little]) slab.release();
    (await waiting).release();
    expect(pool.stats).toMatchObject({ inUse: 0, waiting: 0 });
  });

  test('comes to an end with everybody served, whatever is wanted, given back and given up', async () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('take' as const), size: fc.integer({ min: 1, max: CAPACITY }) }),
      },
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('take' as const), size: fc.integer({ min: 1, max: LITTLE }) }),
      },
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constantFrom('release' as const, 'abort' as const), pick: fc.nat() }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const pool = new BufferPool(CAPACITY, RESERVE);
        const aborts: Abort[] = [];
        const lent: Slab[] = [];
        /** Who came, and who got it, in each of the lines. */
        const came: Record<string, number[]> = { little: [], large: [] };
        const got: Record<string, number[]> = { little: [], large: [] };
        for (const each of steps) {
          if (each.do === 'take') {
            const line = each.size > LITTLE ? 'large' : 'little';
            const id = aborts.push(new Abort()) - 1;
            came[line]?.push(id);
            pool.take(each.size, aborts[id]).then(
              (slab) => {
                got[line]?.push(id);
                lent.push(slab);
              },
              () => came[line]?.splice(came[line].indexOf(id), 1),
            );
          } else if (each.do === 'release') lent.splice(each.pick % Math.max(1, lent.length), 1)[0]?.release();
          else aborts[each.pick % Math.max(1, aborts.length)]?.abort();
          await settled();
          expect(pool.stats.most).toBeLessThanOrEqual(CAPACITY);
        }
        for (let i = 0; i < 200 && lent.length > 0; i++) {
          lent.shift()?.release();
          await settled();
        }
        expect(pool.stats).toMatchObject({ inUse: 0, waiting: 0 });
        expect(got).toEqual(came);
      }),
      { numRuns: 200 },
    );
  });
});
