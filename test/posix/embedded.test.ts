// The POSIX checks on mounts of the embedded server: both trees, every cache mode, and both ways to tell users apart.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { AccessMode, CacheMode } from '../../src/bridge/settings.ts';
import { Users } from '../../src/server/users.ts';
import { writeAccounts } from '../support/accounts.ts';
import { type Exported, exported } from '../support/exported.ts';
import type { Mounted } from '../support/mounted.ts';
import { checksFor, IDENTITY, likeLocal, NOBODY, posixSuite } from '../support/posix.ts';
import { output } from '../support/shell.ts';

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
    let at: Exported;
    let live: Mounted;

    beforeAll(async () => {
      at = await exported('posix', tree, { users: async (dir) => new Users(await writeAccounts(dir)) });
      live = await at.mount({ cache, access, ...likeLocal });
    });
    afterAll(() => at.end());

    const first = access === 'user' && cache === 'auto' && tree === 'memory';
    posixSuite('POSIX', () => live.mountpoint, checksFor(cache, { identity: first }));
    if (first && process.env['NINEFS_SCALE'] === '1') {
      posixSuite('POSIX, as an ordinary user', ownDirectory, { only: IDENTITY, user: NOBODY });
    }

    async function ownDirectory(): Promise<string> {
      const own = join(live.mountpoint, 'own');
      await output(`mkdir -m 777 '${own}'`);
      return own;
    }

    it('leaks nothing', () => live.checkLeaks());
  },
);
