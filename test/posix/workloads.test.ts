// The workloads on a plain directory, where all of them must work, and that they notice when the server's side differs.
// At a fifth of their size: here it is they that are tested.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { runWorkload, workloadSuite } from '../support/workloads.ts';

let top = '';

beforeAll(async () => {
  top = await makeTempDir('workloads');
});

afterAll(() => removeTempDir(top));

workloadSuite('a plain directory', () => ({ dir: top, server: top }), { scale: 0.2 });

it('notices that nothing arrived at the server', async () => {
  const server = join(top, 'elsewhere');
  await mkdir(server);
  await expect(runWorkload('names', { dir: top, server }, { scale: 0.01 })).rejects.toThrow('No such file');
});

it('says why a workload failed', async () => {
  const file = join(top, 'file');
  await writeFile(file, '');
  await expect(runWorkload('names', { dir: file })).rejects.toThrow('Not a directory');
  await expect(runWorkload('nonsense', { dir: top })).rejects.toThrow('NAME is one of git');
});

it('ends a workload that takes too long', async () => {
  await expect(runWorkload('fio', { dir: top }, { timeout: 100 })).rejects.toThrow('took more than 100 ms');
});
