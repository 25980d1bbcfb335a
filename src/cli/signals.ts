// The signals that end a process unless it listens to them, and how a process that has heard one ends in the end.
// Guarantees: on Linux every one but SIGKILL and glibc's own two is heard, from any sender; a fault of this process is not
// taken for a signal, and ends it as ever. SIGUSR1, SIGUSR2 and what Node ignores (SIGPIPE, SIGXFSZ) end nothing.

import { constants } from 'node:os';
import { addon } from '../fuse/drivers/addon.ts';

export interface Deadly {
  /** SIGTERM; where Node has no name for it, "signal 40". */
  readonly name: string;
  readonly number: number;
  /** It is how people and programs ask a process to end well. */
  readonly asks: boolean;
}

const ASKING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Asynchronous ones, for which Node can have handlers; those that a system does not have are never sent. */
const OTHERS = [
  'SIGQUIT',
  'SIGALRM',
  'SIGVTALRM',
  'SIGXCPU',
  'SIGPROF',
  'SIGIO',
  'SIGPWR',
  'SIGSYS',
  'SIGSTKFLT',
] as const;

const numbers: Readonly<Record<string, number>> = constants.signals;

function named(number: number): string {
  return Object.entries(numbers).find(([, each]) => each === number)?.[0] ?? `signal ${number}`;
}

/** Hears what Node has no handlers for. */
function hearOthers(hear: (signal: Deadly) => void): () => void {
  if (process.platform !== 'linux') return () => undefined;
  const fd = addon().catchSignals();
  if (fd < 0) throw new Error(`no pipe for signals: errno ${-fd}`);
  const bytes = Buffer.alloc(64);
  const poll = addon().poll(fd, () => {
    const count = addon().read(fd, bytes, 0, bytes.length);
    for (const number of bytes.subarray(0, Math.max(count, 0))) hear({ name: named(number), number, asks: false });
  });
  if (typeof poll === 'number') throw new Error(`the pipe for signals cannot be watched: errno ${-poll}`);
  poll.unref();
  return () => poll.close();
}

/** Calls `hear` for each of them instead of ending; the function that is returned undoes that. */
export function onDeadly(hear: (signal: Deadly) => void): () => void {
  const listeners = [...ASKING.map((name) => ({ name, asks: true })), ...OTHERS.map((name) => ({ name, asks: false }))]
    .filter(({ name }) => name in numbers)
    .map(({ name, asks }) => ({ name, listener: () => hear({ name, number: numbers[name] ?? 0, asks }) }));
  for (const { name, listener } of listeners) process.on(name, listener);
  const deaf = hearOthers(hear);
  return () => {
    for (const { name, listener } of listeners) process.off(name, listener);
    deaf();
  };
}

/** Ends this process as the signal would have ended it, so that its parent is told the truth. */
export function dieBy({ name, number }: Deadly): void {
  if (process.platform === 'linux') addon().dieBy(number);
  else process.kill(process.pid, name);
}
