// A file system in memory behind fuse/operations.ts, for tests of the kernel's side alone: every method answers at
// once, except the files made to hang. It keeps the books that the tests look at: lookups owed, files open, calls made.

import type { FileHandle, NodeId } from '../../src/common/brand.ts';
import { errno } from '../../src/common/errno.ts';
import { ErrnoError } from '../../src/common/errors.ts';
import type {
  Attr,
  AttrReply,
  Awaitable,
  CreateReply,
  DirentPlusSink,
  DirentSink,
  Entry,
  FileLock,
  NegativeEntry,
  OpenReply,
  Operations,
  ReadReply,
  RequestContext,
  SetAttr,
  StatFs,
  WriteFlags,
} from '../../src/fuse/operations.ts';
import { fopen } from '../../src/wire/fuse/constants.ts';

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

interface Node {
  id: NodeId;
  attr: Attr;
  children?: Map<string, Node>;
  parent?: Node;
  data: Buffer;
  target?: string;
  /** `hang`: reads wait for ever, as for a file whose server does not answer. `stream`: so by nature. */
  nature: 'plain' | 'hang' | 'stream';
  nlookup: number;
  xattrs: Map<string, Buffer>;
}

export interface ToyOptions {
  ttl?: number;
  /** FOPEN_* of every file. */
  openFlags?: number;
  /** Settle in a later tick, as a real file system does. */
  later?: boolean;
}

export class ToyFs implements Operations {
  readonly #options: Required<ToyOptions>;
  readonly #nodes = new Map<number, Node>();
  readonly #root: Node;
  readonly #open = new Set<number>();
  #nextNode = 1;
  #nextHandle = 1;
  /** Numbers that the tests ask for. */
  readonly seen = { largestRead: 0, largestWrite: 0, aborted: 0, dying: 0, destroyed: 0, released: 0, getattrs: 0 };

  constructor(options: ToyOptions = {}) {
    this.#options = { ttl: 0, openFlags: 0, later: false, ...options };
    this.#root = this.#make(S_IFDIR | 0o777, 0, 0);
    this.#root.nlookup = 1;
    for (const nature of ['hang', 'stream'] as const) {
      const node = this.#make(S_IFREG | 0o666, 0, 0);
      node.nature = nature;
      node.attr.size = nature === 'stream' ? 0 : 4096;
      this.#root.children?.set(nature, node);
    }
  }

  /** Lookups that the kernel has not taken back, the root's aside. */
  get owed(): number {
    let sum = 0;
    for (const node of this.#nodes.values()) if (node !== this.#root) sum += node.nlookup;
    return sum;
  }

  get openFiles(): number {
    return this.#open.size;
  }

  #make(mode: number, uid: number, gid: number): Node {
    const id = this.#nextNode++;
    const now = Math.floor(Date.now() / 1000);
    const node: Node = {
      id: id as NodeId,
      attr: {
        ino: BigInt(id),
        mode,
        nlink: (mode & S_IFDIR) === S_IFDIR ? 2 : 1,
        uid,
        gid,
        rdev: 0,
        size: 0,
        blocks: 0,
        blksize: 4096,
        atime: now,
        atimeNsec: 0,
        mtime: now,
        mtimeNsec: 0,
        ctime: now,
        ctimeNsec: 0,
      },
      data: Buffer.alloc(0),
      nature: 'plain',
      nlookup: 0,
      xattrs: new Map(),
    };
    if ((mode & 0o170000) === S_IFDIR) node.children = new Map();
    this.#nodes.set(id, node);
    return node;
  }

