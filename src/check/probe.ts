// One connection to a server under test: sends any message with any tag, or any bytes, and keeps what comes back in the
// order in which it came. It checks nothing and tracks no state of the protocol, so that a rule can break every other
// one.
// Guarantees: a wait ends with an answer, with the end of the connection, or with Silence at the rule's deadline; what
// is kept is bounded, whatever the server sends.

import type { AbortSignalLike } from '../common/abort.ts';
import { ConnectionError } from '../common/errors.ts';
import type { Transport } from '../transport/transport.ts';
import { type Codec, dotlCodec, dotuCodec, legacyCodec } from '../wire/p9/codec.ts';
import { HEADER, NOFID, NOTAG, VERSION } from '../wire/p9/constants.ts';
import { FrameReader } from '../wire/p9/framing.ts';
import type { Body, Message, MessageName, ReplyTo, RequestName } from '../wire/p9/messages.ts';
import { type Answer, type Heard, show } from './answers.ts';

/** Frames above this are not read: no rule asks for an msize near it. */
const MAX_FRAME = 4 * 1024 * 1024;
/** No rule sends this many requests on one connection. */
const MAX_HEARD = 50_000;
const MAX_BYTES = 64 * 1024 * 1024;
/** How long nothing may come before nothing more is expected: no event marks the absence of an answer. */
const QUIET = 60;

/** A rule's deadline came while it waited. */
export class Silence extends Error {
  override readonly name = 'Silence';
}

/** A step that a rule needs before it can begin did not work; the rule says nothing about the server. */
export class Unprepared extends Error {
  override readonly name = 'Unprepared';
}

/** Of what a server says that fell back to another version, nothing else can be read. */
const codecs: Readonly<Record<string, Codec>> = {
  [VERSION.dotl]: dotlCodec,
  [VERSION.dotu]: dotuCodec,
  [VERSION.legacy]: legacyCodec,
};

interface Waiter {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export interface ProbeOptions {
  /** The rule's deadline. */
  readonly signal: AbortSignalLike;
}

export class Probe {
  /** The directory to which the connection is attached. */
  static readonly ROOT = 0;
  /** The directory in which a rule may write. */
  static readonly HOME = 1;

  /** Everything that came, in order. */
  readonly heard: Heard[] = [];
  /** What both sides agreed on. */
  msize = 0;
  #agreed = '';
  #codec = dotlCodec;
  readonly #transport: Transport;
  readonly #signal: AbortSignalLike;
  /** By tag: what nobody has taken yet, and who waits. */
  readonly #untaken = new Map<number, Heard[]>();
  readonly #waiters = new Map<number, Waiter[]>();
  readonly #asked = new Map<number, string>();
  readonly #stop: () => void;
  #ended: { readonly why: string } | undefined;
  #bytes = 0;
  #lastTag = 0;
  #nextFid = 100;
  #onHeard: (() => void) | undefined;

