// Cuts a byte stream into 9P frames. No frame is ever concatenated: small frames are parsed where they arrived, and the
// payload of Rread, Rreaddir and Twrite is put where its owner wants it (a sink), directly by the socket where it can.
// Guarantees: a size below the header or above `maxFrame`, or a frame without payload that exceeds SCRATCH, throws
// ProtocolError before anything is allocated; memory held is SCRATCH plus at most one payload, and, while its owner holds it
// up, the bytes that came behind.
// Must not decode, and knows nothing of sockets.

import { ProtocolError } from '../../common/errors.ts';
import { HEADER } from './constants.ts';
import { payloadAt } from './traits.ts';

/** A size alone is enough to refuse a frame. */
const SIZE = 4;
/** Rreadlink and Tsymlink with the longest strings fit; so does everything else that carries no payload. */
const SCRATCH = 128 * 1024;
/**
 * After a frame of BIG bytes more of its kind are likely: read little, so that little of the next payload is copied.
 */
const BIG = 32 * 1024;
const LITTLE = 4096;
const DISCARD = 64 * 1024;

/** What a sink answers that has no memory now: the frame stays where it is, and the sink is asked again after release(). */
export const HOLD = Symbol('hold');

export interface FrameHandlers {
  /**
   * A frame is complete: bytes[start, end) is all of it, or its head where `payload` is given. The bytes are valid only
   * during the call. `payload` is what the sink gave (or, without a sink, memory that nobody else will touch);
   * undefined also for a payload that was discarded.
   */
  frame(bytes: Buffer, start: number, end: number, payload: Uint8Array | undefined): void;
  /**
   * Where the payload of the frame at bytes[start...] belongs: a buffer of exactly `length` bytes, or undefined to drop
   * it (then frame() is not called), or HOLD. Without this member the payload is kept as a view or in memory of its own.
   */
  sink?(bytes: Buffer, start: number, length: number): Uint8Array | undefined | typeof HOLD;
}

