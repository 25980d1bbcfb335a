// The buffers that requests are read into. One is current and is read into again and again; a large WRITE that does
// not settle at once keeps the one it lies in and another becomes current.
// How many exist is bounded by the kernel, not here: each caller in write(2) holds one, and max_background writebacks.
// A limit here would stop the reading of the device, and with it the INTERRUPTs and FORGETs that end the waiting.

/** Buffers kept for the next large WRITE; what comes back beyond these is left to the collector. */
const KEPT = 8;

export class Slabs {
  readonly #size: number;
  readonly #free: Buffer[] = [];
  #current: Buffer;
  #lent = 0;

  constructor(size: number) {
    this.#size = size;
    this.#current = Buffer.allocUnsafeSlow(size);
  }

  get current(): Buffer {
    return this.#current;
  }

  /** Buffers that unsettled writes hold now. */
  get lent(): number {
    return this.#lent;
  }

  /** Leaves the current buffer to its request and makes another one current. */
  lend(): Buffer {
    const lent = this.#current;
    this.#current = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size);
    this.#lent++;
    return lent;
  }

  giveBack(slab: Buffer): void {
    this.#lent--;
    if (this.#free.length < KEPT) this.#free.push(slab);
  }
}
