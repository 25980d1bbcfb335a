// The requests that were read and wait for their method to settle, by unique; and the buffers of large writes among them.
// Guarantees: each settles once, and whoever settles it learns whether an answer is still wanted; waiting for all of them
// to be over is bounded.
// Must not answer: session.ts does.

import { type Deferred, deferred, within } from '../common/deadline.ts';
import type { FuseRequest } from './request.ts';
import type { Slabs } from './slabs.ts';

export class InFlight {
  readonly #byUnique = new Map<number, FuseRequest>();
  readonly #slabs: Slabs;
  /** Settles when nothing is left; there while somebody waits for that. */
  #quiet: Deferred<void> | undefined;

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
  }

  get size(): number {
    return this.#byUnique.size;
  }

  get(unique: number): FuseRequest | undefined {
    return this.#byUnique.get(unique);
  }

  add(request: FuseRequest): void {
    this.#byUnique.set(request.unique, request);
  }

  /** The method has settled, perhaps before it was added. Whether the request had not been answered by somebody else. */
  settle(request: FuseRequest): boolean {
    if (request.slab !== undefined) {
      this.#slabs.giveBack(request.slab);
      request.slab = undefined;
    }
    const running = request.running;
    if (running) request.answered();
    this.#byUnique.delete(request.unique);
    this.#tell();
    return running;
  }

  /** Everybody's caller is as good as gone. */
  abortAll(): void {
    for (const request of this.#byUnique.values()) {
      request.reason = { dying: true };
      request.signal.abort(request.reason);
    }
  }

  /** Until nothing is left, at most `ms`. */
  async idle(ms: number): Promise<void> {
    if (this.#byUnique.size === 0) return;
    this.#quiet ??= deferred();
    await within(this.#quiet.promise, ms, () => {});
  }

  #tell(): void {
    if (this.#quiet === undefined || this.#byUnique.size > 0) return;
    this.#quiet.resolve();
    this.#quiet = undefined;
  }

  /** Marks what is left as answered and forgets it; `answer` may still do so. What they settle with comes late. */
  giveUp(answer: (request: FuseRequest) => void): void {
    for (const request of this.#byUnique.values()) {
      request.answered();
      answer(request);
    }
    this.#byUnique.clear();
    this.#tell();
  }
}
