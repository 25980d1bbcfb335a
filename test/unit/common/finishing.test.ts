// The signal of what has to be finished: heeds no abort but that of a caller who dies, and him late.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Abort, type AbortReason, isDying } from '../../../src/common/abort.ts';
import { Finishing } from '../../../src/common/finishing.ts';

const MS = 1000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a caller that is interrupted is waited with', () => {
  const caller = new Abort();
  const rest = new Finishing(caller, MS);
  caller.abort({ dying: false });
  vi.advanceTimersByTime(100 * MS);
  expect(rest.aborted).toBe(false);
});

test.each(['before', 'after'] as const)('a caller that was killed %s it began has so long and no longer', (when) => {
  const caller = new Abort();
  if (when === 'before') caller.abort({ dying: true });
  const rest = new Finishing(caller, MS);
  if (when === 'after') caller.abort({ dying: true });
  vi.advanceTimersByTime(MS - 1);
  expect(rest.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(rest.aborted).toBe(true);
  expect(isDying(rest)).toBe(true);
});

test('a caller that is killed after it was interrupted has so long from then on', () => {
  const caller = new Abort();
  const reason: { -readonly [K in keyof AbortReason]: AbortReason[K] } = { dying: false };
  const rest = new Finishing(caller, MS);
  caller.abort(reason);
  vi.advanceTimersByTime(10 * MS);
  reason.dying = true;
  reason.onDying?.();
  vi.advanceTimersByTime(MS - 1);
  expect(rest.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(rest.aborted).toBe(true);
});

test('one that is done with leaves no listener and no timer', () => {
  const caller = new Abort();
  const before = new Finishing(caller, MS);
  before.done();
  caller.abort({ dying: true });
  expect(vi.getTimerCount()).toBe(0);
  const dying = new Finishing(caller, MS);
  dying.done();
  vi.advanceTimersByTime(2 * MS);
  expect([before.aborted, dying.aborted]).toEqual([false, false]);
});
