// Cyclic allocator of small integers: an id that is given back is not given out again until the whole window has been
// walked through, so that an id in a log names one thing and a late message to it is recognised.
// Guarantees: never hands out an id that is in use; take() is undefined, not a wait, when the window is full.

export class IdPool {
  readonly #first: number;
  readonly #window: number;
  readonly #used = new Set<number>();
  #next = 0;

  /** Ids first ... first + window - 1. */
  constructor(first: number, window: number) {
    this.#first = first;
    this.#window = window;
  }

  get inUse(): number {
    return this.#used.size;
  }

  take(): number | undefined {
    if (this.#used.size >= this.#window) return undefined;
    let at = this.#next;
    while (this.#used.has(this.#first + at)) at = (at + 1) % this.#window;
    this.#next = (at + 1) % this.#window;
    const id = this.#first + at;
    this.#used.add(id);
    return id;
  }

  release(id: number): void {
    if (!this.#used.delete(id)) throw new Error(`id ${id} released, but not in use`);
  }
}
