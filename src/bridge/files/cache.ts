// What the kernel may keep, by cache mode:
//   none   every call is a request: no attribute or name is kept, reads and writes are direct
//   auto   close-to-open, as NFS has it: pages are kept while the file looks unchanged at open, attributes and names for
//          a second; what was written is at the server when close(2) returns
//   loose  this client is the only writer: the kernel's write-back cache, long timeouts
// Files of length 0 are read directly in every mode: synthetic files (a control file, a log) show no length and have one,
// and only a direct read of them can be interrupted. With loose, one that was made here or has had a length is not: a direct
// read would not see what other descriptors have left in the write-back cache.

import type { FileStat } from '../../client/dialects/dialect.ts';
import type { FuseSettings } from '../../fuse/init.ts';
import { fopen } from '../../wire/fuse/constants.ts';
import { OPEN, QT } from '../../wire/p9/constants.ts';
import { sameContent } from '../attributes/attrs.ts';
import type { CacheMode } from '../settings.ts';

export interface CachePolicy {
  readonly mode: CacheMode;
  /** Seconds. */
  readonly attrTtl: number;
  readonly entryTtl: number;
  readonly negativeTtl: number;
  /** What the kernel is asked for in INIT. */
  readonly fuse: Partial<FuseSettings>;
}

const policies: Record<CacheMode, CachePolicy> = {
  none: {
    mode: 'none',
    attrTtl: 0,
    entryTtl: 0,
    negativeTtl: 0,
    fuse: { autoInvalData: true, cacheSymlinks: false, writebackCache: false },
  },
  auto: {
    mode: 'auto',
    attrTtl: 1,
    entryTtl: 1,
    negativeTtl: 0,
    fuse: { autoInvalData: true, cacheSymlinks: true, writebackCache: false },
  },
  loose: {
    mode: 'loose',
    attrTtl: 3600,
    entryTtl: 3600,
    negativeTtl: 5,
    fuse: { autoInvalData: false, cacheSymlinks: true, writebackCache: true },
  },
};

export function cachePolicy(mode: CacheMode): CachePolicy {
  return policies[mode];
}

/** How a file is opened on the server and for the kernel. */
export interface OpenPlan {
  /** For Tlopen or Tlcreate. */
  serverFlags: number;
  /** FOPEN_* for the kernel. */
  kernelFlags: number;
  /** Read as it comes: one request a read, a short answer is an answer. */
  stream: boolean;
}

/**
 * `stat` is the file as it is now, `seen` as it was when its pages were last known to be right (undefined: never).
 * `created` is true for a file that this open makes, `plain` for one that is known to be no synthetic file.
 */
export function planOpen(
  policy: CachePolicy,
  flags: number,
  stat: FileStat | undefined,
  seen: FileStat | undefined,
  created: boolean,
  plain = false,
): OpenPlan {
  const access = flags & OPEN.ACCMODE;
  // a program's own wish for O_NOATIME ends here: it is the mount's to send (noatime.ts)
  let serverFlags = flags & ~OPEN.NOATIME;
  if (policy.mode === 'loose') {
    // Write-back reads the rest of a page before it writes a part of it, and decides itself where an append goes.
    serverFlags &= ~OPEN.APPEND;
    if (access === OPEN.WRONLY) serverFlags = (serverFlags & ~OPEN.ACCMODE) | OPEN.RDWR;
  }
  const truncated = created || (flags & OPEN.TRUNC) !== 0;
  const known = truncated || (plain && policy.mode === 'loose');
  const stream = !known && access !== OPEN.WRONLY && stat !== undefined && stat.size === 0;
  // what is appended lands where the server says, not where the kernel would keep a page of it; and of a write to pages that
  // it has not read the kernel makes several, between which another client's could come
  const appendOnly = stat !== undefined && (stat.qid.type & QT.APPEND) !== 0;
  const appends = appendOnly || ((serverFlags & OPEN.APPEND) !== 0 && access !== OPEN.RDONLY);
  if (stream || appends || policy.mode === 'none') {
    const parallel = appends ? 0 : fopen.PARALLEL_DIRECT_WRITES;
    return { serverFlags, kernelFlags: fopen.DIRECT_IO | parallel, stream };
  }
  const unchanged = policy.mode === 'loose' || (stat !== undefined && seen !== undefined && sameContent(stat, seen));
  return { serverFlags, kernelFlags: unchanged && !truncated ? fopen.KEEP_CACHE : 0, stream: false };
}
