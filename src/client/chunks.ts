// One transfer that does not fit in one message: its chunks, of which some are on their way at a time.
// Guarantees: nothing is sent behind a chunk that came short or failed, nor after an abort; it settles when every chunk that
// was sent is over, so that none is left at work unobserved; what it takes is the same however many chunks there are.
// Must not know whether it reads or writes.

import { CancelledError, traceless } from '../common/errors.ts';
import type { Standing } from '../common/line.ts';
import { relayed } from '../common/relay.ts';
import type { Signal } from './calls.ts';
import type { Sender, Turns } from './turns.ts';

/** Bytes of one transfer on their way at once. */
const MOST_BYTES = 8 * 1024 * 1024;
/** Chunks that may be on their way whatever their size: one is answered while the other is asked for. */
const LEAST_AT_ONCE = 2;

export interface Plan {
  /** Bytes. */
  size: number;
  chunk: number;
  /** Chunks on their way at the most. */
  atOnce: number;
  signal: Signal;
  /** Moves the bytes [from, to) and tells how many: fewer than all where nothing more is to be had behind them. */
  move(from: number, to: number): Promise<number>;
}

export interface Moved {
  /** Bytes from the start without a gap. */
  count: number;
  /** Why there are no more, where that is no short chunk. */
  error?: unknown;
}

/** Moves all of it, or as much as there is. Never rejects. */
export function moveInChunks(turns: Turns, plan: Plan): Promise<Moved> {
  return new Promise((resolve) => new Transfer(turns, plan, resolve).begin());
}

class Transfer implements Sender {
  readonly chunk: number;
  place: Standing<Sender> | undefined;
  readonly #turns: Turns;
  readonly #plan: Plan;
  readonly #atOnce: number;
  readonly #signal: Signal;
  readonly #settle: (moved: Moved) => void;
  /** Where the next chunk begins; all before it were sent. */
  #at = 0;
  /** Where it ends: at its size, or before it, where a chunk came short or failed. */
  #end: number;
  #error: unknown;
  #moving = 0;
  readonly #abort = () => this.#cancel();

  constructor(turns: Turns, plan: Plan, settle: (moved: Moved) => void) {
    const { chunk, atOnce, size, signal } = plan;
    this.chunk = chunk;
    this.#turns = turns;
    this.#plan = plan;
    this.#atOnce = Math.min(atOnce, Math.max(LEAST_AT_ONCE, Math.floor(MOST_BYTES / chunk)));
    this.#signal = signal && relayed(signal);
    this.#settle = settle;
    this.#end = size;
  }

  begin(): void {
    if (this.#signal?.aborted === true) {
      this.#cancel();
      return;
    }
    this.#signal?.addEventListener('abort', this.#abort);
    this.#turns.enter(this);
  }

  sendNext(): boolean {
    const from = this.#at;
    this.#at = Math.min(from + this.chunk, this.#end);
    this.#moving++;
    const to = this.#at;
    this.#plan.move(from, to).then(
      (count) => {
        if (count < to - from) this.#endAt(from + count, undefined);
        this.#over();
      },
      (error: unknown) => {
        this.#endAt(from, error);
        this.#over();
      },
    );
    return this.#wantsMore;
  }

  get #wantsMore(): boolean {
    return this.#at < this.#end && this.#moving < this.#atOnce;
  }

  /** The first gap counts, whichever chunk is answered first. */
  #endAt(end: number, error: unknown): void {
    if (end >= this.#end) return;
    this.#end = end;
    this.#error = error;
  }

  #over(): void {
    this.#moving--;
    this.#turns.over(this);
    if (this.#wantsMore) this.#turns.enter(this);
    else this.#settleIfOver();
  }

  /** Chunks on their way are given up by whoever moves them. */
  #cancel(): void {
    this.#turns.leave(this);
    this.#endAt(
      this.#at,
      traceless(() => new CancelledError('waiting for a turn')),
    );
    this.#settleIfOver();
  }

  #settleIfOver(): void {
    if (this.#moving > 0 || this.#at < this.#end) return;
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#settle(this.#error === undefined ? { count: this.#end } : { count: this.#end, error: this.#error });
  }
}
