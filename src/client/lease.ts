// Receive memory of one read, which goes back to the pool once, when all who hold it have let go: the consumer, and every
// request that may still write into it.

import type { Slab } from '../common/bufpool.ts';

/** A slab with several holders. */
export class Lease {
  readonly bytes: Buffer;
  readonly #slab: Slab;
  #holders = 1;

  constructor(slab: Slab) {
    this.#slab = slab;
    this.bytes = slab.bytes;
  }

  hold(): void {
    this.#holders++;
  }

  drop(): void {
    if (--this.#holders === 0) this.#slab.release();
  }

  /** The consumer's own drop: a second one would take the memory from a request that still writes into it. */
  releaseOnce(): () => void {
    let lent = true;
    return () => {
      if (!lent) throw new Error('read data released twice');
      lent = false;
      this.drop();
    };
  }
}
