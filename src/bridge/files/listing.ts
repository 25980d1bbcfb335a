// Watches the listing of one open directory for a server that would have it go on for ever: replies that come round to where
// they were, and replies with nothing in them that anybody may see.
// Guarantees: what a listing costs here does not grow with its length. A server that makes up new places as it goes on is
// not found out: that listing ends when its reader has enough of it.

import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';

/** Replies in a row, within one call, of which nothing is shown. */
const MOST_UNSEEN = 10_000;

/**
 * Looks out for a circle by Brent's method: one place is remembered, and after 1, 2, 4, 8... replies another in its stead.
 * Within a circle the remembered place is come to again, however long the way into it was.
 */
export class ListingWatch {
  /** Where the next reply begins, if the listing is read on. */
  #next: bigint | undefined;
  #remembered: bigint | undefined;
  #replies = 0;
  #until = 1;

  /** A reply to what was asked for behind `from`; its last entry's place is `end`. Throws EIO for a listing without end. */
  saw(from: bigint, end: bigint): void {
    if (end === from) throw new ErrnoError(errno.EIO, 'the listing does not advance');
    const readOn = from === this.#next;
    this.#next = end;
    if (readOn && end === this.#remembered) throw new ErrnoError(errno.EIO, 'the listing goes round in a circle');
    // whoever goes back to a place comes by the same ones again
    if (!readOn) this.#until = 1;
    if (!readOn || ++this.#replies === this.#until) {
      this.#remembered = end;
      this.#until *= 2;
      this.#replies = 0;
    }
  }
}

/** Throws EIO when so many replies in a row have shown nothing. */
export function checkUnseen(replies: number): void {
  if (replies > MOST_UNSEEN) throw new ErrnoError(errno.EIO, `${MOST_UNSEEN} replies of a listing without a name`);
}
