// A tree whose files are made of functions: what is read is computed, what is written is a command. Statistics, control
// files, streams; nothing in it can be made, removed or renamed from outside.
// Guarantees: a file's qid stays the same as long as the tree; permission is checked against the modes that are given; files
// show length 0, as /proc does, so that clients read them directly and to the end that read() tells.

import type { AbortSignalLike } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { GETATTR, LOCK_STATUS, OPEN, QT, V9FS_MAGIC } from '../../wire/p9/constants.ts';
import type { MessageName } from '../../wire/p9/messages.ts';
import type { Dirent, Qid } from '../../wire/p9/types.ts';
import type { Fault } from '../fault.ts';
import { refuse } from '../refuse.ts';
import {
  type Attributes,
  type Awaitable,
  type Changes,
  isPromise,
  type Lender,
  type OpenFile,
  type ReadResult,
  type Statfs,
  type Tree,
  type TreeNode,
  type User,
} from '../tree.ts';
import { MAY, permits, S } from './modes.ts';

/** What one open of a file does. Without read or write that direction is EACCES at open. */
export interface SynthOpen {
  /** At most `count` bytes; none at the end. May wait: then it heeds the signal. */
  read?(offset: number, count: number, signal: AbortSignalLike): Awaitable<Uint8Array>;
  /** How many bytes were taken. */
  write?(offset: number, data: Uint8Array, signal: AbortSignalLike): Awaitable<number>;
  close?(): Awaitable<void>;
}

interface SynthCommon {
  readonly mode: number;
  /** Its qid's path where that is not the tree's to choose. */
  readonly path?: bigint;
  /** Planned misbehaviour, in a tree that says that it has some. */
  faultOf?(type: MessageName): Fault | undefined;
}

export interface SynthFile extends SynthCommon {
  readonly kind: 'file';
  open(user: User, signal: AbortSignalLike): Awaitable<SynthOpen>;
}

export type SynthEntries = { readonly [name: string]: SynthEntry };

export interface SynthDirectory extends SynthCommon {
  readonly kind: 'directory';
  /** What a listing shows. */
  entries(): SynthEntries;
  /** An entry that no listing shows. */
  find?(name: string): SynthEntry | undefined;
}

/** Nodes of another kind of tree, whose root knows `above` as its parent. */
export interface SynthOther {
  readonly kind: 'other';
  root(above: TreeNode): TreeNode;
}

export type SynthEntry = SynthFile | SynthDirectory | SynthOther;

export function directory(
  entries: SynthEntries | (() => SynthEntries),
  mode = 0o555,
  more: Pick<SynthDirectory, 'find' | 'path' | 'faultOf'> = {},
): SynthDirectory {
  return { kind: 'directory', mode, entries: typeof entries === 'function' ? entries : () => entries, ...more };
}

export function file(open: SynthFile['open'], mode = 0o666, more: Pick<SynthFile, 'path' | 'faultOf'> = {}): SynthFile {
  return { kind: 'file', mode, open, ...more };
}

/** A file to read; its text is made once for each open, so that what is read in pieces fits together. */
export function text(make: (user: User) => Awaitable<string>, mode = 0o444): SynthFile {
  const opened = (content: string): SynthOpen => {
    const bytes = Buffer.from(content);
    return { read: (offset, count) => bytes.subarray(offset, offset + count) };
  };
  return file((user) => {
    const content = make(user);
    return isPromise(content) ? content.then(opened) : opened(content);
  }, mode);
}

/** A file to write; each write is one command. What `run` throws is the write's error. */
export function control(
  run: (command: string, user: User, signal: AbortSignalLike) => Awaitable<void>,
  mode = 0o200,
): SynthFile {
  return file(
    (user) => ({
      write(_offset, data, signal) {
        const done = run(Buffer.from(data).toString('utf8'), user, signal);
        return isPromise(done) ? done.then(() => data.length) : data.length;
      },
    }),
    mode,
  );
}

