// Notices a server that drops the entries of a directory that did not fit into one reply: its listing ends just where a full
// reply did. That is told once a connection, since nothing else shows it. Also an honest listing may end so; a server that
// has gone on behind a full reply, and ended within a later one, is not suspected any more.

import type { Connection } from '../connection.ts';
import type { Fid } from '../fids.ts';

/** What is known of one reply of a listing. Places are cookies or bytes, as the dialect counts them. */
export interface ListingReply {
  /** The place after which entries were asked for. */
  readonly from: bigint;
  /** The place of the last entry that came. */
  readonly end: bigint;
  /** Bytes that were asked for, and that came. */
  readonly count: number;
  readonly length: number;
}

export class CutListings {
  readonly #connection: Connection;
  /** Bytes of the longest entry that is to be expected. */
  readonly #longest: number;
  /** Where the last reply for a directory ended, if it had no room for another entry of any length. */
  readonly #full = new WeakMap<Fid, bigint>();
  /** The server goes on behind a full reply, or was told of: nothing is watched any more. */
  #settled = false;

  constructor(connection: Connection, longest: number) {
    this.#connection = connection;
    this.#longest = longest;
  }

  saw(dir: Fid, { from, end, count, length }: ListingReply): void {
    if (this.#settled) return;
    const followsFull = this.#full.get(dir) === from;
    if (length === 0) {
      if (followsFull) this.#tell(dir);
      return;
    }
    if (count - length < this.#longest) {
      this.#full.set(dir, end);
      return;
    }
    this.#full.delete(dir);
    if (followsFull) this.#settled = true;
  }

  #tell(dir: Fid): void {
    this.#settled = true;
    const { logger, peer } = this.#connection;
    logger.warn(
      { peer, fid: dir.number, qid: String(dir.qid.path) },
      'the listing of a directory ended just where a full reply did: the server may have left out what did not fit',
    );
  }
}
