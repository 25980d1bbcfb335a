// Which driver serves a mount, and what each is told of its settings. What a driver lacks is in the README; what it must not be
// asked for is refused by checkDriver (settings.ts), before anything is connected.
// Guarantees: as the driver's own: resolves when the kernel has begun to use the mount, and leaves nothing when it rejects.

import type { Session } from '../client/session.ts';
import type { Logger } from '../common/log.ts';
import { serveDevice } from '../fuse/drivers/device.ts';
import { serveFuseNative } from '../fuse/drivers/fuse-native.ts';
import type { MountOptions, UnmountOptions } from '../fuse/mount.ts';
import type { Operations } from '../fuse/operations.ts';
import type { SessionEnd, SessionStats } from '../fuse/session.ts';
import { MAX_PAGES, PAGE } from '../wire/fuse/constants.ts';
import type { CachePolicy } from './files/cache.ts';
import type { KernelPort } from './kernel.ts';
import type { MountSettings } from './settings.ts';

/** A mount as its driver has it. */
export interface Served {
  readonly mountpoint: string;
  readonly done: Promise<SessionEnd>;
  unmount(options?: UnmountOptions): Promise<SessionEnd>;
  stats(): SessionStats;
}

interface Serving {
  settings: MountSettings;
  session: Session;
  policy: CachePolicy;
  /** The file system, which has something to tell the kernel of its own accord. */
  operations(kernel: KernelPort): Operations;
  logger: Logger;
}

export async function serveMount({ settings, session, policy, operations, logger }: Serving): Promise<Served> {
  const mount: MountOptions = {
    mountpoint: settings.mountpoint,
    source: settings.source,
    readOnly: settings.readOnly,
    allowOther: settings.allowOther,
    // with one attach for all callers only the kernel can tell them apart
    defaultPermissions: settings.defaultPermissions || (settings.access === 'client' && settings.allowOther),
    dev: !settings.nodev,
    suid: !settings.nosuid,
    noexec: settings.noexec,
    noatime: settings.noatime,
    sync: settings.sync,
    dirsync: settings.dirsync,
    force: settings.force,
    ...largestRead(session),
  };
  if (settings.driver === 'fuse-native') {
    const { mode, entryTtl, negativeTtl } = policy;
    const keep = { direct: mode === 'none', entryTtl, negativeTtl };
    const served = await serveFuseNative({ operations: operations(silentKernel), mount, keep, logger });
    return {
      mountpoint: served.mountpoint,
      done: served.done,
      unmount: (options) => served.unmount(options),
      stats: () => served.stats,
    };
  }
  const notifier = () => served.session.notifier;
  const served = await serveDevice({
    operations: operations({
      expireAttr: (node) => notifier().invalInode(node.id, -1),
      dropPages: (node, offset, length) => notifier().invalInode(node.id, offset, length),
    }),
    settings: {
      ...policy.fuse,
      posixLocks: settings.locks && session.dialect.hasLocks,
      flockLocks: settings.flock === 'remote',
      posixAcl: settings.posixAcl,
    },
    intr: settings.intr,
    intrgrace: settings.intrGrace,
    logger,
    mount,
  });
  return {
    mountpoint: served.mountpoint,
    done: served.done,
    unmount: (options) => served.unmount(options),
    stats: () => served.session.stats,
  };
}

/** The kernel keeps nothing here that could be dropped. */
const silentKernel: KernelPort = { expireAttr: async () => {}, dropPages: async () => {} };

/** One read of the kernel takes one slab, so that none may be larger than the whole pool. */
function largestRead(session: Session): { maxRead?: number } {
  const { capacity } = session.stats.pool;
  return capacity < MAX_PAGES * PAGE ? { maxRead: 2 ** Math.floor(Math.log2(capacity)) } : {};
}