/** `firstPath` is the qid.path of the root; the others follow it. */
export function synthTree(root: SynthDirectory, name = 'synthetic', firstPath = 1n): Tree {
  const volume: Volume = { paths: new Map(), firstPath, born: Math.floor(Date.now() / 1000) };
  return {
    name,
    attach(_user: User, aname: string): TreeNode {
      return aname === '' || aname === '/' ? new SynthNode(volume, '', root, undefined) : refuse(errno.ENOENT);
    },
    close() {},
  };
}

interface Volume {
  /** qid.path of each path that was ever met; as many as the tree's own functions name. */
  readonly paths: Map<string, bigint>;
  readonly firstPath: bigint;
  readonly born: number;
}

const owner: Pick<Attributes, 'uid' | 'gid'> = { uid: 0, gid: 0 };

class SynthNode implements TreeNode {
  readonly qid: Qid;
  readonly #volume: Volume;
  readonly #path: string;
  readonly #entry: SynthFile | SynthDirectory;
  readonly #parent: SynthNode | undefined;

  constructor(volume: Volume, path: string, entry: SynthFile | SynthDirectory, parent: SynthNode | undefined) {
    this.#volume = volume;
    this.#path = path;
    this.#entry = entry;
    this.#parent = parent;
    let number = entry.path;
    number ??= volume.paths.get(path);
    if (number === undefined) {
      number = volume.firstPath + BigInt(volume.paths.size);
      volume.paths.set(path, number);
    }
    // version 0 says that none is kept: the content is new each time
    this.qid = { type: entry.kind === 'directory' ? QT.DIR : QT.FILE, version: 0, path: number };
  }

  retain(): void {}
  release(): void {}

