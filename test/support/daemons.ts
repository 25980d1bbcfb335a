// Mounts of the built command, in the background and in the foreground, and the processes that they consist of: the daemon,
// and the watcher beside it.

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type CliOptions, ninefs } from './cli.ts';
import { withTempDir } from './tempdir.ts';
import { until } from './until.ts';

export interface Place {
  dir: string;
  mountpoint: string;
  log: string;
}

export function withPlace(body: (place: Place) => Promise<void>): Promise<void> {
  return withTempDir(async (dir) => {
    const mountpoint = join(dir, 'mnt');
    await mkdir(mountpoint);
    await body({ dir, mountpoint, log: join(dir, 'log') });
  });
}

/** The daemon's pid, from the first line of its log. */
export async function pidInLog(log: string): Promise<number> {
  await until('a line in the log', () => existsSync(log));
  await until('the pid in the log', async () => (await readFile(log, 'utf8')).includes('\n'));
  const [first = ''] = (await readFile(log, 'utf8')).split('\n');
  return (JSON.parse(first) as { pid: number }).pid;
}

/** Mounts in the background with a log; returns the daemon's pid. */
export async function mountLogged(
  address: string,
  { mountpoint, log }: Place,
  args: readonly string[] = [],
  options: CliOptions = {},
): Promise<number> {
  expect(await ninefs(['mount', address, mountpoint, '-o', `log=${log}`, ...args], options)).toEqual({
    code: 0,
    signal: null,
    stdout: '',
    stderr: '',
  });
  return pidInLog(log);
}

/** One that has ended, and that nobody has waited for yet, is a zombie. */
export async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  return stat !== '' && !/\) Z /.test(stat);
}

export const processEnds = (pid: number) => until(`process ${pid} has ended`, async () => !(await isRunning(pid)));

/** What stat(5) of /proc says after the name, from the state on. */
export async function statOf(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** The processes whose parent this is, and that run. */
export async function childrenOf(parent: number): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const [state, ppid] = await statOf(Number(name)).catch(() => []); // it has ended
    if (Number(ppid) === parent && state !== 'Z') found.push(Number(name));
  }
  return found;
}

/** The watcher of a mount's process, which has no other child. */
export async function watcherOf(daemon: number): Promise<number> {
  const found = await childrenOf(daemon);
  expect(found).toHaveLength(1);
  return found[0] ?? 0;
}
