// 9P2000.u: 9P2000 with what Unix has beyond it: numbers for owners, setuid and its like, symbolic links, hard links and
// special files, all of them made by Tcreate with a text (the extension) that says to what.
// Source: fs/9p/vfs_inode.c, which its servers were written for.

import type { AbortSignalLike } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import { DM, OMODE, OPEN } from '../../wire/p9/constants.ts';
import type { Qid } from '../../wire/p9/types.ts';
import type { Accounts } from '../accounts.ts';
import type { Fid } from '../fids.ts';
import { Legacy } from './legacy.ts';
import type { Plan9Calls } from './plan9-calls.ts';

const S_IFMT = 0o170000;
const LINK_MODE = 0o777;

interface Special {
  readonly dm: number;
  extension(major: number, minor: number): string;
}

/** What Tcreate makes for each S_IFMT, and what its extension says. */
const SPECIAL: ReadonlyMap<number, Special> = new Map<number, Special>([
  [0, { dm: 0, extension: () => '' }],
  [0o100000, { dm: 0, extension: () => '' }],
  [0o020000, { dm: DM.DEVICE, extension: (major, minor) => `c ${major} ${minor}` }],
  [0o060000, { dm: DM.DEVICE, extension: (major, minor) => `b ${major} ${minor}` }],
  [0o010000, { dm: DM.NAMEDPIPE, extension: () => '' }],
  [0o140000, { dm: DM.SOCKET, extension: () => '' }],
]);

export class DotU extends Legacy {
  override readonly attachesByName = false;
  override readonly hasLinks = true;

  constructor(calls: Plan9Calls, accounts: Accounts) {
    super(calls, accounts, true);
  }

  protected override openMode(flags: number): number {
    return super.openMode(flags) | ((flags & OPEN.APPEND) !== 0 ? OMODE.APPEND : 0);
  }

  override async mknod(
    dir: Fid,
    name: string,
    mode: number,
    major: number,
    minor: number,
    _gid: number,
    signal?: AbortSignalLike,
  ): Promise<Qid> {
    const kind = SPECIAL.get(mode & S_IFMT);
    if (kind === undefined) throw new ErrnoError(errno.EINVAL, 'mknod');
    return this.make(dir, name, mode, kind.dm, kind.extension(major, minor), undefined, signal);
  }

  override symlink(dir: Fid, name: string, target: string, _gid: number, signal?: AbortSignalLike): Promise<Qid> {
    return this.make(dir, name, LINK_MODE, DM.SYMLINK, target, undefined, signal);
  }

  /** The extension is the number of a fid of the file. */
  override async link(dir: Fid, file: Fid, name: string, signal?: AbortSignalLike): Promise<void> {
    await this.make(dir, name, 0, DM.LINK, String(file.number), file, signal);
  }

  override async readlink(fid: Fid, signal?: AbortSignalLike): Promise<string> {
    const { mode, extension } = await this.look(fid, signal);
    if ((mode & DM.SYMLINK) === 0) throw new ErrnoError(errno.EINVAL, 'readlink');
    return extension;
  }
}
