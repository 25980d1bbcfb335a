// What the kernel complains of in its log, as far as it is about FUSE or about processes that a test has started:
// everybody on the machine writes there. Guarantees: lines that were there before are not counted again, also when the
// kernel has dropped older ones meanwhile. Must not: judge what other programs or file systems did.

import { readdir } from 'node:fs/promises';
import { shell } from './shell.ts';

export interface Started {
  /** Processes and their threads. */
  readonly ids: ReadonlySet<number>;
  /** Programs that come and go, by the beginning of their names. */
  readonly programs: readonly string[];
}

/** Of whom the kernel says what: a hung task, a register dump, a crash, a process that had too much memory. */
const ABOUT_A_PROCESS: readonly RegExp[] = [
  /\btask (?<name>.+):(?<id>\d+) (?:is )?blocked for more than/,
  /\bPID: (?<id>\d+)\b.*? Comm: (?<name>\S+)/,
  /\b(?<name>[^\s[\]]+)\[(?<id>\d+)\]:? (?:segfault|general protection|trap )/,
  /\bKilled process (?<id>\d+) \((?<name>[^)]*)\)/,
];
const ABOUT_FUSE = /(?:WARNING|BUG|Oops|general protection).*\bfuse|\bfuse: .*(?:error|bad)/i;

function isOurs(line: string, { ids, programs }: Started): boolean {
  return ABOUT_A_PROCESS.some((pattern) => {
    const { id, name = '' } = pattern.exec(line)?.groups ?? {};
    return id !== undefined && (ids.has(Number(id)) || programs.some((program) => name.startsWith(program)));
  });
}

/** Seconds since the machine came up, which stand before each line. */
const stampOf = (line: string): number => Number(/^\[ *(\d+\.\d+)\]/.exec(line)?.[1] ?? '0');

/** The complaints in what `dmesg` prints, of those lines that are younger than `since`. */
export function complaintsIn(log: string, since: number, started: Started): string[] {
  const lines = log.split('\n').filter((line) => stampOf(line) > since);
  return lines.filter((line) => ABOUT_FUSE.test(line) || isOurs(line, started));
}

export interface KernelLog {
  /** Of what was complained since. */
  complaints(started: Started): Promise<string[]>;
}

async function read(): Promise<string | undefined> {
  const { code, stdout } = await shell('dmesg');
  return code === 0 ? stdout : undefined;
}

/** The log from now on; undefined where we may not read it. */
export async function watchKernelLog(): Promise<KernelLog | undefined> {
  const before = await read();
  if (before === undefined) return undefined;
  const since = Math.max(...before.split('\n').map(stampOf));
  return {
    async complaints(started) {
      const now = await read();
      if (now === undefined) throw new Error('dmesg could be read before, and cannot be now');
      return complaintsIn(now, since, started);
    },
  };
}

/** A process and its threads, each of which the kernel calls a task with an id of its own. */
export async function tasksOf(pid: number): Promise<number[]> {
  return (await readdir(`/proc/${pid}/task`)).map(Number);
}
