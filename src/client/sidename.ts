// Names for files that are only waiting to go: moved out of the way of another, or open after their name was removed.

import { randomBytes } from 'node:crypto';

const PREFIX = '.ninefs-';

/** A name that nobody else has, hidden from an ordinary listing. */
export function sideName(): string {
  return PREFIX + randomBytes(8).toString('hex');
}