export class FrameReader {
  /** Largest frame that is accepted, in bytes; set to the negotiated msize once that is known. */
  maxFrame: number;
  readonly #handlers: FrameHandlers;
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH);
  #start = 0;
  #end = 0;
  /** The payload being received: the frame's head lies at the start of scratch. */
  #sink: Uint8Array | undefined;
  #head = 0;
  #got = 0;
  #want = 0;
  #discard: Buffer | undefined;
  #lastWasBig = false;
  #held = false;
  /** A frame is being delivered: should that release what it held up itself, the delivery goes on where it is. */
  #delivering = false;
  /** What came while it was held up, behind what lies in scratch. */
  #kept: Buffer[] = [];
  /** What was given out of window() while it was held up. */
  #window: Buffer | undefined;

  constructor(maxFrame: number, handlers: FrameHandlers) {
    this.maxFrame = maxFrame;
    this.#handlers = handlers;
  }

  /** True between frames: a stream that ends here was not cut. */
  get idle(): boolean {
    return this.#want === 0 && this.#start === this.#end && this.#kept.length === 0;
  }

  /** Bytes that are still to come of the payload that is being received. */
  get missing(): number {
    return this.#want - this.#got;
  }

  /** No frame is delivered any more, not even one that is here already, until release(). A payload that was begun goes on. */
  hold(): void {
    this.#held = true;
  }

  /** Delivers what has come meanwhile, up to where it is held up again. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    if (this.#delivering) return;
    if (this.#start < this.#end) this.filled(0);
    const kept = this.#kept;
    this.#kept = [];
    for (const chunk of kept) this.push(chunk);
  }

  /** Where the socket should put what it reads next; never empty. Tell filled() how much came. */
  window(): Buffer {
    if (this.#want > 0) {
      const left = this.#want - this.#got;
      if (this.#sink === undefined) {
        this.#discard ??= Buffer.allocUnsafeSlow(DISCARD);
        return this.#discard.subarray(0, Math.min(left, DISCARD));
      }
      return Buffer.from(this.#sink.buffer, this.#sink.byteOffset + this.#got, left);
    }
    if (this.#held) {
      this.#window = Buffer.allocUnsafe(LITTLE);
      return this.#window;
    }
    this.#window = undefined;
    const limit = this.#lastWasBig ? Math.min(SCRATCH, this.#end + LITTLE) : SCRATCH;
    return this.#scratch.subarray(this.#end, limit);
  }

  /** `count` bytes were put into window(). */
  filled(count: number): void {
    if (this.#want > 0) {
      this.#got += count;
      if (this.#got === this.#want) this.#finishPayload();
      return;
    }
    if (this.#window !== undefined) {
      this.#kept.push(this.#window.subarray(0, count));
      this.#window = undefined;
      return;
    }
    this.#end += count;
    this.#start = this.#cut(this.#scratch, this.#start, this.#end);
    this.#compact();
  }

  /** The same for bytes that arrived elsewhere, which are not written to again: frames are parsed in place. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#want > 0) {
        const take = Math.min(chunk.length - at, this.#want - this.#got);
        if (this.#sink !== undefined) this.#sink.set(chunk.subarray(at, at + take), this.#got);
        this.#got += take;
        at += take;
        if (this.#got === this.#want) this.#finishPayload();
      } else if (this.#held) {
        this.#kept.push(chunk.subarray(at));
        return;
      } else if (this.#start < this.#end) {
        // a frame was begun in an earlier chunk: add what completes it (or its next decision), no more
        const take = Math.min(chunk.length - at, this.#missing());
        chunk.copy(this.#scratch, this.#end, at, at + take);
        at += take;
        this.filled(take);
      } else {
        at = this.#cut(chunk, at, chunk.length);
        if (this.#want > 0 || this.#held || at === chunk.length) continue;
        chunk.copy(this.#scratch, 0, at);
        this.#start = 0;
        this.#end = chunk.length - at;
        return;
      }
    }
  }

  /** How many bytes the frame at #start needs until the next thing is known of it. */
  #missing(): number {
    const have = this.#end - this.#start;
    if (have < HEADER) return HEADER - have;
    const head = payloadAt(this.#scratch[this.#start + 4]!);
    const size = this.#scratch.readUInt32LE(this.#start);
    return (head > 0 && size >= head && have < head ? head : size) - have;
  }

  /** Delivers the whole frames in bytes[start, end) and returns where the first incomplete one begins. */
  #cut(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (end - at >= SIZE && !this.#held) {
      const size = bytes.readUInt32LE(at);
      if (size < HEADER) throw new ProtocolError(`frame of ${size} bytes, the header alone has ${HEADER}`);
      if (size > this.maxFrame) throw new ProtocolError(`frame of ${size} bytes, msize is ${this.maxFrame}`);
      if (end - at < HEADER) return at;
      const head = payloadAt(bytes[at + 4]!);
      if (head > 0 && size >= head) {
        if (end - at < head) return at;
        at = this.#payload(bytes, at, end, head, size - head);
        if (this.#want > 0 || this.#held) return at;
        continue;
      }
      if (size > SCRATCH)
        throw new ProtocolError(`frame of ${size} bytes of type ${bytes[at + 4]}, which carries no payload`);
      if (end - at < size) return at;
      this.#lastWasBig = false;
      this.#deliver(bytes, at, at + size, undefined);
      at += size;
    }
    return at;
  }

  #deliver(bytes: Buffer, start: number, end: number, payload: Uint8Array | undefined): void {
    this.#delivering = true;
    this.#handlers.frame(bytes, start, end, payload);
    this.#delivering = false;
  }

  /** Takes what is there of a payload; #want stays set when more must come. Returns where the rest begins. */
  #payload(bytes: Buffer, at: number, end: number, head: number, length: number): number {
    const from = at + head;
    const here = Math.min(end - from, length);
    this.#lastWasBig = length >= BIG;
    const sinks = this.#handlers.sink !== undefined;
    if (!sinks && here === length && bytes !== this.#scratch) {
      this.#deliver(bytes, at, from, bytes.subarray(from, from + length));
      return from + length;
    }
    const sink = sinks ? this.#handlers.sink?.(bytes, at, length) : Buffer.allocUnsafeSlow(length);
    if (sink === HOLD) {
      this.#held = true;
      return at;
    }
    if (sink !== undefined && here > 0) sink.set(bytes.subarray(from, from + here));
    if (here === length) {
      if (sink !== undefined) this.#deliver(bytes, at, from, sink);
      return from + length;
    }
    bytes.copy(this.#scratch, 0, at, from);
    this.#start = 0;
    this.#end = 0;
    this.#head = head;
    this.#sink = sink;
    this.#got = here;
    this.#want = length;
    return end;
  }

  #finishPayload(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    this.#want = 0;
    this.#got = 0;
    if (sink !== undefined) this.#deliver(this.#scratch, 0, this.#head, sink);
  }

  #compact(): void {
    if (this.#want > 0 || this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    } else if (this.#start > 0) {
      this.#scratch.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
  }
}
