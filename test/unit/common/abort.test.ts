// Abort stands in for AbortSignal: for every sequence of adding, removing and aborting, also from within listeners, the
// two call the same listeners in the same order. Then the two points where it differs on purpose.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Abort, type AbortSignalLike, unlessAborted } from '../../../src/common/abort.ts';

const LISTENERS = 4;
type Step = { do: 'add' | 'remove'; which: number } | { do: 'abort' };

const which = fc.nat(LISTENERS - 1);
const abortStep: fc.Arbitrary<Step> = fc.constant({ do: 'abort' });
const removeStep: fc.Arbitrary<Step> = fc.record({ do: fc.constant('remove'), which });
const addStep: fc.Arbitrary<Step> = fc.record({ do: fc.constant('add'), which });
const outerStep = fc.oneof(addStep, removeStep, abortStep);
/** No adding while listeners run: there Node leaves the DOM standard, which we follow. */
const innerStep = fc.oneof(removeStep, abortStep);

/** Runs `steps` on a signal; listener i runs inner[i] when it is called. Returns what was called, in order. */
function trace(signal: AbortSignalLike, abort: () => void, steps: Step[], inner: Step[][]): string[] {
  const calls: string[] = [];
  const run = (step: Step): void => {
    if (step.do === 'abort') abort();
    else if (step.do === 'add') signal.addEventListener('abort', listeners[step.which]!, { once: true });
    else signal.removeEventListener('abort', listeners[step.which]!);
  };
  const listeners = Array.from({ length: LISTENERS }, (_, i) => () => {
    calls.push(`${i} aborted=${signal.aborted}`);
    for (const step of inner[i] ?? []) run(step);
  });
  for (const step of steps) {
    run(step);
    calls.push(`after ${step.do}: ${signal.aborted}`);
  }
  return calls;
}

describe('Abort', () => {
  test('calls what an AbortSignal calls, in the same order', () => {
    fc.assert(
      fc.property(
        fc.array(outerStep, { maxLength: 12 }),
        fc.array(fc.array(innerStep, { maxLength: 3 }), { minLength: LISTENERS, maxLength: LISTENERS }),
        (steps, inner) => {
          const ours = new Abort();
          const theirs = new AbortController();
          expect(trace(ours, () => ours.abort(), steps, inner)).toEqual(
            trace(theirs.signal, () => theirs.abort(), steps, inner),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a listener that is added while others run is not called, as the DOM standard has it', () => {
    const signal = new Abort();
    const calls: string[] = [];
    signal.addEventListener('abort', () => {
      calls.push('first');
      signal.addEventListener('abort', () => calls.push('added'));
    });
    signal.addEventListener('abort', () => calls.push('second'));
    signal.abort();
    expect(calls).toEqual(['first', 'second']);
  });

  test('is taken where a DOM signal is, and the other way round', () => {
    const signals: AbortSignalLike[] = [new Abort(), new AbortController().signal, AbortSignal.abort()];
    expect(signals.map((signal) => signal.aborted)).toEqual([false, false, true]);
  });

  test('keeps the first reason, also when it is nothing', () => {
    const given = new Abort();
    given.abort('first');
    given.abort('second');
    expect(given.reason).toBe('first');
    const bare = new Abort();
    bare.abort();
    bare.abort('late');
    expect(bare.aborted).toBe(true);
    expect(bare.reason).toBeUndefined();
  });

  test('a listener that throws does not keep the others from running; the first error reaches the caller', () => {
    const signal = new Abort();
    const calls: number[] = [];
    const listener = (id: number, error?: Error) => () => {
      calls.push(id);
      if (error !== undefined) throw error;
    };
    signal.addEventListener('abort', listener(1));
    signal.addEventListener('abort', listener(2, new Error('two')));
    signal.addEventListener('abort', listener(3, new Error('three')));
    signal.addEventListener('abort', listener(4));
    expect(() => signal.abort()).toThrow('two');
    expect(calls).toEqual([1, 2, 3, 4]);
    expect(() => signal.abort()).not.toThrow();
  });
});

describe('unlessAborted', () => {
  test('gives the result, or CancelledError to who is aborted first, and leaves no listener', async () => {
    const added: string[] = [];
    const signal = new Abort();
    const counted: AbortSignalLike = {
      get aborted() {
        return signal.aborted;
      },
      reason: undefined,
      addEventListener: (type, listener) => {
        added.push('+');
        signal.addEventListener(type, listener);
      },
      removeEventListener: (type, listener) => {
        added.push('-');
        signal.removeEventListener(type, listener);
      },
    };
    await expect(unlessAborted(Promise.resolve(7), counted)).resolves.toBe(7);
    await expect(unlessAborted(Promise.reject(new Error('its own')), counted)).rejects.toThrow('its own');
    const waiting = unlessAborted(new Promise(() => {}), counted);
    signal.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'CancelledError' });
    expect(added).toEqual(['+', '-', '+', '-', '+', '-']);
  });

  test('who was aborted before gets CancelledError, though there is a result', async () => {
    const signal = new Abort();
    signal.abort();
    await expect(unlessAborted(Promise.resolve(7), signal)).rejects.toMatchObject({ name: 'CancelledError' });
  });
});
