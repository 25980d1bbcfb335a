// The POSIX checks on mounts of servers whose fids are paths, in every kind that real servers have
// (src/server/fidkinds.ts), with nothing excluded but what a dialect cannot say: what a fid means to the server does not
// show on the mount.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { Accounts } from '../../src/client/accounts.ts';
import type { Version } from '../../src/client/dialects/versions.ts';
import type { BehaviourOptions } from '../../src/server/server.ts';
import { Users } from '../../src/server/users.ts';
import { writeAccounts } from '../support/accounts.ts';
import { type Exported, type ExportedTree, exported } from '../support/exported.ts';
import type { Mounted } from '../support/mounted.ts';
import { checksFor, likeLocal, type PosixOptions, posixSuite } from '../support/posix.ts';

interface Mode {
  fids: NonNullable<BehaviourOptions['fids']>;
  tree: ExportedTree;
  cache: CacheMode;
  /** 9P2000.L if not given. */
  version?: Version;
}

const modes: Mode[] = [
  { fids: 'path', tree: 'memory', cache: 'auto' },
  { fids: 'path-io', tree: 'memory', cache: 'none' },
  { fids: 'path-io', tree: 'host', cache: 'auto' },
  { fids: 'path-unopened', tree: 'memory', cache: 'auto' },
  { fids: 'path-unopened', tree: 'host', cache: 'none' },
  { fids: 'path', tree: 'memory', cache: 'auto', version: '9P2000.u' },
  { fids: 'path-io', tree: 'host', cache: 'auto', version: '9P2000' },
];

/** What a dialect cannot say, and of the checks those whose outcome depends on what a fid means. */
const older: Readonly<Record<string, string>> = { '9P2000.u': 'dotu.txt', '9P2000': 'legacy.txt' };
const ABOUT_FIDS = ['identity_dirs', 'identity_work', 'rename', 'unlink', 'listing'];

function checksOf({ cache, version }: Mode): PosixOptions {
  const file = older[version ?? ''];
  if (file === undefined) return checksFor(cache);
  return { only: ABOUT_FIDS, exclude: ['paths.txt', file].map((name) => join(import.meta.dirname, 'exclude', name)) };
}

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each(modes)(
  'fids=$fids, the $tree tree, cache=$cache $version',
  (mode) => {
    const { fids, tree, cache, version = '9P2000.L' } = mode;
    let at: Exported;
    let live: Mounted;

    beforeAll(async () => {
      at = await exported('fids', tree, { fids, users: async (dir) => new Users(await writeAccounts(dir)) });
      const accounts = new Accounts(await writeAccounts(at.dir));
      live = await at.mount({ version, accounts, cache, access: 'client', ...likeLocal });
    });
    afterAll(() => at.end());

    posixSuite('POSIX', () => live.mountpoint, checksOf(mode));

    it('leaks nothing', () => live.checkLeaks());
  },
);
