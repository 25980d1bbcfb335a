// The file system under /sys/fs/fuse/connections, which systemd mounts and a bare container lacks. It stays mounted: it
// belongs to the machine, and tests that run later want it too.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findMount } from '../../src/fuse/mountinfo.ts';

const FOLDER = '/sys/fs/fuse/connections';

export async function fusectl(): Promise<void> {
  if ((await findMount(FOLDER)) !== undefined) return;
  await promisify(execFile)('mount', ['-t', 'fusectl', 'fusectl', FOLDER]);
}
