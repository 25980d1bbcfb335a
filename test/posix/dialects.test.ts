// The POSIX checks, and a small measure of git, tar, sqlite and others, on mounts over 9P2000.u and 9P2000. What a dialect
// cannot say is in its file of exclusions.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AccessMode, CacheMode } from '../../src/bridge/settings.ts';
import { Accounts } from '../../src/client/accounts.ts';
import type { Version } from '../../src/client/dialects/versions.ts';
import { hostTree, memoryTree, type Serving, serve } from '../../src/server/server.ts';
import { Users } from '../../src/server/users.ts';
import { writeAccounts } from '../support/accounts.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { posixSuite } from '../support/posix.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';
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
    let dir: string;
    let serving: Serving;
    let live: Mounted;

    beforeAll(async () => {
      dir = await makeTempDir(tree);
      const exported = join(dir, 'export');
      await mkdir(exported);
      const files = await writeAccounts(dir);
      serving = await serve({
        address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
        tree: tree === 'memory' ? memoryTree() : hostTree(exported, {}),
        users: new Users(files),
      });
      live = await mounted(dir, {
        address: serving.address,
        version,
        accounts: new Accounts(files),
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

    posixSuite('POSIX', () => live.mountpoint, { exclude: resolve(import.meta.dirname, 'exclude', exclude) });
    workloadSuite('work', () => ({ dir: live.mountpoint }), { scale: 0.05, except });

    it('leaks nothing', () => live.checkLeaks());
  },
);
