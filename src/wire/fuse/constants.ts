// Numbers of the kernel's FUSE protocol, 7.31 to 7.45 (include/uapi/linux/fuse.h): opcodes, flags, sizes, limits.
// Only what this driver reads, writes or prints; a number that the kernel may add later needs no entry here.

/** FUSE_KERNEL_VERSION: the major that this driver speaks. */
export const MAJOR = 7;
/** The newest minor whose structures are known here. */
export const MINOR = 45;
/** The oldest minor accepted (Linux 5.4): no structure has a shorter, older form from there on. */
export const OLDEST_MINOR = 31;

export const IN_HEADER = 40;
export const OUT_HEADER = 16;
/** FUSE_MIN_READ_BUFFER: a read(2) of the device with less room fails with EINVAL. */
export const MIN_READ_BUFFER = 8192;
export const PAGE = 4096;
/** The most pages a request carries unless an administrator raised fs.fuse.max_pages_limit. */
export const MAX_PAGES = 256;
/** FUSE_ROOT_ID. */
export const ROOT_ID = 1;

export const opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SETUPMAPPING: 48,
  REMOVEMAPPING: 49,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const;

export type OpcodeName = keyof typeof opcode;

/** INIT flags by bit number; bits from 32 on travel in flags2, and only beside INIT_EXT. */
export const initBit = {
  ASYNC_READ: 0,
  POSIX_LOCKS: 1,
  FILE_OPS: 2,
  ATOMIC_O_TRUNC: 3,
  EXPORT_SUPPORT: 4,
  BIG_WRITES: 5,
  DONT_MASK: 6,
  SPLICE_WRITE: 7,
  SPLICE_MOVE: 8,
  SPLICE_READ: 9,
  FLOCK_LOCKS: 10,
  HAS_IOCTL_DIR: 11,
  AUTO_INVAL_DATA: 12,
  DO_READDIRPLUS: 13,
  READDIRPLUS_AUTO: 14,
  ASYNC_DIO: 15,
  WRITEBACK_CACHE: 16,
  NO_OPEN_SUPPORT: 17,
  PARALLEL_DIROPS: 18,
  HANDLE_KILLPRIV: 19,
  POSIX_ACL: 20,
  ABORT_ERROR: 21,
  MAX_PAGES: 22,
  CACHE_SYMLINKS: 23,
  NO_OPENDIR_SUPPORT: 24,
  EXPLICIT_INVAL_DATA: 25,
  MAP_ALIGNMENT: 26,
  SUBMOUNTS: 27,
  HANDLE_KILLPRIV_V2: 28,
  SETXATTR_EXT: 29,
  INIT_EXT: 30,
  SECURITY_CTX: 32,
  HAS_INODE_DAX: 33,
  CREATE_SUPP_GROUP: 34,
  HAS_EXPIRE_ONLY: 35,
  DIRECT_IO_ALLOW_MMAP: 36,
  PASSTHROUGH: 37,
  NO_EXPORT_SUPPORT: 38,
  HAS_RESEND: 39,
  ALLOW_IDMAP: 40,
  OVER_IO_URING: 41,
  REQUEST_TIMEOUT: 42,
} as const;

export type InitFlag = keyof typeof initBit;

/** Flags of an OPEN, OPENDIR or CREATE reply. */
export const fopen = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  NONSEEKABLE: 1 << 2,
  CACHE_DIR: 1 << 3,
  STREAM: 1 << 4,
  NOFLUSH: 1 << 5,
  PARALLEL_DIRECT_WRITES: 1 << 6,
} as const;

/** The `valid` bits of SETATTR. */
export const fattr = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  LOCKOWNER: 1 << 9,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const;

export const GETATTR_FH = 1;
export const OPEN_KILL_SUIDGID = 1;
export const WRITE_CACHE = 1;
export const WRITE_KILL_SUIDGID = 4;
export const FSYNC_FDATASYNC = 1;
/** Of GETLK, SETLK, SETLKW: flock(2) asks, not fcntl(2). */
export const LK_FLOCK = 1;

/** Codes of messages that nobody asked for; they travel in the error field of a header whose unique is 0. */
export const notify = {
  INVAL_INODE: 2,
  INVAL_ENTRY: 3,
  DELETE: 6,
  INC_EPOCH: 8,
} as const;

/** Flag of INVAL_ENTRY (HAS_EXPIRE_ONLY): let the name time out instead of dropping it. */
export const EXPIRE_ONLY = 1;
