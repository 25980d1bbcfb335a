// What the library's users cancel by, an AbortSignal of the platform, made fit for many calls: a stand-in with one listener
// on the signal, however many listen to it.
// Guarantees: listeners run once, in the order in which they were added, unless they were removed before; signals that are
// done with are not kept alive, but for the last one. The same listener must not be added twice: nobody looks for it.

import { Abort, type AbortSignalLike, runAll } from './abort.ts';

/** The relay, at most one, that nobody listens to and that has not left its source yet. */
let idle: Relay | undefined;

/**
 * An AbortSignal warns when it has more than ten listeners, as many as the calls of one program in flight soon are, and it
 * is slow to add and remove them: a getattr took 5 % longer. So the relay that was used last stays on its source until
 * another one is done, and the listeners are kept in the order in which they mostly leave.
 */
class Relay implements AbortSignalLike {
  readonly #source: AbortSignalLike;
  /** From #first to #end, in order of arrival; the rest is GONE. */
  readonly #listeners: (() => void)[] = [];
  #first = 0;
  #end = 0;
  #follows = false;
  readonly #follow = (): void => {
    this.#follows = false;
    if (idle === this) idle = undefined;
    runAll(this.#taken());
  };

  constructor(source: AbortSignalLike) {
    this.#source = source;
  }

  get aborted(): boolean {
    return this.#source.aborted;
  }

  get reason(): unknown {
    return this.#source.reason;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    // while it follows it will be told, also of an abort that others are being told of just now
    if (!this.#follows && this.#source.aborted) return;
    this.#listeners[this.#end++] = listener;
    if (idle === this) idle = undefined;
    if (this.#follows) return;
    this.#follows = true;
    this.#source.addEventListener('abort', this.#follow, ONCE);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener, this.#first);
    if (at >= 0) this.#take(at);
    if (!this.#follows || this.#end > 0 || idle === this) return;
    if (idle !== undefined) idle.#leave();
    idle = this;
  }

  #take(at: number): void {
    const listeners = this.#listeners;
    if (at !== this.#first) {
      listeners.splice(at, 1);
      this.#end--;
      return;
    }
    listeners[this.#first++] = GONE;
    if (this.#first === this.#end) {
      this.#first = 0;
      this.#end = 0;
    } else if (this.#first >= CROWD) {
      listeners.splice(0, this.#first);
      this.#end -= this.#first;
      this.#first = 0;
    }
  }

  #leave(): void {
    this.#follows = false;
    this.#source.removeEventListener('abort', this.#follow);
  }

  /** Takes them off the live list, so that a removal by an earlier one is seen. */
  *#taken(): Iterable<() => void> {
    while (this.#end > 0) {
      const next = this.#listeners[this.#first];
      this.#take(this.#first);
      if (next !== undefined) yield next;
    }
  }
}

const ONCE = { once: true };
const GONE = (): void => {};
/** Of these there are at most so many before the first listener. */
const CROWD = 64;
const relays = new WeakMap<AbortSignalLike, Relay>();

/** The signal to listen to in place of one that a caller gave: the same for all who ask with the same. */
export function relayed(signal: AbortSignalLike): AbortSignalLike {
  if (signal instanceof Abort) return signal;
  let relay = relays.get(signal);
  if (relay === undefined) {
    relay = new Relay(signal);
    relays.set(signal, relay);
  }
  return relay;
}
