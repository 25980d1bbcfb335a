// Temporary directories of the tests. The name carries the process id, so that scripts/test can tell what a run that was
// killed has left behind (a mount too). Removing one never descends into something that is still mounted there.

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { mounts } from '../../src/fuse/mountinfo.ts';

const run = promisify(execFile);

export async function makeTempDir(label = 'dir'): Promise<string> {
  return mkdtemp(join(tmpdir(), `ninefs-test-${process.pid}-${label}-`));
}

/** Detaches whatever is mounted at or below a path, the innermost first. */
export async function detachBelow(path: string): Promise<void> {
  const table = process.platform === 'linux' ? await mounts() : [];
  for (const { mountpoint } of table.reverse()) {
    if (mountpoint !== path && !mountpoint.startsWith(`${path}/`)) continue;
    await run('umount', ['-l', mountpoint], { timeout: 10_000 });
  }
}

export async function removeTempDir(path: string): Promise<void> {
  await detachBelow(path);
  await rm(path, { recursive: true, force: true });
}

/** Runs with a temporary directory that is gone afterwards, with everything mounted in it. */
export async function withTempDir<T>(body: (path: string) => Promise<T>, label?: string): Promise<T> {
  const path = await makeTempDir(label);
  try {
    return await body(path);
  } finally {
    await removeTempDir(path);
  }
}
