// The numbers that stat shows of files (st_ino): the server's qid.path, and where several files have the same one, a number of its
// own for each but the first.
// Guarantees: of files that are known to collide a name keeps its number however often it is forgotten and found again, in
// whatever order, and takes it along when this mount renames it (a directory: not for what lies below, once that is
// forgotten); bounded, beyond which the longest known collision may have its first number go to another name.

import { createHash } from 'node:crypto';
import type { Qid } from '../../wire/p9/types.ts';
import { inoOf } from '../attributes/attrs.ts';

const MOST = 65536;
/** Above what servers give out, and positive where a program takes it for signed. */
const OURS = 1n << 62n;

export class Inos {
  /** Of each qid.path that collides: the name that has it for its number. */
  readonly #first = new Map<bigint, string>();

  /** By qid.path and name: numbers that files had by other names before. */
  readonly #moved = new Map<string, bigint>();

  /** For a file that is new here. `name` is its path. */
  of(qid: Qid, name: () => string, collides: boolean): bigint {
    const first = this.#first.get(qid.path);
    if (first === undefined && !collides) return inoOf(qid);
    const key = keyOf(qid, name());
    const moved = this.#moved.get(key);
    if (moved !== undefined) return moved;
    if (first !== undefined && key === keyOf(qid, first)) return inoOf(qid);
    const own = numberOf(key);
    // a file that had this name may have taken its number along
    return [...this.#moved.values()].includes(own) ? numberOf(`${key}/`) : own;
  }

  /** Whether renaming a file is of interest here. */
  knows(qid: Qid): boolean {
    return this.#first.has(qid.path);
  }

  /** A file that collides has another name now. */
  renamed(qid: Qid, from: string, to: string, ino: bigint): void {
    this.#moved.delete(keyOf(qid, from));
    if (this.#first.get(qid.path) === from) this.#first.set(qid.path, to);
    this.#moved.set(keyOf(qid, to), ino);
    bound(this.#moved);
  }

  /** The name is gone: what gets it next is another file. */
  removed(qid: Qid, name: string): void {
    this.#moved.delete(keyOf(qid, name));
  }

  /** `name` has the number, and collides with another. */
  collides(qid: Qid, name: string): void {
    if (this.#first.has(qid.path)) return;
    this.#first.set(qid.path, name);
    bound(this.#first);
  }
}

function keyOf({ path }: Qid, name: string): string {
  return `${path} ${name}`;
}

function numberOf(key: string): bigint {
  return OURS | (createHash('sha1').update(key).digest().readBigUInt64BE() & (OURS - 1n));
}

/** The longest known goes. */
function bound<K>(map: Map<K, unknown>): void {
  const [oldest] = map.keys();
  if (map.size > MOST && oldest !== undefined) map.delete(oldest);
}
