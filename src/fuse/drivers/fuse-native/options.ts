// What libfuse is told when it mounts, as the list of -o. The addon takes 1023 bytes of it.

import { ConfigError } from '../../../common/errors.ts';
import { escapeOption } from '../../fusermount.ts';
import type { MountOptions } from '../../mount.ts';

/**
 * What may be kept without asking; one word for all files, as the addon has none for one open. Attributes are not: to the
 * kernel each name of a file is a file of its own here, and one that was written through another name, or by another client,
 * would keep its old length.
 */
export interface Keeping {
  /** Reads and writes go to the file system as they come. Otherwise pages are kept while time and length are what they were. */
  direct: boolean;
  /** Seconds. */
  entryTtl: number;
  negativeTtl: number;
}

const LONGEST = 1023;

type Wanted = readonly (readonly [word: string, wanted: boolean | undefined])[];

export function libfuseOptions(mount: MountOptions, keep: Keeping, mac: boolean, root: boolean): string {
  const words: Wanted = [
    ['ro', mount.readOnly],
    [mount.suid ? 'suid' : 'nosuid', true],
    [mount.dev ? 'dev' : 'nodev', true],
    ['noexec', mount.noexec],
    ['noatime', mount.noatime],
    ['sync', mount.sync],
    ['dirsync', mount.dirsync],
    ['allow_other', mount.allowOther],
    ['default_permissions', mount.defaultPermissions],
    [`subtype=ninefs`, !mac],
    // what the kernel takes for the file's number is then ours, the same for each of its names
    ['use_ino', true],
    ['direct_io', keep.direct],
    ['auto_cache', !keep.direct],
    ['ac_attr_timeout=0', !keep.direct],
    ['attr_timeout=0', true],
    [`entry_timeout=${keep.entryTtl}`, true],
    [`negative_timeout=${keep.negativeTtl}`, true],
    // without it every write is one page
    ['big_writes', !mac],
    // libfuse 2 refuses a directory that is not empty; only for root does the word end here and not at fusermount3
    ['nonempty', !mac && root],
    // no ._ files and no .DS_Store on the server; attributes are kept as attributes
    ['noappledouble', mac],
    [`volname=${escapeOption(mount.source)}`, mac],
    [`fsname=${escapeOption(mount.source)}`, true],
  ];
  const list = `-o${words.flatMap(([word, wanted]) => (wanted ? [word] : [])).join(',')}`;
  if (Buffer.byteLength(list) > LONGEST) {
    throw new ConfigError('the name of the source is too long for fuse-native: give a shorter one with fsname=', 1);
  }
  return list;
}
