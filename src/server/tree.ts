// The interface that a tree implements to be served, and what it may count on.
//
// The server guarantees: names handed to a tree are not empty and hold no `/` and no NUL; `.` never comes, `..` only to
// walk(); a node is released once for each reference that was given out; a file is closed once, after its last call
// has settled; `user` is the one that attached, and checking what that user may do is the tree's own affair.
// The tree guarantees: what it throws or rejects with is an ErrnoError (or Node's own error, whose code is used); a call
// whose signal is aborted either completes, or has had no effect and rejects with CancelledError: it looks at
// the signal before the effect, never after. A method that can answer without waiting returns the value, not a
// promise: the reply then goes out in the same tick.

import type { AbortSignalLike } from '../common/abort.ts';
import type { Slab } from '../common/bufpool.ts';
import type { RecordLock } from '../common/locktable.ts';
import type { Body, MessageName } from '../wire/p9/messages.ts';
import type { Dirent, Qid } from '../wire/p9/types.ts';
import type { Fault } from './fault.ts';
import type { ServerStats } from './stats.ts';

export { LOCK_EOF, type LockOwner, type RecordLock } from '../common/locktable.ts';

export type Awaitable<T> = T | Promise<T>;

/**
 * Which group a user's new files may have: any that its client names, for a client that is believed; one of the user's
 * own; or gid always, whatever the client says.
 */
export type NewGroup = 'any' | 'own' | 'gid';

/** Who attached. `groups` holds gid and the supplementary groups. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** The number as text, where it has no name. */
  readonly uname: string;
  readonly newGroup: NewGroup;
}

export interface Time {
  sec: number;
  nsec: number;
}

/** What Tsetattr asks to change; a member that is absent is left alone. 'now' is the server's clock. */
export interface Changes {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: Time | 'now';
  mtime?: Time | 'now';
  /** QT bits that a file has beside its type, as a whole: APPEND, EXCL, TMP. Only where Tree.marks. */
  marks?: number;
}

/** All of stat(2) and more; `valid` says which members mean something. */
export type Attributes = Body<'Rgetattr'>;
export type Statfs = Body<'Rstatfs'>;

/** Bytes to send, in one piece or several. They do not change until release() is called, which happens once. */
export interface ReadResult {
  data: Uint8Array | readonly Uint8Array[];
  release?: (() => void) | undefined;
}

/** Memory for a read; waits while too much is lent. */
export type Lender = (size: number, signal: AbortSignalLike) => Awaitable<Slab>;

export interface TreeNode {
  /** The planned misbehaviour of a message about this node; asked for where Tree.misbehaves. */
  faultOf?(type: MessageName): Fault | undefined;
  /** Equal paths, same file. The version is that of the last call that looked; a tree with no version gives 0. */
  readonly qid: Qid;
  /** One reference more. A node comes with one; while there is any, the file stays usable, also without a name. */
  retain(): void;
  release(): void;

  /** `..` of the root is the root. The result comes with a reference. */
  walk(name: string, user: User, signal: AbortSignalLike): Awaitable<TreeNode>;
  /** `mask` is a hint (GETATTR bits): more may be answered, and less is said in `valid`. */
  getattr(mask: number, user: User, signal: AbortSignalLike): Awaitable<Attributes>;
  /** `file` is the open file through which it was asked: a right that it was opened with need not be had again. */
  setattr(changes: Changes, file: OpenFile | undefined, user: User, signal: AbortSignalLike): Awaitable<void>;
  readlink(user: User, signal: AbortSignalLike): Awaitable<string>;
  statfs(user: User, signal: AbortSignalLike): Awaitable<Statfs>;
  /** `flags`: OPEN bits without CREATE and EXCL. An access mode of ACCMODE is Plan 9's OEXEC: to be read by who may execute it. */
  open(flags: number, user: User, signal: AbortSignalLike): Awaitable<OpenFile>;

