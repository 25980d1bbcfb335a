// Receive memory at its cap under real processes: nobody gets more than there is, those who wait for it can be interrupted
// like any others, whatever the signal, and what the mount says of it in the end is true.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { slabSize } from '../../src/common/bufpool.ts';
import { faultsTree, type Serving, serve } from '../../src/server/server.ts';
import { ninefs, startServer } from '../support/cli.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { python } from '../support/posix.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir, withTempDir } from '../support/tempdir.ts';
import { whyNoMounts } from '../support/toymount.ts';
import { until } from '../support/until.ts';

const BLOCKED = resolve(import.meta.dirname, '../../scripts/lib/blocked.py');
const READERS = 64;
/** What each of them reads, and room for eight in what streams may have of it. */
const READ = 65_536;
const SHARE = 8 * READ;
const ROOM = 2 * SHARE;

interface Blocked {
  results: Record<string, number>;
  seconds: number;
}

describe.skipIf(whyNoMounts() !== undefined)('a pool with eight slabs for streams', () => {
  let dir: string;
  let serving: Serving;
  let live: Mounted;

  beforeEach(async () => {
    dir = await makeTempDir('pool');
    serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree: faultsTree() });
  });
  afterEach(async () => {
    await live.end();
    expect(serving.stats.connections.map(({ tags }) => tags).filter((tags) => tags > 0)).toEqual([]);
    await serving.close();
    await removeTempDir(dir);
  });

  async function begin(intr: 'auto' | 'now'): Promise<void> {
    const { address } = serving;
    live = await mounted(dir, { address, msize: READ + 24, rxPool: ROOM, cache: 'none', intr });
  }

  /** Readers of a file of the tree, all of which get the signal once eight of them have asked and the others wait for room. */
  async function blocked(file: string, signal: string): Promise<Blocked> {
    const path = join(live.mountpoint, file);
    const args = [BLOCKED, path, `${READERS}`, `${READ}`, signal];
    const command = promisify(execFile)(python, args, { timeout: 120_000, killSignal: 'SIGKILL' });
    const release = async () => {
      await until(
        'the mount has all their requests',
        () => live.mount.stats().client.pool.streams.waiting === READERS - 8,
      );
      command.child.stdin?.end('\n');
    };
    const [{ stdout }] = await Promise.all([command, release()]);
    return JSON.parse(stdout) as Blocked;
  }

  test('and 64 readers of a file that never answers: an interrupt brings all of them back', async () => {
    await begin('now');
    expect((await blocked('hang', 'SIGUSR1')).results).toEqual({ EINTR: READERS });
    const { pool, flushes, cancelled, lateReplies } = live.mount.stats().client;
    const streams = { share: SHARE, waits: READERS - 8 };
    expect(pool).toMatchObject({ capacity: ROOM, peak: SHARE, most: SHARE, waits: 0, streams });
    // those who waited for memory have asked nothing, unless they got the memory of one who left before them
    expect(flushes).toBeGreaterThanOrEqual(8);
    expect(flushes).toBeLessThanOrEqual(READERS);
    expect({ cancelled, lateReplies }).toEqual({ cancelled: flushes, lateReplies: 0 });
  });

  test('the same when they are killed', async () => {
    await begin('auto');
    expect((await blocked('hang', 'SIGKILL')).results).toEqual({ SIGKILL: READERS });
    expect(live.mount.stats().client.pool).toMatchObject({ peak: SHARE, streams: { waits: READERS - 8 } });
  });

  test('where the reply wins over the flush, those who had asked get it, and nobody waits on', async () => {
    await begin('now');
    const { results } = await blocked('late', 'SIGUSR1');
    const { flushes } = live.mount.stats().client;
    expect(results['EINTR'] ?? 0).toBe(READERS - flushes);
    expect(results[`${READ} bytes`]).toBe(flushes);
  });

  test('and 64 readers that nobody interrupts: each gets its bytes in its turn', async () => {
    await begin('auto');
    const one = `dd if=${join(live.mountpoint, 'slow/20')} bs=${READ} status=none | md5sum`;
    const streams = () => live.mount.stats().client.pool.streams;
    // eight of others have all that streams may have until the last of these waits for it
    const file = join(live.mountpoint, 'hang');
    const dd = () => spawn('dd', [`if=${file}`, `bs=${READ}`], { stdio: 'ignore', cwd: '/' });
    const others = Array.from({ length: 8 }, dd);
    await until('others to have all that streams may have', () => streams().inUse === SHARE);
    const all = output(`for i in $(seq ${READERS}); do (${one}) & done; wait`);
    await until('all of them to wait for room', () => streams().waiting === READERS);
    for (const other of others) other.kill('SIGKILL');
    const sums = (await all).trim().split('\n');
    expect(new Set(sums).size).toBe(1);
    expect(sums).toHaveLength(READERS);
    expect(live.mount.stats().client.pool.most).toBe(SHARE);
  });

  test('and readers of streams that never answer: other files are read meanwhile, all of them at once', async () => {
    await begin('auto');
    // one shell with all of them, in a process group of their own: it is killed with them
    const cats = `for i in $(seq ${READERS}); do cat ${join(live.mountpoint, 'hang')} & done; wait`;
    const hanging = spawn('sh', ['-c', cats], { detached: true, stdio: 'ignore' });
    const over = once(hanging, 'exit');
    try {
      await until('they have all that streams may have', () => {
        const { streams } = live.mount.stats().client.pool;
        return streams.inUse === SHARE && streams.waiting === READERS - 8;
      });
      const file = join(live.mountpoint, 'ops/hang/Tmkdir/file');
      const sums = await output(
        `for i in $(seq ${READERS}); do dd if=${file} bs=64k status=none | md5sum & done; wait`,
      );
      expect(sums.trim().split('\n')).toHaveLength(READERS);
      expect(new Set(sums.trim().split('\n')).size).toBe(1);
      expect(live.mount.stats().client.pool.streams).toMatchObject({ inUse: SHARE, waiting: READERS - 8 });
    } finally {
      if (hanging.pid !== undefined) process.kill(-hanging.pid, 'SIGKILL');
      await over;
    }
  });
});

