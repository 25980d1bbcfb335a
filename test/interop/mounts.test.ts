// Mounts of other people's servers: the POSIX checks and the work that people do, in cache=none and cache=auto, with the
// bytes compared on the server's side. NINEFS_SCALE=1 does as much as the project promises; less by default, see
// scripts/soak-interop.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { hostTree } from '../../src/server/server.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import { embeddedPeer, type PeerServer } from '../support/exported.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { checksFor, likeLocal, posixSuite } from '../support/posix.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { workloadSuite } from '../support/workloads.ts';

const asked = process.env['NINEFS_SCALE'];
/** Without a cache every call is a request, and takes several times as long. */
const scaleOf = (cache: CacheMode) => Number(asked ?? (cache === 'none' ? '0.015' : '0.05'));

interface Peer {
  name: string;
  program?: string;
  start(dir: string): Promise<PeerServer>;
  /** The embedded server's POSIX checks are in test/posix. */
  exclude?: string;
}

const peers: Peer[] = [
  { name: 'the embedded server', start: (dir) => embeddedPeer(hostTree(dir, {})) },
  { name: 'diod', program: 'diod', start: startDiod, exclude: 'diod.txt' },
  { name: 'nfs-ganesha', program: 'ganesha.nfsd', start: (dir) => startGanesha(dir), exclude: 'ganesha.txt' },
];
const caches: CacheMode[] = ['auto', 'none'];
const combinations = peers.flatMap((peer) => caches.map((cache) => ({ ...peer, cache })));

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each(combinations)(
  '$name, cache=$cache',
  ({ program, start, exclude, cache }) => {
    const missing = program === undefined ? null : missingPrograms(program);
    if (missing !== null) {
      it.skip(missing, () => undefined);
      return;
    }
    let dir: string;
    let exported: string;
    let server: PeerServer;
    let live: Mounted;

    beforeAll(async () => {
      dir = await makeTempDir('interop');
      exported = join(dir, 'export');
      await mkdir(exported);
      server = await start(exported);
      live = await mounted(dir, {
        address: parseAddress(server.address),
        aname: server.aname,
        cache,
        access: 'client',
        ...likeLocal,
      });
    });
    afterAll(async () => {
      try {
        await live.end();
      } finally {
        await server.stop();
        await removeTempDir(dir);
      }
    });

    if (exclude !== undefined) {
      const file = join(import.meta.dirname, '../posix/exclude', exclude);
      const identity = program === 'diod' && cache === 'auto';
      posixSuite('POSIX', () => live.mountpoint, { exclude: file, ...checksFor(cache, { identity }) });
    }
    workloadSuite('work', () => ({ dir: live.mountpoint, server: exported }), { scale: scaleOf(cache) });

    it('leaks nothing', async () => {
      await live.checkLeaks();
      expect(live.mount.stats().fuse.inFlight).toBe(0);
    });
  },
);
