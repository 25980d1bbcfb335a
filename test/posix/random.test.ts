// Random work, checked against models: on a plain directory first, where it must pass, then on mounts of the embedded
// server in every cache mode, by one mount and by two of one server, and on those of diod. NINEFS_SEEDS is how many
// seeds; they count from NINEFS_SEED (1), so that a run can be had again. NINEFS_OPS is how many operations four
// processes do on a tree. See scripts/soak-random.

import { describe, it, vi } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { memoryTree } from '../../src/server/server.ts';
import { missingPrograms } from '../support/debian.ts';
import { canMount, type ExercisedServer, full, hostServers, onMounts, seeds } from '../support/exercised.ts';
import { exercise } from '../support/exercisers.ts';
import { embeddedPeer } from '../support/exported.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

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

const run = (kind: Kind, args: readonly string[]) => exercise(kind, args, operations(kind), PATIENCE);
const caches: CacheMode[] = ['auto', 'none', 'loose'];
const memory: ExercisedServer = { name: 'the memory tree', start: () => embeddedPeer(memoryTree()) };

it.each(seeds)('passes on a plain directory (seed %i)', async (seed) => {
  const dir = await makeTempDir('random');
  try {
    await run('files', [dir, '--seed', `${seed}`]);
    await run('trees', [dir, '--server', dir, '--seed', `${seed}`]);
    await run('exchange', [dir, dir, '--server', dir, '--coherent', '--settle', '0', '--seed', `${seed}`]);
  } finally {
    await removeTempDir(dir);
  }
});

describe.skipIf(!canMount).each(hostServers)('$name', (server) => {
  const missing = server.program === undefined ? null : missingPrograms(server.program);
  if (missing !== null) {
    it.skip(missing, () => undefined);
    return;
  }
  // a write-back cache keeps times of its own
  const slack = (cache: CacheMode) => (cache === 'loose' ? ['--slack', '0.1'] : []);

  describe.each(caches)('cache=%s', (cache) => {
    it.each(seeds)('operations on a file (seed %i)', (seed) =>
      onMounts(server, cache, 1, ([at = '']) => run('files', [at, '--seed', `${seed}`])),
    );
    it.each(seeds)('a tree made by four processes (seed %i)', (seed) =>
      onMounts(server, cache, 1, ([at = ''], exported) =>
        run('trees', [at, '--server', exported, '--seed', `${seed}`, ...slack(cache)]),
      ),
    );
  });

  it.each(seeds)('cache=none on two mounts shows everything at once (seed %i)', (seed) =>
    onMounts(server, 'none', 2, (at, exported) =>
      run('trees', [...at, '--server', exported, '--coherent', '--seed', `${seed}`]),
    ),
  );
  it.each(seeds)('cache=auto on two mounts shows the same after a second (seed %i)', (seed) =>
    onMounts(server, 'auto', 2, (at, exported) =>
      run('trees', [...at, '--server', exported, '--settle', '1.1', '--seed', `${seed}`]),
    ),
  );

  it.each(seeds)('cache=none on two mounts shows what is written, also by files that are open (seed %i)', (seed) =>
    onMounts(server, 'none', 2, (at, exported) =>
      run('exchange', [...at, '--server', exported, '--coherent', '--settle', '0', '--seed', `${seed}`]),
    ),
  );
  it.each(seeds)('cache=auto on two mounts shows at open what was closed (seed %i)', (seed) =>
    onMounts(server, 'auto', 2, (at, exported) => run('exchange', [...at, '--server', exported, '--seed', `${seed}`])),
  );
});

describe.skipIf(!canMount)(memory.name, () => {
  it.each(seeds)('cache=none on two mounts shows what is written, also by files that are open (seed %i)', (seed) =>
    onMounts(memory, 'none', 2, (at) => run('exchange', [...at, '--coherent', '--settle', '0', '--seed', `${seed}`])),
  );
  it.each(seeds)('cache=auto on two mounts shows at open what was closed (seed %i)', (seed) =>
    onMounts(memory, 'auto', 2, (at) => run('exchange', [...at, '--seed', `${seed}`])),
  );
});
