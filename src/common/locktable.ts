// POSIX record locks on one file: ranges owned by (client_id, proc_id), split, merged and converted as fcntl(2) says.
// Each range remembers the open file through which it was taken, and goes when that is closed. A client whose process
// closes another descriptor of the same file unlocks by itself (Linux does: locks_remove_posix).
// Guarantees: a request is granted whole or changes nothing; the number of ranges is bounded; what stands in the way is found
// without a look at every range, and an owner's name, however long, is compared once for each request.

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
/** A range that is set may leave the two ends of one that was there. */
const MOST_NEW = 2;

/** Whose the ranges of many tables count as, where those are bounded together. */
export interface LockRoom {
  /** False when there is no room for so many more; nothing is counted then. */
  take(count: number): boolean;
  add(count: number): void;
  give(count: number): void;
}

/** One owner, and one object for it in a table. */
interface Owner extends LockOwner {
  ranges: number;
}

interface Held extends RecordLock {
  readonly owner: Owner;
  /** The open file through which it was taken; told apart by identity. */
  readonly file: object;
  readonly room: LockRoom | undefined;
  /** The highest end of this range and all before it in the table: it only grows along the table. */
  reach: bigint;
}

function keyOf({ procId, clientId }: LockOwner): string {
  return `${procId} ${clientId}`;
}

/** The first of `count` things for which `is` is so; it is so for all behind that one. */
function firstOf(count: number, is: (index: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (is(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

export class LockTable {
  /** In the order of their starts. */
  #held: Held[] = [];
  readonly #owners = new Map<string, Owner>();
  /** How many ranges were taken through an open file, if any were. */
  readonly #files = new Map<object, number>();

  get size(): number {
    return this.#held.length;
  }

  /** No room for one more; a set() may need two. */
  get isFull(): boolean {
    return this.#held.length + MOST_NEW > MAX_RANGES;
  }

  /** Whether one more can be set, in the table and in the room that is shared with others. */
  hasRoom(room: LockRoom | undefined): boolean {
    if (this.isFull) return false;
    if (room === undefined) return true;
    if (!room.take(MOST_NEW)) return false;
    room.give(MOST_NEW);
    return true;
  }

  owns(owner: LockOwner): boolean {
    return this.#owners.has(keyOf(owner));
  }

  /** The first range of another owner that stands in the way. */
  conflict(wanted: RecordLock): RecordLock | undefined {
    return this.#conflict(wanted, this.#owners.get(keyOf(wanted)));
  }

  #conflict({ kind, start, end }: RecordLock, owner: Owner | undefined): RecordLock | undefined {
    if (kind === LOCK_TYPE.UNLCK) return undefined;
    for (let at = this.#firstReaching(start); at < this.#held.length; at++) {
      const held = this.#held[at]!;
      if (held.owner === owner) continue;
      if (held.start > end) return undefined;
      if (held.end < start) continue;
      if (held.kind === LOCK_TYPE.WRLCK || kind === LOCK_TYPE.WRLCK) return shown(held);
    }
    return undefined;
  }

  /** Where the first range stands that ends at `start` or behind it. */
  #firstReaching(start: bigint): number {
    return firstOf(this.#held.length, (at) => this.#held[at]!.reach >= start);
  }

  /** Takes, converts or drops a range; one of LOCK_STATUS. `room` is what is counted for it. */
  set(wanted: RecordLock, file: object, room?: LockRoom): number {
    const known = this.#owners.get(keyOf(wanted));
    if (this.#conflict(wanted, known) !== undefined) return LOCK_STATUS.BLOCKED;
    const takes = wanted.kind !== LOCK_TYPE.UNLCK;
    // ENOLCK, to the client
    if (takes && !this.hasRoom(room)) return LOCK_STATUS.ERROR;
    if (known === undefined && !takes) return LOCK_STATUS.SUCCESS;
    const { procId, clientId } = wanted;
    this.#replace(wanted, known ?? { procId, clientId, ranges: 0 }, file, room);
    return LOCK_STATUS.SUCCESS;
  }

  #replace({ kind, start, end }: RecordLock, owner: Owner, file: object, room: LockRoom | undefined): void {
    // what only touches the range may become one with it
    const from = this.#firstReaching(start - 1n);
    const to = firstOf(this.#held.length, (at) => this.#held[at]!.start > end + 1n);
    const gone: Held[] = [];
    const next: Held[] = [];
    const taken = { kind, start, end };
    for (let at = from; at < to; at++) {
      const held = this.#held[at]!;
      const touches = held.owner === owner && held.end >= start - 1n;
      if (touches && held.kind === kind && held.file === file) {
        gone.push(held);
        if (held.start < taken.start) taken.start = held.start;
        if (held.end > taken.end) taken.end = held.end;
      } else if (touches && held.end >= start && held.start <= end) {
        gone.push(held);
        if (held.start < start) next.push({ ...held, end: start - 1n });
        if (held.end > end) next.push({ ...held, start: end + 1n });
      } else {
        next.push(held);
      }
    }
    const { procId, clientId } = owner;
    if (kind !== LOCK_TYPE.UNLCK) next.push({ ...taken, procId, clientId, owner, file, room, reach: 0n });
    next.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
    const kept = new Set(this.#held.slice(from, to));
    for (const held of gone) this.#uncount(held);
    for (const held of next) if (!kept.has(held)) this.#count(held);
    this.#held.splice(from, to - from, ...next);
    this.#reachFrom(from, from + next.length);
  }

  #count({ owner, file, room }: Held): void {
    if (owner.ranges++ === 0) this.#owners.set(keyOf(owner), owner);
    this.#files.set(file, (this.#files.get(file) ?? 0) + 1);
    room?.add(1);
  }

  #uncount({ owner, file, room }: Held): void {
    if (--owner.ranges === 0) this.#owners.delete(keyOf(owner));
    const left = (this.#files.get(file) ?? 0) - 1;
    if (left > 0) this.#files.set(file, left);
    else this.#files.delete(file);
    room?.give(1);
  }

  /** Sets how far the ranges reach: from one of them on, up to `to` at the least, and on while that changes anything. */
  #reachFrom(from: number, to: number): void {
    let reach = from === 0 ? -1n : this.#held[from - 1]!.reach;
    for (let at = from; at < this.#held.length; at++) {
      const held = this.#held[at]!;
      if (held.end > reach) reach = held.end;
      if (at >= to && held.reach === reach) return;
      held.reach = reach;
    }
  }

  /** The ranges that any owner holds in `start` to `end`. */
  within(start: bigint, end: bigint): readonly RecordLock[] {
    const found: RecordLock[] = [];
    for (let at = this.#firstReaching(start); at < this.#held.length; at++) {
      const held = this.#held[at]!;
      if (held.start > end) break;
      if (held.end >= start) found.push(shown(held));
    }
    return found;
  }

  /** The file is being closed; returns the ranges that went with it. */
  drop(file: object): RecordLock[] {
    if (!this.#files.has(file)) return [];
    const dropped = this.#held.filter((held) => held.file === file);
    this.#held = this.#held.filter((held) => held.file !== file);
    for (const held of dropped) this.#uncount(held);
    this.#reachFrom(0, this.#held.length);
    return dropped.map(shown);
  }
}

function shown({ kind, start, end, procId, clientId }: Held): RecordLock {
  return { kind, start, end, procId, clientId };
}
