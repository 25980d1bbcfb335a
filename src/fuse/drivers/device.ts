// The Linux driver: mounts /dev/fuse and serves it, from the checks before to the drain after.
// Guarantees: resolves only when the kernel's INIT has been answered; when it rejects, nothing stays mounted.

import { closeSync } from 'node:fs';
import { within } from '../../common/deadline.ts';
import { ConfigError } from '../../common/errors.ts';
import { silent } from '../../common/log.ts';
import { defaults, type Negotiated } from '../init.ts';
import { type MountOptions, mountDevice, raiseReadahead, type UnmountOptions, unmount } from '../mount.ts';
import { findMount } from '../mountinfo.ts';
import { FuseSession, type SessionEnd, type SessionOptions } from '../session.ts';

/** The kernel sends INIT while mount(2) runs. */
const INIT_MS = 10_000;
/** How long a lazy unmount waits for the mount's users before it is ended under them. */
const LAZY_MS = 1000;

export interface ServeOptions extends Omit<SessionOptions, 'fd'> {
  mount: MountOptions;
}

export interface Served {
  readonly session: FuseSession;
  readonly negotiated: Negotiated;
  /** Canonical. */
  readonly mountpoint: string;
  /** The connection's number under /sys/fs/fuse/connections. */
  readonly connection: number;
  /** How it ended, by whoever's hand. Never rejects. */
  readonly done: Promise<SessionEnd>;
  /**
   * Unmounts and waits for the end. Rejects with ConfigError when the mount is busy, and goes on serving. `lazy` does not
   * fail: it detaches, where nobody has done so before, gives users a moment, then aborts what they wait for.
   */
  unmount(options?: UnmountOptions): Promise<SessionEnd>;
}

/** Serves a device from INIT on. When it rejects, the device is closed. */
async function begin(options: SessionOptions): Promise<{ session: FuseSession; negotiated: Negotiated }> {
  let session: FuseSession;
  try {
    session = new FuseSession(options);
  } catch (error) {
    closeSync(options.fd);
    throw error;
  }
  try {
    session.start();
    const negotiated = await within(session.ready, INIT_MS, () => {
      throw new ConfigError('the kernel did not begin to use the mount', 1);
    });
    return { session, negotiated };
  } catch (error) {
    await session.stop();
    throw error;
  }
}

export async function serveDevice({ mount, ...options }: ServeOptions): Promise<Served> {
  const logger = options.logger ?? silent;
  const { fd, mountpoint, connection, table } = await mountDevice({ logger, ...mount });
  const isOurs = async () => (await findMount(mountpoint, table.read))?.minor === connection;
  const detach = async (lazy: boolean) => unmount(mountpoint, { lazy, read: table.read });
  let began: Awaited<ReturnType<typeof begin>>;
  try {
    began = await begin({ ...options, fd });
  } catch (error) {
    // its connection has ended, so unmounting waits for nobody
    await (async () => (await isOurs()) && (await detach(true)))().catch((cause: unknown) =>
      logger.warn({ err: cause }, 'cannot unmount'),
    );
    await table.close();
    throw error;
  }
  const { session, negotiated } = began;
  void session.done.then(() => table.close());
  await raiseReadahead(connection, options.settings?.maxReadahead ?? defaults.maxReadahead, logger);
  return {
    session,
    negotiated,
    mountpoint,
    connection,
    done: session.done,
    async unmount({ lazy = false, detached } = {}) {
      // what is mounted there after somebody else's umount -l is not ours
      if (await isOurs()) await detach(lazy);
      else if (!lazy) throw new ConfigError(`${mountpoint} is detached already`, 1);
      detached?.();
      // The kernel ends the session with the last user; after a lazy unmount there may be some for ever.
      if (!lazy) return session.done;
      const late = Symbol();
      const end = await within<SessionEnd | typeof late>(session.done, LAZY_MS, () => late);
      return end === late ? session.stop() : end;
    },
  };
}
