// The POSIX checks on mounts of the embedded server: both trees, every cache mode, and both ways to tell users apart.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AccessMode, CacheMode } from '../../src/bridge/settings.ts';
import { hostTree, memoryTree, type Serving, serve } from '../../src/server/server.ts';
import { Users } from '../../src/server/users.ts';
import { writeAccounts } from '../support/accounts.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { checksFor, posixSuite } from '../support/posix.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';

const modes: { tree: 'memory' | 'host'; cache: CacheMode; access: AccessMode }[] = [
  { tree: 'memory', cache: 'auto', access: 'user' },
  { tree: 'memory', cache: 'none', access: 'client' },
  { tree: 'memory', cache: 'loose', access: 'user' },
  { tree: 'host', cache: 'auto', access: 'user' },
  { tree: 'host', cache: 'none', access: 'client' },
];

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each(modes)(
  'the $tree tree, cache=$cache, access=$access',
  ({ tree, cache, access }) => {
    let dir: string;
    let serving: Serving;
    let live: Mounted;

    beforeAll(async () => {
      dir = await makeTempDir(tree);
      const exported = join(dir, 'export');
      await mkdir(exported);
      serving = await serve({
        address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
        tree: tree === 'memory' ? memoryTree() : hostTree(exported, {}),
        users: new Users(await writeAccounts(dir)),
      });
      live = await mounted(dir, {
        address: serving.address,
        cache,
        access,
        allowOther: true,
        defaultPermissions: true,
        nodev: false,
        nosuid: false,
      });
    });
    afterAll(async () => {
      await live.end();
      await until('the server to have let everything go', () => serving.stats.connections.length === 0);
      expect(serving.stats.places).toBe(0);
      await serving.close();
      await removeTempDir(dir);
    });

    posixSuite('POSIX', () => live.mountpoint, checksFor(cache));

    it('leaks nothing', () => live.checkLeaks());
  },
);
