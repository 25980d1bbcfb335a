// The stat of 9P2000 and 9P2000.u as a file's attributes, and changes of attributes as the stat of a Twstat.
// Guarantees: what a dialect cannot say is not made up: an owner without a number is NONUNAME, links are counted as one.

import { byteLength } from '../../common/text.ts';
import { DM, NONUNAME } from '../../wire/p9/constants.ts';
import type { ListedStat, Stat } from '../../wire/p9/stat.ts';
import { UNTOUCHED } from '../../wire/p9/stat.ts';
import type { Accounts } from '../accounts.ts';
import type { FileStat, StatChange, Time } from './dialect.ts';

const PERMISSIONS = 0o777;
const BLOCK = 512;
const BLKSIZE = 4096;
/** The last second that a stat can say; all ones is "don't touch". */
const LAST_SECOND = 0xfffffffe;

interface Kind {
  /** S_IFMT's part of a mode. */
  readonly format: number;
  /** DT_* of readdir(3). */
  readonly type: number;
}

const REGULAR: Kind = { format: 0o100000, type: 8 };
const DIRECTORY: Kind = { format: 0o040000, type: 4 };
const CHARACTER: Kind = { format: 0o020000, type: 2 };
const BLOCK_DEVICE: Kind = { format: 0o060000, type: 6 };

/** .u's, by bit; a device's letter says which of the two it is. */
const KINDS: readonly (readonly [number, Kind])[] = [
  [DM.SYMLINK, { format: 0o120000, type: 10 }],
  [DM.NAMEDPIPE, { format: 0o010000, type: 1 }],
  [DM.SOCKET, { format: 0o140000, type: 12 }],
];

/** .u's bits for setuid, setgid and sticky, and those of a mode. */
const SPECIAL: readonly (readonly [number, number])[] = [
  [DM.SETUID, 0o4000],
  [DM.SETGID, 0o2000],
  [DM.SETVTX, 0o1000],
];
const SPECIAL_BITS = DM.SETUID | DM.SETGID | DM.SETVTX;

/** `c 1 3`, `b 8 0`. */
const DEVICE = /^([bc]) (\d{1,10}) (\d{1,10})\s*$/;
/** What npfs and others say of a file with several names. */
const LINKS = /^HARDLINKCOUNT ?(\d{1,9})$/;

export function kindOf({ mode, extension }: Pick<ListedStat, 'mode' | 'extension'>, extended: boolean): Kind {
  if ((mode & DM.DIR) !== 0) return DIRECTORY;
  if (!extended) return REGULAR;
  if ((mode & DM.DEVICE) !== 0) {
    const letter = DEVICE.exec(extension)?.[1];
    return letter === undefined ? REGULAR : letter === 'b' ? BLOCK_DEVICE : CHARACTER;
  }
  return KINDS.find(([bit]) => (mode & bit) !== 0)?.[1] ?? REGULAR;
}

/** The DM bits of setuid and its like that a mode has; 9P2000 has none of them. */
export function specialBits(mode: number, extended: boolean): number {
  if (!extended) return 0;
  return SPECIAL.reduce((bits, [dm, bit]) => ((mode & bit) !== 0 ? bits | dm : bits), 0);
}

function modeOf(stat: Stat, extended: boolean): number {
  const mode = kindOf(stat, extended).format | (stat.mode & PERMISSIONS);
  if (!extended) return mode;
  return SPECIAL.reduce((bits, [dm, bit]) => ((stat.mode & dm) !== 0 ? bits | bit : bits), mode);
}

/** Linux's "new" encoding (include/linux/kdev_t.h). */
function rdevOf(extension: string): number {
  const [, , major, minor] = DEVICE.exec(extension) ?? [];
  if (major === undefined || minor === undefined) return 0;
  const low = Number(minor);
  return ((low & 0xff) | ((Number(major) & 0xfff) << 8) | ((low & 0xfff00) << 12)) >>> 0;
}

function sizeOf(stat: Stat, extended: boolean): number {
  // a symlink is as long as its target (lstat(2)); servers say 0
  if (extended && (stat.mode & DM.SYMLINK) !== 0) return byteLength(stat.extension);
  return Math.max(0, stat.length);
}

export function toFileStat(stat: Stat, extended: boolean, accounts: Accounts): FileStat {
  const size = sizeOf(stat, extended);
  const known = (number: number, byName: number | undefined) =>
    extended && number !== NONUNAME ? number : (byName ?? NONUNAME);
  const links = extended ? Number(LINKS.exec(stat.extension)?.[1] ?? 1) : 1;
  return {
    qid: stat.qid,
    mode: modeOf(stat, extended),
    nlink: Math.max(1, links),
    uid: known(stat.nUid, accounts.uidOf(stat.uid)),
    gid: known(stat.nGid, accounts.gidOf(stat.gid)),
    rdev: extended && (stat.mode & DM.DEVICE) !== 0 ? rdevOf(stat.extension) : 0,
    size,
    blocks: Math.ceil(size / BLOCK),
    blksize: BLKSIZE,
    atime: stat.atime,
    atimeNsec: 0,
    mtime: stat.mtime,
    mtimeNsec: 0,
    // there is no third time; what changes a file's attributes moves none of them
    ctime: stat.mtime,
    ctimeNsec: 0,
  };
}

/** Whole seconds of the range that there is, as Linux cuts times to what a file system can keep. */
function secondOf(time: Time | 'now' | undefined): number {
  if (time === undefined) return UNTOUCHED.atime;
  const sec = time === 'now' ? Math.floor(Date.now() / 1000) : time.sec;
  return Math.min(Math.max(sec, 0), LAST_SECOND);
}

/**
 * `dm` are the DM bits that the file has: a mode is written whole, and what it is (a directory, append-only, exclusive,
 * temporary) must not be changed by chmod(2). The server has no "now" of its own to be asked for.
 */
export function toWstat(change: StatChange, dm: number, extended: boolean, accounts: Accounts): Stat {
  const { mode, uid, gid, size } = change;
  const stat: Stat = {
    ...UNTOUCHED,
    length: size ?? UNTOUCHED.length,
    atime: secondOf(change.atime),
    mtime: secondOf(change.mtime),
  };
  if (mode !== undefined) {
    const kept = dm & ~PERMISSIONS & ~SPECIAL_BITS;
    stat.mode = (kept | (mode & PERMISSIONS) | specialBits(mode, extended)) >>> 0;
  }
  if (extended) {
    stat.nUid = uid ?? NONUNAME;
    stat.nGid = gid ?? NONUNAME;
  } else {
    if (uid !== undefined) stat.uid = accounts.userOf(uid);
    if (gid !== undefined) stat.gid = accounts.groupOf(gid);
  }
  return stat;
}
