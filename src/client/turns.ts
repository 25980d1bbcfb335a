// Whose chunk is sent next. Transfers that do not fit in one message share what a connection may have of their chunks on its
// way, and take turns: one chunk each, round and round.
// Guarantees: the chunks on their way are bounded in number and in bytes, however many transfers there are and however small
// the chunks that the server wants; a transfer waits for one chunk of each other that waits, not for all of theirs.
// What fits in one message does not come here, so that it never waits for those that do.

import { Line, type Standing } from '../common/line.ts';

/** Chunks of all transfers of a connection on their way at once; less than the requests that may be (limits.ts). */
const MOST = 256;
/** Bytes of those. */
const MOST_BYTES = 16 * 1024 * 1024;

export interface Sender {
  /** Bytes of a chunk of its. */
  readonly chunk: number;
  /** Where it waits for its turn; written here only. */
  place: Standing<Sender> | undefined;
  /** Sends one, and tells whether it would send another now. */
  sendNext(): boolean;
}

export interface TurnStats {
  /** Chunks on their way. */
  inFlight: number;
  /** Most of them ever at once. */
  peak: number;
  /** Transfers that wait for their turn. */
  waiting: number;
}

export class Turns {
  readonly #line = new Line<Sender>();
  #inFlight = 0;
  #bytes = 0;
  #peak = 0;

  get stats(): TurnStats {
    return { inFlight: this.#inFlight, peak: this.#peak, waiting: this.#line.length };
  }

  /** It wants to send: now where there is room, and again until it says that it does not. Nothing where it waits already. */
  enter(sender: Sender): void {
    if (sender.place !== undefined) return;
    sender.place = this.#line.enter(sender);
    this.#pump();
  }

  /** It no longer wants to. */
  leave(sender: Sender): void {
    if (sender.place === undefined) return;
    this.#line.leave(sender.place);
    sender.place = undefined;
    this.#pump();
  }

  /** One of its chunks is over. */
  over({ chunk }: Sender): void {
    this.#inFlight--;
    this.#bytes -= chunk;
    this.#pump();
  }

  #pump(): void {
    for (let next = this.#line.first; next !== undefined && this.#fits(next); next = this.#line.first) {
      this.#line.shift();
      this.#inFlight++;
      this.#bytes += next.chunk;
      if (this.#inFlight > this.#peak) this.#peak = this.#inFlight;
      next.place = next.sendNext() ? this.#line.enter(next) : undefined;
    }
  }

  /** There is room for one, however large. */
  #fits({ chunk }: Sender): boolean {
    return this.#inFlight === 0 || (this.#inFlight < MOST && this.#bytes + chunk <= MOST_BYTES);
  }
}
