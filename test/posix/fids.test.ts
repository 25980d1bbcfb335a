// The POSIX checks on mounts of servers whose fids are paths, in every kind that real servers have (src/server/fidkinds.ts), with
// one check excluded that chance decides: what a fid means to the server does not show on the mount.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import type { BehaviourOptions } from '../../src/server/server.ts';
import { Users } from '../../src/server/users.ts';
import { writeAccounts } from '../support/accounts.ts';
import { type Exported, type ExportedTree, exported } from '../support/exported.ts';
import type { Mounted } from '../support/mounted.ts';
import { IDENTITY, likeLocal, posixSuite } from '../support/posix.ts';

interface Mode {
  fids: NonNullable<BehaviourOptions['fids']>;
  tree: ExportedTree;
  cache: CacheMode;
}

/** All checks on all trees where NINEFS_SCALE=1 asks for them. */
const all = process.env['NINEFS_SCALE'] === '1';
const modes: Mode[] = (['path', 'path-io', 'path-unopened'] as const).flatMap((fids): Mode[] => [
  { fids, tree: 'memory', cache: 'auto' },
  ...(all ? [{ fids, tree: 'host', cache: 'none' } as const] : []),
]);
/** The families in which names change under those who use the file. */
const only = all ? [] : [...IDENTITY, 'dirs', 'honest', 'idioms', 'locks', 'rename', 'unlink', 'xattr'];
/** By chance: a file that is replaced between the lookup of its name and its opening, twice in a row. */
const exclude = resolve(import.meta.dirname, 'exclude/fids.txt');

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

    posixSuite('POSIX', () => live.mountpoint, { only, exclude });

    it('leaks nothing', () => live.checkLeaks());
  },
);
