// Work as people do it, while every process that does it is sent a signal 200 times a second: no error that would not be
// there without, and the same bytes at the server. NINEFS_SCALE=1 does as much as the project promises (scripts/soak-interrupts).

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostTree, type Serving, serve } from '../../src/server/server.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { type StormSignal, stormEnv } from '../support/storm.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { listWorkloads, runWorkload } from '../support/workloads.ts';

const SCALE = Number(process.env['NINEFS_SCALE'] ?? '0.02');
const WORK = ['git', 'tar', 'make'];
const able = existsSync('/dev/fuse') && process.getuid?.() === 0;

describe.skipIf(!able).each<StormSignal>(['SIGURG', 'SIGALRM'])('a storm of %s', (signal) => {
  let dir: string;
  let exported: string;
  let serving: Serving;
  let live: Mounted;
  let env: Record<string, string>;

  beforeAll(async () => {
    dir = await makeTempDir('storm');
    exported = join(dir, 'export');
    await mkdir(exported);
    env = await stormEnv(dir, signal);
    serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree: hostTree(exported, {}) });
    live = await mounted(dir, { address: serving.address });
  });
  afterAll(async () => {
    try {
      await live.end();
    } finally {
      await serving.close();
      await removeTempDir(dir);
    }
  });

  for (const { name, missing } of listWorkloads().filter(({ name }) => WORK.includes(name))) {
    it(name, { timeout: 400_000 }, async ({ annotate, skip }) => {
      if (missing.length > 0) skip(`not installed: ${missing.join(', ')}`);
      const place = { dir: live.mountpoint, server: exported };
      const before = live.mount.stats().fuse.interrupts;
      const done = await runWorkload(name, place, { scale: SCALE, timeout: 390_000, env });
      const interrupts = live.mount.stats().fuse.interrupts - before;
      await annotate(`${done}; ${interrupts} calls interrupted`);
      // or there was no storm
      expect(interrupts).toBeGreaterThan(0);
    });
  }
});
