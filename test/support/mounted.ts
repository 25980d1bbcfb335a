// A mount that this process serves, with the check of what must not leak when the work on it is done.
// The test may look at it from child processes only: this event loop answers them.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Mount, type MountStats, mount } from '../../src/bridge/mount.ts';
import type { GivenSettings } from '../../src/bridge/settings.ts';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { forgetNames } from './forget.ts';
import { type Connection, connection } from './fuseconnection.ts';
import { fusectl } from './fusectl.ts';
import { removeTempDir } from './tempdir.ts';
import { until } from './until.ts';

export interface Mounted {
  readonly mount: Mount;
  readonly mountpoint: string;
  /** Everything that was asked is answered: also what the kernel says when nobody waits for it, as of a file closed. */
  quiet(): Promise<void>;
  /** Nothing on its way, nothing in quarantine; and when the kernel has forgotten all files, no fid but the roots. */
  checkLeaks(): Promise<void>;
  /** Checks for leaks and unmounts, also when the check fails. */
  end(): Promise<void>;
}

/** Settles when no request waits: for the server, for the mount, or in the kernel for the mount to take it. */
async function over(stats: () => MountStats | Promise<MountStats>, kernel: Connection): Promise<void> {
  await until('every request to be over', async () => {
    const { client, fuse } = await stats();
    const busy = client.tags + client.reserveTags + client.fids.quarantine + fuse.inFlight;
    return busy === 0 && (await kernel.waiting()) === 0;
  });
}

/** The leak check, for whoever can tell what a mount counts. */
export async function nothingLeft(
  stats: () => MountStats | Promise<MountStats>,
  kernel: Connection,
  mountpoint: string,
): Promise<void> {
  // the kernel's own references to what it has cached; releases and forgets come after it, in their own time
  if (process.getuid?.() === 0) {
    let left = '';
    await until(
      () => `the kernel to forget every file: ${left}`,
      async () => {
        await forgetNames(mountpoint);
        await kernel.waiting(); // fails where the mount is gone, whose files the kernel forgets without a word
        const { nodes, handles } = await stats();
        left = `${nodes - 1} files known, ${handles} open`;
        return nodes === 1 && handles === 0;
      },
    );
  }
  await over(stats, kernel);
  const { client, fuse, users } = await stats();
  expect(client).toMatchObject({
    tags: 0,
    reserveTags: 0,
    queued: 0,
    quarantine: 0,
    chunks: { inFlight: 0, waiting: 0 },
    fids: { quarantine: 0, live: users },
    pool: { inUse: 0, waiting: 0, streams: { inUse: 0, waiting: 0 } },
  });
  expect(fuse).toMatchObject({ inFlight: 0, slabsLent: 0 });
  expect(await kernel.waiting()).toBe(0);
}

/** Mounts on `dir`/mnt. */
export async function mounted(dir: string, settings: Omit<GivenSettings, 'mountpoint'>): Promise<Mounted> {
  const mountpoint = join(dir, 'mnt');
  await mkdir(mountpoint, { recursive: true });
  const live = await mount({ ...settings, mountpoint });
  const info = await findMount(mountpoint);
  if (info === undefined) throw new Error(`nothing is mounted on ${mountpoint}`);
  await fusectl();
  const kernel = connection(info.minor);

  const checkLeaks = () => nothingLeft(() => live.stats(), kernel, mountpoint);

  return {
    mount: live,
    mountpoint: live.mountpoint,
    quiet: () => over(() => live.stats(), kernel),
    checkLeaks,
    async end() {
      try {
        await checkLeaks();
      } finally {
        await live.unmount().catch(() => live.unmount({ lazy: true }));
        await removeTempDir(mountpoint);
      }
    },
  };
}
