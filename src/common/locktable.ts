// POSIX record locks on one file: ranges owned by (client_id, proc_id), split, merged and converted as fcntl(2) says.
// Each range remembers the open file through which it was taken, and goes when that is closed. A client whose process
// closes another descriptor of the same file unlocks by itself (Linux does: locks_remove_posix).
// Guarantees: a request is granted whole or changes nothing; the number of ranges is bounded.

/** As fcntl(2) has them, and FUSE and 9P2000.L after it. */
export const LOCK_TYPE = { RDLCK: 0, WRLCK: 1, UNLCK: 2 } as const;
/** What Rlock says. */
export const LOCK_STATUS = { SUCCESS: 0, BLOCKED: 1, ERROR: 2, GRACE: 3 } as const;
/** The end of a range that reaches to the end of the file, whatever that will be. */
export const LOCK_EOF = 0x7fff_ffff_ffff_ffffn;

/** A record lock's owner, as the client names it: a server sees no process. */
export interface LockOwner {
  readonly clientId: string;
  readonly procId: number;
}

/** A record lock: `end` is inclusive, LOCK_EOF for "to the end of the file and beyond". kind is one of LOCK_TYPE. */
export interface RecordLock extends LockOwner {
  kind: number;
  start: bigint;
  end: bigint;
}

const MAX_RANGES = 2048;

interface Held extends RecordLock {
  /** The open file through which it was taken; told apart by identity. */
  readonly file: object;
}

function sameOwner(a: LockOwner, b: LockOwner): boolean {
  return a.procId === b.procId && a.clientId === b.clientId;
}

/** Whether the two could be one range. */
function joins(a: Held, b: Held): boolean {
  return a.kind === b.kind && a.file === b.file && a.start <= b.end + 1n && b.start <= a.end + 1n && sameOwner(a, b);
}

export class LockTable {
  #held: Held[] = [];

  get size(): number {
    return this.#held.length;
  }

  /** No room for one more; a set() may need two. */
  get isFull(): boolean {
    return this.#held.length + 2 > MAX_RANGES;
  }

  owns(owner: LockOwner): boolean {
    return this.#held.some((held) => sameOwner(held, owner));
  }

  /** The first range of another owner that stands in the way. */
  conflict(wanted: RecordLock): RecordLock | undefined {
    if (wanted.kind === LOCK_TYPE.UNLCK) return undefined;
    let first: Held | undefined;
    for (const held of this.#held) {
      if (held.start > wanted.end || held.end < wanted.start || sameOwner(held, wanted)) continue;
      if (held.kind === LOCK_TYPE.RDLCK && wanted.kind === LOCK_TYPE.RDLCK) continue;
      if (first === undefined || held.start < first.start) first = held;
    }
    return first;
  }

  /** Takes, converts or drops a range; one of LOCK_STATUS. */
  set(wanted: RecordLock, file: object): number {
    if (this.conflict(wanted) !== undefined) return LOCK_STATUS.BLOCKED;
    // ENOLCK, to the client
    if (wanted.kind !== LOCK_TYPE.UNLCK && this.isFull) return LOCK_STATUS.ERROR;
    const next: Held[] = [];
    for (const held of this.#held) {
      if (held.start > wanted.end || held.end < wanted.start || !sameOwner(held, wanted)) {
        next.push(held);
        continue;
      }
      if (held.start < wanted.start) next.push({ ...held, end: wanted.start - 1n });
      if (held.end > wanted.end) next.push({ ...held, start: wanted.end + 1n });
    }
    if (wanted.kind !== LOCK_TYPE.UNLCK) {
      let taken: Held = { ...wanted, file };
      for (let i = next.length - 1; i >= 0; i--) {
        const held = next[i]!;
        if (!joins(held, taken)) continue;
        taken = {
          ...taken,
          start: held.start < taken.start ? held.start : taken.start,
          end: held.end > taken.end ? held.end : taken.end,
        };
        next.splice(i, 1);
      }
      next.push(taken);
    }
    this.#held = next;
    return LOCK_STATUS.SUCCESS;
  }

  /** The ranges that any owner holds in `start` to `end`. */
  within(start: bigint, end: bigint): readonly RecordLock[] {
    return this.#held.filter((held) => held.start <= end && held.end >= start);
  }

  /** The file is being closed; returns the ranges that went with it. */
  drop(file: object): RecordLock[] {
    const dropped = this.#held.filter((held) => held.file === file);
    if (dropped.length > 0) this.#held = this.#held.filter((held) => held.file !== file);
    return dropped;
  }
}
