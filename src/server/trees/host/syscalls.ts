// The typed face of server/addon/hostfs.c, loaded when a host tree is made or a unix socket's client is to be told, so that
// nothing else in the program needs it.
// Guarantees: a missing or unloadable addon is one ConfigError that says how to build it, never a stack trace.

import { constants } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { errno } from '../../../common/errno.ts';
import { ConfigError } from '../../../common/errors.ts';
import { refuse } from '../../refuse.ts';

/** Results below 0 are negative Linux errnos. An O_PATH descriptor will do wherever no other is called for. */
export interface Syscalls {
  root(path: string): number;
  openat(dir: number, name: string, flags: number, mode: number): number;
  reopen(fd: number, flags: number): number;
  close(fd: number): number;
  stat(fd: number, out: Float64Array): number;
  statat(dir: number, name: string, out: Float64Array): number;
  chmod(fd: number, mode: number): number;
  chown(fd: number, uid: number, gid: number): number;
  truncate(fd: number, size: number): number;
  ftruncate(fd: number, size: number): number;
  utimens(fd: number, atime: number, atimeNsec: number, mtime: number, mtimeNsec: number): number;
  statfs(fd: number, out: Float64Array): number;
  mkdirat(dir: number, name: string, mode: number): number;
  mknodat(dir: number, name: string, mode: number, major: number, minor: number): number;
  symlinkat(target: string, dir: number, name: string): number;
  linkat(fd: number, dir: number, name: string): number;
  unlinkat(dir: number, name: string, flags: number): number;
  renameat(dir: number, name: string, newDir: number, newName: string): number;
  readlink(fd: number, out: Uint8Array): number;
  getxattr(fd: number, name: string, out: Uint8Array): number;
  setxattr(fd: number, name: string, value: Uint8Array, flags: number): number;
  listxattr(fd: number, out: Uint8Array): number;
  removexattr(fd: number, name: string): number;
  getdents(fd: number, out: Uint8Array): number;
  seekdir(fd: number, cookie: bigint): number;
  /** -EAGAIN, or fewer bytes, where a disk would have to be waited for. */
  pread(fd: number, out: Uint8Array, count: number, offset: number): number;
  pwrite(fd: number, bytes: Uint8Array, offset: number): number;
  /** `type` is one of LOCK_TYPE; `end` is inclusive, LOCK_EOF for all that follows. */
  lock(fd: number, type: number, start: bigint, end: bigint): number;
  getlock(fd: number, type: number, start: bigint, end: bigint, out: Float64Array): number;
  assume(uid: number, gid: number, groups: Uint32Array): number;
  resume(): number;
  /** The uid of the process that connected to a unix socket. */
  peer(socket: number): number;
}

/** Where stat() and statat() put what. Times are seconds, with nanoseconds in the next element. */
export const STAT = {
  INO_LOW: 0,
  INO_HIGH: 1,
  DEV_MAJOR: 2,
  DEV_MINOR: 3,
  MODE: 4,
  NLINK: 5,
  UID: 6,
  GID: 7,
  RDEV_MAJOR: 8,
  RDEV_MINOR: 9,
  SIZE: 10,
  BLKSIZE: 11,
  BLOCKS: 12,
  ATIME: 13,
  MTIME: 15,
  CTIME: 17,
  BTIME: 19,
  COUNT: 21,
} as const;

/** open(2) flags that 9P has not, or with a value that differs between machines; the others are those of 9P2000.L. */
export const O = { PATH: 0o10000000, DIRECTORY: constants.O_DIRECTORY } as const;

let loaded: Syscalls | undefined;

/** The addon; throws ConfigError when it is not built or this is not Linux. */
export function syscalls(): Syscalls {
  if (loaded !== undefined) return loaded;
  if (process.platform !== 'linux') {
    throw new ConfigError(`serving a directory needs Linux, this is ${process.platform}: serve memory: instead`, 1);
  }
  // The folder has the same place beside src/ and beside dist/.
  const folder = fileURLToPath(new URL('../../../../src/server/addon', import.meta.url));
  try {
    const require = createRequire(import.meta.url);
    const load = require('node-gyp-build') as (folder: string) => Syscalls;
    loaded = load(folder);
  } catch (cause) {
    const install = fileURLToPath(new URL('../../../../src/fuse/addon/install.mjs', import.meta.url));
    throw new ConfigError(`the addon that serves directories is not built: run "node ${install}"`, 1, { cause });
  }
  return loaded;
}

/** The result of a system call; what failed is thrown. */
export function check(result: number): number {
  return result < 0 ? refuse(-result || errno.EIO) : result;
}
