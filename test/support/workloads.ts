// Runs the workloads of test/support/workloads (git, tar, sqlite, npm, fio and others) on a directory, always from a
// child process: the directory may be a mount that this very process serves. Guarantees: a bounded time, after which
// the workload and the programs that it started are killed. Must not touch the directory itself.

import { execFileSync, spawn } from 'node:child_process';
import { chown } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describe, it } from 'vitest';
import { python } from './posix.ts';
import { makeTempDir, removeTempDir } from './tempdir.ts';

const runner = resolve(import.meta.dirname, 'workloads/run.py');

export interface Workload {
  name: string;
  about: string;
  /** Programs that it needs and that are not installed. */
  missing: string[];
}

export interface WorkloadPlace {
  /** A directory on the file system under test. */
  dir: string;
  /** The same directory as the server sees it, when it is on this machine: contents are compared with it. */
  server?: string;
}

export interface WorkloadOptions {
  /** How much of everything, 1 being what the project promises to work. */
  scale?: number;
  /** Milliseconds for one workload. */
  timeout?: number;
  user?: { uid: number; gid: number };
  /** Added to the environment. */
  env?: Readonly<Record<string, string>>;
}

const ONE_WORKLOAD = 240_000;
const AFTER_KILL = 2000;

/** Synchronous, because vitest wants the tests of a file named while it is loaded. */
export function listWorkloads(): Workload[] {
  const text = execFileSync(python, [runner, '--list'], { encoding: 'utf8', timeout: 20_000 });
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Workload]));
}

/** What was done, in one line; fails with the workload's own reason. */
export async function runWorkload(name: string, place: WorkloadPlace, options: WorkloadOptions = {}): Promise<string> {
  const { scale = 1, timeout = ONE_WORKLOAD, user, env } = options;
  const scratch = await makeTempDir('scratch');
  if (user !== undefined) await chown(scratch, user.uid, user.gid);
  const args = [runner, name, place.dir, '--scale', String(scale), '--scratch', scratch];
  if (place.server !== undefined) args.push('--server', place.server);
  const child = spawn(python, args, {
    ...user,
    env: { ...process.env, ...env },
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] = (said[stream] + text).slice(-10_000);
    });
  }
  let clock: NodeJS.Timeout | undefined;
  try {
    const code = await new Promise<number | null>((settle, reject) => {
      child.once('error', reject);
      child.once('close', settle);
      clock = setTimeout(() => {
        // The group holds the programs that it started. One of them in an uninterruptible wait would keep the pipes
        // open for ever, so the end of all of them is waited for, but not for long.
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
        const late = () => reject(new Error(`${name} on ${place.dir} took more than ${timeout} ms; ${said.stderr}`));
        child.off('close', settle).once('close', late);
        clock = setTimeout(late, AFTER_KILL);
      }, timeout);
    });
    if (code !== 0) throw new Error(said.stderr.trim() || `${name} ended with ${code}`);
    return said.stdout.trim();
  } finally {
    clearTimeout(clock);
    await removeTempDir(scratch);
  }
}

/**
 * One vitest test for every workload. getPlace is called in each test, so it may name a mount that the surrounding
 * suite's hooks have made. `except` maps a workload to the reason why it cannot work there.
 */
export function workloadSuite(
  title: string,
  getPlace: () => WorkloadPlace | Promise<WorkloadPlace>,
  options: WorkloadOptions & { except?: Readonly<Record<string, string>> } = {},
): void {
  describe(title, () => {
    for (const { name, about, missing } of listWorkloads()) {
      const timeout = (options.timeout ?? ONE_WORKLOAD) + 10_000;
      it(`${name}: ${about.split('\n', 1)[0]}`, { timeout }, async ({ annotate, skip }) => {
        const reason = options.except?.[name];
        if (reason !== undefined) skip(`excluded: ${reason}`);
        if (missing.length > 0) skip(`not installed: ${missing.join(', ')}`);
        await annotate(await runWorkload(name, await getPlace(), options));
      });
    }
  });
}
