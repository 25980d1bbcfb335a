// The memory of several connections of one client: turns, limits, and those who give up, at every point of their wait.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Abort } from '../../../src/common/abort.ts';
import { BufferPool, type Slab } from '../../../src/common/bufpool.ts';
import { PoolShare } from '../../../src/common/poolshare.ts';
import { Ration } from '../../../src/server/ration.ts';

const K = 4096;
const never = new Abort();
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function rations(capacity: number, share: number, limit: number, count: number) {
  const pool = new BufferPool(capacity);
  const source = new PoolShare(pool, share);
  return { pool, source, all: Array.from({ length: count }, () => new Ration(source, limit)) };
}

test('connections take turns, however much each of them wants', async () => {
  const { all, source } = rations(64 * K, 2 * K, 8 * K, 2);
  const [greedy, modest] = all as [Ration, Ration];
  const order: string[] = [];
  const slabs: Slab[] = [];
  const want = (ration: Ration, name: string) =>
    ration.take(K, never).then((slab) => {
      order.push(name);
      slabs.push(slab);
    });
  for (let i = 0; i < 6; i++) want(greedy, 'greedy');
  await settled();
  for (let i = 0; i < 2; i++) want(modest, 'modest');
  for (let i = 0; i < 8; i++) {
    await settled();
    slabs.shift()?.release();
  }
  await settled();
  expect(order).toEqual([...['greedy', 'greedy', 'greedy', 'modest', 'greedy', 'modest', 'greedy', 'greedy']]);
  for (const slab of slabs) slab.release();
  expect(source.stats).toMatchObject({ inUse: 0, waiting: 0 });
});

test('tryTake passes nobody who waits', async () => {
  const { all } = rations(64 * K, 64 * K, 2 * K, 1);
  const [ration] = all as [Ration];
  const held = [ration.tryTake(K)!, ration.tryTake(K)!];
  expect(ration.tryTake(K)).toBeUndefined();
  const waiting = ration.take(2 * K, never);
  held[0]!.release();
  expect(ration.tryTake(K)).toBeUndefined();
  held[1]!.release();
  (await waiting).release();
  expect(ration.waiting).toBe(0);
});

test('one that is aborted before it begins, or for which there can be no memory, waits for nothing', async () => {
  const { all, source } = rations(4 * K, 4 * K, 64 * K, 1);
  const [ration] = all as [Ration];
  const abort = new Abort();
  abort.abort();
  await expect(ration.take(K, abort)).rejects.toMatchObject({ code: 'EINTR' });
  await expect(ration.take(8 * K, never)).rejects.toMatchObject({ code: 'ENOBUFS' });
  expect(source.stats).toMatchObject({ inUse: 0, waiting: 0 });
});

type Step = { do: 'take'; who: number; pages: number } | { do: 'release' | 'abort'; pick: number } | { do: 'turn' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('take' as const), who: fc.nat(2), pages: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ do: fc.constantFrom('release' as const, 'abort' as const), pick: fc.nat() }),
  fc.record({ do: fc.constant('turn' as const) }),
);

test('whatever is taken, given back and given up, nothing is lost, and the limits hold', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { all, pool, source } = rations(8 * K, 6 * K, 4 * K, 3);
      const lent: { who: number; slab: Slab }[] = [];
      const aborts: Abort[] = [];
      let settledCount = 0;
      let taken = 0;
      const check = () => {
        for (let who = 0; who < 3; who++) {
          const mine = lent.filter((each) => each.who === who);
          const bytes = mine.reduce((sum, { slab }) => sum + 2 ** Math.ceil(Math.log2(slab.bytes.length)), 0);
          expect(bytes <= 4 * K || mine.length === 1).toBe(true);
        }
      };
      for (const each of steps) {
        if (each.do === 'take') {
          const { who } = each;
          const abort = new Abort();
          aborts.push(abort);
          taken++;
          all[who]!.take(each.pages * K, abort).then(
            (slab) => {
              settledCount++;
              lent.push({ who, slab });
              check();
            },
            () => settledCount++,
          );
        } else if (each.do === 'release') {
          lent.splice(each.pick % Math.max(1, lent.length), 1)[0]?.slab.release();
        } else if (each.do === 'abort') {
          if (aborts.length > 0) aborts[each.pick % aborts.length]!.abort();
        } else {
          await settled();
        }
      }
      for (let i = 0; i < 200 && settledCount < taken; i++) {
        await settled();
        lent.shift()?.slab.release();
      }
      for (const { slab } of lent) slab.release();
      await settled();
      expect(settledCount).toBe(taken);
      expect(pool.stats).toMatchObject({ inUse: 0, waiting: 0 });
      expect(source.stats).toMatchObject({ inUse: 0, waiting: 0 });
      expect(all.map(({ waiting }) => waiting)).toEqual([0, 0, 0]);
    }),
    { numRuns: 300 },
  );
});
