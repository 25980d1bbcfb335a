// IdPool against a model of its two promises: no id twice at once, and an id that came back waits its turn.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IdPool } from '../../../src/common/idpool.ts';

describe('IdPool', () => {
  test('hands out the free id that follows the last one, in a circle', () => {
    const step = fc.oneof(fc.constant('take' as const), fc.nat(100));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.nat(1000), fc.array(step), (window, first, steps) => {
        const pool = new IdPool(first, window);
        const used = new Set<number>();
        let last = -1;
        for (const what of steps) {
          if (what === 'take') {
            const circle = Array.from({ length: window }, (_, i) => first + ((last + 1 + i) % window));
            const wanted = circle.find((id) => !used.has(id));
            expect(pool.take()).toBe(wanted);
            if (wanted === undefined) continue;
            used.add(wanted);
            last = wanted - first;
          } else if (used.size > 0) {
            const id = [...used][what % used.size]!;
            used.delete(id);
            pool.release(id);
          }
          expect(pool.inUse).toBe(used.size);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('an id comes back only after the whole window has been walked through', () => {
    const pool = new IdPool(10, 5);
    const walked = Array.from({ length: 11 }, () => {
      const id = pool.take()!;
      pool.release(id);
      return id;
    });
    expect(walked).toEqual([10, 11, 12, 13, 14, 10, 11, 12, 13, 14, 10]);
  });

  test('is undefined when all are in use, and goes on when one comes back', () => {
    const pool = new IdPool(0, 2);
    expect([pool.take(), pool.take(), pool.take()]).toEqual([0, 1, undefined]);
    pool.release(0);
    expect([pool.take(), pool.take()]).toEqual([0, undefined]);
  });

  test('what is not in use cannot be released', () => {
    const pool = new IdPool(0, 2);
    expect(() => pool.release(0)).toThrow('not in use');
    pool.take();
    pool.release(0);
    expect(() => pool.release(0)).toThrow('not in use');
    expect(pool.inUse).toBe(0);
  });
});
