// One file that several clients append to, behind a scripted server for each of them. What the server makes of
// O_APPEND, whether it refuses, how much it takes at once and when it answers are the test's. A fid is one that was
// opened with O_APPEND where its walk named `append`, and one without where it named `plain`.

import { DotL } from '../../src/client/dialects/dotl.ts';
import type { DotLCalls } from '../../src/client/dialects/dotl-calls.ts';
import type { Fid } from '../../src/client/fids.ts';
import { errno } from '../../src/common/errno.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { attached, getattr, qid, type Scripted, type ScriptedOptions } from './scripted.ts';

/** append: it writes at the end; offset: where it is told; refuse: it does not write through a fid with O_APPEND. */
export type Makes = 'append' | 'offset' | 'refuse';

export class SharedFile {
  bytes: Buffer = Buffer.alloc(0);
  readonly makes: Makes;
  /** errno for a write that is refused, or 0. */
  refuses: (opened: 'append' | 'plain', offset: number, data: Buffer) => number = () => 0;
  /** Bytes of a write that are taken. */
  limit: (count: number) => number = (count) => count;

  constructor(makes: Makes) {
    this.makes = makes;
  }

  /** Returns the count, or minus an errno. */
  write(opened: 'append' | 'plain', offset: number, data: Buffer): number {
    const refused = this.refuses(opened, offset, data);
    if (refused !== 0) return -refused;
    if (opened === 'append' && this.makes === 'refuse') return -errno.EIO;
    const taken = data.subarray(0, this.limit(data.length));
    this.put(opened === 'append' && this.makes === 'append' ? this.bytes.length : offset, taken);
    return taken.length;
  }

  put(at: number, data: Buffer): void {
    const end = at + data.length;
    if (end > this.bytes.length) this.bytes = Buffer.concat([this.bytes, Buffer.alloc(end - this.bytes.length)]);
    data.copy(this.bytes, at);
  }
}

type Write = Extract<Message, { type: 'Twrite' }>;

/** One client of the file. */
export class AppendPeer {
  /** What came, in order: `w` and how many bytes where, `s` for a Tgetattr, `t` and to which length a file is cut. */
  readonly asked: string[] = [];
  /** Sees a message before it is carried out; true: the answer is its affair. */
  before: (message: Message) => boolean = () => false;
  readonly #server: Scripted;
  readonly #file: SharedFile;
  readonly #opened = new Map<number, 'append' | 'plain'>();

  constructor(server: Scripted, file: SharedFile) {
    this.#server = server;
    this.#file = file;
    server.answer = (message) => {
      // a payload is the receive buffer's, and the test may keep the message
      const kept = message.type === 'Twrite' ? { ...message, data: Buffer.from(message.data) } : message;
      if (kept.type === 'Twrite') this.asked.push(`w${kept.data.length}@${kept.offset}`);
      if (kept.type === 'Tgetattr') this.asked.push('s');
      if (kept.type === 'Tsetattr') this.asked.push(`t${kept.size}`);
      if (!this.before(kept)) this.answer(kept);
    };
  }

  /** Carries a message out and answers it. */
  answer(message: Message): void {
    const { tag } = message;
    if (message.type === 'Twrite') this.#write(message);
    else if (message.type === 'Tgetattr') {
      this.#server.reply(tag, 'Rgetattr', { ...getattr, size: this.#file.bytes.length });
    } else if (message.type === 'Tsetattr') {
      this.#file.bytes = this.#file.bytes.subarray(0, message.size);
      this.#server.reply(tag, 'Rsetattr', {});
    } else if (message.type === 'Twalk') {
      this.#opened.set(message.newfid, message.names[0] === 'plain' ? 'plain' : 'append');
      this.#server.reply(tag, 'Rwalk', { qids: [qid] });
    } else if (message.type === 'Tclunk') this.#server.reply(tag, 'Rclunk', {});
    else if (message.type === 'Tflush') this.#server.reply(tag, 'Rflush', {});
    else throw new Error(`not expected: ${message.type}`);
  }

  refuse(message: Message, ecode: number): void {
    this.#server.reply(message.tag, 'Rlerror', { ecode });
  }

  /** What came since the last time. */
  came(): string {
    return this.asked.splice(0).join(' ');
  }

  #write({ tag, fid, offset, data }: Write): void {
    const opened = this.#opened.get(fid);
    if (opened === undefined) throw new Error(`fid ${fid} is none`);
    const count = this.#file.write(opened, offset, Buffer.from(data));
    if (count < 0) this.#server.reply(tag, 'Rlerror', { ecode: -count });
    else this.#server.reply(tag, 'Rwrite', { count });
  }
}

export interface Appender {
  client: Awaited<ReturnType<typeof attached>>['client'];
  calls: DotLCalls;
  dialect: DotL;
  peer: AppendPeer;
  /** Opened with O_APPEND. */
  fid: Fid;
  /** Another one, opened without. */
  plain: Fid;
}

export async function appender(file: SharedFile, options: ScriptedOptions = {}): Promise<Appender> {
  const { client, server, calls, root } = await attached({ msize: 4096, ...options });
  const peer = new AppendPeer(server, file);
  const dialect = new DotL(calls);
  const fid = await dialect.walk(root, ['append']);
  const plain = await dialect.walk(root, ['plain']);
  return { client, calls, dialect, peer, fid, plain };
}

/** A lock as clients see the server's: one holder at a time, in the order in which they came. */
export class SharedLock {
  #last: Promise<void> = Promise.resolve();

  readonly hold = async <T>(work: (held: boolean) => Promise<T>): Promise<T> => {
    const before = this.#last;
    let release = () => {};
    this.#last = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    try {
      return await work(true);
    } finally {
      release();
    }
  };
}
