// A server of a test's own making: it receives decoded T-messages over an in-process transport and says what the test
// tells it to, when the test tells it to. It answers nothing by itself but Tversion.

import { type Connection, type ConnectionOptions, negotiate } from '../../src/client/connection.ts';
import { DotLCalls } from '../../src/client/dialects/dotl-calls.ts';
import { speech } from '../../src/client/dialects/speech.ts';
import type { Version } from '../../src/client/dialects/versions.ts';
import type { Fid } from '../../src/client/fids.ts';
import { memoryPair, type PairOptions } from '../../src/transport/memory.ts';
import type { Transport } from '../../src/transport/transport.ts';
import type { Codec } from '../../src/wire/p9/codec.ts';
import { FrameReader } from '../../src/wire/p9/framing.ts';
import type { Body, Message, MessageName } from '../../src/wire/p9/messages.ts';

type Of<N extends MessageName> = Extract<Message, { type: N }>;

/** A file for replies that need one. */
export const qid = { type: 0, version: 1, path: 7n };
export const getattr: Body<'Rgetattr'> = {
  valid: 0x7ff,
  qid,
  mode: 0o100644,
  uid: 0,
  gid: 0,
  nlink: 1,
  rdev: 0,
  size: 5,
  blksize: 4096,
  blocks: 8,
  atime: 0,
  atimeNsec: 0,
  mtime: 0,
  mtimeNsec: 0,
  ctime: 0,
  ctimeNsec: 0,
  btime: 0,
  btimeNsec: 0,
  gen: 0n,
  dataVersion: 0n,
};

/** How many turns of the event loop a message may take to arrive. */
const TURNS = 200;

export class Scripted {
  /** Everything that came after Tversion, in order. */
  readonly received: Message[] = [];
  /** Gets what comes instead of `received`: for tests that answer by rule. */
  answer: ((message: Message) => void) | undefined;
  readonly #transport: Transport;
  readonly #codec: Codec;
  #taken = 0;

  constructor(transport: Transport, msize: number, version: Version = '9P2000.L') {
    this.#transport = transport;
    const { codec } = speech[version];
    this.#codec = codec;
    const reader = new FrameReader(msize, {
      frame: (bytes, start, end, payload) => {
        const message = codec.decode(bytes, start, end, payload);
        if (message.type === 'Tversion') this.reply(message.tag, 'Rversion', { msize, version });
        else if (this.answer !== undefined) this.answer(message);
        else this.received.push(message);
      },
    });
    transport.start({
      window: () => reader.window(),
      filled: (count) => reader.filled(count),
      push: (chunk) => reader.push(chunk),
    });
  }

  reply<N extends MessageName>(tag: number, name: N, body: Body<N>): void {
    const frame = this.#codec.encode(name, tag, body);
    this.#transport.send(frame.head, frame.payload);
  }

  raw(bytes: Uint8Array): void {
    this.#transport.send(bytes);
  }

  /** Reads no more until resume(). */
  pause(): void {
    this.#transport.pause();
  }

  resume(): void {
    this.#transport.resume();
  }

  hangUp(): void {
    this.#transport.close();
  }

  /** The next message, which must be of this type. */
  async next<N extends MessageName>(type: N): Promise<Of<N>> {
    for (let i = 0; i < TURNS && this.received.length <= this.#taken; i++) await turn();
    const message = this.received[this.#taken];
    if (message?.type !== type) throw new Error(`expected ${type}, got ${message?.type ?? 'nothing'}`);
    this.#taken++;
    return message as Of<N>;
  }

  /** Takes the next message, which must be of this type, and answers it. */
  async serve<N extends MessageName, R extends MessageName>(type: N, name: R, body: Body<R>): Promise<Of<N>> {
    const message = await this.next(type);
    this.reply(message.tag, name, body);
    return message;
  }

  /** Fails if anything more has come, or comes soon. */
  async quiet(): Promise<void> {
    for (let i = 0; i < 10; i++) await turn();
    const more = this.received.slice(this.#taken).map((message) => this.#codec.format(message));
    if (more.length > 0) throw new Error(`not expected: ${more.join('; ')}`);
  }
}

/** One turn of the event loop; setImmediate is real also where a test has faked the timers. */
const realImmediate = setImmediate;
export function turn(): Promise<void> {
  return new Promise((resolve) => realImmediate(resolve));
}

export interface ScriptedOptions extends ConnectionOptions {
  /** How the in-process transport cuts what the client sends, and what it receives. */
  cut?: [PairOptions, PairOptions];
}

/** A client's connection and the server at its other end. */
export async function scripted(options: ScriptedOptions = {}): Promise<{ client: Connection; server: Scripted }> {
  const [ours, theirs] = memoryPair(...(options.cut ?? []));
  const { version } = options;
  const server = new Scripted(theirs, options.msize ?? 8192, version === 'auto' ? undefined : version);
  const client = await negotiate(ours, { msize: 8192, ...options });
  return { client, server };
}

export interface Attached {
  client: Connection;
  server: Scripted;
  calls: DotLCalls;
  root: Fid;
}

/** The same with a fid for the root. */
export async function attached(options: ScriptedOptions = {}): Promise<Attached> {
  const { client, server } = await scripted(options);
  const calls = new DotLCalls(client);
  const attaching = calls.attach('me', '', 0);
  server.reply((await server.next('Tattach')).tag, 'Rattach', { qid });
  return { client, server, calls, root: await attaching };
}
