// Runs the POSIX checks of test/posix on a directory, always from a child process: the directory may be a mount that
// this very process serves. Guarantees: a bounded time, after which the runner and all its children are killed; one
// result for every check that was asked for. Must not touch the directory itself.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { beforeAll, describe, it } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';

const runner = resolve(import.meta.dirname, '../posix/run.py');

/** The system's own Python where there is one: the first in PATH may be a wrapper that other users cannot run. */
export const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

/** What a check may need beyond a directory; see KINDS in test/posix/kit.py. */
export type PosixNeed = 'root' | 'multiuser' | 'mknod' | 'xattr' | 'locks';

export interface PosixResult {
  name: string;
  status: 'ok' | 'fail' | 'skip' | 'excluded';
  /** Why it failed, was skipped or is excluded. */
  message: string;
  ms: number;
}

export interface PosixCase {
  name: string;
  about: string;
  needs: PosixNeed[];
}

export interface PosixOptions {
  /**
   * A file of checks that this file system cannot pass, with the reasons; its format is in test/posix/run.py. Of several
   * the first that names a check decides.
   */
  exclude?: string | readonly string[];
  /** Names, families or shell patterns. */
  only?: readonly string[];
  /** What must be there: a check that lacks one of these fails instead of being skipped. */
  require?: readonly PosixNeed[];
  /** Run as this user, without supplementary groups. */
  user?: { uid: number; gid: number };
  /** Milliseconds for the whole run. */
  timeout?: number;
  /** Seconds for one check. */
  caseTimeout?: number;
  /** Checks at a time. */
  jobs?: number;
}

/** A mount on which they can do what they can on a local file system: other users come in, and devices are devices. */
export const likeLocal = { allowOther: true, defaultPermissions: true, nodev: false, nosuid: false } as const;

/** An ordinary user. */
export const NOBODY = { uid: 65534, gid: 65534 } as const;

/** The families about descriptors that go on meaning their files and directories. */
export const IDENTITY = ['identity', 'identity_dirs', 'identity_work'] as const;

/** The families whose outcome can depend on what the kernel keeps, or a mount that keeps what it was told. */
const WITH_A_CACHE = ['io', 'idioms', 'mapping', 'listing', 'rename', 'unlink', 'sizes', ...IDENTITY];

/**
 * All checks for the cache mode that people use, or where NINEFS_SCALE=1 asks for all; else a part of them. Those of identity
 * are two thirds of all, and a mode that another one stands for in this does without them.
 */
export function checksFor(cache: CacheMode, { identity = true } = {}): Pick<PosixOptions, 'only'> {
  if (process.env['NINEFS_SCALE'] === '1') return {};
  const isIdentity = (family: string) => IDENTITY.some((each) => each === family);
  if (cache !== 'auto') return { only: WITH_A_CACHE.filter((family) => identity || !isIdentity(family)) };
  return identity ? {} : { only: families().filter((family) => !isIdentity(family)) };
}

function families(): string[] {
  return [...new Set(listPosix().map(({ name }) => name.split('.', 1)[0] ?? name))];
}

/** A bound on what hangs: on one processor of a busy machine the checks take more than a minute. */
const WHOLE_RUN = 900_000;
/** Seconds: three that are slow on a busy machine would be taken for a file system that hangs. */
const ONE_CHECK = 90;
/** Checks at a time: most of what they do is to wait until a time stamp has to be another. */
const JOBS = 6;

/** The checks that there are. Synchronous, because vitest wants the tests of a file named while it is loaded. */
export function listPosix(only: readonly string[] = []): PosixCase[] {
  const args = [runner, '--list', '--json', ...(only.length > 0 ? ['--only', only.join(',')] : [])];
  const text = execFileSync(python, args, { encoding: 'utf8', timeout: 20_000 });
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as PosixCase]));
}

export async function runPosix(dir: string, options: PosixOptions = {}): Promise<PosixResult[]> {
  const { exclude, only = [], require = [], user, timeout = WHOLE_RUN, caseTimeout = ONE_CHECK, jobs = JOBS } = options;
  const args = [runner, dir, '--json', '--jobs', String(jobs)];
  for (const file of [exclude ?? []].flat()) args.push('--exclude-file', file);
  if (only.length > 0) args.push('--only', only.join(','));
  if (require.length > 0) args.push('--require', require.join(','));
  args.push('--timeout', String(caseTimeout));

  // A group of its own, killed at the deadline. Every check has another one and is killed by the end of the runner.
  const child = spawn(python, args, { ...user, cwd: '/', detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const results: PosixResult[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => results.push(JSON.parse(line) as PosixResult));
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-10_000);
  });

  let clock: NodeJS.Timeout | undefined;
  try {
    const code = await new Promise<number | null>((settle, reject) => {
      child.once('error', reject);
      child.once('close', settle);
      clock = setTimeout(() => {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
        // Not left to 'close': a check in an uninterruptible wait keeps the pipes open for ever.
        reject(new Error(`the POSIX checks of ${dir} took more than ${timeout} ms, ${results.length} were done`));
      }, timeout);
    });
    if (code !== 0 && code !== 1) throw new Error(`the POSIX runner ended with ${code}: ${stderr}`);
    return results;
  } finally {
    clearTimeout(clock);
  }
}

/**
 * One vitest test for every check, with the results gathered once, before the first of them. What vitest is told to leave
 * out (-t) is not run. getDir is called when the hooks of the surrounding suite have run, so it may name a mount that
 * they made.
 */
export function posixSuite(title: string, getDir: () => string | Promise<string>, options: PosixOptions = {}): void {
  describe(title, () => {
    const results = new Map<string, PosixResult>();
    const cases = listPosix(options.only).map(({ name, about }) => ({
      name,
      label: `${name}: ${about.split('\n', 1)[0]}`,
    }));

    beforeAll(
      // biome-ignore lint/correctness/noEmptyPattern: vitest insists on a pattern of fixtures before the suite
      async ({}, suite) => {
        const wanted = new Set(suite.tasks.filter(({ mode }) => mode !== 'skip').map((task) => task.name));
        const some = cases.filter(({ label }) => wanted.has(label)).map(({ name }) => name);
        const only = some.length === cases.length ? options : { ...options, only: some };
        for (const result of await runPosix(await getDir(), only)) results.set(result.name, result);
      },
      (options.timeout ?? WHOLE_RUN) + 20_000,
    );

    for (const { name, label } of cases) {
      it(label, ({ skip }) => {
        const result = results.get(name);
        if (result === undefined) throw new Error('the runner gave no result for this check');
        if (result.status === 'excluded' || result.status === 'skip') skip(`${result.status}: ${result.message}`);
        if (result.status === 'fail') throw new Error(result.message);
      });
    }
  });
}
