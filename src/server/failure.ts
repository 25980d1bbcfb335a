// From what a handler throws to an errno.
// Must not know tags, flushes or transports: those are flush.ts and connection.ts.

import { errno, errnoOf } from '../common/errno.ts';
import { ErrnoError } from '../common/errors.ts';

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
