// A promise with its two ends, and a bound on waiting for one.

import { type AbortSignalLike, unlessAborted } from './abort.ts';

export interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Waits so long; an abort ends it with CancelledError. */
export function pause(ms: number, signal: AbortSignalLike): Promise<void> {
  return within(deferred<void>().promise, ms, () => {}, signal);
}

/**
 * The promise's outcome, or what `late` returns or throws when it has none after `ms`; CancelledError where `signal` is
 * aborted before either.
 */
export async function within<T>(promise: Promise<T>, ms: number, late: () => T, signal?: AbortSignalLike): Promise<T> {
  const overdue = deferred<void>();
  const timer = setTimeout(overdue.resolve, ms);
  try {
    return await unlessAborted(Promise.race([promise, overdue.promise.then(late)]), signal);
  } finally {
    clearTimeout(timer);
  }
}
