// Two mounts of one server: one renames and removes what the other has open, works in or remembers, and no call of the
// other changes a file that was not meant. On a plain directory first, where the exerciser must find nothing wrong with
// itself, then on the embedded server and diod. NINEFS_SEEDS and NINEFS_SEED as in test/posix/random.test.ts.

import { describe, it, vi } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { missingPrograms } from '../support/debian.ts';
import { canMount, full, hostServers, onMounts, seeds } from '../support/exercised.ts';
import { exercise } from '../support/exercisers.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

const OPS = full ? 3000 : 600;
/** A bound on what hangs: it takes some seconds. */
const PATIENCE = 300_000;
vi.setConfig({ testTimeout: PATIENCE + 10_000 });

const caches: CacheMode[] = ['auto', 'none'];

function run(mounts: readonly string[], exported: string, seed: number, cache: CacheMode): Promise<void> {
  const coherent = cache === 'none' ? ['--coherent'] : [];
  const args = [...mounts, '--server', exported, '--seed', `${seed}`, ...coherent];
  return exercise('othermount', args, OPS, PATIENCE);
}

it.each(seeds)('passes on a plain directory (seed %i)', async (seed) => {
  const dir = await makeTempDir('other-mount');
  try {
    await run([dir, dir], dir, seed, 'none');
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
  describe.each(caches)('cache=%s', (cache) => {
    it.each(seeds)('no wrong file is touched (seed %i)', (seed) =>
      onMounts(server, cache, 2, (at, exported) => run(at, exported, seed, cache)),
    );
  });
});