test.skipIf(whyNoMounts() !== undefined)(
  'a pool smaller than the kernel would read at once makes it read less at once',
  () =>
    withTempDir(async (dir) => {
      const serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree: faultsTree() });
      const settings = { address: serving.address, msize: 8192, rxPool: 12_000 };
      for (const cache of ['none', 'auto'] as const) {
        const live = await mounted(dir, { ...settings, cache });
        try {
          const file = join(live.mountpoint, 'short');
          expect(await output(`dd if=${file} bs=1M count=1 iflag=fullblock status=none | wc -c`)).toBe('65536\n');
          expect(live.mount.stats().client.pool).toMatchObject({ capacity: 12_000, most: slabSize(8192) });
        } finally {
          await live.end();
        }
      }
      await serving.close();
    }),
);

test.skipIf(whyNoMounts() !== undefined)('a mount that ends tells its log what its receive memory was', () =>
  withTempDir(async (dir) => {
    const server = await startServer('faults:');
    try {
      const [mountpoint, log] = [join(dir, 'mnt'), join(dir, 'log')];
      await mkdir(mountpoint);
      const options = `cache=none,rxpool=2m,log=${log},loglevel=debug`;
      expect((await ninefs(['mount', server.address, mountpoint, '-o', options])).stderr).toBe('');
      await output(`cat ${mountpoint}/hang.txt`);
      expect((await ninefs(['umount', mountpoint])).stderr).toBe('');
      const ended = async () =>
        (await readFile(log, 'utf8'))
          .split('\n')
          .slice(0, -1)
          .find((line) => /"mount ended"/.test(line));
      await until('the mount has said so', async () => (await ended()) !== undefined);
      const { client } = JSON.parse((await ended()) ?? '') as { client: object };
      const pool = { capacity: 2 * 1024 * 1024, inUse: 0, waits: 0, waiting: 0 };
      expect(client).toMatchObject({ tags: 0, quarantine: 0, pool });
    } finally {
      await server.kill();
    }
  }),
);
