// Record locks on one file of the host: between 9P clients by our own table, against programs of this machine by the
// kernel. Each owner of locks gets an open file description of its own, on which its ranges are mirrored as open file
// description locks (fcntl(2)): those belong to the description and not to the process, which is one for all owners.
// Guarantees: what is granted holds in both; an owner without ranges has no description open; how many ranges and
// descriptions there are is bounded for each user.

import { errno } from '../../../common/errno.ts';
import { LockTable } from '../../../common/locktable.ts';
import { LOCK_STATUS, LOCK_TYPE, OPEN } from '../../../wire/p9/constants.ts';
import type { Holding } from '../../stock.ts';
import { LOCK_EOF, type LockOwner, type OpenFile, type RecordLock, type User } from '../../tree.ts';
import { check } from './syscalls.ts';
import type { Volume } from './volume.ts';

/** How a lock's owner on this machine is called to clients. */
const HOST = 'host';

function keyOf({ clientId, procId }: LockOwner): string {
  return `${procId} ${clientId}`;
}

interface Description {
  readonly fd: number;
  /** What it counts as. */
  readonly room: Holding;
}

export class HostLocks {
  readonly #volume: Volume;
  readonly #node: { readonly fd: number };
  readonly #table = new LockTable();
  readonly #descriptions = new Map<string, Description>();

  constructor(volume: Volume, node: { readonly fd: number }) {
    this.#volume = volume;
    this.#node = node;
  }

  set(wanted: RecordLock, file: OpenFile, user: User): number {
    const { sys, lockRanges } = this.#volume;
    if (this.#table.conflict(wanted) !== undefined) return LOCK_STATUS.BLOCKED;
    const room = lockRanges.of(user);
    if (wanted.kind === LOCK_TYPE.UNLCK) {
      if (!this.#table.owns(wanted)) return LOCK_STATUS.SUCCESS;
    } else if (!this.#table.hasRoom(room)) {
      return LOCK_STATUS.ERROR;
    }
    const fd = this.#description(wanted, user);
    if (fd === undefined) return LOCK_STATUS.ERROR;
    const result = sys.lock(fd, wanted.kind, wanted.start, wanted.end);
    const status = result < 0 ? statusOf(-result) : this.#table.set(wanted, file, room);
    this.#closeUnused(wanted);
    return status;
  }

  conflict(wanted: RecordLock, user: User): RecordLock | undefined {
    const ours = this.#table.conflict(wanted);
    if (ours !== undefined) return ours;
    const out = new Float64Array(4);
    const fd = this.#description(wanted, user) ?? check(-errno.ENOLCK);
    const found = this.#volume.sys.getlock(fd, wanted.kind, wanted.start, wanted.end, out);
    this.#closeUnused(wanted);
    if (check(found) === 0) return undefined;
    const [kind = 0, from = 0, length = 0, pid = 0] = out;
    const start = BigInt(from);
    const end = length === 0 ? LOCK_EOF : start + BigInt(length) - 1n;
    // a description lock has no process: the kernel says -1
    return { kind, start, end, procId: Math.max(pid, 0), clientId: HOST };
  }

  drop(file: OpenFile): void {
    for (const range of this.#table.drop(file)) {
      const description = this.#descriptions.get(keyOf(range));
      if (description === undefined) continue;
      this.#volume.sys.lock(description.fd, LOCK_TYPE.UNLCK, range.start, range.end);
      this.#closeUnused(range);
    }
  }

  /** Open for writing where that is possible, since a write lock needs it; undefined where the user has too many. */
  #description(owner: LockOwner, user: User): number | undefined {
    const key = keyOf(owner);
    const known = this.#descriptions.get(key);
    if (known !== undefined) return known.fd;
    const { sys, lockOwners } = this.#volume;
    const room = lockOwners.of(user);
    if (!room.take()) return undefined;
    const open = (flags: number) => this.#volume.opening(() => sys.reopen(this.#node.fd, flags | OPEN.NONBLOCK));
    let fd = open(OPEN.RDWR);
    if (fd < 0) fd = open(OPEN.RDONLY);
    if (fd < 0) {
      room.give();
      return check(fd);
    }
    this.#volume.uses(1);
    this.#descriptions.set(key, { fd, room });
    return fd;
  }

  #closeUnused(owner: LockOwner): void {
    if (this.#table.owns(owner)) return;
    const key = keyOf(owner);
    const description = this.#descriptions.get(key);
    if (description === undefined) return;
    this.#descriptions.delete(key);
    this.#volume.sys.close(description.fd);
    this.#volume.uses(-1);
    description.room.give();
  }
}

function statusOf(number: number): number {
  return number === errno.EAGAIN || number === errno.EACCES ? LOCK_STATUS.BLOCKED : LOCK_STATUS.ERROR;
}
