// From what a handler throws to an errno, and to the log.
// Must not know tags, flushes or transports: those are flush.ts and connection.ts.

import { errno, errnoOf } from '../common/errno.ts';
import { ErrnoError, ProtocolError } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';

/** The errno of a failure, and whether it was a refusal; what is not is our own mistake, and EIO. */
export function failure(error: unknown): { ecode: number; meant: boolean } {
  if (error instanceof ErrnoError) {
    // the range that clients accept (net/9p/client.c, safe_errno)
    const fits = Number.isInteger(error.errno) && error.errno > 0 && error.errno < 4096;
    return { ecode: fits ? error.errno : errno.EIO, meant: fits };
  }
  const ecode = errnoOf(error);
  return { ecode, meant: ecode !== errno.EIO || (error instanceof Error && 'code' in error && error.code === 'EIO') };
}

/** Something failed that was not refused: with the stack, since it is ours to mend. */
export function tellMistake(logger: Logger, fields: object, error: unknown, message: string): void {
  logger.error({ ...fields, error: error instanceof Error ? error.stack : String(error) }, message);
}

/** A connection has ended, with an error or without. */
export function tellEnd(logger: Logger, peer: string, error: Error | undefined): void {
  const fields = { peer, error: error?.message };
  if (error instanceof ProtocolError) logger.warn(fields, 'connection closed: the client broke the protocol');
  else if (error instanceof TypeError || error instanceof RangeError) {
    tellMistake(logger, { peer }, error, 'connection closed: our own mistake');
  } else logger.info(fields, 'connection closed');
}
