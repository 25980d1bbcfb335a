// A program that looks at every file of a large tree: what that leaves at the server and in the mount, and what is given back when
// the kernel forgets. NINEFS_FILES is how many files (20,000); scripts/soak-nodes runs it with 300,000, where memory is judged too.

import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { hostTree, serve } from '../../src/server/server.ts';
import { formatAddress } from '../../src/transport/address.ts';
import { fusectl } from '../support/fusectl.ts';
import { mountProcess } from '../support/mountprocess.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';

const FILES = Number(process.env['NINEFS_FILES'] ?? '20000');
const EACH = 1000;
/** Nodes that keep a fid (src/bridge/fids/cache.ts), the root, and what is on its way. */
const MOST_FIDS = 4096 + 16;
const MIB = 2 ** 20;
/** For so many files; a process of Node takes about 60 MiB before it has seen any. */
const JUDGED = 300_000;
vi.setConfig({ testTimeout: 900_000 });

async function resident(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

test.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0)(
  `find over ${FILES} files leaves few fids at the server, and memory that is given back`,
  async () => {
    const dir = await makeTempDir('many');
    const directory = join(dir, 'export');
    await mkdir(directory);
    await output(
      `for d in $(seq ${Math.ceil(FILES / EACH)}); do mkdir ${directory}/$d && (cd ${directory}/$d && seq ${EACH} | xargs touch); done`,
      { timeout: 300_000 },
    );
    const serving = await serve({
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      tree: hostTree(directory, {}),
    });
    try {
      await fusectl();
      const mounted = await mountProcess(dir, formatAddress(serving.address), 'access=client');
      try {
        const count = await output(`find ${mounted.mountpoint} -type f -size -1 -printf x | wc -c`, {
          timeout: 600_000,
        });
        expect(Number(count)).toBe(Math.ceil(FILES / EACH) * EACH);
        const fids = () => serving.stats.connections.reduce((sum, each) => sum + each.fids, 0);
        expect(fids()).toBeLessThanOrEqual(MOST_FIDS);
        const full = await resident(mounted.pid);
        if (FILES >= JUDGED) expect(full).toBeLessThan(250 * MIB);
        // the kernel forgets what nobody uses
        await writeFile('/proc/sys/vm/drop_caches', '2');
        await until('the fids to be given back', () => fids() < 64);
        if (FILES >= JUDGED) {
          await until('the memory to be given back', async () => (await resident(mounted.pid)) < 120 * MIB);
        }
        process.stdout.write(
          `${FILES} files: ${Math.round(full / MIB)} MiB resident, then ${Math.round((await resident(mounted.pid)) / MIB)} MiB\n`,
        );
        await mounted.end();
      } finally {
        await mounted.kill();
      }
    } finally {
      await serving.close();
      await removeTempDir(dir);
    }
  },
);
