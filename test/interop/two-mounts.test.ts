// One sqlite database, written to from two mounts of one server at once: its locks are the server's, so that no transaction
// is lost and the file stays whole. On the embedded server, and on diod and nfs-ganesha where they are installed.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hostTree, memoryTree } from '../../src/server/server.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import { embeddedPeer, type PeerServer } from '../support/exported.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

const TRANSACTIONS = 25;

const servers: { name: string; needs: string[]; start(exported: string): Promise<PeerServer> }[] = [
  { name: 'the memory tree', needs: [], start: () => embeddedPeer(memoryTree()) },
  { name: 'the host tree', needs: [], start: (exported) => embeddedPeer(hostTree(exported, {})) },
  { name: 'diod', needs: ['diod'], start: startDiod },
  { name: 'nfs-ganesha', needs: ['ganesha.nfsd'], start: (exported) => startGanesha(exported) },
];

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
describe.skipIf(!able).each(servers)('a database on two mounts of $name', ({ needs, start }) => {
  it('keeps every transaction of both', async ({ skip }) => {
    const missing = missingPrograms('sqlite3', ...needs);
    if (missing !== null) skip(missing);
    const dir = await makeTempDir('two');
    await mkdir(join(dir, 'export'));
    const server = await start(join(dir, 'export'));
    const mounts: Mounted[] = [];
    try {
      const settings = { address: parseAddress(server.address), aname: server.aname };
      for (const name of ['one', 'two']) mounts.push(await mounted(join(dir, name), settings));
      const sql = (at: Mounted | undefined, script: string) =>
        output(`sqlite3 -batch -bail -cmd '.timeout 60000' ${at?.mountpoint}/shared.db <<'EOF'\n${script}\nEOF`, {
          timeout: 100_000,
        });
      await sql(mounts[0], 'create table t(who text, n integer, blob text); create table total(n integer);');
      await sql(mounts[1], 'insert into total values(0);');
      const script = (who: string) =>
        Array.from(
          { length: TRANSACTIONS },
          (_, i) =>
            `begin immediate; insert into t values('${who}', ${i}, hex(randomblob(300))); update total set n = n + 1; commit;`,
        ).join('\n');
      await Promise.all(mounts.map((at, i) => sql(at, script(`mount ${i}`))));
      for (const at of mounts) {
        expect(await sql(at, 'pragma integrity_check;')).toBe('ok\n');
        expect(await sql(at, 'select n, (select count(*) from t) from total;')).toBe(
          `${2 * TRANSACTIONS}|${2 * TRANSACTIONS}\n`,
        );
      }
    } finally {
      for (const at of mounts) await at.end();
      await server.stop();
      await removeTempDir(dir);
    }
  });
});
