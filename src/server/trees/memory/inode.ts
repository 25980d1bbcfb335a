// One file of the memory tree, whatever its type: attributes, references, and the calls that concern it alone. What
// concerns a directory's entries is in directory.ts, the bytes in content.ts.
// Guarantees: every call answers at once, without a promise; each change moves the qid's version, which is never 0; the
// file lives while it has a name or a reference, and its memory goes back to the budget when it has neither.

import { errno } from '../../../common/errno.ts';
import { LockTable } from '../../../common/locktable.ts';
import { byteLength } from '../../../common/text.ts';
import { GETATTR, OPEN, QT, V9FS_MAGIC } from '../../../wire/p9/constants.ts';
import type { Qid } from '../../../wire/p9/types.ts';
import { refuse } from '../../refuse.ts';
import type { Attributes, Changes, OpenFile, Statfs, Time, TreeNode, User } from '../../tree.ts';
import { MAY, owns, permits, S, withoutPrivileges } from '../modes.ts';
import type { UserRooms } from '../userrooms.ts';
import type { Budget } from './budget.ts';
import type { Clock } from './clock.ts';
import { Content } from './content.ts';
import * as directory from './directory.ts';
import { MemoryDirectory, MemoryFile } from './file.ts';
import { Xattrs } from './xattrs.ts';

/** What an inode costs besides its content, as measured. */
const INODE_COST = 768;
const BLOCK = 4096;
/** What a file can be beside its type (Changes.marks). */
const MARKS = QT.APPEND | QT.EXCL | QT.TMP;
const NAME_MAX = 255;
/** Beyond it offsets could lose their last bit in a number. */
export const FILE_MAX = 2 ** 52;

export interface Volume {
  readonly budget: Budget;
  readonly clock: Clock;
  readonly lockRanges: UserRooms;
  /** The next inode number; never given twice. */
  nextIno(): bigint;
}

export type Body =
  | { readonly kind: 'file'; readonly content: Content }
  | directory.Directory
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'special'; readonly rdev: number };

export class Inode implements TreeNode {
  readonly volume: Volume;
  readonly qid: Qid;
  readonly body: Body;
  mode: number;
  uid: number;
  gid: number;
  /** Names; a directory's own `.` and its children's `..` are counted besides. */
  nlink = 0;
  /** How often it is open. */
  opens = 0;
  readonly #cost: number;
  #refs = 1;
  #xattrs: Xattrs | undefined;
  #locks: LockTable | undefined;
  readonly #born: Time;
  #atime: Time;
  #mtime: Time;
  #ctime: Time;

  /** Comes with one reference and no name. */
  constructor(volume: Volume, mode: number, uid: number, gid: number, body: Body) {
    this.#cost = INODE_COST + (body.kind === 'symlink' ? 2 * body.target.length : 0);
    volume.budget.take(this.#cost);
    this.volume = volume;
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
    this.body = body;
    const type = body.kind === 'directory' ? QT.DIR : body.kind === 'symlink' ? QT.SYMLINK : QT.FILE;
    this.qid = { type, version: 1, path: volume.nextIno() };
    this.#born = this.now();
    this.#atime = this.#born;
    this.#mtime = this.#born;
    this.#ctime = this.#born;
  }

  now(): Time {
    const { clock } = this.volume;
    clock.tick();
    return { sec: clock.sec, nsec: clock.nsec };
  }

  /** The content (or the list of names) has changed. */
  changed(): void {
    this.#mtime = this.now();
    this.#ctime = this.#mtime;
    this.#moveVersion();
  }

  /** Something else about it has changed. */
  altered(): void {
    this.#ctime = this.now();
    this.#moveVersion();
  }

  #moveVersion(): void {
    this.qid.version = (this.qid.version + 1) >>> 0 || 1;
  }

  /** It was read: atime moves when it would tell something new (mount(8), relatime). */
  accessed(): void {
    const { sec, nsec } = this.#atime;
    const mtime = this.#mtime;
    if (sec < mtime.sec || (sec === mtime.sec && nsec <= mtime.nsec)) this.#atime = this.now();
  }

  get locks(): LockTable {
    this.#locks ??= new LockTable();
    return this.#locks;
  }

  dropLocks(file: object): void {
    this.#locks?.drop(file);
  }

  retain(): void {
    this.#refs++;
  }

