// A 9P server of a few made-up files, for tests of what a client's steps are: every request succeeds, every name exists
// (as a directory where it begins with `d`), and the test may hold any message back, answer it itself, or say what a reply
// is. Nothing is kept but the qids of fids.

import { errno } from '../../src/common/errno.ts';
import { Writer } from '../../src/common/writer.ts';
import type { Body, Message, MessageName, ReplyTo, RequestName } from '../../src/wire/p9/messages.ts';
import { direntSize, type Qid, writeDirent } from '../../src/wire/p9/types.ts';
import { getattr, type Scripted } from './scripted.ts';

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const QTDIR = 0x80;
const DT_REG = 8;
/** Of every file but those that were made here, bytes. */
const SIZE = 100_000;

type Of<N extends MessageName> = Extract<Message, { type: N }>;
type Replies = { [N in RequestName]?: (message: Of<N>) => Body<ReplyTo<N>> };

/** Messages about a fid that is none are refused; of others the test is told. */
const MUST_BE: ReadonlySet<MessageName> = new Set(['Tclunk', 'Tremove', 'Txattrcreate']);

const ROOT: Qid = { type: QTDIR, version: 0, path: 1n };
const ok = () => ({});

export class Files9p {
  /** What came, in order. */
  readonly received: Message[] = [];
  /** Sees a message first; true: the answer is its affair. */
  before: ((message: Message) => boolean) | undefined;
  /** What is listed in every directory. */
  listing: readonly string[] = ['a', 'b', 'c'];
  readonly #server: Scripted;
  readonly #qids = new Map<number, Qid>();
  readonly #paths = new Map<string, bigint>();
  readonly #made = new Set<bigint>();
  readonly #replies: Replies = {
    Tattach: ({ fid }) => ({ qid: this.#at(fid, ROOT) }),
    Twalk: ({ fid, newfid, names }) => {
      const qids = names.map((name) => this.#qid(name));
      this.#at(newfid, qids.at(-1) ?? this.#of(fid));
      return { qids };
    },
    Tgetattr: ({ fid }) => {
      const qid = this.#of(fid);
      const mode = (qid.type & QTDIR) !== 0 ? S_IFDIR | 0o755 : S_IFREG | 0o644;
      return { ...getattr, qid, mode, size: this.#made.has(qid.path) ? 0 : SIZE };
    },
    Tclunk: ({ fid }) => this.#gone(fid),
    Tremove: ({ fid }) => this.#gone(fid),
    Tlopen: ({ fid }) => ({ qid: this.#of(fid), iounit: 0 }),
    Tlcreate: ({ fid, name }) => ({ qid: this.#at(fid, this.#make(name)), iounit: 0 }),
    Tmkdir: ({ name }) => ({ qid: this.#qid(name) }),
    Tmknod: ({ name }) => ({ qid: this.#make(name) }),
    Tsymlink: ({ name }) => ({ qid: this.#qid(name) }),
    Tlink: ok,
    Tunlinkat: ok,
    Trenameat: ok,
    Trename: ok,
    Tsetattr: ok,
    Tfsync: ok,
    Tflush: ok,
    Twrite: ({ data }) => ({ count: data.length }),
    Tread: ({ count }) => ({ data: Buffer.alloc(count, 'x') }),
    Treaddir: ({ offset, count }) => ({ data: this.#list(offset, count) }),
    Treadlink: () => ({ target: 'target' }),
    Tstatfs: () => ({
      fsType: 0,
      bsize: 4096,
      blocks: 9,
      bfree: 9,
      bavail: 9,
      files: 9,
      ffree: 9,
      fsid: 0n,
      namelen: 255,
    }),
    Txattrwalk: ({ newfid }) => {
      this.#at(newfid, ROOT);
      return { size: 5 };
    },
    Txattrcreate: ok,
  };

  constructor(server: Scripted) {
    this.#server = server;
    server.answer = (message) => {
      this.received.push(message);
      if (this.before?.(message) !== true) this.answer(message);
    };
  }

  /** How many fids it holds. */
  get fids(): number {
    return this.#qids.size;
  }

  /** Answers as if nothing were wrong. */
  answer(message: Message): void {
    if (MUST_BE.has(message.type) && !this.#qids.has((message as Of<'Tclunk'>).fid)) {
      this.refuse(message, errno.EBADF);
      return;
    }
    const reply = this.#replies[message.type as RequestName] as ((message: Message) => Body<MessageName>) | undefined;
    if (reply === undefined) throw new Error(`${message.type} is nothing that this server expects`);
    this.#server.reply(message.tag, `R${message.type.slice(1)}` as MessageName, reply(message));
  }

  /** Answers in the test's own words. */
  say<N extends RequestName>(message: Of<N>, body: Body<ReplyTo<N>>): true {
    const { tag, type } = message as Message;
    this.#server.reply(tag, `R${type.slice(1)}` as MessageName, body as Body<MessageName>);
    return true;
  }

  /** An Rxattrwalk of another size than usual. */
  xattr(message: Of<'Txattrwalk'>, size: number): true {
    this.#at(message.newfid, ROOT);
    return this.say(message, { size });
  }

  /** From now on every name that it has not met is a file of this qid.path. */
  collide: bigint | undefined;

  /** A fid whose clunk the test has answered itself. */
  forget(fid: number): void {
    this.#gone(fid);
  }

  refuse(message: Message, ecode: number): void {
    this.#server.reply(message.tag, 'Rlerror', { ecode });
  }

  #of(fid: number): Qid {
    const qid = this.#qids.get(fid);
    if (qid === undefined) throw new Error(`fid ${fid} is none`);
    return qid;
  }

  #at(fid: number, qid: Qid): Qid {
    this.#qids.set(fid, qid);
    return qid;
  }

  #gone(fid: number) {
    this.#qids.delete(fid);
    return {};
  }

  #qid(name: string): Qid {
    let path = this.#paths.get(name);
    if (path === undefined) {
      path = this.collide ?? BigInt(this.#paths.size + 2);
      this.#paths.set(name, path);
    }
    return { type: name.startsWith('d') ? QTDIR : 0, version: 0, path };
  }

  #make(name: string): Qid {
    const qid = this.#qid(name);
    this.#made.add(qid.path);
    return qid;
  }

  #list(offset: bigint, count: number): Buffer {
    const out = Writer.sized(count);
    for (let i = Number(offset); i < this.listing.length; i++) {
      const name = this.listing[i]!;
      const entry = { qid: this.#qid(name), offset: BigInt(i + 1), type: DT_REG, name };
      if (out.left < direntSize(name)) break;
      writeDirent(out, entry);
    }
    return out.bytes.subarray(0, out.at);
  }
}
