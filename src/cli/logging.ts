// Where log lines go: a file or the terminal, JSON or (on a terminal) coloured text, one pino child a component.
// Guarantees: writing never blocks the event loop that serves a mount (sonic-boom writes in the background), memory is
// bounded (lines beyond it are dropped and counted), a log that cannot be written never ends the mount; flush() puts
// out what is left before the process exits.

import { openSync } from 'node:fs';
import { type DestinationStream, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { ConfigError } from '../common/errors.ts';
import { childLogger, type Logger, silent } from '../common/log.ts';

export const LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type Level = (typeof LEVELS)[number];

/** Lines waiting for a disk or a terminal that does not take them. */
const MAX_WAITING = 16 * 1024 * 1024;
const STDERR = 2;

export interface Log {
  logger: Logger;
  /** The logger of one component. */
  child(component: string): Logger;
  /** Writes out what waits, synchronously. For the end of the process. */
  flush(): void;
}

export interface LogTarget {
  level: Level;
  /** Append to this file; without it lines go to stderr. */
  file?: string;
}

/** Discards everything; for a daemon without a log. */
export const noLog: Log = { logger: silent, child: () => silent, flush: () => undefined };

function openFile(file: string): number {
  try {
    return openSync(file, 'a', 0o640);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`log file ${file}: cannot be written (${why})`, 1, { cause: error });
  }
}

/** Opens a log. Throws ConfigError when its file cannot be opened. */
export function openLog(target: LogTarget): Log {
  const { level, file } = target;
  if (level === 'silent') return noLog;
  const fd = file === undefined ? STDERR : openFile(file);
  const sink = pino.destination({ dest: fd, sync: false, maxLength: MAX_WAITING });
  let dropped = 0;
  let failed = false;
  sink.on('drop', () => {
    dropped++;
  });
  // the reader of a pipe went away, the disk is full: the mount matters more than its log
  sink.on('error', () => {
    failed = true;
  });
  const pretty = file === undefined && process.stderr.isTTY ? prettyFactory(PRETTY) : undefined;
  const stream: DestinationStream = {
    write(line) {
      if (!failed) sink.write(writable(pretty === undefined ? line : pretty(line)));
    },
  };
  const root = pino({ level, base: { pid: process.pid } }, stream);
  return {
    logger: childLogger(root, 'cli'),
    child: (component) => childLogger(root, component),
    flush() {
      if (dropped > 0) stream.write(`${JSON.stringify({ level: 40, dropped, msg: 'log lines dropped' })}\n`);
      dropped = 0;
      if (failed) return;
      try {
        sink.flushSync();
      } catch {
        failed = true; // nobody is left to tell
      }
    },
  };
}

/** With JSON's escapes for what names hold that is not UTF-8 (common/text.ts): a file would take U+FFFD for each of them. */
function writable(line: string): string {
  if (line.isWellFormed()) return line;
  return line.replace(/[\ud800-\udfff]/gu, (each) => `\\u${each.charCodeAt(0).toString(16)}`);
}

const PRETTY = {
  colorize: true,
  translateTime: 'SYS:HH:MM:ss.l',
  ignore: 'pid,component',
  messageFormat: '{component}: {msg}',
  singleLine: true,
} as const;
