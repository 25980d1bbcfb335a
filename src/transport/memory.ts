// An in-process pair of transports: what one sends the other receives, in chunks of any chosen size. For tests and for
// a client and a server in one process. Delivery is asynchronous (a microtask a burst), in order, and can be cut at any byte.

import { ConnectionError } from '../common/errors.ts';
import type { Receiver, Transport } from './transport.ts';

export interface PairOptions {
  /** Sizes into which the stream is cut, repeated; default: as sent. */
  chunks?: readonly number[];
  /** After so many bytes in this direction the connection is lost. */
  cutAfter?: number;
}

class MemoryTransport implements Transport {
  readonly peer: string;
  readonly closed: Promise<Error | undefined>;
  onDrain: (() => void) | undefined;
  other: MemoryTransport | undefined;
  #receiver: Receiver | undefined;
  #inbox: Buffer[] = [];
  #scheduled = false;
  #paused = false;
  #ended = false;
  #sent = 0;
  #turn = 0;
  readonly #options: PairOptions;
  #end: (error: Error | undefined) => void = () => {};

  constructor(peer: string, options: PairOptions) {
    this.peer = peer;
    this.#options = options;
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#schedule();
  }

  send(head: Uint8Array, payload?: Uint8Array, taken?: () => void): boolean {
    if (!this.#ended) {
      this.#put(head);
      if (payload !== undefined) this.#put(payload);
    }
    if (taken !== undefined) queueMicrotask(taken);
    return !this.#ended;
  }

  #put(bytes: Uint8Array): void {
    let copy = Buffer.from(bytes);
    const left = (this.#options.cutAfter ?? Number.POSITIVE_INFINITY) - this.#sent;
    if (copy.length > left) copy = copy.subarray(0, left);
    this.#sent += copy.length;
    if (copy.length > 0) this.other?.receive(copy);
    if (copy.length === left) {
      const error = new ConnectionError(`${this.peer}: cut after ${this.#sent} bytes`);
      queueMicrotask(() => {
        this.other?.close(error);
        this.close(error);
      });
    }
  }

  receive(bytes: Buffer): void {
    this.#inbox.push(bytes);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#paused || this.#receiver === undefined) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const sizes = this.#options.chunks;
    try {
      while (this.#inbox.length > 0 && !this.#ended && !this.#paused) {
        const bytes = this.#inbox.shift();
        if (bytes === undefined) return;
        const size = sizes === undefined ? bytes.length : Math.max(1, sizes[this.#turn++ % sizes.length] ?? 1);
        if (size < bytes.length) this.#inbox.unshift(bytes.subarray(size));
        this.#feed(bytes.subarray(0, size));
      }
    } catch (error) {
      this.close(error as Error);
    }
  }

  /** Uses both ways in, so that tests exercise both. */
  #feed(bytes: Buffer): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    if (this.#turn % 2 === 0) {
      receiver.push(bytes);
      return;
    }
    for (let at = 0; at < bytes.length && !this.#ended; ) {
      const window = receiver.window();
      const count = bytes.copy(window, 0, at);
      at += count;
      receiver.filled(count);
    }
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  close(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#end(error);
    // the other side sees the end after what was sent before it
    queueMicrotask(() => queueMicrotask(() => this.other?.close()));
  }
}

/** Two ends; `ab` shapes the direction from the first to the second, `ba` the other. */
export function memoryPair(ab: PairOptions = {}, ba: PairOptions = {}): [Transport, Transport] {
  const a = new MemoryTransport('memory b', ab);
  const b = new MemoryTransport('memory a', ba);
  a.other = b;
  b.other = a;
  return [a, b];
}