  #require(user: User, want: number): void {
    if (!permits(user, { ...owner, mode: this.#entry.mode }, want)) refuse(errno.EACCES);
  }

  faultOf(type: MessageName): Fault | undefined {
    return this.#entry.faultOf?.(type);
  }

  /** The directory's entries now, as nodes. */
  list(): [string, TreeNode][] {
    const entry = this.#entry;
    if (entry.kind !== 'directory') refuse(errno.ENOTDIR);
    return Object.entries(entry.entries()).map(([name, each]) => [name, this.#child(name, each)]);
  }

  #child(name: string, entry: SynthEntry): TreeNode {
    if (entry.kind === 'other') return entry.root(this);
    return new SynthNode(this.#volume, `${this.#path}/${name}`, entry, this);
  }

  get above(): SynthNode {
    return this.#parent ?? this;
  }

  walk(name: string, user: User): TreeNode {
    const entry = this.#entry;
    if (entry.kind !== 'directory') refuse(errno.ENOTDIR);
    this.#require(user, MAY.EXEC);
    if (name === '..') return this.above;
    const entries = entry.entries();
    const found = Object.hasOwn(entries, name) ? entries[name] : entry.find?.(name);
    return found === undefined ? refuse(errno.ENOENT) : this.#child(name, found);
  }

  getattr(): Attributes {
    const { kind, mode } = this.#entry;
    const { born } = this.#volume;
    const isDirectory = kind === 'directory';
    return {
      valid: GETATTR.BASIC,
      qid: this.qid,
      mode: mode | (isDirectory ? S.IFDIR : S.IFREG),
      ...owner,
      nlink: isDirectory ? 2 : 1,
      rdev: 0,
      size: 0,
      blksize: 4096,
      blocks: 0,
      atime: born,
      atimeNsec: 0,
      mtime: born,
      mtimeNsec: 0,
      ctime: born,
      ctimeNsec: 0,
      btime: 0,
      btimeNsec: 0,
      gen: 0n,
      dataVersion: 0n,
    };
  }

  /** What a shell's `>` brings along is taken and means nothing; anything else is not to be changed. */
  setattr({ mode, uid, gid }: Changes, opened: OpenFile | undefined, user: User): void {
    if (mode !== undefined || uid !== undefined || gid !== undefined) refuse(errno.EPERM);
    if (this.#entry.kind === 'directory') refuse(errno.EPERM);
    if (opened === undefined) this.#require(user, MAY.WRITE);
  }

  open(flags: number, user: User, signal: AbortSignalLike): Awaitable<OpenFile> {
    const access = flags & OPEN.ACCMODE;
    const executes = access === OPEN.ACCMODE;
    const [reads, writes] = [access !== OPEN.WRONLY, access === OPEN.WRONLY || access === OPEN.RDWR];
    this.#require(user, (executes ? MAY.EXEC : reads ? MAY.READ : 0) | (writes ? MAY.WRITE : 0));
    const entry = this.#entry;
    if (entry.kind === 'directory') return writes || flags & OPEN.TRUNC ? refuse(errno.EISDIR) : listing(this);
    if (flags & OPEN.DIRECTORY) refuse(errno.ENOTDIR);
    const begun = (open: SynthOpen): OpenFile => opened(open, reads, writes);
    const open = entry.open(user, signal);
    return isPromise(open) ? open.then(begun) : begun(open);
  }

  readlink(): never {
    return refuse(errno.EINVAL);
  }

  statfs(): Statfs {
    const none = { blocks: 0, bfree: 0, bavail: 0, files: this.#volume.paths.size, ffree: 0 };
    return { fsType: V9FS_MAGIC, bsize: 4096, ...none, fsid: 0n, namelen: 255 };
  }

  create(): never {
    return refuse(errno.EPERM);
  }
  mkdir(): never {
    return refuse(errno.EPERM);
  }
  symlink(): never {
    return refuse(errno.EPERM);
  }
  mknod(): never {
    return refuse(errno.EPERM);
  }
  link(): never {
    return refuse(errno.EPERM);
  }
  unlink(): never {
    return refuse(errno.EPERM);
  }
  rename(): never {
    return refuse(errno.EPERM);
  }

  getxattr(): never {
    return refuse(errno.EOPNOTSUPP);
  }
  listxattr(): Uint8Array {
    return new Uint8Array(0);
  }
  setxattr(): never {
    return refuse(errno.EOPNOTSUPP);
  }
  removexattr(): never {
    return refuse(errno.EOPNOTSUPP);
  }
}

const unlockable: Pick<OpenFile, 'lock' | 'getlock' | 'fsync'> = {
  lock: () => LOCK_STATUS.ERROR,
  getlock: () => undefined,
  fsync: () => undefined,
};

function opened(open: SynthOpen, reads: boolean, writes: boolean): OpenFile {
  if ((reads && open.read === undefined) || (writes && open.write === undefined)) {
    open.close?.();
    refuse(errno.EACCES);
  }
  return {
    ...unlockable,
    read(offset: number, count: number, _lend: Lender, signal: AbortSignalLike): Awaitable<ReadResult> {
      const data = open.read?.(offset, count, signal) ?? refuse(errno.EBADF);
      return isPromise(data) ? data.then((bytes) => ({ data: bytes })) : { data };
    },
    write: (offset, data, signal) => open.write?.(offset, data, signal) ?? refuse(errno.EBADF),
    readdir: () => refuse(errno.ENOTDIR),
    close: () => open.close?.(),
  };
}

/** The names as they are when it is opened; the cookie is the place in that list. */
function listing(node: SynthNode): OpenFile {
  const names: [string, TreeNode][] = [['.', node], ['..', node.above], ...node.list()];
  return {
    ...unlockable,
    read: () => refuse(errno.EISDIR),
    write: () => refuse(errno.EISDIR),
    readdir(cookie: bigint, add: (entry: Dirent) => boolean): void {
      if (cookie >= names.length) return;
      for (let at = Number(cookie); at < names.length; at++) {
        const [name, { qid }] = names[at]!;
        if (!add({ qid, offset: BigInt(at + 1), type: qid.type & QT.DIR ? 4 : 8, name })) return;
      }
    },
    close() {},
  };
}
