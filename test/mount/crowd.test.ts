// Many at once on one mount: readers of whole files, calls that wait for a server that does not answer, names in one
// directory. Bounds hold while they are there, nothing is left when they are gone. NINEFS_READERS, NINEFS_CALLS and NINEFS_ENTRIES
// say how many; scripts/soak-crowd wants 500, 10,000 and 200,000.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { startServer } from '../support/cli.ts';
import { connectionOf } from '../support/fuseconnection.ts';
import { type MountProcess, mountProcess } from '../support/mountprocess.ts';
import { python } from '../support/posix.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir, withTempDir } from '../support/tempdir.ts';
import { whyNoMounts } from '../support/toymount.ts';
import { until } from '../support/until.ts';

const READERS = Number(process.env['NINEFS_READERS'] ?? '40');
const CALLS = Number(process.env['NINEFS_CALLS'] ?? '1200');
const ENTRIES = Number(process.env['NINEFS_ENTRIES'] ?? '5000');
const MIB = 1024 * 1024;
/** Chunks, and requests, that may be on their way on one mount. */
const CHUNKS = 256;
const REQUESTS = 896;
/** Bytes of receive memory that a mount has by default, and half of it for streams. */
const POOL = 32 * MIB;
/** Bytes of a daemon that does nothing, and of what each waiting call may add. */
const IDLE = 150 * MIB;
const A_CALL = 16 * 1024;
/** Milliseconds. */
const LONG = 110_000;

/** Serves a tree, mounts it, and ends both; the figures are told where somebody looks at them. */
function place(tree: string, options: string, body: (mount: MountProcess) => Promise<void>): Promise<void> {
  return withTempDir(async (dir) => {
    const server = await startServer(tree);
    try {
      const mount = await mountProcess(dir, server.address, options);
      try {
        await body(mount);
      } finally {
        await mount.kill();
      }
    } finally {
      await server.kill();
    }
  });
}

interface Crowd {
  results: Record<string, number>;
  seconds: number;
}

/** CALLS reads that wait at a server that answers none of them. `end` has them killed, or waits for their own end. */
async function crowd({ mountpoint }: MountProcess) {
  const args = [join(import.meta.dirname, '../support/crowd.py'), join(mountpoint, 'hang'), `${CALLS}`, '4096'];
  const child = spawn(python, args, { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const exit = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const kernel = await connectionOf(mountpoint);
  await until('all of them to wait', async () => (await kernel?.waiting()) === CALLS, LONG);
  return async (order: 'kill' | 'wait'): Promise<Crowd> => {
    child.stdin.end(`${order}\n`);
    await exit;
    return JSON.parse(said) as Crowd;
  };
}

/** Where all that there is room for is on the wire, and the rest waits here. */
async function checkWaiting(mount: MountProcess): Promise<void> {
  await until('the mount to have taken them all', async () => (await mount.stats()).fuse.inFlight === CALLS, LONG);
  const { client } = await mount.stats();
  expect(client.tags).toBe(Math.min(CALLS, REQUESTS));
  const { inUse, waiting } = client.pool.streams;
  expect(inUse).toBeLessThanOrEqual(POOL / 2);
  expect(client.tags + client.queued + waiting).toBe(CALLS);
}

describe.skipIf(whyNoMounts() !== undefined)('on one mount', () => {
  test(
    `${READERS} read at once what others read too`,
    () =>
      place(
        'memory:',
        // small messages, so that the reads are cut into chunks
        'cache=none,msize=8216',
        async (mount) => {
          const { mountpoint } = mount;
          await output(`seq 300000 >${mountpoint}/big && head -c 5000 ${mountpoint}/big >${mountpoint}/small`);
          const one = `for f in big small; do dd if=${mountpoint}/$f bs=1M status=none | md5sum; done`;
          const all = await output(`for i in $(seq ${READERS}); do (${one}) & done; wait`, { timeout: LONG });
          const sums = (await output('seq 300000 | md5sum; seq 300000 | head -c 5000 | md5sum')).trim().split('\n');
          const lines = all.trim().split('\n');
          expect(lines).toHaveLength(2 * READERS);
          for (const sum of sums) expect(lines.filter((line) => line === sum)).toHaveLength(READERS);
          const { client } = await mount.stats();
          expect(client.chunks.peak).toBeLessThanOrEqual(CHUNKS);
          expect(client.pool.most).toBeLessThanOrEqual(POOL);
          const peak = await mount.peakMemory();
          console.info(
            `${READERS} readers: ${client.sent} requests, ${client.chunks.peak} chunks at once, ${mib(peak)}`,
          );
          expect(peak).toBeLessThan(IDLE + 2 * POOL + READERS * MIB);
          await mount.end();
        },
      ),
    LONG,
  );

  test(
    `${CALLS} calls wait, and are killed together`,
    () =>
      place('faults:', 'cache=none', async (mount) => {
        const end = await crowd(mount);
        await checkWaiting(mount);
        const { results, seconds } = await end('kill');
        expect(results).toEqual({ SIGKILL: CALLS });
        await mount.checkLeaks();
        const peak = await mount.peakMemory();
        console.info(`${CALLS} calls: killed within ${seconds} s, ${mib(peak)}`);
        expect(peak).toBeLessThan(IDLE + POOL + CALLS * A_CALL);
        await mount.end();
      }),
    LONG,
  );

  test(
    `${CALLS} calls wait, and the daemon is told to end`,
    () =>
      place('faults:', 'cache=none', async (mount) => {
        const end = await crowd(mount);
        await checkWaiting(mount);
        const begun = performance.now();
        expect(await mount.daemon.stop('SIGTERM', LONG)).toMatchObject({ code: 0, signal: null });
        const ended = Math.round(performance.now() - begun);
        expect(await findMount(mount.mountpoint)).toBeUndefined();
        const { results } = await end('wait');
        console.info(`${CALLS} calls: the daemon has ended within ${ended} ms`, results);
        const { EINTR = 0, EIO = 0, ENOTCONN = 0, ECONNABORTED = 0 } = results;
        expect(EINTR + EIO + ENOTCONN + ECONNABORTED).toBe(CALLS);
      }),
    LONG,
  );
});

describe.skipIf(whyNoMounts() !== undefined)(`a directory of ${ENTRIES} names`, () => {
  let exported: string;
  const list = (of: string) => output(`ls -f ${of} | sort | md5sum; ls -f ${of} | wc -l`, { timeout: LONG });

  beforeAll(async () => {
    exported = await makeTempDir('names');
    await output(`cd ${exported} && seq -f name-%.0f ${ENTRIES} | xargs touch`, { timeout: LONG });
  });
  afterAll(() => removeTempDir(exported));

  test.each(['9p2000.l', '9p2000.u', '9p2000'])(
    'is listed whole, %s',
    (version) =>
      place(exported, `version=${version}`, async (mount) => {
        const begun = performance.now();
        expect(await list(mount.mountpoint)).toBe(await list(exported));
        const ms = Math.round(performance.now() - begun);
        const peak = await mount.peakMemory();
        console.info(`${ENTRIES} names, ${version}: listed twice within ${ms} ms, ${mib(peak)}`);
        expect(peak).toBeLessThan(IDLE + 2 * POOL);
        await mount.end();
      }),
    LONG,
  );
});

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
