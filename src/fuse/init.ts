// The negotiation: from what the kernel offers in INIT and what the file system wants, the reply and what holds then.
// A pure function. Guarantees: no flag is set that the kernel did not offer, flags2 only beside INIT_EXT, and a kernel
// that is too old is refused with an error that names both versions.

import { ConfigError } from '../common/errors.ts';
import { type InitFlag, initBit, MAJOR, MAX_PAGES, MINOR, OLDEST_MINOR, PAGE } from '../wire/fuse/constants.ts';
import type { initOut } from '../wire/fuse/replies.ts';
import type { KernelInit } from '../wire/fuse/requests.ts';

/** What a file system chooses. Every member has a default (see `defaults`) that is right for a POSIX network one. */
export interface FuseSettings {
  /** Bytes of one WRITE, and of one READ, at most; the kernel rounds READs to whole pages. */
  maxWrite: number;
  /** Bytes read ahead at most. The kernel offers 128 KiB and takes less; more only through mount.ts's raiseReadahead. */
  maxReadahead: number;
  /** Background requests (readahead, writeback, asynchronous direct I/O) in flight at most. */
  maxBackground: number;
  /** Several readahead READs at once. They are background requests, which no signal interrupts. */
  asyncRead: boolean;
  /** O_DIRECT cut into parallel requests; not interruptible either. */
  asyncDio: boolean;
  /** The kernel keeps size and mtime and writes back later: only where this mount is the only writer. */
  writebackCache: boolean;
  /** Drop a file's pages when its mtime or size is seen to have changed. */
  autoInvalData: boolean;
  /** Drop pages only when told to by a notification; instead of autoInvalData. */
  explicitInvalData: boolean;
  /** Keep symlink targets in the page cache. */
  cacheSymlinks: boolean;
  /** The file system clears setuid and setgid where write, truncate and chown demand it, and is told when. */
  killpriv: boolean;
  /** fcntl locks go to the file system; otherwise they hold among this machine's processes only. */
  posixLocks: boolean;
  /** The same of flock(2), whose owners are open files. */
  flockLocks: boolean;
  /** 'auto': the kernel chooses READDIRPLUS where attributes are likely to be wanted. */
  readdirplus: 'auto' | 'always' | 'never';
  /** The caller's umask is left to the file system (default ACLs of the parent override it). */
  dontMask: boolean;
  /** POSIX ACLs as extended attributes, checked by the kernel; implies default_permissions. */
  posixAcl: boolean;
  /** LOOKUP and READDIR of one directory at the same time. */
  parallelDirops: boolean;
  /** OPEN and CREATE carry O_TRUNC, so that no SETATTR has to follow. */
  atomicTrunc: boolean;
  /** MAP_SHARED works on files opened with FOPEN_DIRECT_IO. */
  directIoMmap: boolean;
}

export const defaults: FuseSettings = {
  maxWrite: MAX_PAGES * PAGE,
  maxReadahead: MAX_PAGES * PAGE,
  maxBackground: 64,
  asyncRead: true,
  asyncDio: true,
  writebackCache: false,
  autoInvalData: true,
  explicitInvalData: false,
  cacheSymlinks: true,
  killpriv: true,
  posixLocks: false,
  flockLocks: false,
  readdirplus: 'auto',
  dontMask: true,
  posixAcl: false,
  parallelDirops: true,
  atomicTrunc: true,
  directIoMmap: true,
};

/** What holds for the rest of the mount. */
export interface Negotiated {
  minor: number;
  /** The kernel's own minor. */
  kernelMinor: number;
  flags: ReadonlySet<InitFlag>;
  maxWrite: number;
  maxReadahead: number;
}

export type InitReply = Parameters<(typeof initOut)['write']>[1];

