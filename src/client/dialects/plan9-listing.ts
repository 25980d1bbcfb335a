// Directories of 9P2000 and 9P2000.u: a directory is read like a file, as whole stats, from its start or from where the last
// read ended and nowhere else (read(9P)). The kernel seeks in listings all the same (telldir, a read that was interrupted).
// Cookies: `.` 1, `..` 2, which no server sends, then for every entry where it ends, two more than its byte. To go to one that
// is not next, the directory is read from its start again.
// Guarantees: whatever way a read ends, the next one begins where a server must accept it.

import type { AbortSignalLike } from '../../common/abort.ts';
import { readStats } from '../../wire/p9/stat.ts';
import type { Qid } from '../../wire/p9/types.ts';
import type { Calls } from '../calls.ts';
import type { Fid } from '../fids.ts';
import { chunkSize } from '../io.ts';
import { readBlock } from './block.ts';
import type { ListedDirent } from './dialect.ts';
import { kindOf } from './plan9-stat.ts';

const DT_DIR = 4;
/** Cookies before that of the first byte. */
const DOTS = 2;
/** Bytes: go9p and others refuse a count in which the next entry does not fit. */
const LEAST = 2048;

interface Place {
  /** The server's own place in the directory; undefined where a read has ended without an answer. */
  at: number | undefined;
}

/** An entry and where it ends, in bytes from the directory's start. */
interface Placed {
  qid: Qid;
  type: number;
  name: string | undefined;
  end: number;
}

export class Listings {
  readonly #calls: Calls;
  readonly #extended: boolean;
  readonly #places = new WeakMap<Fid, Place>();

  constructor(calls: Calls, extended: boolean) {
    this.#calls = calls;
    this.#extended = extended;
  }

  /** What Dialect.readdir promises. */
  async read(fid: Fid, offset: bigint, size: number, signal?: AbortSignalLike): Promise<ListedDirent[]> {
    const entries = dotsAfter(offset, fid.qid);
    const from = offset <= DOTS ? 0 : Number(offset) - DOTS;
    const place = this.#placeOf(fid);
    let at = place.at === from ? from : 0;
    for (;;) {
      place.at = undefined;
      const { placed, end } = await this.#block(fid, at, size, signal);
      place.at = end;
      for (const { qid, type, name, end: ends } of placed) {
        if (ends > from) entries.push({ qid, type, name, offset: BigInt(ends + DOTS) } as ListedDirent);
      }
      if (entries.length > 0 || end === at) return entries;
      at = end;
    }
  }

  #placeOf(fid: Fid): Place {
    let place = this.#places.get(fid);
    if (place === undefined) {
      place = { at: 0 };
      this.#places.set(fid, place);
    }
    return place;
  }

  async #block(fid: Fid, at: number, size: number, signal: AbortSignalLike | undefined) {
    const count = Math.min(Math.max(size, LEAST), chunkSize(this.#calls, fid));
    const { entries, length } = await readBlock(
      this.#calls,
      count,
      (buffer, over) => this.#calls.read(fid, at, buffer, over, signal),
      (payload) => this.#parse(payload, at),
      signal,
    );
    return { placed: entries, end: at + length };
  }

  #parse(payload: Uint8Array, at: number): { entries: Placed[]; fault: string | undefined } {
    const { entries, fault } = readStats(payload, this.#extended);
    let end = 0;
    const placed = entries.map((stat): Placed => {
      end += 2 + ((payload[end] ?? 0) | ((payload[end + 1] ?? 0) << 8)); // each begins with its size
      const { qid, name } = stat;
      const own = name === '.' || name === '..' ? undefined : name;
      return { qid, type: kindOf(stat, this.#extended).type, name: own, end: at + end };
    });
    return { entries: placed, fault };
  }
}

function dotsAfter(offset: bigint, qid: Qid): ListedDirent[] {
  return ['.', '..'].flatMap((name, i) => {
    const cookie = BigInt(i + 1);
    return offset < cookie ? [{ qid, offset: cookie, type: DT_DIR, name }] : [];
  });
}
