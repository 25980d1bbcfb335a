// The memory for payloads of one connection: its part of its tenant's (tenants.ts).
// Guarantees: no more than `limit` bytes, or one slab, are lent at a time; the first to come is the first served; of all who
// wait here one stands in the tenant's line at a time, so that connections take turns there, however much each wants.

import { Abort, type AbortSignalLike } from '../common/abort.ts';
import { cancelled, type Slab, slabSize } from '../common/bufpool.ts';
import { Line, type Standing } from '../common/line.ts';
import type { PoolShare } from '../common/poolshare.ts';

interface Waiter {
  readonly size: number;
  readonly grant: (slab: Slab) => void;
  readonly fail: (error: unknown) => void;
}

export class Ration {
  readonly #source: PoolShare;
  readonly #limit: number;
  readonly #line = new Line<Waiter>();
  #inUse = 0;
  /** Ends the wait of the first in the line, which stands in the tenant's. */
  #asking: Abort | undefined;

  constructor(source: PoolShare, limit: number) {
    this.#source = source;
    this.#limit = limit;
  }

  get waiting(): number {
    return this.#line.length;
  }

  /** A slab at once, or undefined where it would have to be waited for. */
  tryTake(size: number): Slab | undefined {
    const cls = slabSize(size);
    if (this.#line.length > 0 || !this.#fits(cls)) return undefined;
    const slab = this.#source.tryTake(size);
    return slab && this.#lend(slab, cls);
  }

  /** A slab, when there is room; an abort leaves the line. */
  take(size: number, signal: AbortSignalLike): Promise<Slab> {
    if (signal.aborted) return Promise.reject(cancelled());
    return new Promise((resolve, reject) => {
      const leave = () => {
        const isFirst = this.#line.first === waiter;
        this.#line.leave(standing);
        reject(cancelled());
        if (isFirst) this.#next();
      };
      const settle = () => signal.removeEventListener('abort', leave);
      const waiter: Waiter = {
        size,
        grant(slab) {
          settle();
          resolve(slab);
        },
        fail(error) {
          settle();
          reject(error);
        },
      };
      const standing: Standing<Waiter> = this.#line.enter(waiter);
      signal.addEventListener('abort', leave);
      this.#serve();
    });
  }

  #fits(cls: number): boolean {
    return this.#inUse === 0 || this.#inUse + cls <= this.#limit;
  }

  #lend({ bytes, release }: Slab, cls: number): Slab {
    this.#inUse += cls;
    return {
      bytes,
      release: () => {
        release();
        this.#inUse -= cls;
        this.#serve();
      },
    };
  }

  /** The first in the line has gone: what is asked for in its name is not wanted any more. */
  #next(): void {
    const asking = this.#asking;
    this.#asking = undefined;
    asking?.abort();
    this.#serve();
  }

  #serve(): void {
    for (;;) {
      const { first } = this.#line;
      if (first === undefined || this.#asking !== undefined) return;
      const cls = slabSize(first.size);
      if (!this.#fits(cls)) return;
      const now = this.#source.tryTake(first.size);
      if (now === undefined) {
        this.#ask(first, cls);
        return;
      }
      this.#line.shift();
      first.grant(this.#lend(now, cls));
    }
  }

  #ask(first: Waiter, cls: number): void {
    const asking = new Abort();
    this.#asking = asking;
    const over = (settle: () => void): void => {
      this.#asking = undefined;
      this.#line.shift();
      settle();
      this.#serve();
    };
    this.#source.take(first.size, asking).then(
      (slab) => {
        // it was granted in the moment in which it was not wanted any more
        if (asking.aborted) slab.release();
        else over(() => first.grant(this.#lend(slab, cls)));
      },
      (error) => {
        if (!asking.aborted) over(() => first.fail(error));
      },
    );
  }
}
