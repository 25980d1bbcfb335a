// Cancellation signals. Every call that waits takes an AbortSignalLike; a DOM AbortSignal is one.
// Abort is a signal and its trigger in one small object: an AbortController costs more than a microsecond to make,
// and one is needed for every request of the kernel, nearly all of which are never interrupted.

import { CancelledError } from './errors.ts';

/** The part of AbortSignal that this project uses, so that cheap signals can stand in for it. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** The reason with which the kernel's side aborts: whether the caller is being killed and will never see the result. */
export interface AbortReason {
  /** May become true after the abort; onDying is then called, once. */
  readonly dying: boolean;
  onDying?: (() => void) | undefined;
}

/** Whether a signal was aborted for a caller that is being killed. */
export function isDying(signal: AbortSignalLike): boolean {
  const reason = signal.reason;
  return typeof reason === 'object' && reason !== null && (reason as Partial<AbortReason>).dying === true;
}

/** For an aborted signal whose caller is not being killed yet: `listener` runs should that come to pass. */
export function onceDying(signal: AbortSignalLike, listener: () => void): void {
  const reason = signal.reason as Partial<AbortReason> | null | undefined;
  if (typeof reason !== 'object' || reason === null || typeof reason.dying !== 'boolean') return;
  const others = reason.onDying;
  reason.onDying = () => {
    others?.();
    listener();
  };
}

/**
 * A signal that its owner aborts with abort(). As with AbortSignal, listeners run once, in the order in which they were
 * added, synchronously; one that is there is not added again; one that an earlier one removes, or adds, does not run.
 * Otherwise than there, `reason` is what abort() was given even if that is nothing, and what a listener throws reaches the
 * caller of abort(), after the others have run.
 */
export class Abort implements AbortSignalLike {
  #aborted = false;
  #reason: unknown;
  #first: (() => void) | undefined;
  #rest: (() => void)[] | undefined;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    if (this.#aborted || this.#first === listener) return;
    if (this.#first === undefined) this.#first = listener;
    else if (this.#rest === undefined) this.#rest = [listener];
    else if (!this.#rest.includes(listener)) this.#rest.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    if (this.#first === listener) {
      this.#first = this.#rest?.shift();
      return;
    }
    const at = this.#rest?.indexOf(listener) ?? -1;
    if (at >= 0) this.#rest?.splice(at, 1);
  }

  /** Aborts once; later calls do nothing. */
  abort(reason?: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    runAll(this.#taken());
  }

  /** Takes them off the live list, so that a removal by an earlier one is seen. */
  *#taken(): Iterable<() => void> {
    for (let next = this.#first; next !== undefined; next = this.#first) {
      this.#first = this.#rest?.shift();
      yield next;
    }
  }
}

/** Runs each, whatever the others throw; the first error is thrown in the end. */
export function runAll(listeners: Iterable<() => void>): void {
  let thrown: { error: unknown } | undefined;
  for (const listener of listeners) {
    try {
      listener();
    } catch (error) {
      thrown ??= { error };
    }
  }
  if (thrown !== undefined) throw thrown.error;
}

/**
 * Waits for what others wait for too, and which therefore goes on when this waiter is aborted: he gets CancelledError, also
 * where he was aborted before and there is a result already.
 */
export async function unlessAborted<T>(shared: Promise<T>, signal: AbortSignalLike | undefined): Promise<T> {
  if (signal === undefined) return shared;
  let give = () => {};
  const given = new Promise<never>((_resolve, reject) => {
    give = () => reject(new CancelledError());
  });
  if (signal.aborted) give();
  else signal.addEventListener('abort', give, { once: true });
  try {
    return await Promise.race([given, shared]);
  } finally {
    signal.removeEventListener('abort', give);
  }
}
