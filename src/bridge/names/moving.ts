// Renames that are under way: the server may have carried one out while this mount still knows the old place, so that what is
// walked to by names meanwhile is missed there, or another file is found.

export class Moving {
  readonly #ends = new Set<Promise<void>>();

  /** `work` ends when the nodes have their new places. */
  async during(work: () => Promise<void>): Promise<void> {
    const working = work();
    // who waits wants to know that it is over, not how
    const end = working.then(
      () => {},
      () => {},
    );
    this.#ends.add(end);
    try {
      await working;
    } finally {
      this.#ends.delete(end);
    }
  }

  /** Settles when those are over that are under way now; undefined: none is. */
  get over(): Promise<unknown> | undefined {
    return this.#ends.size === 0 ? undefined : Promise.all(this.#ends);
  }
}
