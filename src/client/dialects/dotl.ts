// 9P2000.L: the dialect that maps one to one onto Linux's file operations.
// Owns the fallbacks that its servers need: Tunlinkat and Trenameat answered by EOPNOTSUPP or ENOSYS become Tremove and
// Trename, remembered for the connection.

import type { AbortSignalLike } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import type { RecordLock } from '../../common/locktable.ts';
import { AT_REMOVEDIR, GETATTR, OPEN, QT, SETATTR } from '../../wire/p9/constants.ts';
import type { Body } from '../../wire/p9/messages.ts';
import { type Qid, readDirents } from '../../wire/p9/types.ts';
import type { Fid } from '../fids.ts';
import { completed } from './attributes.ts';
import { readBlock } from './block.ts';
import { CutListings } from './cutlistings.ts';
import type { Dialect, FileStat, FileSystemStat, ListedDirent, StatChange, Time } from './dialect.ts';
import type { DotLCalls } from './dotl-calls.ts';
import * as locks from './dotl-locks.ts';
import * as xattrs from './dotl-xattrs.ts';
import { walk } from './walk.ts';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const NSEC = 1_000_000_000;
/** The flags of open(2) that mean something to a server; the others are the kernel's business or the fid's. */
const OPEN_FLAGS =
  OPEN.ACCMODE |
  OPEN.EXCL |
  OPEN.TRUNC |
  OPEN.APPEND |
  OPEN.NONBLOCK |
  OPEN.DSYNC |
  OPEN.SYNC |
  OPEN.DIRECTORY |
  OPEN.NOFOLLOW |
  OPEN.NOATIME |
  OPEN.LARGEFILE;
/** Bytes of an entry with the longest name of most file systems. */
const LONGEST_ENTRY = 24 + 255;
/** Bytes: less may not hold even one entry. */
const READDIR_LEAST = 512;

function isMissing(error: unknown): boolean {
  return isErrno(error, errno.EOPNOTSUPP, errno.ENOSYS);
}

export class DotL implements Dialect {
  readonly attachesByName = false;
  readonly hasLinks = true;
  readonly replacesInSteps = false;
  readonly countsLinks = true;
  readonly hasLocks = true;
  readonly appends = true;
  readonly cutsModes = false;
  readonly #calls: DotLCalls;
  #noUnlinkat = false;
  #noRenameat = false;
  /** Whether Tlopen honours O_TRUNC, as seen at the first file that had something to lose; nfs-ganesha does not. */
  #truncates: boolean | undefined;
  readonly #cut: CutListings;

  constructor(calls: DotLCalls) {
    this.#calls = calls;
    this.#cut = new CutListings(calls.connection, LONGEST_ENTRY);
  }

  attach(uname: string, aname: string, uid: number, signal?: AbortSignalLike): Promise<Fid> {
    return this.#calls.attach(uname, aname, uid, signal);
  }

  walk(from: Fid, names: readonly string[], signal?: AbortSignalLike, above?: Qid): Promise<Fid> {
    return walk(this.#calls, from, names, signal, above);
  }

  async stat(fid: Fid, signal?: AbortSignalLike): Promise<FileStat> {
    const reply = await this.#calls.getattr(fid, GETATTR.BASIC, signal);
    if (reply.atimeNsec >= NSEC || reply.mtimeNsec >= NSEC || reply.ctimeNsec >= NSEC) {
      reply.atimeNsec %= NSEC;
      reply.mtimeNsec %= NSEC;
      reply.ctimeNsec %= NSEC;
    }
    fid.qid = reply.qid;
    return toFileStat((reply.valid & GETATTR.BASIC) === GETATTR.BASIC ? reply : completed(reply));
  }

  async change(fid: Fid, change: StatChange, signal?: AbortSignalLike): Promise<void> {
    let valid = 0;
    if (change.mode !== undefined) valid |= SETATTR.MODE;
    if (change.uid !== undefined) valid |= SETATTR.UID;
    if (change.gid !== undefined) valid |= SETATTR.GID;
    if (change.size !== undefined) valid |= SETATTR.SIZE;
    const atime = timeOf(change.atime);
    const mtime = timeOf(change.mtime);
    if (change.atime !== undefined) valid |= SETATTR.ATIME | (change.atime === 'now' ? 0 : SETATTR.ATIME_SET);
    if (change.mtime !== undefined) valid |= SETATTR.MTIME | (change.mtime === 'now' ? 0 : SETATTR.MTIME_SET);
    await this.#calls.setattr(
      fid,
      {
        valid,
        mode: change.mode ?? 0,
        uid: change.uid ?? 0xffffffff,
        gid: change.gid ?? 0xffffffff,
        size: change.size ?? 0,
        atime: atime.sec,
        atimeNsec: atime.nsec,
        mtime: mtime.sec,
        mtimeNsec: mtime.nsec,
      },
      signal,
    );
  }

