// The environment in which every program is sent a signal 200 times a second (storm/storm.c, compiled here).

import { execFile } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type StormSignal = 'SIGURG' | 'SIGALRM';

/** Compiles the storm into `dir`; `hz` signals a second. */
export async function stormEnv(dir: string, signal: StormSignal, hz = 200): Promise<Record<string, string>> {
  const library = join(dir, 'storm.so');
  const source = join(import.meta.dirname, 'storm/storm.c');
  await run('cc', ['-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', library, source, '-lrt', '-lpthread', '-ldl']);
  return { LD_PRELOAD: library, STORM_SIGNAL: String(constants.signals[signal]), STORM_HZ: String(hz) };
}
