// The payloads of one connection's writes, from the memory into which they are received until their requests have ended.
// Guarantees: nothing is received for which there is no memory; what was received, or was waited for, when the connection ends
// goes back.

import { Abort } from '../common/abort.ts';
import { type Slab, slabSize } from '../common/bufpool.ts';
import { HOLD } from '../wire/p9/framing.ts';
import type { Request } from './flush.ts';
import { Ration } from './ration.ts';
import type { Tenant } from './tenants.ts';

/** Bytes whose requests have not ended before no more is read. */
const MOST = 8 * 1024 * 1024;

/** What the connection is told. */
export interface PayloadsWatcher {
  /** There is more, or less. */
  changed(): void;
  /** The next payload waits for memory. */
  waits(): void;
  failed(error: unknown): void;
}

export class Payloads {
  readonly #watcher: PayloadsWatcher;
  readonly #over = new Abort();
  #ration: Ration | undefined;
  /** Memory of the payload that is being received. */
  #incoming: Slab | undefined;
  /** The next one waits for memory, or has got it. */
  #next: { slab: Slab | undefined } | undefined;
  #bytes = 0;

  constructor(watcher: PayloadsWatcher) {
    this.#watcher = watcher;
  }

  /** From now on there is memory. */
  moveIn(tenant: Tenant, msize: number): void {
    this.#ration = new Ration(tenant.memory, Math.max(MOST, 2 * slabSize(msize)));
  }

  /** The next payload waits for memory. */
  get waits(): boolean {
    return this.#next !== undefined && this.#next.slab === undefined;
  }

  /** There are more than should be. */
  get piled(): boolean {
    return this.#bytes > MOST;
  }

  /** Where a payload is to be received. */
  sink(length: number): Uint8Array | typeof HOLD {
    // before anybody has come in, it is short and for no fid
    if (this.#ration === undefined) return Buffer.allocUnsafe(length);
    const size = Math.max(length, 1);
    const slab = this.#next?.slab ?? this.#ration.tryTake(size);
    this.#next = undefined;
    if (slab === undefined) {
      this.#wait(this.#ration, size);
      return HOLD;
    }
    this.#incoming = slab;
    return slab.bytes.subarray(0, length);
  }

  #wait(ration: Ration, size: number): void {
    const next: { slab: Slab | undefined } = { slab: undefined };
    this.#next = next;
    ration.take(size, this.#over).then(
      (slab) => {
        if (this.#over.aborted) {
          slab.release();
          return;
        }
        next.slab = slab;
        this.#watcher.changed();
      },
      (error) => {
        if (!this.#over.aborted) this.#watcher.failed(error);
      },
    );
    this.#watcher.waits();
  }

  /** The payload that was being received is complete. */
  received(): Slab | undefined {
    const slab = this.#incoming;
    this.#incoming = undefined;
    return slab;
  }

  /** Counts a payload until its request has ended. */
  hold(request: Request, length: number, slab: Slab | undefined): void {
    this.#bytes += length;
    request.release = () => {
      this.#bytes -= length;
      slab?.release();
      this.#watcher.changed();
    };
    this.#watcher.changed();
  }

  /** The connection has ended. */
  end(): void {
    this.#over.abort();
    this.#incoming?.release();
    this.#incoming = undefined;
    this.#next?.slab?.release();
    this.#next = undefined;
  }
}
