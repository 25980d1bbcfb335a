// Linux errno numbers and their names. 9P2000.L carries these numbers on every host, so they are the project's
// one error vocabulary; a host that numbers differently translates at its own edge.
// Owns: the table, and the clamp that keeps a reply inside what /dev/fuse accepts.

/** Linux errno name -> number (asm-generic/errno-base.h, asm-generic/errno.h). */
export const errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  ENOTBLK: 15,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EILSEQ: 84,
  EUSERS: 87,
  ENOTSOCK: 88,
  EMSGSIZE: 90,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  ESTALE: 116,
  EDQUOT: 122,
} as const;

export type ErrnoName = keyof typeof errno;

const names = new Map<number, ErrnoName>(Object.entries(errno).map(([name, number]) => [number, name as ErrnoName]));

/** The name of a Linux errno number; `errno 200` for one that is not in the table. */
export function errnoName(number: number): string {
  return names.get(number) ?? `errno ${number}`;
}

/** The Linux number of an error that Node raised (`code` is a name on every host), EIO for one without a known code. */
export function errnoOf(error: unknown): number {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return errno[error.code as ErrnoName] ?? errno.EIO;
  }
  return errno.EIO;
}

/**
 * What a peer's errno becomes for the kernel. /dev/fuse takes errors in 1..511 only (fs/fuse/dev.c, fuse_dev_do_write)
 * and remembers ENOSYS for the whole mount, so 0 and what is out of range become EIO, and ENOSYS becomes EOPNOTSUPP.
 */
export function clampErrno(number: number): number {
  if (number === errno.ENOSYS) return errno.EOPNOTSUPP;
  return Number.isInteger(number) && number > 0 && number < 512 ? number : errno.EIO;
}
