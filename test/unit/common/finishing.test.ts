// The signal of what has to be finished: heeds the abort of its caller late.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Abort, isDying } from '../../../src/common/abort.ts';
import { Finishing } from '../../../src/common/finishing.ts';

const MS = 1000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('nobody is hurried who was not interrupted', () => {
  const rest = new Finishing(new Abort(), MS);
  vi.advanceTimersByTime(100 * MS);
  expect(rest.aborted).toBe(false);
});

test.each([
  ['interrupted', 'before', false],
  ['interrupted', 'after', false],
  ['killed', 'before', true],
  ['killed', 'after', true],
] as const)('a caller that was %s %s it began waits so long and no longer', (_how, when, dying) => {
  const caller = new Abort();
  if (when === 'before') caller.abort({ dying });
  const rest = new Finishing(caller, MS);
  if (when === 'after') caller.abort({ dying });
  vi.advanceTimersByTime(MS - 1);
  expect(rest.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(rest.aborted).toBe(true);
  expect(isDying(rest)).toBe(true);
});

test('what undoes the rest has as long again', () => {
  const caller = new Abort();
  const rest = new Finishing(caller, MS);
  caller.abort();
  vi.advanceTimersByTime(MS);
  const undoing = new Finishing(rest, MS);
  vi.advanceTimersByTime(MS - 1);
  expect([rest.aborted, undoing.aborted]).toEqual([true, false]);
  vi.advanceTimersByTime(1);
  expect(undoing.aborted).toBe(true);
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
