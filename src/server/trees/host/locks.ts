// Record locks on one file of the host: between 9P clients by our own table, against programs of this machine by the
// kernel. Each owner of locks gets an open file description of its own, on which its ranges are mirrored as open file
// description locks (fcntl(2)): those belong to the description and not to the process, which is one for all owners.
// Guarantees: what is granted holds in both; an owner without ranges has no description open.

import { errno } from '../../../common/errno.ts';
import { LockTable } from '../../../common/locktable.ts';
import { LOCK_STATUS, LOCK_TYPE, OPEN } from '../../../wire/p9/constants.ts';
import { LOCK_EOF, type LockOwner, type OpenFile, type RecordLock } from '../../tree.ts';
import { check, type Syscalls } from './syscalls.ts';

/** How a lock's owner on this machine is called to clients. */
const HOST = 'host';

function keyOf({ clientId, procId }: LockOwner): string {
  return `${procId} ${clientId}`;
}

export class HostLocks {
  readonly #sys: Syscalls;
  readonly #node: { readonly fd: number };
  readonly #table = new LockTable();
  readonly #descriptions = new Map<string, number>();

  constructor(sys: Syscalls, node: { readonly fd: number }) {
    this.#sys = sys;
    this.#node = node;
  }

  set(wanted: RecordLock, file: OpenFile): number {
    if (this.#table.conflict(wanted) !== undefined) return LOCK_STATUS.BLOCKED;
    if (wanted.kind !== LOCK_TYPE.UNLCK && this.#table.isFull) return LOCK_STATUS.ERROR;
    const fd = this.#description(wanted);
    const result = this.#sys.lock(fd, wanted.kind, wanted.start, wanted.end);
    const status = result < 0 ? statusOf(-result) : this.#table.set(wanted, file);
    this.#closeUnused(wanted);
    return status;
  }

  conflict(wanted: RecordLock): RecordLock | undefined {
    const ours = this.#table.conflict(wanted);
    if (ours !== undefined) return ours;
    const out = new Float64Array(4);
    const fd = this.#description(wanted);
    const found = this.#sys.getlock(fd, wanted.kind, wanted.start, wanted.end, out);
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
      const fd = this.#descriptions.get(keyOf(range));
      if (fd === undefined) continue;
      this.#sys.lock(fd, LOCK_TYPE.UNLCK, range.start, range.end);
      this.#closeUnused(range);
    }
  }

  /** Open for writing where that is possible, since a write lock needs it. */
  #description(owner: LockOwner): number {
    const key = keyOf(owner);
    const known = this.#descriptions.get(key);
    if (known !== undefined) return known;
    let fd = this.#sys.reopen(this.#node.fd, OPEN.RDWR | OPEN.NONBLOCK);
    if (fd < 0) fd = check(this.#sys.reopen(this.#node.fd, OPEN.RDONLY | OPEN.NONBLOCK));
    this.#descriptions.set(key, fd);
    return fd;
  }

  #closeUnused(owner: LockOwner): void {
    if (this.#table.owns(owner)) return;
    const key = keyOf(owner);
    const fd = this.#descriptions.get(key);
    this.#descriptions.delete(key);
    if (fd !== undefined) this.#sys.close(fd);
  }
}

function statusOf(number: number): number {
  return number === errno.EAGAIN || number === errno.EACCES ? LOCK_STATUS.BLOCKED : LOCK_STATUS.ERROR;
}
