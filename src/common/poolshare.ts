// A share of a buffer pool, for those who may keep what they take for as long as they like: they never have more of it
// than the share together, so that the rest of the pool is for all others.
// Guarantees: whoever fits in the share stands in the pool's own line, like anybody else; for the share itself the first
// to come is the first to go in; there is room for one, however large, so that nobody waits for ever for what cannot be.
// Must not hold memory of its own.

import type { AbortSignalLike } from './abort.ts';
import { type BufferPool, cancelled, type Slab, slabSize } from './bufpool.ts';
import { Line } from './line.ts';
import { relayed } from './relay.ts';

export interface ShareStats {
  /** Bytes that they may have together. */
  share: number;
  /** Bytes that they have, or stand in the pool's line for. */
  inUse: number;
  /** Takes that had to wait for the share, ever. */
  waits: number;
  /** Takes waiting for it now. */
  waiting: number;
}

interface Waiter {
  cls: number;
  enter: () => void;
}

export class PoolShare {
  readonly #pool: BufferPool;
  readonly #share: number;
  #inUse = 0;
  #waits = 0;
  readonly #waiters = new Line<Waiter>();

  /** `share` in bytes, of the pool's capacity. */
  constructor(pool: BufferPool, share: number) {
    this.#pool = pool;
    this.#share = share;
  }

  get stats(): ShareStats {
    return { share: this.#share, inUse: this.#inUse, waits: this.#waits, waiting: this.#waiters.length };
  }

  /** A slab of `size` bytes now, or undefined where it would have to be waited for in either line. */
  tryTake(size: number): Slab | undefined {
    const cls = slabSize(size);
    if (this.#waiters.length > 0 || !this.#fits(cls)) return undefined;
    const slab = this.#pool.tryTake(size, true);
    if (slab === undefined) return undefined;
    this.#inUse += cls;
    return this.#lend(slab, cls);
  }

  /** A slab of `size` bytes, when there is room in the share and in the pool. An abort takes the waiter out of both lines. */
  async take(size: number, given?: AbortSignalLike): Promise<Slab> {
    const cls = slabSize(size);
    const signal = given && relayed(given);
    if (this.#waiters.length === 0 && this.#fits(cls)) this.#inUse += cls;
    else await this.#wait(cls, signal);
    try {
      // the reserve for little takes is not for those who may keep it for as long as they like
      const slab = this.#pool.tryTake(size, true) ?? (await this.#pool.take(size, signal, true));
      return this.#lend(slab, cls);
    } catch (error) {
      this.#leave(cls);
      throw error;
    }
  }

  #lend({ bytes, release }: Slab, cls: number): Slab {
    return {
      bytes,
      release: () => {
        release();
        this.#leave(cls);
      },
    };
  }

  #fits(cls: number): boolean {
    return this.#inUse === 0 || this.#inUse + cls <= this.#share;
  }

  /** Until `cls` bytes of the share are the caller's. */
  #wait(cls: number, signal: AbortSignalLike | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(cancelled());
    this.#waits++;
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        cls,
        enter: () => {
          signal?.removeEventListener('abort', cancel);
          resolve();
        },
      };
      const cancel = () => {
        this.#waiters.leave(place);
        reject(cancelled());
        this.#admit();
      };
      const place = this.#waiters.enter(waiter);
      signal?.addEventListener('abort', cancel);
    });
  }

  #leave(cls: number): void {
    this.#inUse -= cls;
    this.#admit();
  }

  #admit(): void {
    for (let next = this.#waiters.first; next !== undefined && this.#fits(next.cls); next = this.#waiters.first) {
      this.#waiters.shift();
      this.#inUse += next.cls;
      next.enter();
    }
  }
}
