// A mount in the background: the parent starts the daemon and waits for its word; the daemon speaks once over a pipe.
// Guarantees: the parent returns 0 only after the daemon said that the mount is live; every wait has a deadline that is
// told; a daemon that is not live when the parent gives up is ended, by whatever signal it does. Nothing of the terminal is
// left with the daemon, nor of the parent's descriptors.

import { spawn } from 'node:child_process';
import { closeSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { keepDescriptors, plainEnvironment, plainFlags } from './inherited.ts';
import { complain, EXIT, type Failure, reportFailure } from './report.ts';
import { type Deadly, dieBy, onDeadly } from './signals.ts';

/** How the daemon knows that it is one: the number of the descriptor on which it reports. */
const STATUS_VARIABLE = 'NINEFS_STATUS_FD';
const STATUS_FD = 3;
/** Connecting has its own, shorter deadline; this one is for a daemon that says nothing at all. */
const START_DEADLINE = 30_000;
/** How long a daemon that was told to end may take before it is killed. */
const END_DEADLINE = 5_000;
/** A report is one line; more than this is not from us. */
const MAX_REPORT = 64 * 1024;

type Report = { state: 'live' } | { state: 'failed'; failure: Failure };

/** The daemon's side: to be called once; the parent then goes away. */
export type Reporter = (report: Report) => void;

/** The reporter of a process that a parent started as a daemon; undefined in any other. */
export function daemonReporter(): Reporter | undefined {
  const text = process.env[STATUS_VARIABLE];
  if (text !== String(STATUS_FD)) return undefined;
  delete process.env[STATUS_VARIABLE]; // not for the programs that the daemon runs
  let open = true;
  return (report) => {
    if (!open) return;
    open = false;
    try {
      writeSync(STATUS_FD, `${JSON.stringify(report)}\n`);
    } catch (error) {
      // a parent that was killed does not matter to a mount that is live
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
    } finally {
      closeSync(STATUS_FD);
    }
  };
}

function readReport(pipe: Readable): Promise<Report | undefined> {
  return new Promise((resolve) => {
    let text = '';
    pipe.setEncoding('utf8');
    pipe.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end >= 0) resolve(JSON.parse(text.slice(0, end)) as Report);
      else if (text.length > MAX_REPORT) resolve(undefined);
    });
    pipe.on('close', () => resolve(undefined));
    pipe.on('error', () => resolve(undefined));
  });
}

type Outcome =
  | { kind: 'report'; report: Report }
  | { kind: 'silent' }
  | { kind: 'late' }
  | { kind: 'signal'; signal: Deadly }
  | { kind: 'unstarted'; error: Error };

/** Runs this command again as a daemon, with the same arguments. Settles with the exit code for the caller. */
export async function startInBackground(argv: readonly string[], debug: boolean): Promise<number> {
  keepDescriptors();
  const child = spawn(process.execPath, [...plainFlags(process.execArgv), ...argv.slice(1)], {
    detached: true, // its own session: the terminal's signals and end are not its own
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    env: { ...plainEnvironment(process.env), [STATUS_VARIABLE]: String(STATUS_FD) },
  });
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  const pipe = child.stdio[STATUS_FD] as Readable;
  const outcome = await new Promise<Outcome>((resolve) => {
    const clock = setTimeout(() => resolve({ kind: 'late' }), START_DEADLINE);
    clock.unref();
    onDeadly((signal) => resolve({ kind: 'signal', signal }));
    child.once('error', (error) => resolve({ kind: 'unstarted', error }));
    void readReport(pipe).then((report) =>
      resolve(report === undefined ? { kind: 'silent' } : { kind: 'report', report }),
    );
  });
  const end = async () => {
    child.kill('SIGTERM');
    const clock = setTimeout(() => child.kill('SIGKILL'), END_DEADLINE);
    await ended; // a killed process ends
    clearTimeout(clock);
  };

  switch (outcome.kind) {
    case 'report':
      if (outcome.report.state === 'failed') return reportFailure(outcome.report.failure, debug);
      child.unref();
      pipe.destroy();
      return EXIT.ok;
    case 'late':
      complain(`the mount was not live within ${START_DEADLINE / 1000} s and was given up`);
      await end();
      return EXIT.failure;
    case 'signal':
      await end();
      if (!outcome.signal.asks) dieBy(outcome.signal);
      return EXIT.interrupted;
    case 'silent':
      complain(`the mount process ended without a word (${await ended}); run with -f to see more`);
      return EXIT.failure;
    case 'unstarted':
      complain(`the mount process cannot be started: ${outcome.error.message}`);
      return EXIT.failure;
  }
}
