// Finds the messages in a byte stream that is on its way to somebody else: tells where each begins and what its head says, and
// hands every byte on as it came, in order.
// Guarantees: a payload is never gathered, only looked at; what is kept is the head of one message, HEAD bytes at the most. Bytes
// are held up only while the message that they belong to may still turn out to be a whole one of a legal size.

import { HEADER } from '../wire/p9/constants.ts';
import { payloadAt } from '../wire/p9/traits.ts';

/** Rreadlink and Tsymlink with the longest strings fit, and so does everything else that carries no payload. */
const HEAD = 128 * 1024;
/** So much of a payload is looked at. */
export const PEEK = 24;
const SIZE = 4;

export interface ScanHandlers {
  /**
   * A message of `size` bytes begins. `head` is all of it, or all but its payload and then the first PEEK bytes of that, or
   * only the header where the message is larger than any may be. Valid during the call.
   */
  message(head: Buffer, size: number): void;
  /** Bytes of the message that began last; `ends`: they are its last. */
  bytes(piece: Buffer, ends: boolean): void;
  /** The size of the next message is none: from these bytes on the stream is not 9P, and all of it goes to bytes(). */
  lost(head: Buffer): void;
}

export class Scanner {
  /** The largest message that is gathered to be looked at; the negotiated msize once that is known. */
  maxFrame = HEAD;
  readonly #handlers: ScanHandlers;
  /** The head of a message whose bytes came in several pieces, and these pieces. */
  #scratch: Buffer | undefined;
  #gathered = 0;
  #pieces: Buffer[] = [];
  /** What is to come of the message that has been announced; infinite when the stream is lost. */
  #left = 0;

  constructor(handlers: ScanHandlers) {
    this.#handlers = handlers;
  }

  /** The chunk is kept by reference: it must not be written to again. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) at += this.#pass(chunk.subarray(at));
      else if (this.#gathered > 0) at += this.#gather(chunk.subarray(at));
      else {
        const rest = chunk.subarray(at);
        const wanted = this.#wanted(rest, rest.length);
        if (rest.length < wanted) at += this.#gather(rest);
        else this.#begin(rest.subarray(0, wanted));
      }
    }
  }

  /** The stream has ended: what was kept of a message that is not whole goes on as it is. Whether it ended within a message. */
  end(): boolean {
    const within = this.#gathered > 0 || (this.#left > 0 && Number.isFinite(this.#left));
    this.#gathered = 0;
    for (const piece of this.#pieces.splice(0)) this.#handlers.bytes(piece, false);
    return within;
  }

  get #head(): Buffer {
    this.#scratch ??= Buffer.allocUnsafeSlow(HEAD);
    return this.#scratch;
  }

  /** How many bytes are needed of the message at `bytes`, of which `have` are there, until more is known or all that is needed. */
  #wanted(bytes: Buffer, have: number): number {
    if (have < SIZE) return SIZE;
    const size = bytes.readUInt32LE(0);
    if (size < HEADER) return SIZE;
    if (have < HEADER || size > Math.max(this.maxFrame, HEADER)) return HEADER;
    const head = payloadAt(bytes[SIZE] ?? 0);
    if (head > 0 && size >= head) return Math.min(size, head + PEEK);
    return size > HEAD ? HEADER : size;
  }

  /** Takes what completes the head, or the next decision about it. */
  #gather(bytes: Buffer): number {
    const head = this.#head;
    const wanted = this.#wanted(head, this.#gathered);
    const piece = bytes.subarray(0, wanted - this.#gathered);
    piece.copy(head, this.#gathered);
    this.#gathered += piece.length;
    this.#pieces.push(piece);
    const known = this.#wanted(head, this.#gathered);
    if (this.#gathered < known) return piece.length;
    const pieces = this.#pieces.splice(0);
    this.#gathered = 0;
    this.#begin(head.subarray(0, known));
    for (const each of pieces) this.#pass(each);
    return piece.length;
  }

  #begin(head: Buffer): void {
    const size = head.readUInt32LE(0);
    if (size < HEADER) {
      this.#left = Number.POSITIVE_INFINITY;
      this.#handlers.lost(head);
      return;
    }
    this.#left = size;
    this.#handlers.message(head, size);
  }

  #pass(bytes: Buffer): number {
    const piece = bytes.subarray(0, Math.min(bytes.length, this.#left));
    this.#left -= piece.length;
    this.#handlers.bytes(piece, this.#left === 0);
    return piece.length;
  }
}
