// The room on the server's file system as statfs(2) shows it.
// Guarantees: never a size of nothing, which df hides and installers take for a full disk; a block size that programs can use,
// since some of them read and write by it (nfs-ganesha says 1); and no more bytes than a program can count (off_t).

import type { FileSystemStat } from '../../client/dialects/dialect.ts';
import type { StatFs } from '../../fuse/operations.ts';
import { usableBlock } from './attrs.ts';

const BLOCK = 4096;
const NAME_MAX = 255;
const MAX_BYTES = 2 ** 63;

/** Where the server does not know: 4 TiB, all of it free. */
const UNKNOWN_BLOCKS = 2 ** 30;
export const unknownSpace: StatFs = {
  bsize: BLOCK,
  frsize: BLOCK,
  blocks: UNKNOWN_BLOCKS,
  bfree: UNKNOWN_BLOCKS,
  bavail: UNKNOWN_BLOCKS,
  files: UNKNOWN_BLOCKS,
  ffree: UNKNOWN_BLOCKS,
  namelen: NAME_MAX,
};

/** No files at all is what file systems say that make room for them as they come (btrfs): it stays. */
export function shownSpace(stat: FileSystemStat): StatFs {
  const namelen = stat.namelen > 0 ? Math.min(stat.namelen, NAME_MAX) : NAME_MAX;
  if (stat.blocks === 0) return { ...unknownSpace, namelen };
  const given = stat.bsize > 0 ? stat.bsize : BLOCK;
  const bsize = usableBlock(given);
  const most = Math.floor(MAX_BYTES / bsize) - 1;
  const scaled = (blocks: number) => Math.min(most, Math.floor((blocks * given) / bsize));
  return {
    bsize,
    frsize: bsize,
    // a file system smaller than a block has one all the same
    blocks: Math.max(1, scaled(stat.blocks)),
    bfree: scaled(stat.bfree),
    bavail: scaled(stat.bavail),
    files: stat.files,
    ffree: stat.ffree,
    namelen,
  };
}
