// Runs the built command as a person would: another process, its exit code and its two streams.
// Every wait is bounded and says what it waited for; a process that outlives its test is killed.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

export const ninefsPath = resolve(import.meta.dirname, '../../bin/ninefs.js');

const DEADLINE = 60_000;

export interface CliOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  uid?: number;
  gid?: number;
  /** Milliseconds until it is killed and the test fails. */
  timeout?: number;
}

export interface CliResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A process of the command that is still running. */
export class Cli {
  readonly process: ChildProcess;
  readonly exit: Promise<CliResult>;
  stdout = '';
  stderr = '';
  readonly #name: string;
  /** It has ended and said all: what it wrote last comes through the pipes after its end is known. */
  #closed = false;
  #changed: (() => void)[] = [];

  constructor(args: readonly string[], options: CliOptions = {}) {
    const { timeout: _, ...rest } = options;
    this.#name = `ninefs ${args.join(' ')}`;
    this.process = spawn(process.execPath, [ninefsPath, ...args], { ...rest, stdio: ['ignore', 'pipe', 'pipe'] });
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#wake();
    });
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#wake();
    });
    this.exit = once(this.process, 'close').then(([code, signal]) => {
      this.#closed = true;
      this.#wake();
      return { code, signal, stdout: this.stdout, stderr: this.stderr } as CliResult;
    });
  }

  #wake(): void {
    const waiting = this.#changed;
    this.#changed = [];
    for (const go of waiting) go();
  }

  /** Settles when its output so far matches; fails when it ends or the deadline comes first. */
  async output(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout', timeout = DEADLINE): Promise<RegExpExecArray> {
    const state = { late: false };
    const clock = setTimeout(() => {
      state.late = true;
      this.#wake();
    }, timeout);
    try {
      for (;;) {
        const match = pattern.exec(this[stream]);
        if (match !== null) return match;
        if (state.late || this.#closed) {
          const why = state.late ? 'in time' : 'before it ended';
          throw new Error(`${this.#name}: no ${pattern} ${why}; stdout: ${this.stdout} stderr: ${this.stderr}`);
        }
        await new Promise<void>((go) => {
          this.#changed.push(go);
        });
      }
    } finally {
      clearTimeout(clock);
    }
  }

  /** Waits for its end; kills it at the deadline. */
  async ended(timeout = DEADLINE): Promise<CliResult> {
    let late = false;
    const clock = setTimeout(() => {
      late = true;
      this.process.kill('SIGKILL');
    }, timeout);
    const result = await this.exit;
    clearTimeout(clock);
    if (late) throw new Error(`${this.#name} did not end in time; stdout: ${this.stdout} stderr: ${this.stderr}`);
    return result;
  }

  /** Signals it and waits for its end. */
  stop(signal: NodeJS.Signals = 'SIGTERM', timeout = DEADLINE): Promise<CliResult> {
    this.process.kill(signal);
    return this.ended(timeout);
  }

  /** For finally: whatever happened, it does not outlive the test. */
  async kill(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGKILL');
    await this.exit;
  }
}

export function start(args: readonly string[], options?: CliOptions): Cli {
  return new Cli(args, options);
}

/** Runs it to its end. */
export function ninefs(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return new Cli(args, options).ended(options.timeout);
}

/** `ninefs serve`, once it accepts connections, and the address it printed. */
export async function startServer(
  tree: string,
  args: readonly string[] = ['--listen', 'tcp!127.0.0.1!0'],
  options: CliOptions = {},
): Promise<Cli & { address: string }> {
  const server = new Cli(['serve', tree, ...args], options);
  const [, address = ''] = await server.output(/^listening on (.*)\n/m).catch(async (error: unknown) => {
    await server.kill();
    throw error;
  });
  return Object.assign(server, { address });
}
