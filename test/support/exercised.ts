// The exercisers of test/posix on mounts of servers that keep their files where they can be looked at, with the seeds
// of a soak: NINEFS_SEEDS is how many; they count from NINEFS_SEED (1), so that a run can be had again.
// Guarantees: mounts and servers are gone in the end, and a mount that leaks fails. Must not touch a mount itself.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { hostTree } from '../../src/server/server.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { startDiod } from './debian.ts';
import { embeddedPeer, type PeerServer } from './exported.ts';
import { type Mounted, mounted } from './mounted.ts';
import { makeTempDir, removeTempDir } from './tempdir.ts';

const first = Number(process.env['NINEFS_SEED'] ?? '1');

/** Whether a soak has said how much there is to do; a run of all tests does a fifth. */
export const full = process.env['NINEFS_SEEDS'] !== undefined;
export const seeds = Array.from({ length: Number(process.env['NINEFS_SEEDS'] ?? '1') }, (_, i) => first + i);
export const canMount = existsSync('/dev/fuse') && process.getuid?.() === 0;

export interface ExercisedServer {
  readonly name: string;
  readonly program?: string;
  start(dir: string): Promise<PeerServer>;
}

/** Those that show a directory of this machine. */
export const hostServers: readonly ExercisedServer[] = [
  { name: 'the embedded server', start: (dir) => embeddedPeer(hostTree(dir, {})) },
  { name: 'diod', program: 'diod', start: startDiod },
];

/** `body` gets the mountpoints and the directory that they show. Checks for leaks in the end. */
export async function onMounts(
  server: ExercisedServer,
  cache: CacheMode,
  mounts: number,
  body: (mountpoints: string[], exported: string) => Promise<void>,
): Promise<void> {
  const dir = await makeTempDir('random');
  const exported = join(dir, 'export');
  await mkdir(exported);
  const { address, aname, stop } = await server.start(exported);
  const live: Mounted[] = [];
  try {
    for (let i = 0; i < mounts; i++) {
      live.push(await mounted(join(dir, `${i}`), { address: parseAddress(address), aname, cache, access: 'client' }));
    }
    await body(
      live.map(({ mountpoint }) => mountpoint),
      exported,
    );
    for (const one of live) await one.checkLeaks();
  } finally {
    // checked above: here it would hide what failed before
    for (const { mount } of live) await mount.unmount({ lazy: true });
    await stop();
    await removeTempDir(dir);
  }
}
