// What is open on a file or directory of the host. Reads that the page cache can answer and small writes are made on the
// spot, which costs a few microseconds; what may wait for a disk goes to Node's thread pool.
// Guarantees: a read fills its count but for the end of the file; a listing goes by the file system's own cookies.

import { fdatasync, fsync, read, write } from 'node:fs';
import { promisify } from 'node:util';
import type { Slab } from '../../../common/bufpool.ts';
import { errno } from '../../../common/errno.ts';
import { decodeText } from '../../../common/text.ts';
import { QT } from '../../../wire/p9/constants.ts';
import type { Dirent } from '../../../wire/p9/types.ts';
import { refuse, stopIfAborted } from '../../refuse.ts';
import {
  type Awaitable,
  isPromise,
  type Lender,
  type OpenFile,
  type ReadResult,
  type RecordLock,
  type User,
} from '../../tree.ts';
import { S } from '../modes.ts';
import type { HostNode } from './node.ts';
import { check, STAT } from './syscalls.ts';
import { dropPrivileges } from './terms.ts';
import { qidType } from './volume.ts';

const readAsync = promisify(read);
const writeAsync = promisify(write);
const fsyncAsync = promisify(fsync);
const fdatasyncAsync = promisify(fdatasync);

/** Larger ones take long enough that the loop should do something else meanwhile. */
const READ_HERE = 128 * 1024;
const WRITE_HERE = 32 * 1024;
const LISTING = 32 * 1024;
/** struct linux_dirent64: d_ino, d_off, d_reclen, d_type, d_name. */
const DIRENT = { INO: 0, OFF: 8, RECLEN: 16, TYPE: 18, NAME: 19 } as const;
const OFFSET_MAX = 2 ** 53 - 1;
/** Entries that are kept in all listings of a tree together; each is a few hundred bytes. */
const AHEAD_MAX = 50_000;

export class HostFile implements OpenFile {
  readonly fd: number;
  readonly #node: HostNode;
  readonly #user: User;
  #hasWritten = false;
  /** Entries read from the kernel and not passed on, in order. */
  #ahead: Dirent[] = [];
  /** The cookie of the entry before them. */
  #at = 0n;

  /** Takes the descriptor over, by which the node goes as well while it is open; keeps the node. */
  constructor(node: HostNode, fd: number, user: User) {
    node.opened(fd);
    node.volume.uses(1);
    this.#node = node;
    this.fd = fd;
    this.#user = user;
  }

  get #isDirectory(): boolean {
    return (this.#node.qid.type & QT.DIR) !== 0;
  }

  read(offset: number, count: number, lend: Lender, signal: { readonly aborted: boolean }): Awaitable<ReadResult> {
    if (this.#isDirectory) refuse(errno.EISDIR);
    if (offset > OFFSET_MAX - count) refuse(errno.EINVAL);
    const slab = lend(Math.max(count, 1), signal as Parameters<Lender>[1]);
    return isPromise(slab)
      ? slab.then((lent) => this.#readInto(lent, offset, count, signal))
      : this.#readInto(slab, offset, count, signal);
  }

  #readInto(slab: Slab, offset: number, count: number, signal: { readonly aborted: boolean }): Awaitable<ReadResult> {
    const { sys } = this.#node.volume;
    let got = 0;
    if (count <= READ_HERE) {
      // fewer bytes are the end of the file or the end of what is cached: a second call tells which
      for (let n = 1; n > 0 && got < count; ) {
        n = sys.pread(this.fd, got === 0 ? slab.bytes : slab.bytes.subarray(got), count - got, offset + got);
        if (n > 0) got += n;
        else if (n === 0) return answer(slab, got);
      }
      if (got === count) return answer(slab, got);
    }
    return this.#readLater(slab, got, offset, count, signal);
  }

  async #readLater(
    slab: Slab,
    have: number,
    offset: number,
    count: number,
    signal: { readonly aborted: boolean },
  ): Promise<ReadResult> {
    let got = have;
    try {
      while (got < count) {
        stopIfAborted(signal);
        const { bytesRead } = await readAsync(this.fd, slab.bytes, got, count - got, offset + got);
        if (bytesRead === 0) break;
        got += bytesRead;
      }
    } catch (error) {
      slab.release();
      throw error;
    }
    return answer(slab, got);
  }

