// Cancellation signals. Every call that waits takes an AbortSignalLike; a DOM AbortSignal is one.
// Abort is a signal and its trigger in one small object: an AbortController costs more than a microsecond to make,
// and one is needed for every request of the kernel, nearly all of which are never interrupted.

/** The part of AbortSignal that this project uses, so that cheap signals can stand in for it. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** A signal that its owner aborts with abort(). Listeners run once, in order, synchronously. */
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
    if (this.#aborted) return;
    if (this.#first === undefined) this.#first = listener;
    else if (this.#rest === undefined) this.#rest = [listener];
    else this.#rest.push(listener);
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
    const first = this.#first;
    const rest = this.#rest;
    this.#first = undefined;
    this.#rest = undefined;
    first?.();
    if (rest !== undefined) for (const listener of rest) listener();
  }
}
