// 9P2000: the dialect of Plan 9, which has names for owners, seconds for times, no links and no special files.
// Owns what has to be put together from what there is: a file is made through a clone of its directory, removed by a fid of
// its own, renamed by a Twstat, within its directory only.
// Also the ground that 9P2000.u (dotu.ts) stands on, which has the same messages with more in them.

import type { AbortSignalLike } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import { Finishing } from '../../common/finishing.ts';
import type { RecordLock } from '../../common/locktable.ts';
import { relayed } from '../../common/relay.ts';
import { DM, OMODE, OPEN, QT } from '../../wire/p9/constants.ts';
import { type Stat, UNTOUCHED } from '../../wire/p9/stat.ts';
import type { Qid } from '../../wire/p9/types.ts';
import type { Accounts } from '../accounts.ts';
import type { Fid } from '../fids.ts';
import { sideName } from '../sidename.ts';
import type { Dialect, FileStat, FileSystemStat, ListedDirent, StatChange } from './dialect.ts';
import type { Plan9Calls } from './plan9-calls.ts';
import { Listings } from './plan9-listing.ts';
import { specialBits, toFileStat, toWstat } from './plan9-stat.ts';
import { Wstats } from './plan9-wstat.ts';
import { walk } from './walk.ts';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const PERMISSIONS = 0o777;
/** Linux says so to a file system that a file is opened to be executed (__FMODE_EXEC of include/linux/fs.h). */
const FMODE_EXEC = 0o40;

export class Legacy implements Dialect {
  readonly attachesByName: boolean = true;
  readonly hasLinks: boolean = false;
  readonly countsLinks = false;
  readonly replacesInSteps = true;
  readonly hasLocks = false;
  readonly appends = false;
  /** open(9P). */
  readonly cutsModes = true;
  protected readonly calls: Plan9Calls;
  readonly #accounts: Accounts;
  /** 9P2000.u. */
  readonly #extended: boolean;
  readonly #listings: Listings;
  readonly #wstats: Wstats;

  constructor(calls: Plan9Calls, accounts: Accounts, extended = false) {
    this.calls = calls;
    this.#accounts = accounts;
    this.#extended = extended;
    this.#listings = new Listings(calls, extended);
    this.#wstats = new Wstats(calls);
  }

  attach(uname: string, aname: string, uid: number, signal?: AbortSignalLike): Promise<Fid> {
    return this.calls.attach(uname, aname, uid, signal);
  }

  walk(from: Fid, names: readonly string[], signal?: AbortSignalLike, above?: Qid): Promise<Fid> {
    return walk(this.calls, from, names, signal, above);
  }

