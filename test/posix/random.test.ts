// Random work, checked against models: on a plain directory first, where it must pass, then on mounts of the embedded
// server in every cache mode, by one mount and by two of one server, and on those of diod. NINEFS_SEEDS is how many
// seeds; they count from NINEFS_SEED (1), so that a run can be had again. NINEFS_OPS is how many operations four
// processes do on a tree. See scripts/soak-random.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, vi } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { hostTree, memoryTree } from '../../src/server/server.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { missingPrograms, startDiod } from '../support/debian.ts';
import { embeddedPeer, type PeerServer } from '../support/exported.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { python } from '../support/posix.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

const first = Number(process.env['NINEFS_SEED'] ?? '1');
/** All that the exercisers do unless they are told; a fifth of it in a run of all tests. */
const full = process.env['NINEFS_SEEDS'] !== undefined;
const seeds = Array.from({ length: Number(process.env['NINEFS_SEEDS'] ?? '1') }, (_, i) => first + i);
const caches: CacheMode[] = ['auto', 'none', 'loose'];
const exercisers = join(import.meta.dirname, 'exercisers');

/** What one process of each does when all of it is done. */
const OPS = { files: 20_000, trees: 2000, exchange: 5000 };
type Kind = keyof typeof OPS;

const TREE_PROCESSES = 4;
const onTrees = process.env['NINEFS_OPS'];

/** For each process. */
function operations(kind: Kind): number {
  if (kind === 'trees' && onTrees !== undefined) return Math.ceil(Number(onTrees) / TREE_PROCESSES);
  return OPS[kind] / (full ? 1 : 5);
}

/** A bound on what hangs: one takes some seconds, an operation some milliseconds. */
const PATIENCE = 300_000 + Number(onTrees ?? 0) * 20;
vi.setConfig({ testTimeout: 3 * PATIENCE + 10_000 });

/** Fails with what the exerciser says: the seed, the operation and those before it. */
async function exercise(kind: Kind, args: readonly string[]): Promise<void> {
  const command = [python, join(exercisers, `${kind}.py`), ...args, '--ops', `${operations(kind)}`];
  await output(`exec ${command.join(' ')}`, { timeout: PATIENCE });
}

interface Server {
  readonly name: string;
  readonly program?: string;
  start(dir: string): Promise<PeerServer>;
}

const servers: Server[] = [
  { name: 'the embedded server', start: (dir) => embeddedPeer(hostTree(dir, {})) },
  { name: 'diod', program: 'diod', start: startDiod },
];
const memory: Server = { name: 'the memory tree', start: () => embeddedPeer(memoryTree()) };

/** `body` gets the mountpoints and the directory that they show. Checks for leaks in the end. */
async function onMounts(
  server: Server,
  cache: CacheMode,
  mounts: number,
  body: (mountpoints: string[], exported: string) => Promise<void>,
): Promise<void> {
  const dir = await makeTempDir('random');
  const exported = join(dir, 'export');
  await mkdir(exported);
  const { address, aname, stop } = await server.start(exported);
  const live: Mounted[] = [];
  try {
    for (let i = 0; i < mounts; i++) {
      live.push(await mounted(join(dir, `${i}`), { address: parseAddress(address), aname, cache, access: 'client' }));
    }
    await body(
      live.map(({ mountpoint }) => mountpoint),
      exported,
    );
    for (const one of live) await one.checkLeaks();
  } finally {
    // checked above: here it would hide what failed before
    for (const { mount } of live) await mount.unmount({ lazy: true });
    await stop();
    await removeTempDir(dir);
  }
}

it.each(seeds)('passes on a plain directory (seed %i)', async (seed) => {
  const dir = await makeTempDir('random');
  try {
    await exercise('files', [dir, '--seed', `${seed}`]);
    await exercise('trees', [dir, '--server', dir, '--seed', `${seed}`]);
    await exercise('exchange', [dir, dir, '--server', dir, '--coherent', '--settle', '0', '--seed', `${seed}`]);
  } finally {
    await removeTempDir(dir);
  }
});

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
describe.skipIf(!able).each(servers)('$name', (server) => {
  const missing = server.program === undefined ? null : missingPrograms(server.program);
  if (missing !== null) {
    it.skip(missing, () => undefined);
    return;
  }
  // a write-back cache keeps times of its own
  const slack = (cache: CacheMode) => (cache === 'loose' ? ['--slack', '0.1'] : []);

  describe.each(caches)('cache=%s', (cache) => {
    it.each(seeds)('operations on a file (seed %i)', (seed) =>
      onMounts(server, cache, 1, ([at = '']) => exercise('files', [at, '--seed', `${seed}`])),
    );
    it.each(seeds)('a tree made by four processes (seed %i)', (seed) =>
      onMounts(server, cache, 1, ([at = ''], exported) =>
        exercise('trees', [at, '--server', exported, '--seed', `${seed}`, ...slack(cache)]),
      ),
    );
  });

  it.each(seeds)('cache=none on two mounts shows everything at once (seed %i)', (seed) =>
    onMounts(server, 'none', 2, (at, exported) =>
      exercise('trees', [...at, '--server', exported, '--coherent', '--seed', `${seed}`]),
    ),
  );
  it.each(seeds)('cache=auto on two mounts shows the same after a second (seed %i)', (seed) =>
    onMounts(server, 'auto', 2, (at, exported) =>
      exercise('trees', [...at, '--server', exported, '--settle', '1.1', '--seed', `${seed}`]),
    ),
  );

  it.each(seeds)('cache=none on two mounts shows what is written, also by files that are open (seed %i)', (seed) =>
    onMounts(server, 'none', 2, (at, exported) =>
      exercise('exchange', [...at, '--server', exported, '--coherent', '--settle', '0', '--seed', `${seed}`]),
    ),
  );
  it.each(seeds)('cache=auto on two mounts shows at open what was closed (seed %i)', (seed) =>
    onMounts(server, 'auto', 2, (at, exported) =>
      exercise('exchange', [...at, '--server', exported, '--seed', `${seed}`]),
    ),
  );
});

describe.skipIf(!able)(memory.name, () => {
  it.each(seeds)('cache=none on two mounts shows what is written, also by files that are open (seed %i)', (seed) =>
    onMounts(memory, 'none', 2, (at) =>
      exercise('exchange', [...at, '--coherent', '--settle', '0', '--seed', `${seed}`]),
    ),
  );
  it.each(seeds)('cache=auto on two mounts shows at open what was closed (seed %i)', (seed) =>
    onMounts(memory, 'auto', 2, (at) => exercise('exchange', [...at, '--seed', `${seed}`])),
  );
});