const wanted: Partial<Record<InitFlag, (settings: FuseSettings) => boolean>> = {
  ASYNC_READ: (s) => s.asyncRead,
  POSIX_LOCKS: (s) => s.posixLocks,
  FLOCK_LOCKS: (s) => s.flockLocks,
  ATOMIC_O_TRUNC: (s) => s.atomicTrunc,
  BIG_WRITES: () => true,
  DONT_MASK: (s) => s.dontMask,
  AUTO_INVAL_DATA: (s) => s.autoInvalData && !s.explicitInvalData,
  DO_READDIRPLUS: (s) => s.readdirplus !== 'never',
  READDIRPLUS_AUTO: (s) => s.readdirplus === 'auto',
  ASYNC_DIO: (s) => s.asyncDio,
  WRITEBACK_CACHE: (s) => s.writebackCache,
  PARALLEL_DIROPS: (s) => s.parallelDirops,
  POSIX_ACL: (s) => s.posixAcl,
  // Says whether a new ACL takes the setgid bit away.
  SETXATTR_EXT: () => true,
  // Tells an abort through fusectl from an unmount.
  ABORT_ERROR: () => true,
  MAX_PAGES: () => true,
  CACHE_SYMLINKS: (s) => s.cacheSymlinks,
  EXPLICIT_INVAL_DATA: (s) => s.explicitInvalData,
  HANDLE_KILLPRIV_V2: (s) => s.killpriv,
  INIT_EXT: () => true,
  HAS_EXPIRE_ONLY: () => true,
  DIRECT_IO_ALLOW_MMAP: (s) => s.directIoMmap,
  // A file handle (open_by_handle_at, NFS export) would be resolved by lookups of "." and "..", which nobody implements.
  NO_EXPORT_SUPPORT: () => true,
};

/** The answer to an INIT of a later major: the kernel repeats it in the one named here, and reads no other field. */
export const ourMajor: InitReply = {
  major: MAJOR,
  minor: MINOR,
  maxReadahead: 0,
  flags: 0,
  maxBackground: 0,
  congestionThreshold: 0,
  maxWrite: 0,
  timeGran: 1,
  maxPages: 0,
  mapAlignment: 0,
  flags2: 0,
  maxStackDepth: 0,
};

/** Throws ConfigError for a kernel that this driver cannot serve. `kernel.major` 7 is the caller's to check. */
export function negotiate(kernel: KernelInit, settings: FuseSettings): { reply: InitReply; negotiated: Negotiated } {
  if (kernel.major < MAJOR || (kernel.major === MAJOR && kernel.minor < OLDEST_MINOR)) {
    throw new ConfigError(
      `this kernel speaks FUSE ${kernel.major}.${kernel.minor}, ninefs needs ${MAJOR}.${OLDEST_MINOR} (Linux 5.4) or newer`,
      1,
    );
  }
  const minor = Math.min(MINOR, kernel.minor);
  const flags = new Set<InitFlag>();
  let mask = 0n;
  for (const [flag, want] of Object.entries(wanted) as [InitFlag, (settings: FuseSettings) => boolean][]) {
    const bit = 1n << BigInt(initBit[flag]);
    if ((kernel.flags & bit) === 0n || !want(settings)) continue;
    flags.add(flag);
    mask |= bit;
  }
  const maxWrite = Math.max(PAGE, settings.maxWrite);
  const maxReadahead = Math.min(kernel.maxReadahead, settings.maxReadahead);
  const maxBackground = Math.min(0xffff, Math.max(1, settings.maxBackground));
  return {
    reply: {
      major: MAJOR,
      minor,
      maxReadahead,
      flags: Number(mask & 0xffff_ffffn),
      maxBackground,
      congestionThreshold: Math.max(1, Math.floor((maxBackground * 3) / 4)),
      maxWrite,
      timeGran: 1,
      maxPages: Math.min(0xffff, Math.ceil(maxWrite / PAGE)),
      mapAlignment: 0,
      flags2: Number(mask >> 32n),
      maxStackDepth: 0,
    },
    negotiated: { minor, kernelMinor: kernel.minor, flags, maxWrite, maxReadahead },
  };
}
