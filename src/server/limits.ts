// The bounds of a server across all its connections, and what they are when nobody says.

import { readFileSync } from 'node:fs';
import { slabSize } from '../common/bufpool.ts';
import { ConfigError } from '../common/errors.ts';

const MIB = 1024 * 1024;

export interface Limits {
  /** Connections at a time. */
  readonly connections: number;
  /** Bytes for requests and replies of all connections together. */
  readonly memory: number;
  /** Fids of all connections together. */
  readonly fids: number;
  /** Open files of all connections together. */
  readonly files: number;
  /** Milliseconds that a connection may take to its Tversion, from there to its Tattach, and for another one after a refusal. */
  readonly handshake: number;
  /** Milliseconds without progress after which a connection may be closed that holds memory which is short. */
  readonly patience: number;
}

const DEFAULTS = {
  connections: 1000,
  memory: 256 * MIB,
  fids: 1 << 20,
  handshake: 10_000,
  patience: 5000,
} as const;

/** Fewer could be a process without descriptors for itself. */
const FEWEST_FILES = 16;
/** Of the smallest memory, in messages: some are read into and some written from at a time. */
const MESSAGES = 16;
const SMALLEST_MEMORY = 4 * MIB;

/** How many descriptors this process may have. */
export function descriptorLimit(): number {
  let text: string;
  try {
    text = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return 1024; // not Linux, where the limit is no less
  }
  const soft = /^Max open files\s+(\d+)/m.exec(text)?.[1];
  return soft === undefined ? 1 << 20 : Number(soft); // "unlimited"
}

function check(given: Partial<Limits>, msize: number, descriptors: number): void {
  for (const [name, value] of Object.entries(given) as [keyof Limits, number | undefined][]) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      throw new ConfigError(`limit of ${name}: ${value} is not a number above 0`);
    }
  }
  const half = Math.floor(descriptors / 2);
  if (given.connections !== undefined && given.connections > half) {
    throw new ConfigError(
      `${given.connections} connections: this process may have ${descriptors} descriptors, half of them for connections; ` +
        `say ${half} at the most, or raise the limit (ulimit -n)`,
    );
  }
  const least = Math.max(SMALLEST_MEMORY, MESSAGES * slabSize(msize));
  if (given.memory !== undefined && given.memory < least) {
    throw new ConfigError(
      `memory of ${given.memory} bytes: with messages of ${msize} bytes it takes ${least} at the least`,
    );
  }
}

/** Throws ConfigError for a bound that cannot be kept. */
export function limitsOf(given: Partial<Limits>, msize: number, descriptors: number = descriptorLimit()): Limits {
  check(given, msize, descriptors);
  return {
    ...DEFAULTS,
    connections: Math.min(DEFAULTS.connections, Math.max(1, Math.floor(descriptors / 2))),
    memory: Math.max(DEFAULTS.memory, MESSAGES * slabSize(msize)),
    files: Math.max(FEWEST_FILES, Math.floor(descriptors / 4)),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
}
