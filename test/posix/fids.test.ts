// The POSIX checks, programs and random trees on mounts of servers whose fids are paths, in every kind that real servers have
// (src/server/fidkinds.ts), with one check excluded that chance decides, and what a dialect cannot say: what a fid means
// to the server does not show on the mount.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { Accounts } from '../../src/client/accounts.ts';
import type { Version } from '../../src/client/dialects/versions.ts';
import type { BehaviourOptions } from '../../src/server/server.ts';
import { Users } from '../../src/server/users.ts';
import { writeAccounts } from '../support/accounts.ts';
import { EXERCISE, exercise } from '../support/exercisers.ts';
import { type Exported, type ExportedTree, exported } from '../support/exported.ts';
import type { Mounted } from '../support/mounted.ts';
import { IDENTITY, likeLocal, type PosixOptions, posixSuite } from '../support/posix.ts';
import { workloadSuite } from '../support/workloads.ts';

interface Mode {
  fids: NonNullable<BehaviourOptions['fids']>;
  tree: ExportedTree;
  cache: CacheMode;
  /** 9P2000.L if not given. */
  version?: Version;
}

/** All checks on all trees where NINEFS_SCALE=1 asks for them. */
const all = process.env['NINEFS_SCALE'] === '1';
const modes: Mode[] = [
  ...(['path', 'path-io', 'path-unopened'] as const).flatMap((fids): Mode[] => [
    { fids, tree: 'memory', cache: 'auto' },
    ...(all ? [{ fids, tree: 'host', cache: 'none' } as const] : []),
  ]),
  { fids: 'path', tree: 'memory', cache: 'auto', version: '9P2000.u' },
  { fids: 'path-io', tree: 'host', cache: 'auto', version: '9P2000' },
];
/** The families in which names change under those who use the file. */
const only = all ? [] : [...IDENTITY, 'dirs', 'honest', 'idioms', 'locks', 'rename', 'unlink', 'xattr'];
/** By chance: a file that is replaced between the lookup of its name and its opening, twice in a row. */
const BY_CHANCE = 'fids.txt';
/** What a dialect cannot say, and of the checks those whose outcome depends on what a fid means to the server there. */
const older: Readonly<Record<string, string>> = { '9P2000.u': 'dotu.txt', '9P2000': 'legacy.txt' };
const inOlder = ['identity_dirs', 'identity_work', 'rename', 'unlink', 'listing'];

function checksOf(version: Version): PosixOptions {
  const files = [BY_CHANCE, ...(older[version] === undefined ? [] : [older[version]])];
  return {
    only: version === '9P2000.L' ? only : inOlder,
    exclude: files.map((file) => resolve(import.meta.dirname, 'exclude', file)),
  };
}

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each(modes)(
  'fids=$fids, the $tree tree, cache=$cache $version',
  ({ fids, tree, cache, version = '9P2000.L' }) => {
    let at: Exported;
    let live: Mounted;

    beforeAll(async () => {
      at = await exported('fids', tree, { fids, users: async (dir) => new Users(await writeAccounts(dir)) });
      const accounts = new Accounts(await writeAccounts(at.dir));
      live = await at.mount({ version, accounts, cache, access: 'client', ...likeLocal });
    });
    afterAll(() => at.end());

    posixSuite('POSIX', () => live.mountpoint, checksOf(version));
    if (version === '9P2000.L') {
      workloadSuite('work', () => ({ dir: live.mountpoint }), { scale: all ? 0.2 : 0.01 });
      it('a random tree made by four processes', { timeout: EXERCISE }, () => {
        const server = tree === 'host' ? ['--server', at.directory] : [];
        return exercise('trees', [live.mountpoint, ...server, '--seed', '1'], all ? 2000 : 300);
      });
    }

    it('leaks nothing', () => live.checkLeaks());
  },
);
