// The POSIX checks on mounts of the other driver, with what it cannot do left out, and that nothing of it is left in the end.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Mount, mount } from '../../src/bridge/mount.ts';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { memoryTree, type Serving, serve } from '../../src/server/server.ts';
import { whyNoFuseNative } from '../support/fusenative.ts';
import { checksFor, likeLocal, posixSuite, python } from '../support/posix.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';

const why = existsSync('/dev/fuse') && process.getuid?.() === 0 ? whyNoFuseNative() : 'no /dev/fuse, or not root';
const modes: { cache: CacheMode; exclude: string }[] = [
  { cache: 'auto', exclude: 'fuse-native.txt' },
  { cache: 'none', exclude: 'fuse-native-direct.txt' },
];

describe.skipIf(why !== undefined).each(modes)('the memory tree by way of fuse-native, cache=$cache', (mode) => {
  let dir: string;
  let serving: Serving;
  let live: Mount;
  let mountpoint: string;

  beforeAll(async () => {
    dir = await makeTempDir('fuse-native');
    mountpoint = join(dir, 'mnt');
    await mkdir(mountpoint);
    serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree: memoryTree() });
    live = await mount({
      address: serving.address,
      mountpoint,
      driver: 'fuse-native',
      cache: mode.cache,
      access: 'client',
      ...likeLocal,
    });
  });
  afterAll(async () => {
    await until('every file to be closed', () => live.stats().handles === 0);
    expect(await live.unmount()).toEqual({ how: 'unmounted' });
    const { nodes, handles, fuse, client } = live.stats();
    expect({ nodes, handles }).toEqual({ nodes: 1, handles: 0 });
    expect(fuse.inFlight).toBe(0);
    expect(fuse.replies).toBe(fuse.requests);
    expect(client).toMatchObject({ tags: 0, reserveTags: 0, queued: 0, quarantine: 0, pool: { inUse: 0, waiting: 0 } });
    await until('the server to have let everything go', () => serving.stats.connections.length === 0);
    expect(serving.stats.places).toBe(0);
    await serving.close();
    await removeTempDir(dir);
  });

  it.skipIf(mode.cache === 'none')('random operations on a file, page by page and mapped', () =>
    exercise('files', 2000),
  );
  // libfuse 2 knows files by their paths, and an open one that has none is no file to it
  it('a random tree made by four processes', () => exercise('trees', 150, '--without held'));

  function exercise(kind: 'files' | 'trees', ops: number, more = ''): Promise<string> {
    const script = join(import.meta.dirname, 'exercisers', `${kind}.py`);
    return output(`exec ${python} ${script} ${mountpoint} --seed 1 --ops ${ops} ${more}`, { timeout: 110_000 });
  }

  posixSuite('POSIX', () => mountpoint, {
    exclude: join(import.meta.dirname, 'exclude', mode.exclude),
    ...checksFor(mode.cache, { identity: false }),
  });
});
