// The POSIX checks, and a small measure of git, tar, sqlite and others, on mounts over 9P2000.u and 9P2000. What a dialect
// cannot say is in its file of exclusions.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { AccessMode, CacheMode } from '../../src/bridge/settings.ts';
import { Accounts } from '../../src/client/accounts.ts';
import type { Version } from '../../src/client/dialects/versions.ts';
import { Users } from '../../src/server/users.ts';
import { writeAccounts } from '../support/accounts.ts';
import { type Exported, exported } from '../support/exported.ts';
import type { Mounted } from '../support/mounted.ts';
import { checksFor, likeLocal, posixSuite } from '../support/posix.ts';
import { workloadSuite } from '../support/workloads.ts';

interface Mode {
  version: Version;
  tree: 'memory' | 'host';
  cache: CacheMode;
  access: AccessMode;
  exclude: string;
  /** Workloads that cannot do without what the dialect lacks. */
  except: Record<string, string>;
}

const SECONDS = 'times are whole seconds';
const WITHIN = 'it renames to another directory';
const LINKS = 'there are no links';

const modes: Mode[] = [
  {
    version: '9P2000.u',
    tree: 'host',
    cache: 'auto',
    access: 'user',
    exclude: 'dotu.txt',
    except: { tar: SECONDS, make: SECONDS, many_entries: WITHIN, names: WITHIN },
  },
  {
    version: '9P2000',
    tree: 'memory',
    cache: 'none',
    access: 'client',
    exclude: 'legacy.txt',
    except: { tar: LINKS, make: SECONDS, npm: LINKS, many_entries: LINKS, names: WITHIN },
  },
];

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each(modes)(
  '$version: the $tree tree, cache=$cache, access=$access',
  ({ version, tree, cache, access, exclude, except }) => {
    let at: Exported;
    let live: Mounted;

    beforeAll(async () => {
      at = await exported('dialects', tree, { users: async (dir) => new Users(await writeAccounts(dir)) });
      const accounts = new Accounts(await writeAccounts(at.dir));
      live = await at.mount({ version, accounts, cache, access, ...likeLocal });
    });
    afterAll(() => at.end());

    posixSuite('POSIX', () => live.mountpoint, {
      exclude: resolve(import.meta.dirname, 'exclude', exclude),
      ...checksFor('auto', { identity: false }),
    });
    workloadSuite('work', () => ({ dir: live.mountpoint }), { scale: 0.05, except });

    it('leaks nothing', () => live.checkLeaks());
  },
);
