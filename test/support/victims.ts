// Processes that each make one system call on a mount and tell how it ended, see victims.py; and what the faults tree has
// counted of it meanwhile. The mount may be served by the test's own process: these are others.
// Guarantees: whoever still waits when it ends is killed, and waited for.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { python } from './posix.ts';
import type { Raw9p } from './raw9p.ts';
import type { Signal } from './signals.ts';

export interface Outcome {
  pid?: number;
  ret?: number;
  errno?: string | null;
  handled?: number;
  broken?: string;
  signal?: string | null;
  /** performance.now() of its last line. */
  ended?: number;
}

export class Victims {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly outcomes: Outcome[] = [];

  constructor() {
    const script = join(import.meta.dirname, 'victims.py');
    this.#child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const { id, exit, ...said } = JSON.parse(line) as Outcome & { id: number; exit?: number };
      const outcome = this.outcomes[id];
      if (outcome === undefined) return;
      Object.assign(outcome, said);
      // the call's end is what counts: a process that exits may have to wait for its locks to be released
      if (said.ret !== undefined || exit !== undefined) outcome.ended ??= performance.now();
    });
  }

  say(order: object): void {
    this.#child.stdin.write(`${JSON.stringify(order)}\n`);
  }

  /** Begins a call of victims.py; `signal`: what its handler, if any, is for. */
  make(id: number, op: string, path: string, signal?: Pick<Signal, 'signal' | 'handler'>): Outcome {
    const outcome: Outcome = {};
    this.outcomes[id] = outcome;
    const handler = signal?.handler === undefined ? null : signal.signal;
    this.say({ id, op, path, handler, restart: signal?.handler === 'restart' });
    return outcome;
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin.end();
    await ended;
  }
}

export interface Counts {
  requests: number;
  flushed: number;
  performed: number;
}

/** What the server has counted, by place; asked for through the protocol, on a connection of its own. */
export async function countsOf(raw: Raw9p): Promise<Map<string, Counts>> {
  const fid = await raw.open('counters/faults');
  let text = '';
  for (;;) {
    const part = await raw.read(fid, text.length);
    if (part.length === 0) break;
    text += part.toString();
  }
  await raw.clunk(fid);
  const counts = new Map<string, Counts>();
  for (const line of text.trim().split('\n')) {
    const [name = '', , requests, , flushed, , performed] = line.split(' ');
    counts.set(name, { requests: Number(requests), flushed: Number(flushed), performed: Number(performed) });
  }
  return counts;
}
