// `ninefs umount`: ends a mount of ours from any process; its daemon notices and exits by itself.
// Guarantees: what is not mounted, or not by ninefs, is left alone; success means that it is gone from the mount table
// (with -l: that nobody new can enter it). Stale and hanging mounts are not touched by the checks, unless there is no /proc
// that says what is mounted: then -l asks the mount itself.

import { resolve } from 'node:path';
import { ConfigError } from '../common/errors.ts';
import { macUnmount } from '../fuse/drivers/fuse-native/place.ts';
import { detachBlindly, FS_TYPE, unmount } from '../fuse/mount.ts';
import { findMount, mounts } from '../fuse/mountinfo.ts';
import { checkSystem } from './host.ts';
import { EXIT } from './report.ts';

export interface UmountFlags {
  lazy?: boolean;
}

async function isReadable(): Promise<boolean> {
  try {
    await mounts();
    return true;
  } catch (error) {
    if (error instanceof ConfigError) return false;
    throw error;
  }
}

/** Settles with the exit code. */
export async function umountCommand(mountpoint: string, { lazy = false }: UmountFlags): Promise<number> {
  checkSystem(undefined);
  if (mountpoint === '') throw new ConfigError('the mountpoint is empty: name a directory');
  const path = resolve(mountpoint);
  if (process.platform === 'darwin') {
    await macUnmount(path, lazy);
    return EXIT.ok;
  }
  if (lazy && !(await isReadable())) {
    await detachBlindly(path);
    return EXIT.ok;
  }
  const info = await findMount(path);
  if (info === undefined) {
    throw new ConfigError(`nothing is mounted on ${path}: /proc/mounts lists what is`, EXIT.failure);
  }
  if (info.type !== FS_TYPE) {
    throw new ConfigError(
      `what is mounted on ${path} is not ours (type ${info.type}, not ${FS_TYPE}): use umount`,
      EXIT.failure,
    );
  }
  await unmount(path, { lazy });
  return EXIT.ok;
}