  #node(id: NodeId): Node {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new ErrnoError(errno.ESTALE);
    return node;
  }

  #children(id: NodeId): Map<string, Node> {
    const { children } = this.#node(id);
    if (children === undefined) throw new ErrnoError(errno.ENOTDIR);
    return children;
  }

  #child(parent: NodeId, name: string): Node {
    const node = this.#children(parent).get(name);
    if (node === undefined) throw new ErrnoError(errno.ENOENT);
    return node;
  }

  #entry(node: Node): Entry {
    node.nlookup++;
    const { ttl } = this.#options;
    return { nodeid: node.id, generation: 0, entryTtl: ttl, attrTtl: ttl, attr: node.attr };
  }

  #add(ctx: RequestContext, parent: NodeId, name: string, mode: number): Node {
    const children = this.#children(parent);
    if (children.has(name)) throw new ErrnoError(errno.EEXIST);
    const node = this.#make(mode, ctx.uid, ctx.gid);
    node.parent = this.#node(parent);
    children.set(name, node);
    return node;
  }

  #handle(): FileHandle {
    const fh = this.#nextHandle++;
    this.#open.add(fh);
    return fh as FileHandle;
  }

  #close(fh: FileHandle): void {
    if (!this.#open.delete(fh)) throw new Error(`handle ${fh} closed twice`);
    this.seen.released++;
  }

  #settle<T>(value: T): Awaitable<T> {
    return this.#options.later ? new Promise((resolve) => setImmediate(resolve, value)) : value;
  }

  lookup(_ctx: RequestContext, parent: NodeId, name: string): Awaitable<Entry | NegativeEntry> {
    return this.#settle(this.#entry(this.#child(parent, name)));
  }

  forget(nodeid: NodeId, nlookup: number): void {
    const node = this.#nodes.get(nodeid);
    if (node === undefined) throw new Error(`forget of unknown node ${nodeid}`);
    node.nlookup -= nlookup;
    if (node.nlookup < 0) throw new Error(`node ${nodeid} forgotten too often`);
  }

  getattr(_ctx: RequestContext, nodeid: NodeId): Awaitable<AttrReply> {
    this.seen.getattrs++;
    return this.#settle({ attr: this.#node(nodeid).attr, attrTtl: this.#options.ttl });
  }

  setattr(_ctx: RequestContext, nodeid: NodeId, set: SetAttr): Awaitable<AttrReply> {
    const node = this.#node(nodeid);
    const { attr } = node;
    if (set.mode !== undefined) attr.mode = (attr.mode & 0o170000) | set.mode;
    if (set.uid !== undefined) attr.uid = set.uid;
    if (set.gid !== undefined) attr.gid = set.gid;
    if (set.size !== undefined) this.#resize(node, set.size);
    const now = { sec: Math.floor(Date.now() / 1000), nsec: 0 };
    if (set.atime !== undefined) {
      const { sec, nsec } = set.atime === 'now' ? now : set.atime;
      [attr.atime, attr.atimeNsec] = [sec, nsec];
    }
    if (set.mtime !== undefined) {
      const { sec, nsec } = set.mtime === 'now' ? now : set.mtime;
      [attr.mtime, attr.mtimeNsec] = [sec, nsec];
    }
    return { attr, attrTtl: this.#options.ttl };
  }

  #resize(node: Node, size: number): void {
    const data = Buffer.alloc(size);
    node.data.copy(data);
    node.data = data;
    node.attr.size = size;
    node.attr.blocks = Math.ceil(size / 512);
  }

  readlink(_ctx: RequestContext, nodeid: NodeId): string {
    return this.#node(nodeid).target ?? '';
  }

  mknod(ctx: RequestContext, parent: NodeId, name: string, mode: number, rdev: number, umask: number): Entry {
    const node = this.#add(ctx, parent, name, (mode & 0o170000) | (mode & 0o7777 & ~umask));
    node.attr.rdev = rdev;
    return this.#entry(node);
  }

  mkdir(ctx: RequestContext, parent: NodeId, name: string, mode: number, umask: number): Entry {
    return this.#entry(this.#add(ctx, parent, name, S_IFDIR | (mode & 0o7777 & ~umask)));
  }

  unlink(_ctx: RequestContext, parent: NodeId, name: string): void {
    this.#child(parent, name).attr.nlink--;
    this.#children(parent).delete(name);
  }

  rmdir(_ctx: RequestContext, parent: NodeId, name: string): void {
    if ((this.#child(parent, name).children?.size ?? 0) > 0) throw new ErrnoError(errno.ENOTEMPTY);
    this.#children(parent).delete(name);
  }

  symlink(ctx: RequestContext, parent: NodeId, name: string, target: string): Entry {
    const node = this.#add(ctx, parent, name, S_IFLNK | 0o777);
    node.target = target;
    node.attr.size = Buffer.byteLength(target);
    return this.#entry(node);
  }

  rename(_ctx: RequestContext, parent: NodeId, name: string, newParent: NodeId, newName: string, flags: number): void {
    if (flags !== 0) throw new ErrnoError(errno.EINVAL);
    const node = this.#child(parent, name);
    this.#children(parent).delete(name);
    this.#children(newParent).set(newName, node);
  }

  link(_ctx: RequestContext, nodeid: NodeId, newParent: NodeId, newName: string): Entry {
    const node = this.#node(nodeid);
    node.attr.nlink++;
    this.#children(newParent).set(newName, node);
    return this.#entry(node);
  }

  open(_ctx: RequestContext, nodeid: NodeId): Awaitable<OpenReply> {
    const plain = this.#node(nodeid).nature === 'plain';
    return this.#settle({ fh: this.#handle(), flags: plain ? this.#options.openFlags : fopen.DIRECT_IO });
  }

  create(ctx: RequestContext, parent: NodeId, name: string, _flags: number, mode: number, umask: number): CreateReply {
    const node = this.#add(ctx, parent, name, S_IFREG | (mode & 0o7777 & ~umask));
    return { entry: this.#entry(node), fh: this.#handle(), flags: this.#options.openFlags };
  }

  read(ctx: RequestContext, nodeid: NodeId, _fh: FileHandle, offset: number, size: number): Awaitable<ReadReply> {
    const node = this.#node(nodeid);
    if (node.nature !== 'plain') return this.#never(ctx);
    this.seen.largestRead = Math.max(this.seen.largestRead, size);
    return this.#settle({ data: node.data.subarray(offset, offset + size) });
  }

  /** Until the caller gives up, or is to be released. */
  #never(ctx: RequestContext): Promise<never> {
    return new Promise((_, reject) => {
      ctx.signal.addEventListener('abort', () => {
        this.seen.aborted++;
        if ((ctx.signal.reason as { dying: boolean }).dying) this.seen.dying++;
        reject(new ErrnoError(errno.EINTR));
      });
    });
  }

  write(
    ctx: RequestContext,
    nodeid: NodeId,
    _fh: FileHandle,
    offset: number,
    data: Uint8Array,
    _flags: WriteFlags,
  ): Awaitable<number> {
    const node = this.#node(nodeid);
    if (node.nature !== 'plain') return this.#never(ctx);
    this.seen.largestWrite = Math.max(this.seen.largestWrite, data.length);
    if (!this.#options.later) return this.#store(node, offset, data);
    // The data must still be there in a later tick, though other requests have been read meanwhile.
    return new Promise((resolve) => setImmediate(() => resolve(this.#store(node, offset, data))));
  }

  #store(node: Node, offset: number, data: Uint8Array): number {
    if (offset + data.length > node.data.length) this.#resize(node, offset + data.length);
    node.data.set(data, offset);
    return data.length;
  }

  closeFlush(): void {}

  release(_ctx: RequestContext, _nodeid: NodeId, fh: FileHandle): void {
    this.#close(fh);
  }

  fsync(): void {}

  opendir(): OpenReply {
    return { fh: this.#handle(), flags: 0 };
  }

  readdir(
    _ctx: RequestContext,
    nodeid: NodeId,
    _fh: FileHandle,
    offset: bigint,
    _size: number,
    sink: DirentSink,
  ): void {
    const names = [...this.#children(nodeid)];
    for (let at = Number(offset); at < names.length; at++) {
      const [name, node] = names[at]!;
      if (!sink.add(name, node.attr.ino, node.attr.mode >> 12, BigInt(at + 1))) return;
    }
  }

  readdirplus(
    _ctx: RequestContext,
    nodeid: NodeId,
    _fh: FileHandle,
    offset: bigint,
    _size: number,
    sink: DirentPlusSink,
  ): void {
    const names = [...this.#children(nodeid)];
    for (let at = Number(offset); at < names.length; at++) {
      const [name, node] = names[at]!;
      if (!sink.fits(name)) return;
      sink.add(name, node.attr.ino, node.attr.mode >> 12, BigInt(at + 1), this.#entry(node));
    }
  }

  releasedir(_ctx: RequestContext, _nodeid: NodeId, fh: FileHandle): void {
    this.#close(fh);
  }

  fsyncdir(): void {}

  statfs(): StatFs {
    return { blocks: 1000, bfree: 500, bavail: 400, files: 100, ffree: 50, bsize: 4096, frsize: 4096, namelen: 255 };
  }

  access(): void {}

  getxattr(_ctx: RequestContext, nodeid: NodeId, name: string): Uint8Array {
    const value = this.#node(nodeid).xattrs.get(name);
    if (value === undefined) throw new ErrnoError(errno.ENODATA);
    return value;
  }

  setxattr(_ctx: RequestContext, nodeid: NodeId, name: string, value: Uint8Array): void {
    this.#node(nodeid).xattrs.set(name, Buffer.from(value));
  }

  listxattr(_ctx: RequestContext, nodeid: NodeId): Uint8Array {
    return Buffer.from([...this.#node(nodeid).xattrs.keys()].map((name) => `${name}\0`).join(''));
  }

  removexattr(_ctx: RequestContext, nodeid: NodeId, name: string): void {
    if (!this.#node(nodeid).xattrs.delete(name)) throw new ErrnoError(errno.ENODATA);
  }

  getlk(_ctx: RequestContext, _nodeid: NodeId, _fh: FileHandle, _owner: bigint, lock: FileLock): FileLock {
    return { ...lock, type: 2 };
  }

  setlk(
    ctx: RequestContext,
    nodeid: NodeId,
    _fh: FileHandle,
    _owner: bigint,
    _lock: FileLock,
    wait: boolean,
  ): Awaitable<void> {
    if (wait && this.#node(nodeid).nature === 'stream') return this.#never(ctx);
  }

  destroy(): void {
    this.seen.destroyed++;
  }

  mayBlock(nodeid: NodeId): boolean {
    return this.#node(nodeid).nature === 'stream';
  }
}
