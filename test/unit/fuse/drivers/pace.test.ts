// Answers of calls that come one by one go at once; those of many at once go as others come, or a little later.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Pace } from '../../../../src/fuse/drivers/fuse-native/pace.ts';

let pace: Pace;
let gone: number[];
beforeEach(() => {
  vi.useFakeTimers();
  pace = new Pace();
  gone = [];
});
afterEach(() => {
  vi.useRealTimers();
});

const come = (count: number) => {
  for (let i = 0; i < count; i++) pace.came();
};
const answer = (from: number, to: number) => {
  for (let i = from; i < to; i++) pace.answer(() => gone.push(i));
};

describe('an answer', () => {
  test('goes at once where few calls are there', () => {
    come(8);
    answer(0, 8);
    expect(gone).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('waits where many were, until others come, one for each', () => {
    come(20);
    answer(0, 20);
    expect(gone.length).toBe(8);
    come(3);
    expect(gone.length).toBe(11);
  });

  test('goes after some milliseconds where none come, all in order', () => {
    come(100);
    answer(0, 100);
    for (let ms = 0; ms < 40; ms++) {
      const before = gone.length;
      vi.advanceTimersByTime(1);
      expect(gone.length - before).toBeLessThanOrEqual(7);
    }
    expect(gone).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(vi.getTimerCount()).toBe(0);
  });

  test('of a call that waits long is not held up by one that was there before it', () => {
    come(30);
    answer(0, 29);
    vi.advanceTimersByTime(100);
    expect(gone.length).toBe(29);
    answer(29, 30);
    vi.advanceTimersByTime(1);
    expect(gone.length).toBe(30);
    for (let i = 30; i < 40; i++) {
      come(1);
      answer(i, i + 1);
      expect(gone.length).toBe(i + 1);
    }
  });
});