  release(): void {
    if (--this.#refs === 0) this.#freeIfUnused();
  }

  /** Reference holders; for leak checks. */
  get refs(): number {
    return this.#refs;
  }

  /** One name more, or fewer. */
  named(change: 1 | -1): void {
    this.nlink += change;
    this.altered();
    if (change < 0) this.#freeIfUnused();
  }

  #freeIfUnused(): void {
    if (this.#refs > 0 || this.nlink > 0) return;
    if (this.body.kind === 'file') this.body.content.free();
    this.#xattrs?.free();
    this.volume.budget.give(this.#cost);
  }

  /** Whatever is written goes to the end. */
  get appends(): boolean {
    return (this.qid.type & QT.APPEND) !== 0;
  }

  require(user: User, want: number): void {
    if (!permits(user, this, want)) refuse(errno.EACCES);
  }

  /** Somebody without privileges has written: suid and sgid go. */
  losePrivileges(user: User): void {
    if (user.uid !== 0 && this.mode & (S.ISUID | S.ISGID)) this.mode = withoutPrivileges(this.mode);
  }

  get #size(): number {
    if (this.body.kind === 'file') return this.body.content.size;
    if (this.body.kind === 'symlink') return byteLength(this.body.target);
    return this.body.kind === 'directory' ? BLOCK : 0;
  }

  getattr(): Attributes {
    const { body, qid } = this;
    const size = this.#size;
    const blocks = body.kind === 'file' ? Math.ceil(body.content.allocated / 512) : body.kind === 'directory' ? 8 : 0;
    return {
      valid: GETATTR.ALL,
      qid,
      mode: this.mode,
      uid: this.uid,
      gid: this.gid,
      nlink: body.kind === 'directory' && this.nlink > 0 ? 2 + body.subdirectories : this.nlink,
      rdev: body.kind === 'special' ? body.rdev : 0,
      size,
      blksize: BLOCK,
      blocks,
      atime: this.#atime.sec,
      atimeNsec: this.#atime.nsec,
      mtime: this.#mtime.sec,
      mtimeNsec: this.#mtime.nsec,
      ctime: this.#ctime.sec,
      ctimeNsec: this.#ctime.nsec,
      btime: this.#born.sec,
      btimeNsec: this.#born.nsec,
      gen: 0n,
      dataVersion: BigInt(qid.version),
    };
  }

  /** Checks everything before it changes anything. */
  setattr(changes: Changes, file: OpenFile | undefined, user: User): void {
    const { mode, uid, gid, size, atime, mtime, marks } = changes;
    this.#checkChanges(changes, file, user);
    if (size !== undefined) this.#resize(size, user);
    if (uid !== undefined || gid !== undefined) {
      this.uid = uid ?? this.uid;
      this.gid = gid ?? this.gid;
      this.mode = withoutPrivileges(this.mode);
    }
    if (mode !== undefined) {
      const foreign = user.uid !== 0 && !user.groups.includes(this.gid);
      this.mode = (this.mode & S.IFMT) | (foreign ? mode & ~S.ISGID : mode);
    }
    if (size !== undefined) this.changed();
    else if (Object.keys(changes).length > 0) this.altered();
    if (marks !== undefined) this.qid.type = (this.qid.type & ~MARKS) | (marks & MARKS);
    if (atime !== undefined) this.#atime = atime === 'now' ? this.now() : atime;
    if (mtime !== undefined) this.#mtime = mtime === 'now' ? this.now() : mtime;
  }

  #checkChanges(changes: Changes, file: OpenFile | undefined, user: User): void {
    const { mode, uid, gid, size, atime, mtime, marks } = changes;
    if (marks !== undefined && (this.body.kind !== 'file' || !owns(user, this))) refuse(errno.EPERM);
    if (mode !== undefined) {
      if (this.body.kind === 'symlink') refuse(errno.EOPNOTSUPP);
      if (!owns(user, this)) refuse(errno.EPERM);
    }
    if (user.uid !== 0) {
      if (uid !== undefined && (user.uid !== this.uid || uid !== this.uid)) refuse(errno.EPERM);
      if (gid !== undefined && (user.uid !== this.uid || (gid !== this.gid && !user.groups.includes(gid)))) {
        refuse(errno.EPERM);
      }
    }
    const exact = (atime !== undefined && atime !== 'now') || (mtime !== undefined && mtime !== 'now');
    if (exact && !owns(user, this)) refuse(errno.EPERM);
    // utimensat(2): the present time may be set by whoever may write
    const present = atime !== undefined || mtime !== undefined;
    if (present && !owns(user, this) && file === undefined) this.require(user, MAY.WRITE);
    if (size === undefined) return;
    if (this.body.kind !== 'file') refuse(this.body.kind === 'directory' ? errno.EISDIR : errno.EINVAL);
    if (size > FILE_MAX) refuse(errno.EFBIG);
    if (this.appends) refuse(errno.EPERM);
    if (file === undefined) this.require(user, MAY.WRITE);
  }

