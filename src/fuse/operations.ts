// The interface a file system implements for the kernel: one method an operation, node ids in, attributes out.
// It is the narrow waist between src/fuse (which knows the kernel and no 9P) and the file system above (which knows
// 9P and no kernel structs), and it is what both drivers call.
//
// Guarantees to the file system: a method is called once a request; what it throws or rejects with becomes the one
// error reply (ErrnoError's errno clamped; anything else EIO, logged); ctx.signal is aborted when the caller should
// be released (fuse/interrupt.ts decides) and a method that gives up because of it rejects with EINTR. A method that
// can answer without waiting returns the value itself, not a promise: the reply then goes out in the same tick.

import type { AbortSignalLike } from '../common/abort.ts';
import type { FileHandle, NodeId, Unique } from '../common/brand.ts';

export type Awaitable<T> = T | Promise<T>;

/** Who asks. pid is the calling thread's id, 0 when the kernel does not know it (another pid namespace, writeback). */
export interface RequestContext {
  readonly unique: Unique;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly signal: AbortSignalLike;
}

/** stat(2) in Linux terms. Times are seconds (may be negative) and nanoseconds 0..999999999. blocks are of 512 bytes. */
export interface Attr {
  ino: bigint;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** Linux "new" encoding: (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12), as in include/linux/kdev_t.h. */
  rdev: number;
  size: number;
  blocks: number;
  blksize: number;
  atime: number;
  atimeNsec: number;
  mtime: number;
  mtimeNsec: number;
  ctime: number;
  ctimeNsec: number;
}

export interface AttrReply {
  attr: Attr;
  /** Seconds, may be fractional, for which the kernel may use the attributes without asking. */
  attrTtl: number;
}

/** A found name. Counts one lookup of nodeid, which FORGET takes back. */
export interface Entry extends AttrReply {
  nodeid: NodeId;
  generation: number;
  /** Seconds for which the kernel may resolve the name without asking. */
  entryTtl: number;
}

/** A name that is known not to exist, cached for entryTtl seconds. */
export interface NegativeEntry {
  nodeid: 0;
  entryTtl: number;
}

export interface OpenReply {
  fh: FileHandle;
  /** FOPEN_* bits (wire/fuse/constants.ts). */
  flags: number;
}

export interface CreateReply extends OpenReply {
  entry: Entry;
}

/** `data` is written to the kernel in the same tick in which it is returned, then release() is called once. */
export interface ReadReply {
  data: Uint8Array | readonly Uint8Array[];
  release?: () => void;
}

/** What SETATTR changes; a member that is absent is left alone. 'now' is the server's clock. */
export interface SetAttr {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: { sec: number; nsec: number } | 'now';
  mtime?: { sec: number; nsec: number } | 'now';
  ctime?: { sec: number; nsec: number };
  /** The open file through which it was asked (ftruncate), to be preferred to the node. */
  fh?: FileHandle;
  /** FATTR_KILL_SUIDGID (HANDLE_KILLPRIV_V2): a truncate by somebody without CAP_FSETID clears suid, and sgid with group execute. */
  killSuidGid?: boolean;
}

export interface StatFs {
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  ffree: number;
  bsize: number;
  frsize: number;
  namelen: number;
}

/**
 * struct flock in FUSE's form: `end` is inclusive, LOCK_EOF (2^63-1) for "to the end of the file". type is F_RDLCK 0, F_WRLCK 1,
 * F_UNLCK 2.
 */
export interface FileLock {
  start: bigint;
  end: bigint;
  type: number;
  /** The process that asks; 0 in a question (GETLK), in an unlock, and where the kernel does not know it. */
  pid: number;
  /** flock(2) asks, not fcntl(2). */
  flock?: boolean;
}

/** Collects the entries of one READDIR reply. */
export interface DirentSink {
  /** False when the entry does not fit any more: it is not taken, and the reply is complete. `offset` resumes after it. */
  add(name: string, ino: bigint, type: number, offset: bigint): boolean;
}

/** Collects the entries of one READDIRPLUS reply. */
export interface DirentPlusSink {
  /** Whether an entry of this name still fits; asked before the lookup that add() will count. */
  fits(name: string): boolean;
  /** Without `entry` only the name is given. An entry that is taken counts one lookup, except for "." and "..". */
  add(name: string, ino: bigint, type: number, offset: bigint, entry: Entry | undefined): boolean;
}

/** What a write or an open needs to know beside the bytes. */
export interface WriteFlags {
  /** FUSE_WRITE_CACHE: from the page cache; ctx's ids are not the writer's. */
  fromCache: boolean;
  /** FUSE_WRITE_KILL_SUIDGID. */
  killSuidGid: boolean;
  /** The open file's O_* flags at this moment (fcntl may have changed O_APPEND). */
  openFlags: number;
  lockOwner: bigint;
}

