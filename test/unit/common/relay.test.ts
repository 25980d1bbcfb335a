// A relay calls whom the signal itself would have called, in the same order, whatever is added, removed and aborted; on the
// signal there is one listener at the most, and in the end only the last signal that was used has one.

import { setMaxListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Abort, type AbortSignalLike } from '../../../src/common/abort.ts';
import { relayed } from '../../../src/common/relay.ts';

const LISTENERS = 200;

type Step = { do: 'add' } | { do: 'remove'; pick: number } | { do: 'abort' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Step>({ do: 'add' }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), pick: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'abort' }) },
);
/** Mostly from the front, as calls that end in the order in which they began, so that the front moves far. */
const steps = fc.array(step, { maxLength: 2 * LISTENERS, size: 'max' });

/** Which listeners were called. Listener i takes i + 1 away when it runs, if i is divisible by three. */
function trace(controller: AbortController, signal: AbortSignalLike, todo: readonly Step[]): number[] {
  const called: number[] = [];
  const all: (() => void)[] = [];
  const there: number[] = [];
  for (const each of todo) {
    if (each.do === 'abort') controller.abort('why');
    else if (each.do === 'add') {
      const i = all.length;
      const listener = () => {
        called.push(i);
        const next = all[i + 1];
        if (i % 3 === 0 && next !== undefined) signal.removeEventListener('abort', next);
      };
      all.push(listener);
      there.push(i);
      signal.addEventListener('abort', listener, { once: true });
    } else {
      const [gone] = there.splice(each.pick < 12 ? 0 : each.pick % Math.max(1, there.length), 1);
      if (gone !== undefined) signal.removeEventListener('abort', all[gone]!);
    }
  }
  return called;
}

describe('a relay', () => {
  test('calls whom the signal would have called, in the same order', () => {
    fc.assert(
      fc.property(steps, (todo) => {
        const ours = new AbortController();
        const theirs = new AbortController();
        setMaxListeners(0, theirs.signal);
        expect(trace(ours, relayed(ours.signal), todo)).toEqual(trace(theirs, theirs.signal, todo));
        expect(relayed(ours.signal)).toMatchObject({ aborted: ours.signal.aborted, reason: ours.signal.reason });
      }),
      { numRuns: 300 },
    );
  });

  test('is one listener of the signal, however many listen to it, and no reason for a warning', async () => {
    const warned = vi.fn();
    process.on('warning', warned);
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, 'addEventListener');
    const listeners = Array.from({ length: LISTENERS }, () => vi.fn());
    for (const listener of listeners) relayed(signal).addEventListener('abort', listener);
    expect(added).toHaveBeenCalledTimes(1);
    for (const listener of listeners.toReversed()) relayed(signal).removeEventListener('abort', listener);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', warned);
    expect(warned).not.toHaveBeenCalled();
  });

  test('is gone from its signal as soon as another one is done', () => {
    const use = () => {
      const { signal } = new AbortController();
      const added = vi.spyOn(signal, 'addEventListener');
      const removed = vi.spyOn(signal, 'removeEventListener');
      for (let i = 0; i < 3; i++) {
        const listener = () => {};
        relayed(signal).addEventListener('abort', listener);
        relayed(signal).removeEventListener('abort', listener);
      }
      return () => [added.mock.calls.length, removed.mock.calls.length];
    };
    const first = use();
    expect(first()).toEqual([1, 0]);
    const second = use();
    expect([first(), second()]).toEqual([
      [1, 1],
      [1, 0],
    ]);
  });

  test('is used again after its signal was left', () => {
    const controller = new AbortController();
    const other = new AbortController();
    const gone = () => {};
    for (const { signal } of [controller, other]) {
      relayed(signal).addEventListener('abort', gone);
      relayed(signal).removeEventListener('abort', gone);
    }
    const listener = vi.fn();
    relayed(controller.signal).addEventListener('abort', listener);
    controller.abort();
    expect(listener).toHaveBeenCalledTimes(1);
  });

  test('stands for no signal of our own, which is cheap', () => {
    const signal = new Abort();
    expect(relayed(signal)).toBe(signal);
  });

  test('does not listen to what was aborted before', () => {
    const signal = AbortSignal.abort('before');
    const listener = vi.fn();
    relayed(signal).addEventListener('abort', listener);
    relayed(signal).removeEventListener('abort', listener);
    expect(listener).not.toHaveBeenCalled();
    expect(relayed(signal)).toMatchObject({ aborted: true, reason: 'before' });
  });
});
