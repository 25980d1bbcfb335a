// What unanswered flushes keep: requests whose callers were released before the server was done with them, and tags
// whose reply came but whose Rflush is overdue. Counts both, and the receive memory of the former.
// Must not decide: whoever asks compares with the limits.

export class Quarantine {
  #size = 0;
  #bytes = 0;
  /** Receive memory -> how many abandoned requests may still be answered into it. */
  readonly #memory = new Map<ArrayBufferLike, number>();

  /** Tags. */
  get size(): number {
    return this.#size;
  }

  /** Bytes: all of each slab, once, however many requests share it and however little of it each has. */
  get bytes(): number {
    return this.#bytes;
  }

  enter(): void {
    this.#size++;
  }

  leave(): void {
    this.#size--;
  }

  keep(buffer: Uint8Array | undefined): void {
    if (buffer === undefined) return;
    const memory = buffer.buffer;
    const users = this.#memory.get(memory) ?? 0;
    this.#memory.set(memory, users + 1);
    if (users === 0) this.#bytes += memory.byteLength;
  }

  free(buffer: Uint8Array | undefined): void {
    if (buffer === undefined) return;
    const memory = buffer.buffer;
    const users = this.#memory.get(memory) ?? 0;
    if (users > 1) {
      this.#memory.set(memory, users - 1);
      return;
    }
    this.#memory.delete(memory);
    this.#bytes -= memory.byteLength;
  }
}
