// What a file system needs of a 9P dialect, in file terms: the interface that hides which messages carry it.
// Every method takes the AbortSignal last and rejects with ErrnoError for what the server refuses. Fids that a method
// makes are the caller's to clunk.

import type { AbortSignalLike } from '../../common/abort.ts';
import type { RecordLock } from '../../common/locktable.ts';
import type { Dirent, Qid } from '../../wire/p9/types.ts';
import type { Fid } from '../fids.ts';

/** A file's attributes. Times in seconds and nanoseconds, blocks of 512 bytes, ids NONUNAME (0xffffffff) where unknown. */
export interface FileStat {
  qid: Qid;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** Linux's "new" device encoding, as .L carries it. */
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

export interface Time {
  sec: number;
  nsec: number;
}

/** What to change; what is absent stays. 'now' is the server's clock. */
export interface StatChange {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: Time | 'now';
  mtime?: Time | 'now';
}

export interface FileSystemStat {
  bsize: number;
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  ffree: number;
  namelen: number;
}

/** A listing's entry; `name` is undefined where the server sent one that no directory can hold. */
export type ListedDirent = Dirent | (Omit<Dirent, 'name'> & { name: undefined });

export interface Dialect {
  attach(uname: string, aname: string, uid: number, signal?: AbortSignalLike): Promise<Fid>;
  /**
   * A new fid for a path below `from`, of any length; ENOENT where it ends before. No names: a clone. `above` is the qid that
   * the directory of the last name must have: WrongWay (walk.ts) where the path leads there through another one.
   */
  walk(from: Fid, names: readonly string[], signal?: AbortSignalLike, above?: Qid): Promise<Fid>;
  stat(fid: Fid, signal?: AbortSignalLike): Promise<FileStat>;
  change(fid: Fid, change: StatChange, signal?: AbortSignalLike): Promise<void>;
  statfs(fid: Fid, signal?: AbortSignalLike): Promise<FileSystemStat>;
  /** flags: Linux open flags. The fid becomes an open file. */
  open(fid: Fid, flags: number, signal?: AbortSignalLike): Promise<void>;
  /** Creates `name` in the directory that `dir` is a fid of; that fid becomes the open file. */
  create(dir: Fid, name: string, flags: number, mode: number, gid: number, signal?: AbortSignalLike): Promise<void>;
  /** Resolves, as mknod and symlink, to the qid of what was made: by its name there may be something else already. */
  mkdir(dir: Fid, name: string, mode: number, gid: number, signal?: AbortSignalLike): Promise<Qid>;
  mknod(
    dir: Fid,
    name: string,
    mode: number,
    major: number,
    minor: number,
    gid: number,
    signal?: AbortSignalLike,
  ): Promise<Qid>;
  symlink(dir: Fid, name: string, target: string, gid: number, signal?: AbortSignalLike): Promise<Qid>;
  link(dir: Fid, file: Fid, name: string, signal?: AbortSignalLike): Promise<void>;
  readlink(fid: Fid, signal?: AbortSignalLike): Promise<string>;
  /** Removes a file, or with `directory` an empty directory. */
  unlink(dir: Fid, name: string, directory: boolean, signal?: AbortSignalLike): Promise<void>;
  rename(from: Fid, oldname: string, to: Fid, newname: string, signal?: AbortSignalLike): Promise<void>;
  /**
   * Whole entries after the cookie `offset` (0: from the start), at most `size` bytes of them on the wire. Empty: the
   * end. `fid` is an open directory.
   */
  readdir(fid: Fid, offset: bigint, size: number, signal?: AbortSignalLike): Promise<ListedDirent[]>;
  fsync(fid: Fid, dataOnly: boolean, signal?: AbortSignalLike): Promise<void>;
  /**
   * Asks once for a record lock, or takes one away; `fid` is an open file. 'blocked': another owner's is in the way, ask
   * again. ENOLCK where the server keeps no locks.
   */
  lock(fid: Fid, lock: RecordLock, signal?: AbortSignalLike): Promise<'granted' | 'blocked'>;
  /** The first lock in the way of this one. */
  getlock(fid: Fid, lock: RecordLock, signal?: AbortSignalLike): Promise<RecordLock | undefined>;
  /** An attribute's value, or with an empty name the names that there are, each ended by NUL. */
  getxattr(file: Fid, name: string, signal?: AbortSignalLike): Promise<Uint8Array>;
  /** flags: XATTR_CREATE 1, XATTR_REPLACE 2 (setxattr(2)). */
  setxattr(file: Fid, name: string, value: Uint8Array, flags: number, signal?: AbortSignalLike): Promise<void>;
  removexattr(file: Fid, name: string, signal?: AbortSignalLike): Promise<void>;
  /** False: a file has one name. */
  readonly hasLinks: boolean;
  /** False: FileStat.nlink is 1 also of a file without a name. */
  readonly countsLinks: boolean;
  /** True where a rename over what is there may take several steps, with nothing by that name between them. */
  readonly replacesInSteps: boolean;
  /** True where an attach names the user, and `uid` is not sent. */
  readonly attachesByName: boolean;
  /** False: there are no record locks; the local kernel keeps them. */
  readonly hasLocks: boolean;
  /** True where what is made gets no permission that its directory does not have. */
  readonly cutsModes: boolean;
  /** False: a server does not find the end for a fid that was opened with O_APPEND. True: it may (append.ts). */
  readonly appends: boolean;
}