  #resize(size: number, user: User): void {
    if (this.body.kind !== 'file') return;
    this.body.content.resize(size);
    this.losePrivileges(user);
  }

  readlink(): string {
    return this.body.kind === 'symlink' ? this.body.target : refuse(errno.EINVAL);
  }

  statfs(): Statfs {
    const { capacity, left } = this.volume.budget;
    const bfree = Math.floor(left / BLOCK);
    return {
      fsType: V9FS_MAGIC,
      bsize: BLOCK,
      blocks: Math.floor(capacity / BLOCK),
      bfree,
      bavail: bfree,
      files: Math.floor(capacity / INODE_COST),
      ffree: Math.floor(left / INODE_COST),
      fsid: 0x6e696e6566730000n,
      namelen: NAME_MAX,
    };
  }

  open(flags: number, user: User): OpenFile {
    const access = flags & OPEN.ACCMODE;
    const writes = access === OPEN.WRONLY || access === OPEN.RDWR || (flags & OPEN.TRUNC) !== 0;
    let want = access === OPEN.ACCMODE ? MAY.EXEC : access === OPEN.WRONLY ? 0 : MAY.READ;
    if (writes) want |= MAY.WRITE;
    const { body } = this;
    const allow = () => {
      this.require(user, want);
      // to leave the access time alone is for the owner, and for root (open(2))
      if (flags & OPEN.NOATIME && !owns(user, this)) refuse(errno.EPERM);
    };
    switch (body.kind) {
      case 'directory':
        if (writes) refuse(errno.EISDIR);
        allow();
        if (!(flags & OPEN.NOATIME)) this.accessed();
        return new MemoryDirectory(this, body, user);
      case 'symlink':
        return refuse(errno.ELOOP);
      case 'special':
        // what a device or a FIFO does is the business of the client's kernel
        return refuse(errno.ENXIO);
      case 'file':
        if (flags & OPEN.DIRECTORY) refuse(errno.ENOTDIR);
        allow();
        if (this.qid.type & QT.EXCL && this.opens > 0) refuse(errno.EAGAIN);
        // what can only grow is not cut, and that is no error (open(9P))
        if (flags & OPEN.TRUNC && !this.appends) {
          this.#resize(0, user);
          this.changed();
        }
        return new MemoryFile(this, body.content, user, flags);
    }
  }

  walk(name: string, user: User): Inode {
    return directory.lookup(this, name, user);
  }

  create(name: string, flags: number, mode: number, gid: number, user: User): { node: Inode; file: OpenFile } {
    return directory.create(this, name, flags, mode, gid, user);
  }

  mkdir(name: string, mode: number, gid: number, user: User): Qid {
    return directory.mkdir(this, name, mode, gid, user);
  }

  symlink(name: string, target: string, gid: number, user: User): Qid {
    return directory.symlink(this, name, target, gid, user);
  }

  mknod(name: string, mode: number, device: { major: number; minor: number }, gid: number, user: User): Qid {
    return directory.mknod(this, name, mode, device, gid, user);
  }

  link(target: TreeNode, name: string, user: User): void {
    directory.link(this, inodeOf(target), name, user);
  }

  unlink(name: string, isDirectory: boolean, user: User): void {
    directory.unlink(this, name, isDirectory, user);
  }

  rename(name: string, to: TreeNode, newName: string, user: User): void {
    directory.rename(this, name, inodeOf(to), newName, user);
  }

  getxattr(name: string, user: User): Uint8Array {
    const xattrs = this.#xattrs ?? new Xattrs(this.volume.budget);
    return xattrs.get(name, this, user);
  }

  listxattr(user: User): Uint8Array {
    return this.#xattrs?.list(user) ?? new Uint8Array(0);
  }

  setxattr(name: string, value: Uint8Array, flags: number, user: User): void {
    this.#xattrs ??= new Xattrs(this.volume.budget);
    this.#xattrs.set(name, value, flags, this, user);
    this.altered();
  }

  removexattr(name: string, user: User): void {
    const xattrs = this.#xattrs ?? new Xattrs(this.volume.budget);
    xattrs.remove(name, this, user);
    this.altered();
  }
}

export function newFile(volume: Volume): Body {
  return { kind: 'file', content: new Content(volume.budget) };
}

function inodeOf(node: TreeNode): Inode {
  return node instanceof Inode ? node : refuse(errno.EXDEV);
}
