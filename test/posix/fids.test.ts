// The POSIX checks on mounts of servers whose fids are paths, in every kind that real servers have (src/server/fidkinds.ts), with
// nothing excluded: what a fid means to the server does not show on the mount.

import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import type { BehaviourOptions } from '../../src/server/server.ts';
import { Users } from '../../src/server/users.ts';
import { writeAccounts } from '../support/accounts.ts';
import { type Exported, type ExportedTree, exported } from '../support/exported.ts';
import type { Mounted } from '../support/mounted.ts';
import { checksFor, likeLocal, posixSuite } from '../support/posix.ts';

interface Mode {
  fids: NonNullable<BehaviourOptions['fids']>;
  tree: ExportedTree;
  cache: CacheMode;
}

const modes: Mode[] = [
  { fids: 'path', tree: 'memory', cache: 'auto' },
  { fids: 'path-io', tree: 'memory', cache: 'none' },
  { fids: 'path-io', tree: 'host', cache: 'auto' },
  { fids: 'path-unopened', tree: 'memory', cache: 'auto' },
  { fids: 'path-unopened', tree: 'host', cache: 'none' },
];

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each(modes)(
  'fids=$fids, the $tree tree, cache=$cache',
  ({ fids, tree, cache }) => {
    let at: Exported;
    let live: Mounted;

    beforeAll(async () => {
      at = await exported('fids', tree, { fids, users: async (dir) => new Users(await writeAccounts(dir)) });
      live = await at.mount({ cache, access: 'client', ...likeLocal });
    });
    afterAll(() => at.end());

    posixSuite('POSIX', () => live.mountpoint, checksFor(cache));

    it('leaks nothing', () => live.checkLeaks());
  },
);
