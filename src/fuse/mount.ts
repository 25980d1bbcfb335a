// Mounts and unmounts: as root through mount(2), as an ordinary user through fusermount3.
// Guarantees: everything that the user can have got wrong is found before the device is opened, and told in one line; a failed
// mount leaves no descriptor and no mount, whatever it failed of. Unmounting never runs on the event loop's thread, see
// unmount(). What is mounted where is read from a table that is opened first: the new mount may cover /proc.

import { closeSync, constants, openSync } from 'node:fs';
import { statfs, writeFile } from 'node:fs/promises';
import { errno, errnoName } from '../common/errno.ts';
import { ConfigError } from '../common/errors.ts';
import { type Logger, silent } from '../common/log.ts';
import { usersOf } from './busy.ts';
import { addon } from './drivers/addon.ts';
import { escapeOption, fusermount, fusermountUnmount } from './fusermount.ts';
import { canonicalPath, findMount, type MountInfo, type MountTable, mounts, openMounts } from './mountinfo.ts';
import { checkCovered, checkHost, checkMountpoint } from './mountpoint.ts';
import { withoutWaiting } from './patience.ts';

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
  /** Clears a stale mount away first, and covers a directory that the machine needs. */
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
  /** The taker of this object closes it. */
  table: MountTable;
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

/** statfs(2). */
const FUSE_SUPER_MAGIC = 0x65735546;
/** How long a file system may take to say what it is. */
const ANSWER_MS = 3000;

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

/** Whether what answers at a path is a FUSE mount of a process that is gone, in bounded time. */
async function stateByPath(path: string): Promise<'fuse' | 'dead fuse' | 'other' | 'no answer'> {
  const look = async () => {
    try {
      return (await statfs(path)).type === FUSE_SUPER_MAGIC ? 'fuse' : 'other';
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      return code === 'ENOTCONN' || code === 'ECONNABORTED' ? 'dead fuse' : 'other';
    }
  };
  return withoutWaiting<'fuse' | 'dead fuse' | 'other' | 'no answer'>(look(), ANSWER_MS, () => 'no answer');
}

/** What a mount that failed has left on the mountpoint: ours, since it was not there `before`, and dead. */
async function clear(mountpoint: string, before: MountInfo | undefined, table: MountTable): Promise<void> {
  const now = await findMount(mountpoint, table.read);
  if (now === undefined || now.type !== FS_TYPE || (now.id === before?.id && now.minor === before.minor)) return;
  if ((await stateByPath(mountpoint)) === 'dead fuse') await unmount(mountpoint, { lazy: true, read: table.read });
}

async function mountAt(table: MountTable, options: MountOptions, root: boolean): Promise<DeviceMount> {
  const mountpoint = await canonicalPath(options.mountpoint);
  const before = await findMount(mountpoint, table.read);
  let fd: number | undefined;
  try {
    fd = await (root ? mountAsRoot : mountAsUser)(mountpoint, options);
    const info = await findMount(mountpoint, table.read);
    if (info === undefined) throw new ConfigError(`the mount on ${mountpoint} was undone by somebody else`, 1);
    return { fd, mountpoint, connection: info.minor, table };
  } catch (error) {
    // the last descriptor of a connection ends it
    if (fd !== undefined) closeSync(fd);
    await clear(mountpoint, before, table).catch((cause: unknown) =>
      (options.logger ?? silent).warn({ err: cause }, 'what a failed mount has left cannot be cleared'),
    );
    throw error;
  }
}

/** Throws ConfigError for what is not fit to be mounted on. After it the device must be served at once, or callers hang. */
export async function mountDevice(options: MountOptions): Promise<DeviceMount> {
  const logger = options.logger ?? silent;
  const root = isRoot();
  await checkCovered(options.mountpoint, options.force ?? false);
  const verdict = await checkMountpoint(options.mountpoint, FS_TYPE, options.force ?? false);
  await checkHost(options.allowOther ?? false, root);
  if (verdict === 'clear') {
    logger.info({ mountpoint: options.mountpoint }, 'clearing a stale mount');
    await unmount(options.mountpoint, { lazy: true });
    await checkMountpoint(options.mountpoint, FS_TYPE, false);
  }
  const table = await openMounts();
  try {
    return await mountAt(table, options, root);
  } catch (error) {
    await table.close();
    throw error;
  }
}

const umount = (mountpoint: string, lazy: boolean) =>
  isRoot() ? unmountAsRoot(mountpoint, lazy) : fusermountUnmount(mountpoint, lazy);

/**
 * Unmounts. `lazy` detaches it from the tree at once and leaves it to those who still use it. Throws ConfigError, for a busy
 * mount with the names of its users. The kernel may write dirty pages back first, through the very daemon that asks for the
 * unmount, so the system call is made on another thread or by fusermount3, and has no deadline of its own. `read` is that of
 * a table that is held open.
 */
export async function unmount(
  path: string,
  { lazy = false, read = mounts }: { lazy?: boolean; read?: MountTable['read'] } = {},
): Promise<void> {
  const info = await findMount(path, read);
  if (info === undefined) throw new ConfigError(`nothing is mounted on ${path}`, 1);
  if (!/^fuse(\.|$)/.test(info.type)) {
    throw new ConfigError(`what is mounted on ${path} is of type ${info.type}, not ${FS_TYPE}`, 1);
  }
  const failed = await umount(info.mountpoint, lazy);
  if (failed === 0) return;
  if (failed !== errno.EBUSY) throw new ConfigError(`cannot unmount ${path}: ${errnoName(failed)}`, 1);
  const users = await usersOf(info.mountpoint);
  const who = users.length === 0 ? 'something still uses it' : `in use by ${users.join(', ')}`;
  throw new ConfigError(`${path} is busy, ${who}: end that first, or detach it with -l`, 1);
}

/**
 * Detaches what is mounted on a path where the table of mounts cannot be read: a FUSE mount, or one whose process is gone.
 * Throws ConfigError.
 */
export async function detachBlindly(path: string): Promise<void> {
  const mountpoint = await canonicalPath(path);
  const state = await stateByPath(mountpoint);
  const why = {
    fuse: undefined,
    'dead fuse': undefined,
    other: 'it is no FUSE mount',
    'no answer': 'it does not answer',
  };
  if (why[state] !== undefined) {
    throw new ConfigError(
      `cannot tell what is mounted on ${path}: /proc is broken, and ${why[state]}: as root, mount -t proc proc /proc, then look again`,
      1,
    );
  }
  const failed = await umount(mountpoint, true);
  if (failed === errno.EINVAL) throw new ConfigError(`nothing is mounted on ${path}`, 1);
  if (failed !== 0) throw new ConfigError(`cannot unmount ${path}: ${errnoName(failed)}`, 1);
}

async function unmountAsRoot(mountpoint: string, lazy: boolean): Promise<number> {
  return -(await addon().umount2(mountpoint, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)));
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