export interface Operations {
  lookup(ctx: RequestContext, parent: NodeId, name: string): Awaitable<Entry | NegativeEntry>;
  /** Takes `nlookup` counts back. Never fails, no reply; at unmount it may not come at all. */
  forget(nodeid: NodeId, nlookup: number): void;
  getattr(ctx: RequestContext, nodeid: NodeId, fh: FileHandle | undefined, force: boolean): Awaitable<AttrReply>;
  setattr(ctx: RequestContext, nodeid: NodeId, set: SetAttr): Awaitable<AttrReply>;
  readlink(ctx: RequestContext, nodeid: NodeId): Awaitable<string>;
  mknod(ctx: RequestContext, parent: NodeId, name: string, mode: number, rdev: number, umask: number): Awaitable<Entry>;
  mkdir(ctx: RequestContext, parent: NodeId, name: string, mode: number, umask: number): Awaitable<Entry>;
  unlink(ctx: RequestContext, parent: NodeId, name: string): Awaitable<void>;
  rmdir(ctx: RequestContext, parent: NodeId, name: string): Awaitable<void>;
  symlink(ctx: RequestContext, parent: NodeId, name: string, target: string): Awaitable<Entry>;
  /** flags: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2, RENAME_WHITEOUT 4 (renameat2(2)). */
  rename(
    ctx: RequestContext,
    parent: NodeId,
    name: string,
    newParent: NodeId,
    newName: string,
    flags: number,
  ): Awaitable<void>;
  link(ctx: RequestContext, nodeid: NodeId, newParent: NodeId, newName: string): Awaitable<Entry>;
  open(ctx: RequestContext, nodeid: NodeId, flags: number, killSuidGid: boolean): Awaitable<OpenReply>;
  create(
    ctx: RequestContext,
    parent: NodeId,
    name: string,
    flags: number,
    mode: number,
    umask: number,
    killSuidGid: boolean,
  ): Awaitable<CreateReply>;
  /** Returns fewer bytes than `size` only at the end of the file, or for a direct I/O file whenever it likes. */
  read(
    ctx: RequestContext,
    nodeid: NodeId,
    fh: FileHandle,
    offset: number,
    size: number,
    openFlags: number,
  ): Awaitable<ReadReply>;
  /** `data` is a view that is valid until the method settles. Returns the bytes written. */
  write(
    ctx: RequestContext,
    nodeid: NodeId,
    fh: FileHandle,
    offset: number,
    data: Uint8Array,
    flags: WriteFlags,
  ): Awaitable<number>;
  /** FUSE_FLUSH: one close(2) of a descriptor of this open file; the last chance to report a write error. */
  closeFlush(ctx: RequestContext, nodeid: NodeId, fh: FileHandle, lockOwner: bigint): Awaitable<void>;
  release(ctx: RequestContext, nodeid: NodeId, fh: FileHandle): Awaitable<void>;
  fsync(ctx: RequestContext, nodeid: NodeId, fh: FileHandle, dataOnly: boolean): Awaitable<void>;
  opendir(ctx: RequestContext, nodeid: NodeId, flags: number): Awaitable<OpenReply>;
  readdir(
    ctx: RequestContext,
    nodeid: NodeId,
    fh: FileHandle,
    offset: bigint,
    size: number,
    sink: DirentSink,
  ): Awaitable<void>;
  readdirplus(
    ctx: RequestContext,
    nodeid: NodeId,
    fh: FileHandle,
    offset: bigint,
    size: number,
    sink: DirentPlusSink,
  ): Awaitable<void>;
  releasedir(ctx: RequestContext, nodeid: NodeId, fh: FileHandle): Awaitable<void>;
  fsyncdir(ctx: RequestContext, nodeid: NodeId, fh: FileHandle, dataOnly: boolean): Awaitable<void>;
  statfs(ctx: RequestContext, nodeid: NodeId): Awaitable<StatFs>;
  access(ctx: RequestContext, nodeid: NodeId, mask: number): Awaitable<void>;
  /** The value; the session turns a probe of size 0 into the length and a short buffer into ERANGE. */
  getxattr?(ctx: RequestContext, nodeid: NodeId, name: string): Awaitable<Uint8Array>;
  /** flags: XATTR_CREATE 1, XATTR_REPLACE 2. killSgid: an ACL by somebody who is not in the file's group (FUSE_SETXATTR_ACL_KILL_SGID). */
  setxattr?(
    ctx: RequestContext,
    nodeid: NodeId,
    name: string,
    value: Uint8Array,
    flags: number,
    killSgid?: boolean,
  ): Awaitable<void>;
  /** NUL-terminated names, as listxattr(2) returns them. */
  listxattr?(ctx: RequestContext, nodeid: NodeId): Awaitable<Uint8Array>;
  removexattr?(ctx: RequestContext, nodeid: NodeId, name: string): Awaitable<void>;
  /** The first lock that would stand in the way, or one of type F_UNLCK. */
  getlk?(ctx: RequestContext, nodeid: NodeId, fh: FileHandle, owner: bigint, lock: FileLock): Awaitable<FileLock>;
  /** With `wait` (SETLKW) it settles when the lock is granted. */
  setlk?(
    ctx: RequestContext,
    nodeid: NodeId,
    fh: FileHandle,
    owner: bigint,
    lock: FileLock,
    wait: boolean,
  ): Awaitable<void>;
  /** The mount is gone: let go of everything. Called once, after the last reply. */
  destroy(): Awaitable<void>;
  /** For the interrupt policy: whether this operation on this node may block for ever (a stream file opened direct). */
  mayBlock?(nodeid: NodeId, fh: FileHandle | undefined): boolean;
}
