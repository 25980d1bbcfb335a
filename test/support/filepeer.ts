// Turns a scripted server into one that serves a single file from memory and nothing else: Tread, Twrite, Tflush and
// Tclunk on whatever fid. How many bytes it moves at once, what it refuses and what it leaves unanswered are the test's.

import type { Message } from '../../src/wire/p9/messages.ts';
import type { Scripted } from './scripted.ts';

type Transfer = Extract<Message, { type: 'Tread' | 'Twrite' }>;

export class FilePeer {
  bytes: Buffer;
  /** Every Tread and Twrite that came. */
  readonly asked: Transfer[] = [];
  /** Tread and Twrite that `holds` kept back, for release(). */
  readonly held: Transfer[] = [];
  flushes = 0;
  /** Bytes that it moves at the most, of those asked for. */
  limit: (count: number) => number = (count) => count;
  /** errno of a refusal, or 0. */
  refuses: (request: Transfer) => number = () => 0;
  holds: (request: Transfer) => boolean = () => false;
  readonly #server: Scripted;

  constructor(server: Scripted, bytes: Uint8Array) {
    this.#server = server;
    this.bytes = Buffer.from(bytes);
    server.answer = (message) => this.#take(message);
  }

  /** Answers what is held, and holds nothing more. */
  release(): void {
    this.holds = () => false;
    this.answerHeld(this.held.length);
  }

  /** Answers so many of what is held, the longest held first. */
  answerHeld(count: number): void {
    for (const request of this.held.splice(0, count)) this.#transfer(request);
  }

  #take(message: Message): void {
    if (message.type === 'Tread' || message.type === 'Twrite') {
      const request = message.type === 'Twrite' ? { ...message, data: Buffer.from(message.data) } : message;
      this.asked.push(request);
      if (this.holds(request)) this.held.push(request);
      else this.#transfer(request);
    } else if (message.type === 'Tflush') {
      this.flushes++;
      const at = this.held.findIndex(({ tag }) => tag === message.oldtag);
      if (at >= 0) this.held.splice(at, 1);
      this.#server.reply(message.tag, 'Rflush', {});
    } else if (message.type === 'Tclunk') this.#server.reply(message.tag, 'Rclunk', {});
    else throw new Error(`not expected: ${message.type}`);
  }

  #transfer(request: Transfer): void {
    const ecode = this.refuses(request);
    if (ecode !== 0) this.#server.reply(request.tag, 'Rlerror', { ecode });
    else if (request.type === 'Tread') this.#read(request);
    else this.#write(request);
  }

  #read({ tag, offset, count }: Extract<Transfer, { type: 'Tread' }>): void {
    const there = Math.max(0, Math.min(count, this.bytes.length - offset));
    const length = there === 0 ? 0 : Math.min(there, Math.max(1, this.limit(there)));
    this.#server.reply(tag, 'Rread', { data: this.bytes.subarray(offset, offset + length) });
  }

  #write({ tag, offset, data }: Extract<Transfer, { type: 'Twrite' }>): void {
    const count = Math.min(data.length, this.limit(data.length));
    if (offset + count > this.bytes.length) {
      this.bytes = Buffer.concat([this.bytes, Buffer.alloc(offset + count - this.bytes.length)]);
    }
    this.bytes.set(data.subarray(0, count), offset);
    this.#server.reply(tag, 'Rwrite', { count });
  }
}
