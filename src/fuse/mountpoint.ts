// What can be known before mounting: whether the place is fit, whether something of ours is there already or has died
// there, whether this machine and this user can mount at all. Each refusal is one line that says what would be right.
// Guarantees: a mount whose daemon hangs does not hang the check; only /proc/self/mountinfo is read before it is known.

import { constants, readFileSync } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { ConfigError } from '../common/errors.ts';
import { findFusermount } from './fusermount.ts';
import { canonicalPath, findMount } from './mountinfo.ts';
import { withoutWaiting } from './patience.ts';
import { isVital, refuseVital } from './vital.ts';

/** How long a mounted daemon may take to answer a stat before it counts as hanging. */
const ANSWER_MS = 3000;

export type MountpointState =
  | { is: 'free' | 'missing' | 'not a directory' | 'hanging' | 'stale' }
  | { is: 'mounted'; type: string; source: string }
  | { is: 'unreadable'; why: string };

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

export async function stateOf(mountpoint: string): Promise<MountpointState> {
  const mounted = await findMount(mountpoint);
  const fuse = mounted !== undefined && /^fuse(\.|$)/.test(mounted.type);
  const look = async (): Promise<MountpointState> => {
    try {
      const found = await stat(mountpoint);
      if (mounted !== undefined && fuse) return { is: 'mounted', type: mounted.type, source: mounted.source };
      return { is: found.isDirectory() ? 'free' : 'not a directory' };
    } catch (error) {
      const code = codeOf(error);
      // What a mount answers whose daemon is gone, or was aborted.
      if (fuse && (code === 'ENOTCONN' || code === 'ECONNABORTED')) return { is: 'stale' };
      // A mount of another user: its owner alone may look.
      if (mounted !== undefined && fuse && code === 'EACCES') {
        return { is: 'mounted', type: mounted.type, source: mounted.source };
      }
      if (code === 'ENOENT') return { is: 'missing' };
      if (code === 'ENOTDIR') return { is: 'not a directory' };
      return { is: 'unreadable', why: code };
    }
  };
  return fuse ? withoutWaiting(look(), ANSWER_MS, () => ({ is: 'hanging' })) : look();
}

function refusal(mountpoint: string, state: MountpointState, type: string): string | undefined {
  switch (state.is) {
    case 'free':
      return undefined;
    case 'missing':
      return `mountpoint ${mountpoint} does not exist: create it with mkdir`;
    case 'not a directory':
      return `mountpoint ${mountpoint} is not a directory`;
    case 'mounted':
      // Another file system may be covered by ours, as mount(8) allows; ours twice is a mistake.
      if (state.type !== type) return undefined;
      return `${state.source} is already mounted on ${mountpoint}: unmount it first (ninefs umount ${mountpoint})`;
    case 'stale':
      return (
        `mountpoint ${mountpoint} is stale (Transport endpoint is not connected): ` +
        `clear it with "ninefs umount -l ${mountpoint}", or mount with -o force`
      );
    case 'hanging':
      return `what is mounted on ${mountpoint} does not answer: detach it with "ninefs umount -l ${mountpoint}"`;
    case 'unreadable':
      return `mountpoint ${mountpoint}: ${state.why}`;
  }
}

/** Rejects with ConfigError for a place whose covering breaks the machine, unless `force` insists. */
export async function checkCovered(mountpoint: string, force: boolean): Promise<void> {
  const path = await canonicalPath(mountpoint);
  if (!force && isVital(path)) throw new ConfigError(refuseVital(path), 1);
}

/** 'clear': it is stale, and `force` says that this may be mended with a lazy unmount. Throws for anything unfit. */
export async function checkMountpoint(mountpoint: string, type: string, force: boolean): Promise<'fit' | 'clear'> {
  const state = await stateOf(mountpoint);
  if (state.is === 'stale' && force) return 'clear';
  const why = refusal(mountpoint, state, type);
  if (why !== undefined) throw new ConfigError(why, 1);
  return 'fit';
}

/** Whether /etc/fuse.conf lets users pass allow_other: a line of its own, not a comment (mount.fuse3(8)). */
export function permitsAllowOther(conf: string): boolean {
  return conf.split('\n').some((line) => line.trim() === 'user_allow_other');
}

function fuseConf(): string {
  try {
    return readFileSync('/etc/fuse.conf', 'utf8');
  } catch {
    return ''; // without the file everything has its default, which is "no"
  }
}

/** Throws ConfigError when this machine or this user cannot mount. */
export async function checkHost(allowOther: boolean, root: boolean): Promise<void> {
  try {
    // fusermount3 opens it with its caller's rights.
    await access('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch (error) {
    const why = codeOf(error);
    throw new ConfigError(
      why === 'ENOENT'
        ? 'no /dev/fuse: load the module (modprobe fuse), or give the container the device (--device /dev/fuse)'
        : `/dev/fuse may not be opened (${why}): its usual mode is 0666 (as root: chmod 666 /dev/fuse)`,
      1,
    );
  }
  if (root) return;
  if (findFusermount() === undefined) {
    throw new ConfigError('no fusermount3, which a user other than root needs to mount: install the package fuse3', 1);
  }
  if (allowOther && !permitsAllowOther(fuseConf())) {
    throw new ConfigError('allow_other is for root only, unless /etc/fuse.conf has the line user_allow_other', 1);
  }
}
