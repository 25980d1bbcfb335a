// What the server of a random program says, good and bad: each thing is told to the book when it is said and to the model
// when the client has got it.

import type { Version } from '../../../src/client/dialects/versions.ts';
import { errno } from '../../../src/common/errno.ts';
import type { Scripted } from '../scripted.ts';
import type { Book, Entry } from './book.ts';
import { answerTo, READ } from './kinds.ts';
import type { ModelCall, Reference } from './reference.ts';

/** What ends the connection when it arrives: a second reply, one of another type, one that is too long. */
export const forbidden = ['twice', 'again', 'wrong', 'long', 'wrong flush', 'flush twice'] as const;
export type Forbidden = (typeof forbidden)[number];

/** `interrupted`: the old mistake of servers, an error that says that the request was flushed. */
export type How = 'ok' | 'short' | 'refused' | 'interrupted';

export interface Surroundings {
  readonly version: Version;
  readonly server: Scripted;
  readonly book: Book;
  readonly model: Reference;
  /** Fids that end with a call, and the call. */
  readonly ending: Map<number, ModelCall>;
  /** Which call a request belongs to. */
  callOf(entry: Entry): ModelCall;
  /** Runs when the messages on their way have arrived. */
  arrives(seen: () => void): void;
  count(what: string): void;
}

export class Whims {
  readonly #at: Surroundings;

  constructor(at: Surroundings) {
    this.#at = at;
  }

  reply(entry: Entry | undefined, how: How): void {
    if (entry === undefined) return;
    const done = how === 'ok' || how === 'short';
    this.#at.book.answer(entry, done, how === 'ok' || (how === 'short' && entry.message.type !== 'Twalk'));
    this.#say(entry, how);
    this.#at.arrives(() => this.#at.model.reply(this.#at.callOf(entry), done ? 'ok' : how));
  }

  #say({ tag, message }: Entry, how: How): void {
    if (how === 'refused') this.#refuse(tag, errno.ENOENT, 'file does not exist');
    else if (how === 'interrupted') this.#refuse(tag, errno.EINTR, 'interrupted');
    else {
      const { name, body } = answerTo(message, how === 'short');
      this.#at.server.reply(tag, name, body);
    }
  }

  #refuse(tag: number, ecode: number, ename: string): void {
    const { server, version } = this.#at;
    if (version === '9P2000.L') server.reply(tag, 'Rlerror', { ecode });
    else server.reply(tag, 'Rerror', { ename, ecode });
  }

  rflush(entry: Entry | undefined, ok: boolean): void {
    if (entry === undefined) return;
    this.#at.book.answerFlush(entry);
    // no server should, and what an error means is that there is nothing to be flushed any more
    if (ok) this.#at.server.reply(entry.flushTag as number, 'Rflush', {});
    else this.#refuse(entry.flushTag as number, errno.EIO, 'i/o error');
    this.#at.arrives(() => this.#at.model.rflush(this.#at.callOf(entry)));
  }

  rclunk(at: number): void {
    const { clunks } = this.#at.book;
    if (clunks.length === 0) return;
    const { tag, fid, known } = this.#at.book.answerClunk(at % clunks.length);
    if (known) this.#at.server.reply(tag, 'Rclunk', {});
    else this.#refuse(tag, errno.ENOENT, 'unknown fid');
    const awaited = this.#at.ending.get(fid);
    if (awaited?.kind.unflushable !== 'Tclunk') return;
    this.#at.ending.delete(fid);
    this.#at.arrives(() => this.#at.model.reply(awaited, known ? 'ok' : 'refused'));
  }

  late(entry: Entry | undefined): void {
    if (entry === undefined) return;
    entry.late = true;
    this.#say(entry, 'ok');
    this.#at.arrives(() => {
      this.#at.model.lateReplies++;
    });
  }

  forbidden(what: Forbidden, at: number): void {
    const { server } = this.#at;
    const { open, flushing } = this.#at.book;
    let said: Entry | undefined;
    if (what === 'again') {
      // answered, with the flush still open: a second reply is one too many
      said = pick(
        flushing.filter(({ answered }) => answered),
        at,
      );
      if (said !== undefined) this.#say(said, 'ok');
    } else if (what === 'twice') {
      // a tag that is free may be given to the next in the queue, whose reply the second one would be
      said = this.#at.model.queued > 0 ? undefined : pick(open, at);
      this.reply(said, 'ok');
      if (said !== undefined) this.#say(said, 'ok');
    } else if (what === 'wrong') {
      said = pick(open, at);
      if (said !== undefined) server.reply(said.tag, 'Rclunk', {});
    } else if (what === 'long') {
      // one that nobody waits for any more is dropped, however long it is
      const reads = open.filter(({ message }) => message.type === 'Tread' || message.type === 'Treaddir');
      said = pick(
        reads.filter((entry) => this.#at.callOf(entry).state !== 'abandoned'),
        at,
      );
      const data = Buffer.alloc(READ + 1);
      if (said?.message.type === 'Tread') server.reply(said.tag, 'Rread', { data });
      else if (said !== undefined) server.reply(said.tag, 'Rreaddir', { data });
    } else {
      said = pick(flushing, at);
      if (what === 'flush twice') this.rflush(said, true);
      if (said !== undefined) server.reply(said.flushTag as number, what === 'flush twice' ? 'Rflush' : 'Rclunk', {});
    }
    if (said === undefined) return;
    this.#at.count(`said: ${what}`);
    this.#at.arrives(() => this.#at.model.end());
  }
}

export function pick<T>(from: readonly T[], index: number): T | undefined {
  return from[index % Math.max(1, from.length)];
}
