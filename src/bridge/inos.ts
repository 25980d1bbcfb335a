// The numbers that stat shows of files (st_ino): the server's qid.path, and where several files have the same one, a number of its
// own for each but the first.
// Guarantees: of files that are known to collide a name keeps its number however often it is forgotten and found again, in
// whatever order; bounded, beyond which the longest known collision may have its first number go to another name.

import { createHash } from 'node:crypto';
import type { Qid } from '../wire/p9/types.ts';
import { inoOf } from './attrs.ts';

const MOST = 65536;
/** Above what servers give out, and positive where a program takes it for signed. */
const OURS = 1n << 62n;

export class Inos {
  /** Of each qid.path that collides: the name that has it for its number. */
  readonly #first = new Map<bigint, string>();

  /** For a file that is new here. `name` is its path. */
  of(qid: Qid, name: () => string, collides: boolean): bigint {
    const first = this.#first.get(qid.path);
    if (first === undefined && !collides) return inoOf(qid);
    const path = name();
    if (first === path) return inoOf(qid);
    return OURS | (createHash('sha1').update(`${qid.path} ${path}`).digest().readBigUInt64BE() & (OURS - 1n));
  }

  /** `name` has the number, and collides with another. */
  collides(qid: Qid, name: string): void {
    if (this.#first.has(qid.path)) return;
    if (this.#first.size >= MOST) {
      const [oldest] = this.#first.keys();
      if (oldest !== undefined) this.#first.delete(oldest);
    }
    this.#first.set(qid.path, name);
  }
}
