// Linux errno numbers and their names. 9P2000.L carries these numbers on every host, so they are the project's
// one error vocabulary; a host that numbers differently translates at its own edge.
// Owns: the table, and the clamp that keeps a reply inside what /dev/fuse accepts.

/** Linux errno name -> number (asm-generic/errno-base.h, asm-generic/errno.h), all of them. */
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
  ENOMSG: 42,
  EIDRM: 43,
  ECHRNG: 44,
  EL2NSYNC: 45,
  EL3HLT: 46,
  EL3RST: 47,
  ELNRNG: 48,
  EUNATCH: 49,
  ENOCSI: 50,
  EL2HLT: 51,
  EBADE: 52,
  EBADR: 53,
  EXFULL: 54,
  ENOANO: 55,
  EBADRQC: 56,
  EBADSLT: 57,
  EBFONT: 59,
  ENOSTR: 60,
  ENODATA: 61,
  ETIME: 62,
  ENOSR: 63,
  ENONET: 64,
  ENOPKG: 65,
  EREMOTE: 66,
  ENOLINK: 67,
  EADV: 68,
  ESRMNT: 69,
  ECOMM: 70,
  EPROTO: 71,
  EMULTIHOP: 72,
  EDOTDOT: 73,
  EBADMSG: 74,
  EOVERFLOW: 75,
  ENOTUNIQ: 76,
  EBADFD: 77,
  EREMCHG: 78,
  ELIBACC: 79,
  ELIBBAD: 80,
  ELIBSCN: 81,
  ELIBMAX: 82,
  ELIBEXEC: 83,
  EILSEQ: 84,
  ERESTART: 85,
  ESTRPIPE: 86,
  EUSERS: 87,
  ENOTSOCK: 88,
  EDESTADDRREQ: 89,
  EMSGSIZE: 90,
  EPROTOTYPE: 91,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  ESOCKTNOSUPPORT: 94,
  EOPNOTSUPP: 95,
  EPFNOSUPPORT: 96,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENETRESET: 102,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ESHUTDOWN: 108,
  ETOOMANYREFS: 109,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
  ESTALE: 116,
  EUCLEAN: 117,
  ENOTNAM: 118,
  ENAVAIL: 119,
  EISNAM: 120,
  EREMOTEIO: 121,
  EDQUOT: 122,
  ENOMEDIUM: 123,
  EMEDIUMTYPE: 124,
  ECANCELED: 125,
  ENOKEY: 126,
  EKEYEXPIRED: 127,
  EKEYREVOKED: 128,
  EKEYREJECTED: 129,
  EOWNERDEAD: 130,
  ENOTRECOVERABLE: 131,
  ERFKILL: 132,
  EHWPOISON: 133,
} as const;

export type ErrnoName = keyof typeof errno;

const names = new Map<number, ErrnoName>(Object.entries(errno).map(([name, number]) => [number, name as ErrnoName]));

/** The name of a Linux errno number; `errno 200` for one that is not in the table. */
export function errnoName(number: number): string {
  return names.get(number) ?? `errno ${number}`;
}

/** Names that Node gives to numbers which have another name here. */
const otherNames = new Map<string, number>([['ENOTSUP', errno.EOPNOTSUPP]]);

/**
 * The Linux number of an error that Node raised, EIO where it cannot be told. `code` is a name on every host, but libuv
 * has none for some errors (EDQUOT, ESTALE, ENOLCK, ...: "Unknown system error -122"); those keep their number on Linux.
 */
export function errnoOf(error: unknown): number {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return errno.EIO;
  const code = error.code;
  if (Object.hasOwn(errno, code)) return errno[code as ErrnoName];
  const number = 'errno' in error && typeof error.errno === 'number' ? -error.errno : 0;
  if (process.platform === 'linux' && names.has(number)) return number;
  return otherNames.get(code) ?? errno.EIO;
}

/**
 * What a peer's errno becomes for the kernel. /dev/fuse takes errors in 1..511 only (fs/fuse/dev.c, fuse_dev_do_write)
 * and remembers ENOSYS for the whole mount, so 0 and what is out of range become EIO, and ENOSYS becomes EOPNOTSUPP.
 */
export function clampErrno(number: number): number {
  if (number === errno.ENOSYS) return errno.EOPNOTSUPP;
  return Number.isInteger(number) && number > 0 && number < 512 ? number : errno.EIO;
}
