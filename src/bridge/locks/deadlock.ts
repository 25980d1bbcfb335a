// Finds waits for record locks that would never end (fcntl(2): EDEADLK): the owner that waits has a lock for which, over
// others, the owner of a lock in its way waits itself. Looks at all files of the mount.
// Guarantees: no wait is looked at that is not one now: the tables of locks are read when the question is asked.
// Must not know of waits for locks that other clients have: no message of 9P tells for whom a client waits.

import { LOCK_TYPE, type LockTable, type RecordLock } from '../../common/locktable.ts';
import type { Owner } from './locks.ts';

/** A lock that a thread waits for, and the locks of the file. */
export interface Wait {
  readonly lock: RecordLock;
  readonly table: LockTable;
}

const { WRLCK } = LOCK_TYPE;

/** The locks of other owners that the wait is for. */
function inTheWay({ lock, table }: Wait): RecordLock[] {
  return table
    .within(lock.start, lock.end)
    .filter((held) => held.procId !== lock.procId && (held.kind === WRLCK || lock.kind === WRLCK));
}

/**
 * Two owners of one process are open files (F_OFD_SETLKW). Another thread of it can give such a lock up, so that Linux finds
 * no deadlocks among them.
 */
function sameProcess(one: Owner, other: Owner): boolean {
  return one.pid !== 0 && one.pid === other.pid;
}

/** Whether `wait`, which is one of `owner`'s, can only end after it has ended. */
export function isDeadlock(owner: Owner, wait: Wait, ownerOf: (lock: RecordLock) => Owner | undefined): boolean {
  const seen = new Set<Owner>();
  const found = [{ waiter: owner, waits: [wait] as Iterable<Wait> }];
  for (let at = found.pop(); at !== undefined; at = found.pop()) {
    for (const each of at.waits) {
      for (const held of inTheWay(each)) {
        const holder = ownerOf(held);
        if (holder === undefined || seen.has(holder) || sameProcess(at.waiter, holder)) continue;
        if (holder === owner) return true;
        seen.add(holder);
        found.push({ waiter: holder, waits: holder.waits });
      }
    }
  }
  return false;
}
