// Waiting for the kernel where it may never answer: what is mounted somewhere may hang, and so does the thread of libuv's pool
// that looks at it.
// Guarantees: the caller goes on in bounded time, and the process can end: Node's own end waits for the pool's threads.

import { within } from '../common/deadline.ts';
import { addon } from './drivers/addon.ts';

/** Ends before libuv's own clean-up, which waits for every thread of the pool. What Node had to write is written by then. */
const leave = (code: number) => addon().exit(code);

let stuck = 0;

/** The work's outcome, or what `late` returns or throws when it has none after `ms`. The work is not ended by that. */
export async function withoutWaiting<T>(work: Promise<T>, ms: number, late: () => T): Promise<T> {
  if (process.platform !== 'linux') return within(work, ms, late);
  if (stuck++ === 0) process.on('exit', leave);
  const settled = () => {
    if (--stuck === 0) process.off('exit', leave);
  };
  work.then(settled, settled);
  return within(work, ms, late);
}
