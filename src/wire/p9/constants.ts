// Numbers of the 9P protocol that are not message types: limits, flag bits, masks.
// Sources: intro(9P) and the Linux headers include/net/9p/9p.h; .L open flags have Linux's generic O_* values on every host.

export const NOTAG = 0xffff;
export const NOFID = 0xffffffff;
/** n_uname of a client that gives only a name. */
export const NONUNAME = 0xffffffff;

/** size[4] type[1] tag[2]. */
export const HEADER = 7;
/** What v9fs and most servers subtract from msize to get the largest payload: Twrite's head is 23, Rread's 11. */
export const IOHDR = 24;
/** Most names in one Twalk (walk(9P)). */
export const MAXWELEM = 16;
/** Smaller offers from a server are refused, as Linux does (net/9p/client.c). */
export const MIN_MSIZE = 4096;
/** What is asked for: 1 MiB of payload. */
export const DEFAULT_MSIZE = 1024 * 1024 + IOHDR;
export const DEFAULT_PORT = 564;

export const VERSION = { legacy: '9P2000', dotu: '9P2000.u', dotl: '9P2000.L', unknown: 'unknown' } as const;

export const QT = {
  DIR: 0x80,
  APPEND: 0x40,
  EXCL: 0x20,
  MOUNT: 0x10,
  AUTH: 0x08,
  TMP: 0x04,
  SYMLINK: 0x02,
  FILE: 0,
} as const;

/** Tlopen and Tlcreate flags. */
export const OPEN = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  ACCMODE: 3,
  CREATE: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DSYNC: 0o10000,
  FASYNC: 0o20000,
  DIRECT: 0o40000,
  LARGEFILE: 0o100000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  SYNC: 0o4000000,
} as const;

/** The mode byte of Topen and Tcreate (open(9P)). CEXEC and APPEND are .u's, as Linux sends them. */
export const OMODE = {
  READ: 0,
  WRITE: 1,
  RDWR: 2,
  /** Read, for somebody who may execute the file. */
  EXEC: 3,
  ACCMODE: 3,
  TRUNC: 0x10,
  CEXEC: 0x20,
  /** The file is removed when the fid is clunked. */
  RCLOSE: 0x40,
  APPEND: 0x80,
} as const;

/** Bits of a Stat's mode and of Tcreate's perm above the permissions (stat(9P)); from SYMLINK on they are .u's. */
export const DM = {
  DIR: 0x80000000,
  APPEND: 0x40000000,
  EXCL: 0x20000000,
  MOUNT: 0x10000000,
  AUTH: 0x08000000,
  TMP: 0x04000000,
  SYMLINK: 0x02000000,
  /** A hard link, in Tcreate: the extension is the number of the target's fid. */
  LINK: 0x01000000,
  DEVICE: 0x00800000,
  NAMEDPIPE: 0x00200000,
  SOCKET: 0x00100000,
  SETUID: 0x00080000,
  SETGID: 0x00040000,
  SETVTX: 0x00010000,
} as const;

/** Tgetattr request_mask and Rgetattr valid. */
export const GETATTR = {
  MODE: 0x1,
  NLINK: 0x2,
  UID: 0x4,
  GID: 0x8,
  RDEV: 0x10,
  ATIME: 0x20,
  MTIME: 0x40,
  CTIME: 0x80,
  INO: 0x100,
  SIZE: 0x200,
  BLOCKS: 0x400,
  BTIME: 0x800,
  GEN: 0x1000,
  DATA_VERSION: 0x2000,
  /** All that stat(2) shows. */
  BASIC: 0x7ff,
  ALL: 0x3fff,
} as const;

/** Tsetattr valid. A time bit without its _SET bit means the server's clock. */
export const SETATTR = {
  MODE: 0x1,
  UID: 0x2,
  GID: 0x4,
  SIZE: 0x8,
  ATIME: 0x10,
  MTIME: 0x20,
  CTIME: 0x40,
  ATIME_SET: 0x80,
  MTIME_SET: 0x100,
} as const;

/** Txattrcreate flags, which are those of setxattr(2). */
export const XATTR = { CREATE: 1, REPLACE: 2 } as const;

/** Tunlinkat flags. */
export const AT_REMOVEDIR = 0x200;

export { LOCK_STATUS, LOCK_TYPE } from '../../common/locktable.ts';
/** Tlock's flags. */
export const LOCK_FLAGS = { BLOCK: 1, RECLAIM: 2 } as const;

/** f_type that servers report for a 9P mount. */
export const V9FS_MAGIC = 0x01021997;
