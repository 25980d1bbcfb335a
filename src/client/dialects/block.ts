// One block of a directory's entries: receive memory for it from the pool, and back when both the entries have been read out
// of it and the request that wrote into it is over.

import type { AbortSignalLike } from '../../common/abort.ts';
import { ProtocolError } from '../../common/errors.ts';
import type { Calls } from '../calls.ts';

/**
 * Runs `request`, which fills `buffer` and calls `over` when nobody writes into it any more, and reads what came with
 * `parse`, which must keep no view of it. A block that does not end with a whole entry ends the connection.
 */
export async function readBlock<T>(
  calls: Calls,
  count: number,
  request: (buffer: Uint8Array, over: () => void) => Promise<number>,
  parse: (payload: Uint8Array) => { entries: T[]; fault: string | undefined },
  signal: AbortSignalLike | undefined,
): Promise<{ entries: T[]; length: number }> {
  const { pool, peer } = calls.connection;
  const slab = await pool.take(count, signal);
  let holders = 2;
  const drop = () => {
    if (--holders === 0) slab.release();
  };
  try {
    const length = await request(slab.bytes, drop);
    const { entries, fault } = parse(slab.bytes.subarray(0, length));
    if (fault === undefined) return { entries, length };
    const error = new ProtocolError(`${peer}: a listing does not end with a whole entry (${fault})`);
    calls.connection.fail(error);
    throw error;
  } finally {
    drop();
  }
}
