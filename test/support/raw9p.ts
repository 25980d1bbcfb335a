// A raw 9P client for tests, of whatever dialect its Tversion led to: sends any message with any tag, or any bytes, and keeps what comes back in the order in
// which it came. It checks nothing and tracks nothing, so that tests can break every rule.

import { errno } from '../../src/common/errno.ts';
import { errorWords } from '../../src/common/strerror.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { type Codec, dotlCodec, dotuCodec, legacyCodec } from '../../src/wire/p9/codec.ts';
import { NOFID, NONUNAME, NOTAG } from '../../src/wire/p9/constants.ts';
import { FrameReader } from '../../src/wire/p9/framing.ts';
import type { Body, Message, MessageName, ReplyTo, RequestName } from '../../src/wire/p9/messages.ts';
import { type Dirent, readDirents } from '../../src/wire/p9/types.ts';

/** The server answered Rlerror, or Rerror, whose text is `ename`. */
export class Refused extends Error {
  readonly ecode: number;
  readonly ename: string;

  constructor(what: string, ecode: number, ename = '') {
    super(`${what}: errno ${ecode} ${ename}`);
    this.ecode = ecode;
    this.ename = ename;
  }
}

/** What Plan 9's servers say, besides strerror's words. */
const plan9Words: ReadonlyMap<string, number> = new Map([
  ['file does not exist', errno.ENOENT],
  ['permission denied', errno.EACCES],
  ['file already exists', errno.EEXIST],
  ['not a directory', errno.ENOTDIR],
  ['directory is not empty', errno.ENOTEMPTY],
  ['fid unknown or out of range', errno.EBADF],
  ['bad offset in directory read', errno.ESPIPE],
  ['exclusive use file already open', errno.EAGAIN],
  ['read only file system', errno.EROFS],
  ['file system is full', errno.ENOSPC],
  ['file too big', errno.EFBIG],
  ['i/o error', errno.EIO],
]);

const words = new Map([...[...errorWords].map(([number, text]) => [text, number] as const), ...plan9Words]);

const codecs: Readonly<Record<string, Codec>> = { '9P2000.L': dotlCodec, '9P2000.u': dotuCodec, '9P2000': legacyCodec };

/** The errno of a refusal, in 9P2000 that of its text; undefined of any other message. */
function errnoOfReply(message: Message): number | undefined {
  if (message.type === 'Rlerror') return message.ecode;
  if (message.type !== 'Rerror') return undefined;
  return message.ecode || (words.get(message.ename) ?? -1);
}