  constructor(transport: Transport, { signal }: ProbeOptions) {
    this.#transport = transport;
    this.#signal = signal;
    this.#stop = () => this.#giveUp();
    signal.addEventListener('abort', this.#stop, { once: true });
    transport.start(
      new FrameReader(MAX_FRAME, {
        frame: (bytes, start, end, payload) => this.#frame(bytes, start, end, payload),
      }),
    );
    void transport.closed.then((error) => this.#end(error));
  }

  #frame(bytes: Buffer, start: number, end: number, payload: Uint8Array | undefined): void {
    this.#bytes += end - start + (payload?.length ?? 0);
    if (this.#bytes > MAX_BYTES || this.heard.length >= MAX_HEARD) {
      throw new Error('the server sent more than any rule asks for');
    }
    let heard: Heard;
    try {
      heard = this.#codec.decode(bytes, start, end, payload);
    } catch (error) {
      const tag = end - start >= HEADER ? bytes.readUInt16LE(start + 5) : NOTAG;
      heard = { type: 'garbled', tag, number: bytes[start + 4] ?? 0, why: (error as Error).message };
    }
    this.heard.push(heard);
    const waiter = this.#waiters.get(heard.tag)?.shift();
    if (waiter !== undefined) waiter.resolve(heard);
    else {
      const queue = this.#untaken.get(heard.tag);
      if (queue === undefined) this.#untaken.set(heard.tag, [heard]);
      else queue.push(heard);
    }
    this.#onHeard?.();
  }

  #end(error: Error | undefined): void {
    // a reset is one way to hang up; what our own framing threw says what was wrong with the server's
    const orderly = error === undefined || error instanceof ConnectionError;
    this.#ended ??= { why: orderly ? 'hung up' : `sent what is not 9P: ${error.message}` };
    for (const [tag, waiters] of this.#waiters) {
      for (const { resolve } of waiters.splice(0)) resolve({ type: 'closed', tag, why: this.#ended.why });
    }
    this.#onHeard?.();
  }

  #giveUp(): void {
    for (const [tag, waiters] of this.#waiters) {
      for (const { reject } of waiters.splice(0)) reject(this.#silence(tag));
    }
  }

  #silence(tag: number): Silence {
    return new Silence(`no answer to ${this.#asked.get(tag) ?? 'what was sent'}`);
  }

  /** The version that the last Rversion named. */
  get agreed(): string {
    return this.#agreed;
  }

  /** Whether stats have .u's fields. */
  get isExtended(): boolean {
    return this.#agreed === VERSION.dotu;
  }

  /** Whether the connection has ended. */
  get over(): boolean {
    return this.#ended !== undefined;
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#stop);
    this.#transport.close();
  }

  /** A tag that was not used before on this connection, as long as there is one. */
  tag(): number {
    this.#lastTag = (this.#lastTag + 1) % NOTAG;
    return this.#lastTag;
  }

  /** A fid number that was not used before. */
  fid(): number {
    return this.#nextFid++;
  }

  /** Sends and does not wait; returns the tag. */
  send<N extends MessageName>(name: N, body: Body<N>, tag = this.tag()): number {
    const { head, payload } = this.#codec.encode(name, tag, body);
    this.#asked.set(tag, name);
    this.#transport.send(head, payload);
    return tag;
  }

  /** Bytes as they are. `what` names them in the report, and `tag` is where the answer is looked for. */
  raw(bytes: Uint8Array, what: string, tag = NOTAG): number {
    this.#asked.set(tag, what);
    this.#transport.send(bytes);
    return tag;
  }

  /** The next answer with this tag that nobody took. */
  answer(tag: number): Promise<Answer> {
    const here = this.#untaken.get(tag)?.shift();
    if (here !== undefined) return Promise.resolve(here);
    if (this.#ended !== undefined) return Promise.resolve({ type: 'closed', tag, why: this.#ended.why });
    if (this.#signal.aborted) return Promise.reject(this.#silence(tag));
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(tag);
      if (waiters === undefined) this.#waiters.set(tag, [{ resolve, reject }]);
      else waiters.push({ resolve, reject });
    });
  }

  /** What came with this tag and nobody took. */
  untaken(tag: number): readonly Heard[] {
    return this.#untaken.get(tag) ?? [];
  }

  ask<N extends RequestName>(name: N, body: Body<N>): Promise<Answer> {
    return this.answer(this.send(name, body));
  }

  /** A step that has to work before the rule can say anything; Unprepared when it does not. */
  async must<N extends RequestName>(name: N, body: Body<N>): Promise<Message<ReplyTo<N>>> {
    const answer = await this.ask(name, body);
    if (answer.type !== `R${name.slice(1)}`) throw new Unprepared(`${name}: ${show(answer)}`);
    return answer as Message<ReplyTo<N>>;
  }

  /** Waits until nothing has come for a while, or the connection is over. */
  async quiet(ms = QUIET): Promise<void> {
    for (let before = -1; before !== this.heard.length && !this.over; ) {
      before = this.heard.length;
      await this.wait(ms, () => false);
    }
  }

  /** Waits until `isSo`, looking whenever something comes, `ms` at the most; whether it became so. */
  async wait(ms: number, isSo: () => boolean): Promise<boolean> {
    if (isSo() || this.over) return isSo();
    let clock: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      clock = setTimeout(resolve, ms);
      this.#onHeard = () => {
        if (isSo() || this.over) resolve();
      };
    });
    clearTimeout(clock);
    this.#onHeard = undefined;
    return isSo();
  }

  async version(msize: number, version: string = VERSION.dotl): Promise<Answer> {
    const answer = await this.answer(this.send('Tversion', { msize, version }, NOTAG));
    if (answer.type === 'Rversion') {
      this.msize = answer.msize;
      this.#agreed = answer.version;
      this.#codec = codecs[answer.version] ?? this.#codec;
    }
    return answer;
  }

  attach(who: { uname: string; aname: string; nUname: number }, fid: number = Probe.ROOT): Promise<Answer> {
    return this.ask('Tattach', { fid, afid: NOFID, ...who });
  }
}
