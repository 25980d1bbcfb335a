// What the users of a tree have together of what the tree keeps for them by itself: ranges of record locks, and descriptors that
// stand for the locks' owners.
// Guarantees: nobody has more of it than is left for all (stock.ts); who has nothing is forgotten in time, for a client that
// is believed may be anybody.

import { type Holding, Stock } from '../stock.ts';
import type { User } from '../tree.ts';

/** Ranges of record locks in all files of a tree together; each is a few hundred bytes. */
export const LOCK_RANGES = 1 << 16;
/** Users before those that have nothing are looked for. */
const MANY = 64;

export class UserRooms {
  readonly #stock: Stock;
  readonly #byUid = new Map<number, Holding>();
  #sweepAt = MANY;

  constructor(total: number) {
    this.#stock = new Stock(total);
  }

  /** What one user has. To be asked for anew for whatever is taken next. */
  of({ uid }: User): Holding {
    const known = this.#byUid.get(uid);
    if (known !== undefined) return known;
    if (this.#byUid.size >= this.#sweepAt) this.#sweep();
    const holding = this.#stock.holding();
    this.#byUid.set(uid, holding);
    return holding;
  }

  #sweep(): void {
    for (const [uid, { held }] of this.#byUid) if (held === 0) this.#byUid.delete(uid);
    this.#sweepAt = Math.max(MANY, 2 * this.#byUid.size);
  }
}
