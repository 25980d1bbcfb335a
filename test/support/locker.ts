// A process that takes and gives up locks on a file as it is told, and says what came of it.
// The test may do something else while it waits: begin() and answer() are apart.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { python } from './posix.ts';

const script = join(import.meta.dirname, 'locker.py');

/** A process of locker.py. */
export class Locker {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(file: string) {
    this.#child = spawn(python, [script, file], { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  begin(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  async answer(): Promise<string> {
    const { value, done } = await this.#lines.next();
    return done === true ? '(ended)' : value;
  }

  do(line: string): Promise<string> {
    this.begin(line);
    return this.answer();
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    await ended;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }
}
