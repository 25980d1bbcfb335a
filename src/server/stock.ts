// Things of which a server has so many (connections, fids, bytes), for clients that do not know of each other.
// Guarantees: whoever has more of them than are left gets no more. So one that wants all gets half, the next half of what is
// left, and there is always some for one that comes with nothing; nobody has to be told who the others are.

export class Stock {
  readonly total: number;
  #taken = 0;

  constructor(total: number) {
    this.total = total;
  }

  get left(): number {
    return this.total - this.#taken;
  }

  /** What one client has of it; nothing at first. */
  holding(): Holding {
    return new Holding(this);
  }

  /** For Holding alone, which counts for whom. */
  move(count: number): void {
    this.#taken += count;
  }
}

export class Holding {
  readonly #stock: Stock;
  #held = 0;

  constructor(stock: Stock) {
    this.#stock = stock;
  }

  get held(): number {
    return this.#held;
  }

  /** It has more than is left for all. */
  get isShort(): boolean {
    return this.#held > this.#stock.left;
  }

  /** False when that would be more than its share; nothing is taken then. */
  take(count = 1): boolean {
    if (this.#held + count > this.#stock.left) return false;
    this.add(count);
    return true;
  }

  /** Counts what there is already, whatever its share is. */
  add(count = 1): void {
    this.#held += count;
    this.#stock.move(count);
  }

  give(count = 1): void {
    this.#held -= count;
    this.#stock.move(-count);
  }
}
