// Who gets how many of what there is a bounded number of.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Stock } from '../../../src/server/stock.ts';

function takeAll(stock: Stock): number {
  const holding = stock.holding();
  while (holding.take()) if (holding.held > stock.total) expect.unreachable('more than there are');
  return holding.held;
}

test('who takes all it can gets half, the next half of the rest, and the last still one', () => {
  const stock = new Stock(1000);
  expect([takeAll(stock), takeAll(stock), takeAll(stock), takeAll(stock)]).toEqual([500, 250, 125, 63]);
  const some = Array.from({ length: 5 }, () => takeAll(stock));
  expect(some).toEqual([31, 16, 8, 4, 2]);
  expect(takeAll(new Stock(1))).toBe(1);
  expect(takeAll(new Stock(0))).toBe(0);
});

test('never is more taken than there is, and what is given back can be taken again', () => {
  const step = fc.record({ who: fc.nat(4), count: fc.integer({ min: 1, max: 30 }), gives: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200 }), fc.array(step, { maxLength: 100 }), (total, steps) => {
      const stock = new Stock(total);
      const all = Array.from({ length: 5 }, () => stock.holding());
      for (const { who, count, gives } of steps) {
        const holding = all[who]!;
        const before = holding.held;
        if (gives) {
          if (before >= count) holding.give(count);
        } else {
          const may = before + count <= stock.left;
          expect(holding.take(count)).toBe(may);
          expect(holding.held).toBe(may ? before + count : before);
        }
        expect(stock.left).toBe(total - all.reduce((sum, { held }) => sum + held, 0));
        expect(stock.left).toBeGreaterThanOrEqual(0);
      }
      for (const holding of all) holding.give(holding.held);
      expect(stock.left).toBe(total);
    }),
  );
});

test('what is there already counts against who has it, also beyond its share', () => {
  const stock = new Stock(10);
  const holding = stock.holding();
  expect(holding.isShort).toBe(false);
  holding.add(8);
  expect(holding.isShort).toBe(true);
  expect(holding.take()).toBe(false);
  expect(stock.holding().take(2)).toBe(true);
  holding.give(8);
  expect(holding.isShort).toBe(false);
});
