// Directories of 9P2000 and 9P2000.u: a directory is read like a file, as whole stats, from its start or from where the last
// read ended and nowhere else (read(9P)). The kernel seeks in listings all the same (telldir, a read that was interrupted).
// Cookies: `.` 1, `..` 2, which no server sends, then for every entry where it ends, two more than its byte. What was read of
// an open directory is kept, so that a place in it stays the same when entries before it are removed; to go to one that is
// not known any more, the directory is read from its start again.
// Guarantees: whatever way a read ends, the next one begins where a server must accept it; what is kept is bounded.

import type { AbortSignalLike } from '../../common/abort.ts';
import { readStats } from '../../wire/p9/stat.ts';
import type { Qid } from '../../wire/p9/types.ts';
import type { Calls } from '../calls.ts';
import type { Fid } from '../fids.ts';
import { chunkSize } from '../io.ts';
import { readBlock } from './block.ts';
import { CutListings } from './cutlistings.ts';
import type { ListedDirent } from './dialect.ts';
import { kindOf } from './plan9-stat.ts';

const DT_DIR = 4;
/** Cookies before that of the first byte. */
const DOTS = 2;
/** Bytes: go9p and others refuse a count in which the next entry does not fit. */
const LEAST = 2048;
/** Bytes of an entry with the longest name of most file systems, and with owners of 32 letters each. */
const LONGEST_ENTRY = 63 + 255 + 3 * 32;

/** Entries of one open directory that are kept; and how many bytes they may have been on the wire, where names may be long. */
const KEPT = 32_768;
const KEPT_BYTES = 4 * 1024 * 1024;
/** Bytes that the entries kept of all open directories may have been on the wire; those of the ones read longest ago go. */
const KEPT_IN_ALL = 16 * KEPT_BYTES;
/** Of those, how many are given at a time. */
const AT_ONCE = 512;

interface Place {
  /** The server's own place in the directory; undefined where a read has ended without an answer. */
  at: number | undefined;
  /** The entries from `from` to `at`, as far as they are kept. */
  kept: Placed[];
  from: number;
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
  readonly #keptInAll: number;
  readonly #places = new WeakMap<Fid, Place>();
  /** Those that have entries kept, the one that was read last at the end. */
  #keeping: WeakRef<Place>[] = [];
  readonly #cut: CutListings;

  constructor(calls: Calls, extended: boolean, keptInAll = KEPT_IN_ALL) {
    this.#calls = calls;
    this.#keptInAll = keptInAll;
    this.#extended = extended;
    this.#cut = new CutListings(calls.connection, LONGEST_ENTRY);
  }

  /** What Dialect.readdir promises. */
  async read(fid: Fid, offset: bigint, size: number, signal?: AbortSignalLike): Promise<ListedDirent[]> {
    const entries = dotsAfter(offset, fid.qid);
    const from = offset <= DOTS ? 0 : Number(offset) - DOTS;
    const place = this.#placeOf(fid);
    if (from > 0 && from >= place.from) {
      const known = place.kept.slice(after(place.kept, from)).slice(0, AT_ONCE);
      if (known.length > 0) return known.map(listed);
    }
    if (from === 0 || place.at !== from) Object.assign(place, { at: 0, from: 0, kept: [] });
    for (;;) {
      const at = place.at ?? 0;
      place.at = undefined;
      const { placed, end } = await this.#block(fid, at, size, signal);
      place.at = end;
      keep(place, placed);
      this.#forgetOthers(place);
      entries.push(...placed.slice(after(placed, from)).map(listed));
      if (entries.length > 0 || end === at) return entries;
    }
  }

  #placeOf(fid: Fid): Place {
    let place = this.#places.get(fid);
    if (place === undefined) {
      place = { at: 0, kept: [], from: 0 };
      this.#places.set(fid, place);
    }
    return place;
  }

  /** A directory that was read longest ago is read again from its start, should somebody go back in it. */
  #forgetOthers(place: Place): void {
    if (this.#keeping.at(-1)?.deref() === place) return;
    this.#keeping = this.#keeping.filter((each) => each.deref() !== undefined && each.deref() !== place);
    this.#keeping.push(new WeakRef(place));
    let bytes = this.#keeping.reduce((sum, each) => sum + weight(each.deref()), 0);
    while (bytes > this.#keptInAll) {
      const oldest = this.#keeping.shift()?.deref();
      bytes -= weight(oldest);
      forget(oldest);
    }
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
    const end = at + length;
    this.#cut.saw(fid, { from: BigInt(at), end: BigInt(end), count, length });
    return { placed: entries, end };
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

/** The first that ends behind a byte. */
function after(placed: readonly Placed[], from: number): number {
  let low = 0;
  for (let high = placed.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if ((placed[middle]?.end ?? 0) > from) high = middle;
    else low = middle + 1;
  }
  return low;
}

function keep(place: Place, placed: readonly Placed[]): void {
  place.kept.push(...placed);
  const from = (place.kept.at(-1)?.end ?? 0) - KEPT_BYTES;
  if (place.kept.length <= KEPT && place.from >= from) return;
  const gone = place.kept.splice(0, Math.max(place.kept.length - KEPT / 2, after(place.kept, from + KEPT_BYTES / 2)));
  place.from = gone.at(-1)?.end ?? place.from;
}

/** Of what is kept, on the wire. */
function weight(place: Place | undefined): number {
  return place === undefined ? 0 : (place.kept.at(-1)?.end ?? place.from) - place.from;
}

function forget(place: Place | undefined): void {
  if (place === undefined) return;
  place.from = place.kept.at(-1)?.end ?? place.from;
  place.kept = [];
}

function listed({ qid, type, name, end }: Placed): ListedDirent {
  return { qid, type, name, offset: BigInt(end + DOTS) } as ListedDirent;
}

function dotsAfter(offset: bigint, qid: Qid): ListedDirent[] {
  return ['.', '..'].flatMap((name, i) => {
    const cookie = BigInt(i + 1);
    return offset < cookie ? [{ qid, offset: cookie, type: DT_DIR, name }] : [];
  });
}
