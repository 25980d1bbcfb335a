// The logger that components are given: pino's interface, narrowed to what is used, so that tests can pass `silent`.
// Levels: error (somebody must act), warn (a peer misbehaved), info (life cycle), debug (decisions),
// trace (every message). Field names are the protocol's: tag fid oldtag unique nodeid op errno ms.

import type { Logger as Pino } from 'pino';

type LogFn = (fields: object, message: string) => void;

export interface Logger {
  readonly level: string;
  error: LogFn;
  warn: LogFn;
  info: LogFn;
  debug: LogFn;
  trace: LogFn;
  isLevelEnabled(level: 'error' | 'warn' | 'info' | 'debug' | 'trace'): boolean;
}

const nothing: LogFn = () => {};

/** Discards everything. */
export const silent: Logger = {
  level: 'silent',
  error: nothing,
  warn: nothing,
  info: nothing,
  debug: nothing,
  trace: nothing,
  isLevelEnabled: () => false,
};

/** A child of a pino logger for one component; its lines carry `component`. */
export function childLogger(parent: Pino, component: string): Logger {
  return parent.child({ component }) as unknown as Logger;
}
