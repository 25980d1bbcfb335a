// Owns: a program that goes into the background, with everything that it starts (guardian.mjs).
// Guarantees: all of it has ended when stop() returns, and ends with the test process, however that ends.
// Must not: import src/.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Started } from './serverprocess.ts';

const LOG_KEPT = 64 * 1024;
const guardian = resolve(import.meta.dirname, 'guardian.mjs');

export class ProgramSession implements Started {
  readonly #child: ChildProcess;
  #log = '';
  #hasEnded = false;

  constructor(argv: readonly string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn(process.execPath, [guardian, ...argv], {
      cwd: '/',
      detached: true, // the leader of a session
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-LOG_KEPT);
      });
    }
    this.#child.stdin?.on('error', () => undefined); // it ended by itself, which `ended` says
    this.#child.once('exit', () => {
      this.#hasEnded = true;
    });
  }

  /** The number of the session. */
  get id(): number | undefined {
    return this.#child.pid;
  }

  get ended(): boolean {
    return this.#hasEnded;
  }

  log(): string {
    return this.#log;
  }

  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    const gone = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await gone;
  }
}
