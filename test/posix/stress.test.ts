// stress-ng's file-system stressors with --verify, dbench, bonnie++ and fio, on `ninefs mount` as a process, with the
// server another: every program comes to its end and finds what it wrote, nothing is left of it on the mount, in the
// protocol or in the kernel, and the daemon stays small. A handful of them here, all with NINEFS_STRESS=all
// (scripts/soak-stress).

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { startServer } from '../support/cli.ts';
import { missingPrograms, startDiod } from '../support/debian.ts';
import { type KernelLog, tasksOf, watchKernelLog } from '../support/kernellog.ts';
import { type MountProcess, mountProcess, peakMemory } from '../support/mountprocess.ts';
import { output } from '../support/shell.ts';
import { bonnie, dbench, fio, type StressProgram, stressors } from '../support/stress.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

const full = process.env['NINEFS_STRESS'] === 'all';
const MIB = 1024 * 1024;
/** What a daemon may have at the most: node's own, `rxpool=`, and as much again. */
const DAEMON = 384 * MIB;

interface Server {
  readonly name: string;
  readonly program?: string;
  start(dir: string): Promise<{ source: string; options: string; pid?: number; stop(): Promise<unknown> }>;
}

const embedded = (name: string, tree: (dir: string) => string): Server => ({
  name,
  async start(dir) {
    const { address, process: child, kill, stop } = bound(await startServer(tree(dir)));
    const { pid } = child;
    return {
      source: address,
      options: '',
      ...(pid === undefined ? {} : { pid }),
      async stop() {
        try {
          expect(await stop()).toMatchObject({ code: 0, signal: null });
        } finally {
          await kill();
        }
      },
    };
  },
});

/** Its methods, to be called alone. */
function bound(server: Awaited<ReturnType<typeof startServer>>) {
  return {
    address: server.address,
    process: server.process,
    kill: () => server.kill(),
    stop: () => server.stop(),
  };
}

const memory = embedded('the memory tree', () => 'memory:');
const host = embedded('the host tree', (dir) => dir);
const diod: Server = {
  name: 'diod',
  program: 'diod',
  async start(dir) {
    const server = await startDiod(dir);
    return {
      source: server.address,
      options: `,aname=${server.aname}`,
      async stop() {
        await server.stop();
        expect(server.restarts).toBe(0);
      },
    };
  },
};

const SOME = /--(dir|filename|link|lockf|mknod|mmap|open|rename|seek|utime)$/;
const some = (programs: StressProgram[]) => programs.filter(({ name }) => SOME.test(name));
const every = () => [
  ...stressors(2, 2),
  dbench(8, 20),
  bonnie(256, 2),
  fio('psync', 32),
  fio('libaio', 32, '--direct=1'),
  fio('mmap', 16),
];
const few = (names: RegExp) => stressors(1, 1).filter(({ name }) => names.test(name));

const places: { server: Server; cache: CacheMode; programs: StressProgram[] }[] = full
  ? [
      { server: memory, cache: 'auto', programs: every() },
      { server: diod, cache: 'auto', programs: every() },
      { server: memory, cache: 'none', programs: [...some(stressors(2, 2)), dbench(8, 5), fio('psync', 8)] },
      { server: diod, cache: 'none', programs: [...some(stressors(2, 2)), dbench(8, 5), fio('psync', 8)] },
      { server: memory, cache: 'loose', programs: [...some(stressors(2, 2)), dbench(8, 5), fio('mmap', 8)] },
      { server: host, cache: 'auto', programs: [...some(stressors(2, 2)), dbench(8, 5), fio('psync', 8)] },
    ]
  : [
      { server: memory, cache: 'auto', programs: [...few(/--(dir|fcntl|mmap|open|rename|seek)$/), dbench(2, 3)] },
      { server: diod, cache: 'auto', programs: few(/--(dir|utime)$/) },
      { server: memory, cache: 'none', programs: few(/--(iomix|mknod)$/) },
    ];

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
describe.skipIf(!able).each(places)('$server.name, cache=$cache', ({ server, cache, programs }) => {
  const missing = server.program === undefined ? null : missingPrograms(server.program);
  if (missing !== null || programs.length === 0) {
    it.skip(`not installed: ${missing ?? 'stress-ng'}`, () => undefined);
    return;
  }
  let dir: string;
  let running: Awaited<ReturnType<Server['start']>>;
  let live: MountProcess;
  let log: KernelLog | undefined;

  beforeAll(async () => {
    log = await watchKernelLog();
    dir = await makeTempDir('stress');
    const exported = join(dir, 'export');
    await mkdir(exported);
    running = await server.start(exported);
    live = await mountProcess(dir, running.source, `cache=${cache}${running.options}`);
  });
  afterAll(async () => {
    await live?.kill();
    await running?.stop();
    await removeTempDir(dir);
  });

  for (const one of programs) {
    const { name, program } = one;
    it(name, { timeout: 900_000 }, async ({ annotate, skip }) => {
      if (missingPrograms(program) !== null) skip(`not installed: ${program}`);
      // one of its own, so that what one leaves is not held against the next
      const own = join(live.mountpoint, program + programs.indexOf(one));
      await output(`mkdir '${own}'`);
      await annotate(await one.run(own));
      expect(await output(`find '${own}' -mindepth 1`)).toBe('');
      await output(`rmdir '${own}'`);
      await live.checkLeaks();
    });
  }

  it('leaves a small daemon, and nothing behind', async ({ annotate }) => {
    const daemon = await live.peakMemory();
    const served = running.pid === undefined ? '' : `, the server ${Math.round((await peakMemory(running.pid)) / MIB)}`;
    await annotate(`at the most the mount had ${Math.round(daemon / MIB)} MiB${served}`);
    expect(daemon).toBeLessThan(DAEMON);
    const daemons = [live.pid, ...(running.pid === undefined ? [] : [running.pid])];
    const ids = new Set((await Promise.all(daemons.map(tasksOf))).flat());
    await live.end();
    expect(await log?.complaints({ ids, programs: programs.map(({ program }) => program) })).toEqual(log && []);
  });
});
