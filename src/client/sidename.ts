// Names for files that are only waiting to go: moved out of the way of another, or open after their name was removed.

import { randomBytes } from 'node:crypto';

const PREFIX = '.ninefs-';

/** A name that nobody else has, hidden from an ordinary listing. */
export function sideName(): string {
  return PREFIX + randomBytes(8).toString('hex');
}

/** Such names of one mount, by which it knows them again: also in a listing that is older than their end. */
export class SideNames {
  readonly #prefix = PREFIX + randomBytes(5).toString('hex');
  #count = 0;

  next(): string {
    return this.#prefix + (this.#count++).toString(16).padStart(6, '0');
  }

  has(name: string): boolean {
    return name.startsWith(this.#prefix);
  }
}