  write(offset: number, data: Uint8Array, signal: { readonly aborted: boolean }): Awaitable<number> {
    if (offset > OFFSET_MAX - data.length) refuse(errno.EFBIG);
    if (data.length === 0) return 0;
    const { volume } = this.#node;
    const { identity, sys, terms } = volume;
    // the thread that writes is the server's, for which the kernel keeps suid and sgid bits
    if (identity.isBelowServer(this.#user) || (terms.nosuid && !this.#hasWritten)) dropPrivileges(volume, this.fd);
    this.#hasWritten = true;
    if (data.length <= WRITE_HERE) return check(sys.pwrite(this.fd, data, offset));
    return this.#writeLater(offset, data, signal);
  }

  async #writeLater(offset: number, data: Uint8Array, signal: { readonly aborted: boolean }): Promise<number> {
    let done = 0;
    while (done < data.length) {
      if (done === 0) stopIfAborted(signal);
      try {
        const { bytesWritten } = await writeAsync(this.fd, data, done, data.length - done, offset + done);
        done += bytesWritten;
      } catch (error) {
        // what was written is told first; the error comes again with the next write
        if (done === 0) throw error;
        break;
      }
    }
    return done;
  }

  readdir(cookie: bigint, add: (entry: Dirent) => boolean): void {
    if (!this.#isDirectory) refuse(errno.ENOTDIR);
    const { sys } = this.#node.volume;
    if (cookie !== this.#at) {
      check(sys.seekdir(this.fd, cookie));
      this.#keep([]);
      this.#at = cookie;
    }
    for (;;) {
      let passed = 0;
      for (const entry of this.#ahead) {
        if (!add(entry)) {
          this.#keepFor(this.#ahead.slice(passed));
          return;
        }
        this.#at = entry.offset;
        passed++;
      }
      this.#keep(this.#fetch());
      if (this.#ahead.length === 0) return;
    }
  }

  /** What is left for the next call, or nothing, where so much is kept for other listings that it is read again. */
  #keepFor(entries: Dirent[]): void {
    const { volume } = this.#node;
    this.#keep([]);
    if (volume.ahead + entries.length > AHEAD_MAX) check(volume.sys.seekdir(this.fd, this.#at));
    else this.#keep(entries);
  }

  #keep(entries: Dirent[]): void {
    const { volume } = this.#node;
    volume.ahead += entries.length - this.#ahead.length;
    this.#ahead = entries;
  }

  /** The next entries; none at the end. */
  #fetch(): Dirent[] {
    const { sys } = this.#node.volume;
    const buffer = Buffer.allocUnsafe(LISTING);
    const entries: Dirent[] = [];
    const length = check(sys.getdents(this.fd, buffer));
    for (let at = 0; at < length; at += buffer.readUInt16LE(at + DIRENT.RECLEN)) entries.push(this.#entry(buffer, at));
    return entries;
  }

  #entry(buffer: Buffer, at: number): Dirent {
    const name = decodeText(buffer.subarray(at + DIRENT.NAME, buffer.indexOf(0, at + DIRENT.NAME)));
    const type = buffer[at + DIRENT.TYPE] || this.#typeOf(name);
    const path = this.#node.pathOfSibling(buffer.readBigUInt64LE(at + DIRENT.INO));
    // what lies above the root is nobody's business
    const upward = name === '..' && this.#node.isRoot;
    return {
      // a version is not known without asking for every file; 0 says so
      qid: { type: qidType(type << 12), version: 0, path: upward ? this.#node.qid.path : path },
      offset: buffer.readBigUInt64LE(at + DIRENT.OFF),
      type,
      name,
    };
  }

  /** For file systems whose listings do not tell. */
  #typeOf(name: string): number {
    const { sys, stat } = this.#node.volume;
    return sys.statat(this.fd, name, stat) < 0 ? 0 : (stat[STAT.MODE]! & S.IFMT) >> 12;
  }

  async fsync(dataOnly: boolean): Promise<void> {
    await (dataOnly ? fdatasyncAsync(this.fd) : fsyncAsync(this.fd));
  }

  lock(request: RecordLock): number {
    return this.#node.locks.set(request, this);
  }

  getlock(request: RecordLock): RecordLock | undefined {
    return this.#node.locks.conflict(request);
  }

  close(): void {
    this.#node.locks.drop(this);
    const { volume } = this.#node;
    this.#keep([]);
    volume.uses(-1);
    this.#node.closing(this.fd);
    const result = volume.sys.close(this.fd);
    volume.keepSpare();
    this.#node.release();
    check(result);
  }
}

function answer(slab: Slab, count: number): ReadResult {
  return { data: slab.bytes.subarray(0, count), release: () => slab.release() };
}
