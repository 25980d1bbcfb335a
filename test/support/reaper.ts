// A command that is run by reaper.py, which becomes the parent of everything that the command leaves behind: how a daemon
// ended is known in no other way.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { childrenOf } from './daemons.ts';
import { python } from './posix.ts';
import { until } from './until.ts';

const script = join(import.meta.dirname, 'reaper.py');

/** How a process ended: `exit CODE` or `signal NUMBER`. */
export type End = `exit ${number}` | `signal ${number}`;

export class Reaper {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #said = '';

  constructor(command: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.#child = spawn(python, [script, ...command], { stdio: ['ignore', 'pipe', 'pipe'], env, cwd: '/' });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text;
      });
    }
    this.#closed = once(this.#child, 'close');
  }

  /** A line that the command or the reaper has written. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    const found = () => pattern.exec(this.#said);
    await until(
      () => `${pattern} in: ${this.#said}`,
      () => found() !== null || this.#child.exitCode !== null,
    );
    const match = found();
    if (match === null) throw new Error(`no ${pattern} before it ended: ${this.#said}`);
    return match;
  }

  /** Those that run now. */
  children(): Promise<number[]> {
    return childrenOf(this.#child.pid ?? 0);
  }

  /** Waits for all of them, and says how this one ended. */
  async endOf(pid: number): Promise<End> {
    const [, end] = await this.line(new RegExp(`^${pid} (exit \\d+|signal \\d+)$`, 'm'));
    await until(
      () => `all processes have ended: ${this.#said}`,
      () => this.#child.exitCode !== null,
    );
    return end as End;
  }

  /** For finally: nothing outlives the test. */
  async [Symbol.asyncDispose](): Promise<void> {
    const end = async () => {
      for (const pid of await this.children()) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has just ended by itself
        }
      }
      return this.#child.exitCode !== null;
    };
    await until('everything has ended', end);
    await this.#closed;
  }
}