  /** A regular file, opened; without OPEN.EXCL one that exists is opened. The node comes with a reference. */
  create(
    name: string,
    flags: number,
    mode: number,
    gid: number,
    user: User,
    signal: AbortSignalLike,
  ): Awaitable<{ node: TreeNode; file: OpenFile }>;
  mkdir(name: string, mode: number, gid: number, user: User, signal: AbortSignalLike): Awaitable<Qid>;
  symlink(name: string, target: string, gid: number, user: User, signal: AbortSignalLike): Awaitable<Qid>;
  /** `mode` holds the type: a device with its numbers, a FIFO, a socket, or a regular file. */
  mknod(
    name: string,
    mode: number,
    device: { major: number; minor: number },
    gid: number,
    user: User,
    signal: AbortSignalLike,
  ): Awaitable<Qid>;
  link(target: TreeNode, name: string, user: User, signal: AbortSignalLike): Awaitable<void>;
  /** Removes a name: of a directory when `directory`, of anything else when not. */
  unlink(name: string, directory: boolean, user: User, signal: AbortSignalLike): Awaitable<void>;
  rename(name: string, to: TreeNode, newName: string, user: User, signal: AbortSignalLike): Awaitable<void>;

  getxattr(name: string, user: User, signal: AbortSignalLike): Awaitable<Uint8Array>;
  /** Names, each ended by NUL. */
  listxattr(user: User, signal: AbortSignalLike): Awaitable<Uint8Array>;
  /** flags: 0, XATTR.CREATE or XATTR.REPLACE. `value` is the tree's to keep. */
  setxattr(name: string, value: Uint8Array, flags: number, user: User, signal: AbortSignalLike): Awaitable<void>;
  removexattr(name: string, user: User, signal: AbortSignalLike): Awaitable<void>;
}

export { XATTR } from '../wire/p9/constants.ts';
/** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h. */
export const XATTR_MAX = 65536;

export interface OpenFile {
  /** At most `count` bytes; none at the end of the file. Fewer only at its end, or from a stream. */
  read(offset: number, count: number, lend: Lender, signal: AbortSignalLike): Awaitable<ReadResult>;
  /** Returns how many bytes were written. `data` is valid until the call settles. A file opened to append ignores offset. */
  write(offset: number, data: Uint8Array, signal: AbortSignalLike): Awaitable<number>;
  /**
   * Passes the entries behind `cookie` (0n: from the beginning, `.` and `..` among them) to `add` until it returns false,
   * which means that this one was not taken. A cookie stays good however the directory changes: an entry that was
   * there all the time is passed exactly once in a listing.
   */
  readdir(cookie: bigint, add: (entry: Dirent) => boolean, signal: AbortSignalLike): Awaitable<void>;
  fsync(dataOnly: boolean, signal: AbortSignalLike): Awaitable<void>;
  /** One of LOCK_STATUS. Never waits: a lock in the way is BLOCKED, and the client asks again. */
  lock(request: RecordLock, signal: AbortSignalLike): Awaitable<number>;
  /** The first lock that stands in the way. */
  getlock(request: RecordLock, signal: AbortSignalLike): Awaitable<RecordLock | undefined>;
  /** Also drops the record locks that were taken through this file. Its error is the clunk's. */
  close(): Awaitable<void>;
}

export interface Tree {
  /** For the log. */
  readonly name: string;
  /** The node to which `aname` leads, with a reference. A tree of one export knows '' and '/'. */
  attach(user: User, aname: string, signal: AbortSignalLike): Awaitable<TreeNode>;
  /** Called once, when nothing of it is used any more. */
  close(): Awaitable<void>;
  /**
   * Whether what this user may do is what the tree then lets it do; without this method it is so for everybody. A tree that
   * asks somebody else, as the server itself whoever the user is, says false for all others.
   */
  actsAs?(user: User): boolean;
  /** Its files can be append-only, for one user at a time, and temporary (Changes.marks). */
  readonly marks?: boolean;
  /** Its nodes have faults to be asked for. */
  readonly misbehaves?: boolean;
  /** Called once by the server that is to serve it, for a tree that shows the server to its clients. */
  serving?(stats: () => ServerStats): void;
}

/** `next` of the value, in the same tick where it is there already. */
export function after<T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isPromise(value) ? value.then(next) : next(value);
}

export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value;
}
