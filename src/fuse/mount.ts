// Mounts and unmounts: as root through mount(2), as an ordinary user through fusermount3.
// Guarantees: everything that the user can have got wrong is found before the device is opened, and told in one line; a failed
// mount leaves no descriptor and no mount. Unmounting never runs on the event loop's thread, see unmount().

import { closeSync, constants, openSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { errno, errnoName } from '../common/errno.ts';
import { ConfigError } from '../common/errors.ts';
import { type Logger, silent } from '../common/log.ts';
import { usersOf } from './busy.ts';
import { addon } from './drivers/addon.ts';
import { escapeOption, fusermount, fusermountUnmount } from './fusermount.ts';
import { canonicalPath, findMount, type MountInfo } from './mountinfo.ts';
import { checkHost, checkMountpoint } from './mountpoint.ts';

const SUBTYPE = 'ninefs';
/** As /proc/mounts shows it. */
export const FS_TYPE = `fuse.${SUBTYPE}`;

export interface MountOptions {
  mountpoint: string;
  /** Shown as the device; any text. */
  source: string;
  readOnly?: boolean;
  /** Other users than the one who mounted may enter. */
  allowOther?: boolean;
  /** The kernel checks modes and owners itself. */
  defaultPermissions?: boolean;
  /** Bytes of one READ at most; without it the negotiated size. */
  maxRead?: number;
  /** Device files and set-user-id bits mean something; only root can ask for these. */
  dev?: boolean;
  suid?: boolean;
  noexec?: boolean;
  noatime?: boolean;
  sync?: boolean;
  dirsync?: boolean;
  /** Clears a stale mount away first. */
  force?: boolean;
  logger?: Logger;
}

/** How a driver ends its mount. */
export interface UnmountOptions {
  lazy?: boolean;
  /** Called when nobody new can enter; those who are in may still have to be waited for. */
  detached?: () => void;
}

export interface DeviceMount {
  /** The open /dev/fuse; whoever takes it closes it. */
  fd: number;
  /** Canonical. */
  mountpoint: string;
  /** The connection's number under /sys/fs/fuse/connections. */
  connection: number;
}

/** MS_* of mount(2), and the word that fusermount3 knows it by. */
const flags: readonly [flag: number, word: string, wanted: (options: MountOptions) => boolean | undefined][] = [
  [1, 'ro', (o) => o.readOnly],
  [2, 'nosuid', (o) => !o.suid],
  [4, 'nodev', (o) => !o.dev],
  [8, 'noexec', (o) => o.noexec],
  [16, 'sync', (o) => o.sync],
  [128, 'dirsync', (o) => o.dirsync],
  [1024, 'noatime', (o) => o.noatime],
];

const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

const isRoot = (): boolean => process.geteuid?.() === 0;

/** Options for the kernel that root and user have in common. */
function kernelOptions(options: MountOptions): string[] {
  const words: string[] = [];
  if (options.allowOther) words.push('allow_other');
  if (options.defaultPermissions) words.push('default_permissions');
  if (options.maxRead !== undefined) words.push(`max_read=${options.maxRead}`);
  return words;
}

function openDevice(): number {
  try {
    // Node adds O_CLOEXEC.
    return openSync('/dev/fuse', constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new ConfigError(`cannot open /dev/fuse: ${code}`, 1, { cause: error });
  }
}

async function mountAsRoot(mountpoint: string, options: MountOptions): Promise<number> {
  const fd = openDevice();
  const data = [
    `fd=${fd}`,
    'rootmode=40000',
    `user_id=${process.geteuid?.() ?? 0}`,
    `group_id=${process.getegid?.() ?? 0}`,
    ...kernelOptions(options),
  ].join(',');
  const bits = flags.reduce((sum, [flag, , wanted]) => (wanted(options) ? sum | flag : sum), 0);
  // The subtype rides on the type, where no character needs an escape; the kernel escapes the source itself.
  const result = await addon().mount(options.source, mountpoint, FS_TYPE, bits, data);
  if (result === 0) return fd;
  closeSync(fd);
  const hint = -result === errno.EPERM ? ' (mounting needs CAP_SYS_ADMIN, which containers often lack)' : '';
  throw new ConfigError(`cannot mount on ${mountpoint}: ${errnoName(-result)}${hint}`, 1);
}

function mountAsUser(mountpoint: string, options: MountOptions): Promise<number> {
  return fusermount(mountpoint, [
    ...flags.filter(([, , wanted]) => wanted(options)).map(([, word]) => word),
    ...kernelOptions(options),
    `subtype=${SUBTYPE}`,
    `fsname=${escapeOption(options.source)}`,
  ]);
}

/** Throws ConfigError for what is not fit to be mounted on. After it the device must be served at once, or callers hang. */
export async function mountDevice(options: MountOptions): Promise<DeviceMount> {
  const logger = options.logger ?? silent;
  const root = isRoot();
  const verdict = await checkMountpoint(options.mountpoint, FS_TYPE, options.force ?? false);
  await checkHost(options.allowOther ?? false, root);
  if (verdict === 'clear') {
    logger.info({ mountpoint: options.mountpoint }, 'clearing a stale mount');
    await unmount(options.mountpoint, { lazy: true });
    await checkMountpoint(options.mountpoint, FS_TYPE, false);
  }
  const mountpoint = await canonicalPath(options.mountpoint);
  const fd = await (root ? mountAsRoot : mountAsUser)(mountpoint, options);
  const info = await findMount(mountpoint);
  if (info === undefined) {
    closeSync(fd);
    throw new ConfigError(`the mount on ${mountpoint} was undone by somebody else`, 1);
  }
  return { fd, mountpoint, connection: info.minor };
}

/**
 * Unmounts. `lazy` detaches it from the tree at once and leaves it to those who still use it. Throws ConfigError, for a busy
 * mount with the names of its users. The kernel may write dirty pages back first, through the very daemon that asks for the
 * unmount, so the system call is made on another thread or by fusermount3, and has no deadline of its own.
 */
export async function unmount(path: string, { lazy = false }: { lazy?: boolean } = {}): Promise<void> {
  const info = await findMount(path);
  if (info === undefined) throw new ConfigError(`nothing is mounted on ${path}`, 1);
  if (!/^fuse(\.|$)/.test(info.type)) {
    throw new ConfigError(`what is mounted on ${path} is of type ${info.type}, not ${FS_TYPE}`, 1);
  }
  const failed = await (isRoot() ? unmountAsRoot(info, lazy) : fusermountUnmount(info.mountpoint, lazy));
  if (failed === 0) return;
  if (failed !== errno.EBUSY) throw new ConfigError(`cannot unmount ${path}: ${errnoName(failed)}`, 1);
  const users = await usersOf(info.mountpoint);
  const who = users.length === 0 ? 'something still uses it' : `in use by ${users.join(', ')}`;
  throw new ConfigError(`${path} is busy, ${who}: end that first, or detach it with -l`, 1);
}

async function unmountAsRoot(info: MountInfo, lazy: boolean): Promise<number> {
  return -(await addon().umount2(info.mountpoint, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)));
}

/** A new mount reads at most 128 KiB ahead; more has to be asked for through sysfs, as root, after INIT. Best effort. */
export async function raiseReadahead(connection: number, bytes: number, logger: Logger = silent): Promise<void> {
  const file = `/sys/class/bdi/0:${connection}/read_ahead_kb`;
  try {
    await writeFile(file, String(Math.floor(bytes / 1024)));
  } catch (error) {
    logger.debug({ err: error, file }, 'readahead stays at the default');
  }
}
