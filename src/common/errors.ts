// The error classes of the whole project, each with a stable `code`. Nothing else is thrown on purpose.
// An ErrnoError is an answer (the peer or we refuse one operation); a ProtocolError or ConnectionError ends a
// connection; a ConfigError is the user's to mend and carries the one line that says how.

import { errno, errnoName } from './errno.ts';

/** One operation failed with a Linux errno. `code` is the errno's name. */
export class ErrnoError extends Error {
  readonly errno: number;
  readonly code: string;
  override readonly name: string = 'ErrnoError';

  constructor(number: number, what?: string) {
    super(what === undefined ? errnoName(number) : `${what}: ${errnoName(number)}`);
    this.errno = number;
    this.code = errnoName(number);
  }
}

/** Whether it is an answer of one of these errnos. */
export function isErrno(error: unknown, ...numbers: readonly number[]): error is ErrnoError {
  return error instanceof ErrnoError && numbers.includes(error.errno);
}

/** A call was aborted and had no effect: errno EINTR, or ETIMEDOUT when a deadline aborted it. */
export class CancelledError extends ErrnoError {
  override readonly name = 'CancelledError';

  constructor(what?: string, number: number = errno.EINTR) {
    super(number, what);
  }
}

/**
 * An error that is made without recording where: for those of which thousands are made at a time, when all who wait are given
 * up together, and of which the place where they are made tells nothing.
 */
export function traceless<E extends Error>(make: () => E): E {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** The peer broke the protocol; the connection it came on is ended. */
export class ProtocolError extends Error {
  readonly code = 'ERR_9P_PROTOCOL';
  readonly errno = errno.EIO;
  override readonly name = 'ProtocolError';
}

/** The connection is gone, or could not be made. `cause` holds the socket's error where there is one. */
export class ConnectionError extends Error {
  readonly code = 'ERR_9P_CONNECTION';
  readonly errno = errno.EIO;
  override readonly name = 'ConnectionError';
}

/** What the user asked for cannot be done as written. `exitCode` 2: wrong usage; 1: right usage that fails here. */
export class ConfigError extends Error {
  readonly code = 'ERR_CONFIG';
  readonly exitCode: 1 | 2;
  override readonly name = 'ConfigError';

  constructor(message: string, exitCode: 1 | 2 = 2, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
