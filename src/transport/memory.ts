// An in-process pair of transports: what one sends the other receives, in chunks of any chosen size. For tests and for
// a client and a server in one process. Delivery is asynchronous (a microtask a burst), in order, and can be cut at any
// byte; the end of one side reaches the other behind all that was sent before it, as with a socket.
// Like a socket it holds back a sender whose peer does not read: above MARK bytes send() says so, onDrain tells when to go on.

import { ConnectionError } from '../common/errors.ts';
import type { Receiver, Transport } from './transport.ts';

const MARK = 1024 * 1024;

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
  /** The other end; set once, by memoryPair(). */
  other: MemoryTransport | undefined;
  #receiver: Receiver | undefined;
  #inbox: Buffer[] = [];
  #queued = 0;
  /** What ends this side once the inbox is empty. */
  #last: { error: Error | undefined } | undefined;
  #scheduled = false;
  #paused = false;
  #ended = false;
  /** send() has said that the queue is above the mark. */
  #held = false;
  #sent = 0;
  #turn = 0;
  readonly #options: PairOptions;
  /** How what this side receives is cut: the sender's option. */
  readonly #chunks: readonly number[];
  #end: (error: Error | undefined) => void = () => {};

  constructor(peer: string, options: PairOptions, chunks: readonly number[] = []) {
    this.peer = peer;
    this.#options = options;
    this.#chunks = chunks;
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#schedule();
  }

  send(head: Uint8Array, payload?: Uint8Array, taken?: () => void): boolean {
    const other = this.other;
    // the bytes are copied here and now: to the sender they are taken, whether they arrive or not
    if (taken !== undefined) queueMicrotask(taken);
    if (this.#ended || other === undefined) return false;
    this.#put(other, head);
    if (payload !== undefined) this.#put(other, payload);
    this.#held = other.#queued > MARK;
    return !this.#held;
  }

  #put(other: MemoryTransport, bytes: Uint8Array): void {
    const left = (this.#options.cutAfter ?? Number.POSITIVE_INFINITY) - this.#sent;
    const copy = Buffer.from(bytes.subarray(0, Math.min(left, bytes.length)));
    this.#sent += copy.length;
    if (copy.length > 0) other.#receive(copy);
    if (copy.length < left) return;
    const error = new ConnectionError(`${this.peer}: cut after ${this.#sent} bytes`);
    other.#endWith(error);
    queueMicrotask(() => this.close(error));
  }

  #receive(bytes: Buffer): void {
    if (this.#ended || this.#last !== undefined) return;
    this.#inbox.push(bytes);
    this.#queued += bytes.length;
    this.#schedule();
  }

  #endWith(error: Error | undefined): void {
    this.#last ??= { error };
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#paused || this.#receiver === undefined) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      try {
        this.#deliver(this.#receiver as Receiver);
      } catch (error) {
        this.close(error as Error);
      }
    });
  }

  #deliver(receiver: Receiver): void {
    while (!this.#paused && !this.#ended) {
      const bytes = this.#inbox.shift();
      if (bytes === undefined) {
        if (this.#last !== undefined) this.close(this.#last.error);
        return;
      }
      const size = Math.max(1, this.#chunks[this.#turn % this.#chunks.length] ?? bytes.length);
      this.#turn++;
      if (size < bytes.length) this.#inbox.unshift(bytes.subarray(size));
      const chunk = bytes.subarray(0, size);
      this.#queued -= chunk.length;
      this.#feed(receiver, chunk);
      if (this.#queued === 0 && this.other !== undefined) this.other.#released();
    }
  }

  /** Uses both ways in, so that tests exercise both. */
  #feed(receiver: Receiver, bytes: Buffer): void {
    if (this.#turn % 2 === 0) {
      receiver.push(bytes);
      return;
    }
    for (let at = 0; at < bytes.length && !this.#ended; ) {
      const count = bytes.copy(receiver.window(), 0, at);
      at += count;
      receiver.filled(count);
    }
  }

  #released(): void {
    if (!this.#held || this.#ended) return;
    this.#held = false;
    this.onDrain?.();
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
    this.#inbox = [];
    this.#queued = 0;
    this.#end(error);
    if (this.other !== undefined) this.other.#endWith(undefined);
  }
}

/** Two ends; `ab` shapes the direction from the first to the second, `ba` the other. */
export function memoryPair(ab: PairOptions = {}, ba: PairOptions = {}): [Transport, Transport] {
  const a = new MemoryTransport('memory b', ab, ba.chunks);
  const b = new MemoryTransport('memory a', ba, ab.chunks);
  a.other = b;
  b.other = a;
  return [a, b];
}
