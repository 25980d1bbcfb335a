// The capacity of a memory tree: what its files, names and attributes cost, in bytes, and the ENOSPC when it is used up.

import { errno } from '../../../common/errno.ts';
import { refuse } from '../../refuse.ts';

export class Budget {
  readonly capacity: number;
  #used = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get used(): number {
    return this.#used;
  }

  get left(): number {
    return Math.max(0, this.capacity - this.#used);
  }

  take(bytes: number): void {
    if (this.#used + bytes > this.capacity) refuse(errno.ENOSPC);
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}