  statfs(fid: Fid, signal?: AbortSignalLike): Promise<FileSystemStat> {
    return this.#calls.statfs(fid, signal);
  }

  async open(fid: Fid, flags: number, signal?: AbortSignalLike): Promise<void> {
    const truncate = (flags & OPEN.TRUNC) !== 0;
    const watch = truncate && this.#truncates === undefined;
    const full = watch && (await this.stat(fid, signal)).size > 0;
    await this.#calls.lopen(fid, flags & OPEN_FLAGS, signal);
    if (!full && !(truncate && this.#truncates === false)) return;
    // it is open, and may have been cut
    await this.#calls.finish(signal, async (rest) => {
      if (full) this.#truncates = (await this.stat(fid, rest)).size === 0;
      if (this.#truncates === false) await this.change(fid, { size: 0 }, rest);
    });
  }

  create(dir: Fid, name: string, flags: number, mode: number, gid: number, signal?: AbortSignalLike): Promise<void> {
    return this.#calls.lcreate(dir, name, (flags & OPEN_FLAGS) | OPEN.CREATE, mode, gid, signal);
  }

  mkdir(dir: Fid, name: string, mode: number, gid: number, signal?: AbortSignalLike): Promise<Qid> {
    return this.#calls.mkdir(dir, name, mode, gid, signal);
  }

  async mknod(
    dir: Fid,
    name: string,
    mode: number,
    major: number,
    minor: number,
    gid: number,
    signal?: AbortSignalLike,
  ): Promise<Qid> {
    try {
      return await this.#calls.mknod(dir, name, mode, major, minor, gid, signal);
    } catch (error) {
      // nfs-ganesha makes special files only; a regular one can be had by creating it
      const regular = (mode & S_IFMT) === 0 || (mode & S_IFMT) === S_IFREG;
      if (!regular || !isErrno(error, errno.EINVAL)) throw error;
      const fid = await this.walk(dir, [], signal);
      try {
        await this.#calls.lcreate(fid, name, OPEN.CREATE | OPEN.EXCL | OPEN.WRONLY, mode & 0o7777, gid, signal);
        return fid.qid;
      } finally {
        this.#calls.clunk(fid);
      }
    }
  }

  symlink(dir: Fid, name: string, target: string, gid: number, signal?: AbortSignalLike): Promise<Qid> {
    return this.#calls.symlink(dir, name, target, gid, signal);
  }

  link(dir: Fid, file: Fid, name: string, signal?: AbortSignalLike): Promise<void> {
    return this.#calls.link(dir, file, name, signal);
  }

  readlink(fid: Fid, signal?: AbortSignalLike): Promise<string> {
    return this.#calls.readlink(fid, signal);
  }

  async unlink(dir: Fid, name: string, directory: boolean, signal?: AbortSignalLike): Promise<void> {
    if (!this.#noUnlinkat) {
      try {
        await this.#calls.unlinkat(dir, name, directory ? AT_REMOVEDIR : 0, signal);
        return;
      } catch (error) {
        if (!isMissing(error)) throw error;
        this.#noUnlinkat = true;
      }
    }
    // Tremove takes files and directories alike, so the kind is checked here, as unlinkat(2) does
    const fid = await this.walk(dir, [name], signal);
    const isDirectory = (fid.qid.type & QT.DIR) !== 0;
    if (isDirectory !== directory) {
      this.#calls.clunk(fid);
      throw new ErrnoError(directory ? errno.ENOTDIR : errno.EISDIR, 'Tremove');
    }
    await this.#calls.remove(fid, signal);
  }

  async rename(from: Fid, oldname: string, to: Fid, newname: string, signal?: AbortSignalLike): Promise<void> {
    if (!this.#noRenameat) {
      try {
        await this.#calls.renameat(from, oldname, to, newname, signal);
        return;
      } catch (error) {
        if (!isMissing(error)) throw error;
        this.#noRenameat = true;
      }
    }
    const file = await this.walk(from, [oldname], signal);
    try {
      await this.#calls.rename(file, to, newname, signal);
    } catch (error) {
      // there is no third way; mv copies where it is told so
      throw isMissing(error) ? new ErrnoError(errno.EXDEV, 'the server renames nothing') : error;
    } finally {
      this.#calls.clunk(file);
    }
  }

  async readdir(fid: Fid, offset: bigint, size: number, signal?: AbortSignalLike): Promise<ListedDirent[]> {
    const { chunk, logger } = this.#calls.connection;
    // diod and others answer "nothing" (the end!) when not even one entry fits, so that little is never asked for
    const count = Math.min(Math.max(size, READDIR_LEAST), chunk);
    const { entries, length } = await readBlock(
      this.#calls,
      count,
      (buffer, over) => this.#calls.readdir(fid, offset, buffer, over, signal),
      readDirents,
      signal,
    );
    this.#cut.saw(fid, { from: offset, end: entries.at(-1)?.offset ?? offset, count, length });
    const nameless = entries.filter(({ name }) => name === undefined);
    if (nameless.length > 0) {
      // one line, however many the server has put into its reply
      const fields = { fid: fid.number, offset: String(nameless[0]?.offset), count: nameless.length };
      logger.warn(fields, 'names that no directory can hold dropped');
    }
    return entries;
  }

  async fsync(fid: Fid, dataOnly: boolean, signal?: AbortSignalLike): Promise<void> {
    try {
      await this.#calls.fsync(fid, dataOnly, signal);
    } catch (error) {
      // A server that syncs files only (nfs-ganesha). What was done to a directory is in the server's hands when it has
      // answered, and to sync one does nothing more over NFS either (fs/nfs/dir.c, nfs_fsync_dir).
      if (!isErrno(error, errno.EISDIR) || (fid.qid.type & QT.DIR) === 0) throw error;
    }
  }

  lock(fid: Fid, lock: RecordLock, signal?: AbortSignalLike): Promise<'granted' | 'blocked'> {
    return locks.lock(this.#calls, fid, lock, signal);
  }

  getlock(fid: Fid, lock: RecordLock, signal?: AbortSignalLike): Promise<RecordLock | undefined> {
    return locks.getlock(this.#calls, fid, lock, signal);
  }

  getxattr(file: Fid, name: string, signal?: AbortSignalLike): Promise<Uint8Array> {
    return xattrs.get(this.#calls, file, name, signal);
  }

  setxattr(file: Fid, name: string, value: Uint8Array, flags: number, signal?: AbortSignalLike): Promise<void> {
    return xattrs.set(this.#calls, file, name, value, flags, signal);
  }

  removexattr(file: Fid, name: string, signal?: AbortSignalLike): Promise<void> {
    return xattrs.remove(this.#calls, file, name, signal);
  }
}

/** Without what nobody asks for: a mount keeps one of these for every file that the kernel knows. */
function toFileStat(reply: Body<'Rgetattr'>): FileStat {
  const { qid, mode, nlink, uid, gid, rdev, size, blocks, blksize } = reply;
  const { atime, atimeNsec, mtime, mtimeNsec, ctime, ctimeNsec } = reply;
  return {
    qid,
    mode,
    nlink,
    uid,
    gid,
    rdev,
    size,
    blocks,
    blksize,
    atime,
    atimeNsec,
    mtime,
    mtimeNsec,
    ctime,
    ctimeNsec,
  };
}

function timeOf(time: Time | 'now' | undefined): Time {
  return time === undefined || time === 'now' ? { sec: 0, nsec: 0 } : time;
}