  async stat(fid: Fid, signal?: AbortSignalLike): Promise<FileStat> {
    return toFileStat(await this.look(fid, signal), this.#extended, this.#accounts);
  }

  /** The server's own stat. */
  protected look(fid: Fid, signal?: AbortSignalLike): Promise<Stat> {
    return this.#wstats.look(fid, signal);
  }

  async change(fid: Fid, change: StatChange, signal?: AbortSignalLike): Promise<void> {
    await this.calls.connection.fids.during([fid], async () => {
      const dm = change.mode === undefined ? 0 : await this.#wstats.kindOf(fid, signal);
      await this.#wstats.send(fid, toWstat(change, dm, this.#extended, this.#accounts), signal);
    });
  }

  /** There is no such message. */
  async statfs(): Promise<FileSystemStat> {
    throw new ErrnoError(errno.EOPNOTSUPP, 'statfs');
  }

  async open(fid: Fid, flags: number, signal?: AbortSignalLike): Promise<void> {
    if ((flags & OPEN.DIRECTORY) !== 0 && (fid.qid.type & QT.DIR) === 0) throw new ErrnoError(errno.ENOTDIR, 'Topen');
    const truncate = (flags & OPEN.TRUNC) !== 0 ? OMODE.TRUNC : 0;
    try {
      await this.calls.open(fid, this.openMode(flags) | truncate, signal);
    } catch (error) {
      // what may be executed and not read can still be read to be executed (open(9P))
      if ((flags & FMODE_EXEC) === 0 || !isErrno(error, errno.EACCES, errno.EPERM)) throw error;
      await this.calls.open(fid, OMODE.EXEC, signal);
    }
  }

  /** Of Topen and Tcreate, without what only one of them has. Linux's access mode 3 checks for both and does neither. */
  protected openMode(flags: number): number {
    const access = flags & OPEN.ACCMODE;
    return access === OPEN.ACCMODE ? OMODE.RDWR : access;
  }

  /** create(9P) never opens what is there already: that is for who did not ask for O_EXCL. */
  async create(
    dir: Fid,
    name: string,
    flags: number,
    mode: number,
    _gid: number,
    signal?: AbortSignalLike,
  ): Promise<void> {
    const body = { name, perm: this.#perm(mode), mode: this.openMode(flags), extension: '' };
    try {
      await this.calls.create(dir, body, undefined, signal);
    } catch (error) {
      if ((flags & OPEN.EXCL) !== 0 || !isErrno(error, errno.EEXIST)) throw error;
      const qids = await this.calls.step(dir, [name], signal);
      if (qids.length < 1) throw error;
      await this.open(dir, flags, signal);
    }
  }

  #perm(mode: number): number {
    return ((mode & PERMISSIONS) | specialBits(mode, this.#extended)) >>> 0;
  }

  mkdir(dir: Fid, name: string, mode: number, _gid: number, signal?: AbortSignalLike): Promise<Qid> {
    return this.make(dir, name, mode, DM.DIR, '', undefined, signal);
  }

  /** Makes something and leaves it closed. `target` is the fid that `extension` names, if it names one. */
  protected async make(
    dir: Fid,
    name: string,
    mode: number,
    dm: number,
    extension: string,
    target: Fid | undefined,
    signal: AbortSignalLike | undefined,
  ): Promise<Qid> {
    const fid = await this.walk(dir, [], signal);
    try {
      const perm = (this.#perm(mode) | dm) >>> 0;
      await this.calls.create(fid, { name, perm, mode: OMODE.READ, extension }, target, signal);
      return fid.qid;
    } finally {
      this.calls.clunk(fid);
    }
  }

  async mknod(
    dir: Fid,
    name: string,
    mode: number,
    _major: number,
    _minor: number,
    _gid: number,
    signal?: AbortSignalLike,
  ): Promise<Qid> {
    const kind = mode & S_IFMT;
    if (kind !== 0 && kind !== S_IFREG) throw new ErrnoError(errno.EPERM, '9P2000 has no special files');
    return this.make(dir, name, mode, 0, '', undefined, signal);
  }

  async symlink(_dir: Fid, _name: string, _target: string, _gid: number, _signal?: AbortSignalLike): Promise<Qid> {
    throw new ErrnoError(errno.EPERM, '9P2000 has no symbolic links');
  }

  async link(_dir: Fid, _file: Fid, _name: string, _signal?: AbortSignalLike): Promise<void> {
    throw new ErrnoError(errno.EPERM, '9P2000 has no links');
  }

  async readlink(_fid: Fid, _signal?: AbortSignalLike): Promise<string> {
    throw new ErrnoError(errno.EINVAL, '9P2000 has no symbolic links');
  }

  /** Tremove takes files and directories alike, so that the kind is checked here, as unlinkat(2) does. */
  async unlink(dir: Fid, name: string, directory: boolean, signal?: AbortSignalLike): Promise<void> {
    const fid = await this.walk(dir, [name], signal);
    if (isDirectory(fid) !== directory) {
      this.calls.clunk(fid);
      throw new ErrnoError(directory ? errno.ENOTDIR : errno.EISDIR, 'Tremove');
    }
    await this.calls.remove(fid, signal);
  }

  async rename(from: Fid, oldname: string, to: Fid, newname: string, signal?: AbortSignalLike): Promise<void> {
    if (from !== to) throw new ErrnoError(errno.EXDEV, 'a Twstat renames within a directory');
    const fid = await this.walk(from, [oldname], signal);
    try {
      if (oldname !== newname) await this.#rename(fid, newname, signal);
    } catch (error) {
      if (!isErrno(error, errno.EEXIST)) throw error;
      await this.#replace(fid, to, newname, signal);
    } finally {
      this.calls.clunk(fid);
    }
  }

  #rename(fid: Fid, name: string, signal?: AbortSignalLike): Promise<void> {
    return this.#wstats.send(fid, { ...UNTOUCHED, name }, signal);
  }

  /**
   * rename(2) over something that is there, from servers that keep to wstat(9P) and refuse it. What is there steps aside
   * first, so that it comes back if the rename fails all the same; between the two steps there is nothing by that name.
   */
  async #replace(fid: Fid, dir: Fid, name: string, signal: AbortSignalLike | undefined): Promise<void> {
    const there = await this.walk(dir, [name], signal);
    const rest = signal && new Finishing(relayed(signal), this.calls.connection.flushTimeout);
    try {
      if (isDirectory(there) !== isDirectory(fid)) {
        throw new ErrnoError(isDirectory(there) ? errno.EISDIR : errno.ENOTDIR, 'Twstat');
      }
      if (there.qid.path === fid.qid.path) return; // two names of one file: rename(2) leaves both
      if (isDirectory(there)) {
        await this.unlink(dir, name, true, signal);
        return await this.#rename(fid, name, rest);
      }
      // what follows is not aborted with its caller: it would stop half way
      await this.#rename(there, sideName(), signal);
      try {
        await this.#rename(fid, name, rest);
      } catch (error) {
        // also where he has waited long enough for the rename
        await this.#rename(there, name, rest && new Finishing(rest, this.calls.connection.flushTimeout));
        throw error;
      }
      await this.calls.remove(there, rest);
    } finally {
      rest?.done();
      this.calls.clunk(there); // nothing where it was removed
    }
  }

  readdir(fid: Fid, offset: bigint, size: number, signal?: AbortSignalLike): Promise<ListedDirent[]> {
    return this.#listings.read(fid, offset, size, signal);
  }

  /** A Twstat that changes nothing (stat(9P)). */
  fsync(fid: Fid, _dataOnly: boolean, signal?: AbortSignalLike): Promise<void> {
    return this.#wstats.send(fid, UNTOUCHED, signal);
  }

  async lock(_fid: Fid, _lock: RecordLock, _signal?: AbortSignalLike): Promise<'granted' | 'blocked'> {
    throw new ErrnoError(errno.ENOLCK, 'this dialect has no locks');
  }

  async getlock(_fid: Fid, _lock: RecordLock, _signal?: AbortSignalLike): Promise<RecordLock | undefined> {
    throw new ErrnoError(errno.ENOLCK, 'this dialect has no locks');
  }

  async getxattr(_file: Fid, _name: string, _signal?: AbortSignalLike): Promise<Uint8Array> {
    throw new ErrnoError(errno.ENOSYS, NO_XATTRS);
  }

  async setxattr(
    _file: Fid,
    _name: string,
    _value: Uint8Array,
    _flags: number,
    _signal?: AbortSignalLike,
  ): Promise<void> {
    throw new ErrnoError(errno.ENOSYS, NO_XATTRS);
  }

  async removexattr(_file: Fid, _name: string, _signal?: AbortSignalLike): Promise<void> {
    throw new ErrnoError(errno.ENOSYS, NO_XATTRS);
  }
}

const NO_XATTRS = 'this dialect has no extended attributes';

function isDirectory(fid: Fid): boolean {
  return (fid.qid.type & QT.DIR) !== 0;
}
