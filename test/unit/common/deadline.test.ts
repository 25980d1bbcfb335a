// within() bounds a wait: by the outcome, by the time, or by an abort, whichever comes first, and leaves no timer behind.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Abort } from '../../../src/common/abort.ts';
import { deferred, within } from '../../../src/common/deadline.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const late = () => 'late';

test('an outcome that comes in time counts', async () => {
  await expect(within(Promise.resolve('there'), 100, late)).resolves.toBe('there');
  await expect(within(Promise.reject(new Error('refused')), 100, late)).rejects.toThrow('refused');
});

test('without one, what `late` returns or throws does, and not before', async () => {
  let told = 0;
  const waiting = within(deferred<string>().promise, 100, () => {
    told++;
    return late();
  });
  await vi.advanceTimersByTimeAsync(99);
  expect(told).toBe(0);
  await vi.advanceTimersByTimeAsync(1);
  await expect(waiting).resolves.toBe('late');

  const failing = expect(
    within(deferred<string>().promise, 100, () => {
      throw new Error('too late');
    }),
  ).rejects.toThrow('too late');
  await vi.advanceTimersByTimeAsync(100);
  await failing;
});

test('an abort ends the wait, before or while it lasts', async () => {
  const abort = new Abort();
  const waiting = expect(within(deferred<string>().promise, 100, late, abort)).rejects.toMatchObject({ code: 'EINTR' });
  abort.abort();
  await waiting;
  await expect(within(Promise.resolve('there'), 100, late, abort)).rejects.toMatchObject({ code: 'EINTR' });
});
