// The server's attributes as the kernel wants them, and the comparisons that caching rests on.
// Guarantees: what a hostile or careless server sends stays within what the kernel accepts.

import type { FileStat, StatChange } from '../../client/dialects/dialect.ts';
import type { Attr, SetAttr } from '../../fuse/operations.ts';
import { NONUNAME } from '../../wire/p9/constants.ts';
import type { Qid } from '../../wire/p9/types.ts';
import type { Owners } from '../owners/owners.ts';

export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
export const S_ISGID = 0o2000;
/** S_ISUID and S_ISGID. */
export const PRIVILEGES = 0o4000 | S_ISGID;
export const S_IXGRP = 0o010;

const NSEC = 1_000_000_000;
const MAX_U32 = 0xffffffff;

const LEAST_BLOCK = 512;
/** The largest block of a file system that is in use (GPFS, ZFS). */
const LARGEST_BLOCK = 16 * 1024 * 1024;
const BLOCK = 4096;

/**
 * A server's block size, where a program can use it. Programs make their buffers as large: nfs-ganesha says 1, and one that
 * says 2 GiB would have every cat and cp take as much.
 */
export function usableBlock(size: number): number {
  return size >= LEAST_BLOCK && size <= LARGEST_BLOCK ? size : BLOCK;
}

export function isDirectory(stat: { mode: number }): boolean {
  return (stat.mode & S_IFMT) === S_IFDIR;
}

/** stat's st_ino: the qid's path. 0 would hide the entry from readdir(3). */
export function inoOf(qid: Qid): bigint {
  return qid.path === 0n ? 1n : qid.path;
}

/** A masked mode is all that the mask leaves, as with mount.fuse(8); of a link nobody looks at it. */
export function shownMode(mode: number, { fmask, dmask }: Owners): number {
  const type = mode & S_IFMT;
  const mask = type === S_IFDIR ? dmask : type === S_IFLNK ? undefined : fmask;
  return mask === undefined ? mode : type | (0o777 & ~mask);
}

export function toAttr(stat: FileStat, owners: Owners, ino = inoOf(stat.qid), links = stat.nlink): Attr {
  return {
    ino,
    mode: shownMode(stat.mode, owners),
    nlink: Math.min(links, MAX_U32),
    uid: owners.showUid ?? (stat.uid === NONUNAME ? owners.dfltuid : owners.uids.toLocal(stat.uid)),
    gid: owners.showGid ?? (stat.gid === NONUNAME ? owners.dfltgid : owners.gids.toLocal(stat.gid)),
    rdev: stat.rdev % (MAX_U32 + 1),
    size: stat.size,
    blocks: stat.blocks,
    blksize: usableBlock(stat.blksize),
    atime: stat.atime,
    atimeNsec: stat.atimeNsec % NSEC,
    mtime: stat.mtime,
    mtimeNsec: stat.mtimeNsec % NSEC,
    ctime: stat.ctime,
    ctimeNsec: stat.ctimeNsec % NSEC,
  };
}

/** The setuid and setgid bits of a file. What setgid means of a directory is no privilege. */
export function privilegesIn(mode: number): number {
  return (mode & S_IFMT) === S_IFDIR ? 0 : mode & PRIVILEGES;
}

/** The mode without what a write or truncate by an ordinary user takes away (chmod(2), "clear suid"). */
export function withoutPrivileges(mode: number): number {
  return mode & ~((mode & S_IXGRP) !== 0 ? PRIVILEGES : PRIVILEGES & ~S_ISGID);
}

/**
 * The change that SETATTR asks for; killSuidGid is owners/privileges.ts's. To give a file to whom it is shown to belong to
 * anyway (uid=, gid=) changes nothing. Throws EPERM for an owner whom the server cannot be told.
 */
export function toChange(set: SetAttr, { uids, gids, showUid, showGid, chownIgnored }: Owners): StatChange {
  const change: StatChange = {};
  if (set.mode !== undefined) change.mode = set.mode & 0o7777;
  try {
    if (set.uid !== undefined && set.uid !== showUid) change.uid = uids.toServer(set.uid);
    if (set.gid !== undefined && set.gid !== showGid) change.gid = gids.toServer(set.gid);
  } catch (error) {
    if (chownIgnored !== true) throw error;
  }
  if (set.size !== undefined) change.size = set.size;
  if (set.atime !== undefined) change.atime = set.atime;
  if (set.mtime !== undefined) change.mtime = set.mtime;
  return change;
}

/** Whether two looks at a file show the same content, as far as the server lets anybody tell. */
export function sameContent(a: FileStat, b: FileStat): boolean {
  // a version of 0 is no validator: most servers never move it
  if (a.qid.version !== 0 && b.qid.version !== 0 && a.qid.version !== b.qid.version) return false;
  // with ctime: whoever writes a file may set its mtime back (cp -p, rsync -t)
  const sameTimes = a.mtime === b.mtime && a.mtimeNsec === b.mtimeNsec;
  return a.size === b.size && sameTimes && a.ctime === b.ctime && a.ctimeNsec === b.ctimeNsec;
}

/** Attributes after a change that was made; the server's clock is taken to be this machine's. */
export function changedStat(stat: FileStat, change: StatChange & { nlink?: number }): FileStat {
  const { mode, uid, gid, size, atime, mtime, nlink } = change;
  const now = { sec: Math.floor(Date.now() / 1000), nsec: (Date.now() % 1000) * 1_000_000 };
  const time = (asked: StatChange['atime'], sec: number, nsec: number) =>
    asked === undefined ? { sec, nsec } : asked === 'now' ? now : asked;
  const a = time(atime, stat.atime, stat.atimeNsec);
  const m = time(mtime, stat.mtime, stat.mtimeNsec);
  return {
    ...stat,
    mode: mode === undefined ? stat.mode : (stat.mode & S_IFMT) | mode,
    nlink: nlink ?? stat.nlink,
    size: size ?? stat.size,
    uid: uid ?? stat.uid,
    gid: gid ?? stat.gid,
    atime: a.sec,
    atimeNsec: a.nsec,
    mtime: m.sec,
    mtimeNsec: m.nsec,
  };
}
