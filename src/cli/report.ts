// How the command speaks to its user: single lines on stderr that begin with `ninefs: `, and the exit code that goes
// with an error. Never a stack trace, unless the user asked for debug output and the error is a bug of ours.

import { ConfigError, ConnectionError, ErrnoError, ProtocolError } from '../common/errors.ts';

export const EXIT = {
  ok: 0,
  /** Asked rightly, failed here. */
  failure: 1,
  /** Asked wrongly. */
  usage: 2,
  /** sysexits.h EX_SOFTWARE: a bug of ours. */
  bug: 70,
  /** 128 + SIGINT, as a shell reports it. */
  interrupted: 130,
} as const;

/** Control characters could forge lines or drive the terminal: a name from a server may be in the text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
const CONTROL = /[\x00-\x1f\x7f-\x9f]+/g;

export function oneLine(text: string): string {
  return text.replace(CONTROL, ' ').trim();
}

/** One line on stderr. */
export function complain(text: string): void {
  process.stderr.write(`ninefs: ${oneLine(text)}\n`);
}

export interface Failure {
  message: string;
  exitCode: number;
  /** The server could not be reached or left: what nofail forgives. */
  unreachable: boolean;
  /** A bug's stack, for those who debug. */
  stack?: string;
}

/** What an error is to the user. */
export function describe(error: unknown): Failure {
  if (error instanceof ConfigError) {
    return { message: error.message, exitCode: error.exitCode, unreachable: false };
  }
  if (error instanceof ConnectionError) return { message: error.message, exitCode: EXIT.failure, unreachable: true };
  if (error instanceof ProtocolError || error instanceof ErrnoError) {
    return { message: error.message, exitCode: EXIT.failure, unreachable: false };
  }
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? error.stack : undefined;
  return {
    message: `internal error: ${message} (run with --loglevel debug for the stack)`,
    exitCode: EXIT.bug,
    unreachable: false,
    ...(stack === undefined ? {} : { stack }),
  };
}

/** Prints a failure, with the stack of a bug when `debug`; returns the exit code. */
export function reportFailure(failure: Failure, debug: boolean): number {
  complain(failure.message);
  if (debug && failure.stack !== undefined) process.stderr.write(`${failure.stack}\n`);
  return failure.exitCode;
}
