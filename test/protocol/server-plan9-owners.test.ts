// The embedded server in 9P2000.u and 9P2000: whose files are, in names from the server's user database.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { Users } from '../../src/server/users.ts';
import { DM, NONUNAME } from '../../src/wire/p9/constants.ts';
import { asRoot } from '../support/eachtree.ts';
import { create, list, mkdir, open, type Plan9Version, put, stat, wstat, wstatErrno } from '../support/plan9.ts';
import type { Raw9p } from '../support/raw9p.ts';
import { type Served, serveTree, type TreeKind } from '../support/served.ts';
import { withTempDir } from '../support/tempdir.ts';

const PASSWD = 'root:x:0:0::/:/bin/sh\nglenda:x:3001:3100::/:/bin/rc\nrob:x:3002:3002::/:/bin/rc\n';
const GROUP = 'wheel:x:0:\nbell:x:3100:\nunix:x:3200:glenda,rob\n';

describe.runIf(asRoot).each<[Plan9Version, TreeKind]>([
  ['9P2000.u', 'memory'],
  ['9P2000.u', 'host'],
  ['9P2000', 'memory'],
  ['9P2000', 'host'],
])('%s, %s tree', (version, kind) => {
  async function withServer(body: (as: (name: string) => Promise<Raw9p>, served: Served) => Promise<void>) {
    await withTempDir(async (dir) => {
      const files = { passwd: join(dir, 'passwd'), group: join(dir, 'group') };
      writeFileSync(files.passwd, PASSWD);
      writeFileSync(files.group, GROUP);
      const served = await serveTree(kind, { users: new Users(files) });
      try {
        const as = async (name: string) => {
          const raw = served.dial();
          await raw.version(8192, version);
          await raw.attach(0, NONUNAME, '', name);
          return raw;
        };
        await wstat(await as('root'), 0, { mode: (DM.DIR | 0o777) >>> 0 });
        await body(as, served);
      } finally {
        await served.end();
      }
    });
  }

  test('names in stats and in listings', () =>
    withServer(async (as) => {
      const glenda = await as('glenda');
      await put(glenda, 'f', '');
      const wanted = { uid: 'glenda', gid: version === '9P2000.u' ? 'bell' : expect.stringMatching(/^(bell|wheel)$/) };
      expect(await stat(glenda, await glenda.walk('f'))).toMatchObject(wanted);
      expect(await list(glenda, await open(glenda, ''), version)).toMatchObject([wanted]);
    }));

  test("in 9P2000 a new file has its directory's group, if its maker has it too", () =>
    withServer(async (as) => {
      const [root, glenda, rob] = [await as('root'), await as('glenda'), await as('rob')];
      const dir = await mkdir(root, 'd', 0o777);
      await wstat(root, dir, { mode: (DM.DIR | 0o777) >>> 0, gid: 'bell' });
      const group = async (raw: Raw9p, name: string) =>
        (await stat(raw, await create(raw, name, { dir: await raw.walk('d') }))).gid;
      expect(await group(glenda, 'g')).toBe('bell');
      expect(await group(rob, 'r')).toBe('3002');
      await wstat(root, dir, { gid: 'unix' });
      expect(await group(rob, 'u')).toBe(version === '9P2000' ? 'unix' : '3002');
    }));

  test('given away by name: by root to anybody, by the owner to a group of his', () =>
    withServer(async (as) => {
      const [root, rob] = [await as('root'), await as('rob')];
      await put(root, 'f', '');
      await wstat(root, await root.walk('f'), { uid: 'rob', gid: '3002' });
      const fid = await rob.walk('f');
      expect(await stat(rob, fid)).toMatchObject({ uid: 'rob', gid: '3002' });
      await wstat(rob, fid, { gid: 'unix' });
      expect(await stat(rob, fid)).toMatchObject({ uid: 'rob', gid: 'unix' });
      expect(await wstatErrno(rob, fid, { gid: 'bell' })).toBe(errno.EPERM);
      expect(await wstatErrno(rob, fid, { uid: 'glenda' })).toBe(errno.EPERM);
      expect(await stat(rob, fid)).toMatchObject({ uid: 'rob', gid: 'unix' });
    }));
});
