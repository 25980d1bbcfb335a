// `ninefs mount` as a process of its own, from dist, as people have it: with the same leak check as the mounts of this
// process (it is asked by SIGUSR2), the most memory that it ever had, and no word in its log worse than information.

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { MountStats } from '../../src/bridge/mount.ts';
import { type Cli, start } from './cli.ts';
import { connectionOf } from './fuseconnection.ts';
import { fusectl } from './fusectl.ts';
import { nothingLeft } from './mounted.ts';
import { shell } from './shell.ts';
import { until } from './until.ts';

const WARNING = 40;

export interface MountProcess {
  readonly mountpoint: string;
  readonly daemon: Cli;
  readonly pid: number;
  checkLeaks(): Promise<void>;
  stats(): Promise<MountStats>;
  /** Bytes resident, at the most so far. */
  peakMemory(): Promise<number>;
  /** Unmounts, and expects that nothing was left and nothing was amiss. */
  end(): Promise<void>;
  /** For finally: it is gone, with its mount. */
  kill(): Promise<void>;
}

/** The high-water mark of a process, in bytes. */
export async function peakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/status has no VmHWM`);
  return Number(kilobytes) * 1024;
}

/** Mounts on `dir`/mnt. */
export async function mountProcess(dir: string, source: string, options: string): Promise<MountProcess> {
  const mountpoint = join(dir, 'mnt');
  await mkdir(mountpoint, { recursive: true });
  await fusectl();
  const cli = start(['mount', '-f', source, mountpoint, '-o', options]);
  const kill = async () => {
    await cli.kill();
    await shell(`umount -l '${mountpoint}'`); // fails when nothing is mounted there any more
  };
  try {
    await cli.output(/^mounted /m);
    const kernel = await connectionOf(mountpoint);
    const { pid } = cli.process;
    if (kernel === undefined || pid === undefined) throw new Error(`nothing is mounted on ${mountpoint}`);
    const told = (message: string) => cli.stderr.split('\n').filter((line) => line.endsWith(`"msg":"${message}"}`));
    const stats = async (): Promise<MountStats> => {
      const before = told('statistics').length;
      cli.process.kill('SIGUSR2');
      await until('the mount to tell its statistics', () => told('statistics').length > before);
      return JSON.parse(told('statistics').at(-1) ?? '') as MountStats;
    };
    const checkLeaks = () => nothingLeft(stats, kernel, mountpoint);
    return {
      mountpoint,
      pid,
      checkLeaks,
      stats,
      daemon: cli,
      peakMemory: () => peakMemory(pid),
      async end() {
        await checkLeaks();
        expect(await cli.stop()).toMatchObject({ code: 0, signal: null });
        const lines = cli.stderr.split('\n').filter((line) => line !== '');
        expect(lines.filter((line) => (JSON.parse(line) as { level: number }).level >= WARNING)).toEqual([]);
      },
      kill,
    };
  } catch (error) {
    await kill();
    throw error;
  }
}