export class Raw9p {
  readonly transport: Transport;
  /** Of the version that was agreed on. */
  codec = dotlCodec;
  /** All replies, in order, without those that call() took. */
  readonly arrived: Message[] = [];
  /** Names and tags of all replies ever, in order: `Rwalk 3`. */
  readonly log: string[] = [];
  #waiters: {
    wanted: (message: Message) => boolean;
    resolve: (message: Message) => void;
    reject: (e: Error) => void;
  }[] = [];
  #nextTag = 0;
  #nextFid = 1000;
  #over: Error | undefined;

  constructor(transport: Transport) {
    this.transport = transport;
    transport.start(
      new FrameReader(16 * 1024 * 1024, {
        frame: (bytes, start, end, payload) => this.#take(this.codec.decode(bytes, start, end, payload)),
      }),
    );
    transport.closed.then((error) => {
      this.#over = error ?? new Error('connection closed');
      for (const { reject } of this.#waiters.splice(0)) reject(this.#over);
    });
  }

  async version(msize = 65536 + 24, version = '9P2000.L'): Promise<Message<'Rversion'>> {
    this.send('Tversion', { msize, version }, NOTAG);
    const reply = (await this.reply(NOTAG)) as Message<'Rversion'>;
    this.codec = codecs[reply.version] ?? this.codec;
    return reply;
  }

  attach(fid: number, uid = NONUNAME, aname = '', uname = ''): Promise<Message<'Rattach'>> {
    // 9P2000 has names only, and takes a number for one
    const name = this.codec === legacyCodec && uname === '' ? `${uid}` : uname;
    return this.call('Tattach', { fid, afid: NOFID, uname: name, aname, nUname: uid });
  }

  get closed(): Promise<Error | undefined> {
    return this.transport.closed;
  }

  #take(message: Message): void {
    this.log.push(`${message.type} ${message.tag}`);
    const at = this.#waiters.findIndex(({ wanted }) => wanted(message));
    if (at < 0) this.arrived.push(message);
    else this.#waiters.splice(at, 1)[0]?.resolve(message);
  }

  tag(): number {
    this.#nextTag = (this.#nextTag + 1) % NOTAG;
    return this.#nextTag;
  }

  /** A fid number that was not used before. */
  fid(): number {
    return this.#nextFid++;
  }

  /** Sends without waiting; returns the tag. */
  send<N extends MessageName>(name: N, body: Body<N>, tag = this.tag()): number {
    const { head, payload } = this.codec.encode(name, tag, body);
    this.transport.send(head, payload);
    return tag;
  }

  bytes(bytes: Uint8Array): void {
    this.transport.send(bytes);
  }

  /** The next reply to this tag that nobody took. */
  reply(tag: number): Promise<Message> {
    const at = this.arrived.findIndex((message) => message.tag === tag);
    const [here] = at < 0 ? [] : this.arrived.splice(at, 1);
    if (here !== undefined) return Promise.resolve(here);
    if (this.#over !== undefined) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ wanted: (message) => message.tag === tag, resolve, reject });
    });
  }

  /** Sends and waits; an Rlerror rejects with Refused. */
  async call<N extends RequestName>(name: N, body: Body<N>, tag?: number): Promise<Message<ReplyTo<N>>> {
    const message = await this.reply(this.send(name, body, tag));
    const ecode = errnoOfReply(message);
    if (ecode !== undefined) throw new Refused(name, ecode, message.type === 'Rerror' ? message.ename : '');
    return message as Message<ReplyTo<N>>;
  }

  /** The errno of a call that fails, 0 of one that does not. */
  async errno<N extends RequestName>(name: N, body: Body<N>): Promise<number> {
    return errnoOfReply(await this.reply(this.send(name, body))) ?? 0;
  }

  /** Waits until everything sent so far has been read by the server, and what it could answer is here. */
  async settle(): Promise<void> {
    await this.call('Tflush', { oldtag: 0xfffe });
  }

  /** A new fid at a path from `from` (0 by default). */
  async walk(path: string, from = 0): Promise<number> {
    const names = path.split('/').filter((name) => name !== '');
    const newfid = this.fid();
    const { qids } = await this.call('Twalk', { fid: from, newfid, names });
    if (qids.length < names.length) throw new Refused(`Twalk ${path}`, 2);
    return newfid;
  }

  async open(path: string, flags = 0, from = 0): Promise<number> {
    const fid = await this.walk(path, from);
    await this.call('Tlopen', { fid, flags });
    return fid;
  }

  /** A new, open file in the directory of fid `dir`. */
  async create(
    dir: number,
    name: string,
    options: { flags?: number; mode?: number; gid?: number } = {},
  ): Promise<number> {
    const fid = await this.walk('', dir);
    const { flags = 2, mode = 0o644, gid = 0 } = options;
    await this.call('Tlcreate', { fid, name, flags, mode, gid });
    return fid;
  }

  clunk(fid: number): Promise<Message<'Rclunk'>> {
    return this.call('Tclunk', { fid });
  }

  async read(fid: number, offset = 0, count = 65536): Promise<Buffer> {
    return Buffer.from((await this.call('Tread', { fid, offset, count })).data);
  }

  async write(fid: number, data: string | Uint8Array, offset = 0): Promise<number> {
    return (await this.call('Twrite', { fid, offset, data: Buffer.from(data) })).count;
  }

  getattr(fid: number): Promise<Message<'Rgetattr'>> {
    return this.call('Tgetattr', { fid, mask: 0x3fff });
  }

  setattr(fid: number, changes: Partial<Body<'Tsetattr'>>): Promise<Message<'Rsetattr'>> {
    const none = { valid: 0, mode: 0, uid: 0, gid: 0, size: 0, atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0 };
    return this.call('Tsetattr', { ...none, ...changes, fid });
  }

  /** The whole listing of an open directory, in calls of `count` bytes. */
  async list(fid: number, count = 65536): Promise<Dirent[]> {
    const all: Dirent[] = [];
    for (let offset = 0n; ; ) {
      const { data } = await this.call('Treaddir', { fid, offset, count });
      if (data.length === 0) return all;
      const { entries, fault } = readDirents(data);
      if (fault !== undefined) throw new Error(fault);
      for (const entry of entries) {
        offset = entry.offset;
        if (entry.name !== undefined) all.push(entry as Dirent);
      }
    }
  }
}
