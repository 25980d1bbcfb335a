// What is open on an inode: a file's bytes and locks, or a directory's listing.

import { errno } from '../../../common/errno.ts';
import { OPEN } from '../../../wire/p9/constants.ts';
import type { Dirent } from '../../../wire/p9/types.ts';
import { refuse } from '../../refuse.ts';
import type { Lender, OpenFile, ReadResult, RecordLock, User } from '../../tree.ts';
import { S } from '../modes.ts';
import type { Content } from './content.ts';
import { type Directory, DOT, DOTDOT, type Entry } from './directory.ts';
import { FILE_MAX, type Inode } from './inode.ts';

/** What files and directories have in common. */
abstract class Opened {
  protected readonly inode: Inode;
  protected readonly user: User;

  constructor(inode: Inode, user: User) {
    this.inode = inode;
    this.user = user;
  }

  fsync(): void {}

  lock(request: RecordLock): number {
    const { locks, volume } = this.inode;
    return locks.set(request, this, volume.lockRanges.of(this.user));
  }

  getlock(request: RecordLock): RecordLock | undefined {
    return this.inode.locks.conflict(request);
  }

  close(): void {
    this.inode.dropLocks(this);
  }
}

export class MemoryFile extends Opened implements OpenFile {
  readonly #content: Content;
  readonly #flags: number;

  constructor(inode: Inode, content: Content, user: User, flags: number) {
    super(inode, user);
    this.#content = content;
    this.#flags = flags;
    inode.opens++;
  }

  read(offset: number, count: number, _lend: Lender): ReadResult {
    if (!(this.#flags & OPEN.NOATIME)) this.inode.accessed();
    return this.#content.read(offset, count);
  }

  write(offset: number, data: Uint8Array): number {
    if (data.length === 0) return 0;
    const appends = (this.#flags & OPEN.APPEND) !== 0 || this.inode.appends;
    const at = appends ? this.#content.size : offset;
    if (at + data.length > FILE_MAX) refuse(errno.EFBIG);
    this.inode.losePrivileges(this.user);
    const written = this.#content.write(at, data);
    this.inode.changed();
    return written;
  }

  readdir(): never {
    return refuse(errno.ENOTDIR);
  }

  override close(): void {
    this.inode.opens--;
    super.close();
  }
}

export class MemoryDirectory extends Opened implements OpenFile {
  readonly #directory: Directory;
  /** Goes on where the last call ended: an iterator of a Map sees what is added and misses what is removed meanwhile. */
  #iterator: MapIterator<[string, Entry]>;
  /** Taken from the iterator, not yet passed on. */
  #ahead: [string, Entry] | undefined;
  /** The cookie of the entry before the next one. */
  #at = 0n;

  constructor(inode: Inode, directory: Directory, user: User) {
    super(inode, user);
    this.#directory = directory;
    this.#iterator = directory.entries.entries();
  }

  readdir(cookie: bigint, add: (entry: Dirent) => boolean): void {
    if (cookie < DOT && !this.#pass(add, '.', DOT, this.inode)) return;
    const parent = this.#directory.parent ?? this.inode;
    if (cookie < DOTDOT && !this.#pass(add, '..', DOTDOT, parent)) return;
    if (cookie !== this.#at) this.#seek(cookie);
    for (;;) {
      const next = this.#ahead ?? this.#iterator.next().value;
      this.#ahead = undefined;
      if (next === undefined) {
        // a Map's iterator that has ended stays ended, even when entries come
        this.#iterator = this.#directory.entries.entries();
        this.#at = -1n;
        return;
      }
      const [name, entry] = next;
      // between two calls it may have been removed, and even come again with another number
      if (this.#directory.entries.get(name) !== entry) continue;
      if (!this.#pass(add, name, entry.cookie, entry.node)) {
        this.#ahead = next;
        return;
      }
      this.#at = BigInt(entry.cookie);
    }
  }

  #pass(add: (entry: Dirent) => boolean, name: string, cookie: number, node: Inode): boolean {
    return add({ qid: node.qid, offset: BigInt(cookie), type: (node.mode & S.IFMT) >> 12, name });
  }

  /** The entries stand in the order of their cookies. */
  #seek(cookie: bigint): void {
    const after = cookie > BigInt(Number.MAX_SAFE_INTEGER) ? Number.POSITIVE_INFINITY : Number(cookie);
    this.#iterator = this.#directory.entries.entries();
    this.#ahead = undefined;
    this.#at = cookie;
    for (;;) {
      const { value } = this.#iterator.next();
      if (value === undefined) return;
      if (value[1].cookie <= after) continue;
      this.#ahead = value;
      return;
    }
  }

  read(): never {
    return refuse(errno.EISDIR);
  }

  write(): never {
    return refuse(errno.EISDIR);
  }
}
