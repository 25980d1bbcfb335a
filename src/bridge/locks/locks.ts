// Who asks for record locks: an owner of the kernel's (one a process, or one an open file description for OFD locks) has a
// number here. Also what is known of the server's locks, and the name by which it knows this host.
// Guarantees: one number for an owner as long as it may hold something, and never two owners with one.

import { randomInt } from 'node:crypto';
import { hostname } from 'node:os';
import type { LockOwner, LockTable } from '../../common/locktable.ts';
import { isDeadlock, type Wait } from './deadlock.ts';

const LAST = 0x7fff_ffff;

/** A file as far as its locks go: a node. */
export interface LockedFile {
  readonly locks?: { readonly table: LockTable } | undefined;
}

export interface Owner extends LockOwner {
  /** The process that last asked for a lock; F_GETLK shows it to others here. 0: the kernel does not know it. */
  pid: number;
  /** On which files it may have some. */
  readonly nodes: Set<LockedFile>;
  /** Requests under way, of all its threads: what they get is its own. */
  asking: number;
  /** What its threads wait for. */
  readonly waits: Set<Wait>;
}

export class Locks {
  /** nfs-ganesha looks it up, and refuses what is no host's name. */
  readonly clientId = hostname();
  /**
   * The proc_id of this mount. It begins at random, so that another mount of this host, or one that crashed and whose locks
   * are still being cleared away, is somebody else.
   */
  readonly procId = randomInt(1, LAST);
  /**
   * Whether the server keeps ranges apart, or has one lock a file (diod: flock(2) under Tlock); undefined until it was seen.
   */
  keepsRanges: boolean | undefined;
  readonly #owners = new Map<bigint, Owner>();
  readonly #byNumber = new Map<number, Owner>();
  #next = 0;

  /** How many may hold something. */
  get size(): number {
    return this.#owners.size;
  }

  find(key: bigint): Owner | undefined {
    return this.#owners.get(key);
  }

  /** For a request; until answered(). */
  asks(key: bigint, pid: number): Owner {
    let owner = this.#owners.get(key);
    if (owner === undefined) {
      do this.#next = (this.#next % LAST) + 1;
      while (this.#byNumber.has(this.#next));
      owner = { clientId: '', procId: this.#next, pid, nodes: new Set(), asking: 0, waits: new Set() };
      this.#owners.set(key, owner);
      this.#byNumber.set(owner.procId, owner);
    }
    // with questions and unlocks the kernel names no process
    if (pid !== 0) owner.pid = pid;
    owner.asking++;
    return owner;
  }

  pidOf({ procId }: LockOwner): number {
    return this.#byNumber.get(procId)?.pid ?? 0;
  }

  /** Whether this wait, one of the owner's, would never end. */
  isDeadlock(owner: Owner, wait: Wait): boolean {
    return isDeadlock(owner, wait, ({ procId }) => this.#byNumber.get(procId));
  }

  /** The request is over. */
  answered(key: bigint): void {
    const owner = this.#owners.get(key);
    if (owner === undefined) return;
    owner.asking--;
    this.settle(key);
  }

  /** Forgets an owner that holds nothing any more, and asks for nothing. */
  settle(key: bigint): void {
    const owner = this.#owners.get(key);
    if (owner === undefined || owner.asking > 0) return;
    for (const node of owner.nodes) if (node.locks?.table.owns(owner) !== true) owner.nodes.delete(node);
    if (owner.nodes.size > 0) return;
    this.#owners.delete(key);
    this.#byNumber.delete(owner.procId);
  }

  /** Settles all owners that had locks on a file, some of which have ended with a descriptor. */
  settleOn(node: LockedFile): void {
    for (const [key, owner] of this.#owners) if (owner.nodes.has(node)) this.settle(key);
  }
}
