// How fuse-native writes what a file system says, and says what the kernel wrote: attributes as arrays of 32-bit words with times
// in milliseconds, and on macOS other numbers for errors, flags and devices. Pure: the host's numbers come in as a `Host`.

import { constants } from 'node:os';
import { errno, errnoName } from '../../../common/errno.ts';
import type { Attr, StatFs } from '../../operations.ts';
import type { Native } from './binding.ts';

/** What differs between the systems that fuse-native runs on. */
export interface Host {
  readonly mac: boolean;
  /** Errno numbers by name, as os.constants.errno has them. */
  readonly errno: Readonly<Record<string, number>>;
}

export const thisHost: Host = { mac: process.platform === 'darwin', errno: constants.errno };

/** ENOATTR, "no such attribute", has no name in Node. */
const MAC_ENOATTR = 93;

/** A Linux errno as this host's kernel wants it: negative. EIO where the host has no such error. */
export function hostErrno(number: number, host: Host): number {
  if (!host.mac) return -number;
  if (number === errno.ENODATA) return -MAC_ENOATTR;
  return -(host.errno[errnoName(number)] ?? errno.EIO);
}

/** macOS's open flags (sys/fcntl.h) and Linux's. */
const MAC_FLAGS: readonly (readonly [mac: number, linux: number])[] = [
  [0x0004, 0o4000], // O_NONBLOCK
  [0x0008, 0o2000], // O_APPEND
  [0x0080, 0o4010000], // O_SYNC
  [0x0100, 0o400000], // O_NOFOLLOW
  [0x0200, 0o100], // O_CREAT
  [0x0400, 0o1000], // O_TRUNC
  [0x0800, 0o200], // O_EXCL
  [0x100000, 0o200000], // O_DIRECTORY
  [0x400000, 0o10000], // O_DSYNC
];

/** An open(2)'s flags with Linux's numbers. */
export function linuxFlags(flags: number, host: Host): number {
  if (!host.mac) return flags;
  return MAC_FLAGS.reduce((all, [mac, linux]) => ((flags & mac) !== 0 ? all | linux : all), flags & 3);
}

/** XATTR_CREATE and XATTR_REPLACE (setxattr(2)): 2 and 4 there, 1 and 2 on Linux. */
export function linuxXattrFlags(flags: number, host: Host): number {
  return host.mac ? (flags >> 1) & 3 : flags;
}

/** The namespaces of Linux, in one of which every attribute of a Linux server is. */
const NAMESPACED = /^(user|trusted|security|system)\./;
const OURS = 'user.';

/** macOS knows no namespaces: its names are kept in `user.` there. */
export function serverXattr(name: string, host: Host): string {
  return host.mac && !NAMESPACED.test(name) ? `${OURS}${name}` : name;
}

/** The NUL-terminated names of a server as this host's programs know them. */
export function hostXattrs(names: Uint8Array, host: Host): Uint8Array {
  if (!host.mac) return names;
  const text = Buffer.from(names).toString('utf8');
  return Buffer.from(text.replace(/(^|\0)user\.(?=[^\0])/g, '$1'), 'utf8');
}

/** A device's number as Linux writes it (include/linux/kdev_t.h, new_encode_dev). */
export function linuxDevice(device: number, host: Host): number {
  if (!host.mac) return device;
  const minor = device & 0xffffff;
  return ((minor & 0xff) | ((device >>> 24) << 8) | ((minor & 0xfff00) << 12)) >>> 0;
}

export function hostDevice(rdev: number, host: Host): number {
  if (!host.mac) return rdev;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  return ((((rdev >>> 8) & 0xff) << 24) | minor) >>> 0;
}

const WORD = 2 ** 32;
const STAT_WORDS = 18;
const STATFS_WORDS = 11;
const MOST = WORD - 1;

/** The addon has 32 bits for it: the halves are folded, so that numbers that fit stay what they are. */
export function foldIno(ino: bigint): number {
  return Number((ino ^ (ino >> 32n)) & 0xffffffffn) || 1;
}

function setPair(words: Uint32Array, at: number, value: number): void {
  words[at] = value % WORD;
  words[at + 1] = Math.floor(value / WORD);
}

/** Milliseconds; the addon cannot show what was before 1970. */
function setTime(words: Uint32Array, at: number, seconds: number, nsec: number): void {
  setPair(words, at, Math.max(0, seconds * 1000 + Math.floor(nsec / 1_000_000)));
}

export function statWords(attr: Attr, host: Host): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  words[0] = attr.mode;
  words[1] = attr.uid;
  words[2] = attr.gid;
  setPair(words, 3, attr.size);
  words[6] = attr.nlink;
  words[7] = foldIno(attr.ino);
  words[8] = hostDevice(attr.rdev, host);
  words[9] = attr.blksize;
  setPair(words, 10, attr.blocks);
  setTime(words, 12, attr.atime, attr.atimeNsec);
  setTime(words, 14, attr.mtime, attr.mtimeNsec);
  setTime(words, 16, attr.ctime, attr.ctimeNsec);
  return words;
}

/** DT_* is the type of a mode, twelve bits further down (readdir(3)). */
export function direntWords(ino: bigint, type: number): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  words[0] = type << 12;
  words[7] = foldIno(ino);
  return words;
}

export const noStat = (): Uint32Array => new Uint32Array(STAT_WORDS);

/** Counts of 32 bits: a larger file system is told in larger blocks. */
export function statfsWords(stat: StatFs): Uint32Array {
  let scale = 1;
  while (stat.blocks / scale > MOST) scale *= 2;
  const words = new Uint32Array(STATFS_WORDS);
  words[0] = stat.bsize;
  words[1] = stat.frsize * scale;
  words[2] = stat.blocks / scale;
  words[3] = stat.bfree / scale;
  words[4] = stat.bavail / scale;
  words[5] = Math.min(stat.files, MOST);
  words[6] = Math.min(stat.ffree, MOST);
  words[7] = Math.min(stat.ffree, MOST);
  words[10] = stat.namelen;
  return words;
}

export const noStatfs = (): Uint32Array => new Uint32Array(STATFS_WORDS);

export const pair = (low: number, high: number): number => low + high * WORD;

/** Where utimens keeps the two times in fuse_thread_locals_t, with 64-bit pointers: atime, and mtime behind it. */
const TIMES_AT = { linux: 104, mac: 96 };

export interface Time {
  sec: number;
  nsec: number;
}

function timeOf(ms: number): Time {
  const sec = Math.floor(ms / 1000);
  return { sec, nsec: (ms - sec * 1000) * 1_000_000 };
}

/**
 * The two times of utimens. The addon hands out the time of access twice; that of modification is read where the addon keeps
 * it, which is believed only if the time of access is found in front of it.
 */
export function timesOf(native: Native, low: number, high: number, host: Host): { atime: Time; mtime: Time } {
  const given = (BigInt(high) << 32n) | BigInt(low);
  const at = host.mac ? TIMES_AT.mac : TIMES_AT.linux;
  const inPlace = native.length >= at + 16 && native.readBigUInt64LE(at) === given;
  const atime = Number(BigInt.asIntN(64, given));
  const mtime = inPlace ? Number(native.readBigInt64LE(at + 8)) : atime;
  return { atime: timeOf(atime), mtime: timeOf(mtime) };
}
