// The numbers by which libfuse knows open files and directories, and what they stand for. An open file keeps its node, so that
// it goes on working whatever becomes of its name.

import type { FileHandle, NodeId } from '../../../common/brand.ts';
import { errno } from '../../../common/errno.ts';
import { ErrnoError } from '../../../common/errors.ts';
import type { Held, Names } from './names.ts';

export interface Handle {
  readonly held: Held;
  readonly fh: FileHandle;
  readonly kind: 'file' | 'directory';
  /** As it was opened with, in Linux's numbers. */
  readonly flags: number;
}

/** int32 in the addon, and 0 means none. */
const HIGHEST = 2 ** 31 - 1;

export class Handles {
  readonly #names: Names;
  readonly #open = new Map<number, Handle>();
  readonly #ofNode = new Map<NodeId, Set<number>>();
  #last = 0;

  constructor(names: Names) {
    this.#names = names;
  }

  get size(): number {
    return this.#open.size;
  }

  add(held: Held, fh: FileHandle, kind: Handle['kind'], flags: number): number {
    do this.#last = (this.#last % HIGHEST) + 1;
    while (this.#open.has(this.#last));
    this.#open.set(this.#last, { held: this.#names.hold(held), fh, kind, flags });
    const same = this.#ofNode.get(held.nodeid);
    if (same === undefined) this.#ofNode.set(held.nodeid, new Set([this.#last]));
    else same.add(this.#last);
    return this.#last;
  }

  get(number: number): Handle {
    const handle = this.#open.get(number);
    if (handle === undefined) throw new ErrnoError(errno.EBADF);
    return handle;
  }

  /** libfuse lists a directory by its path: any open handle of the node will do for it. */
  directory(nodeid: NodeId): Handle | undefined {
    const [number] = this.#ofNode.get(nodeid) ?? [];
    return number === undefined ? undefined : this.#open.get(number);
  }

  isOpen(nodeid: NodeId): boolean {
    return this.#ofNode.has(nodeid);
  }

  /** Takes it out; `work` closes it, and after that its node may be forgotten. */
  async remove(number: number, work: (handle: Handle) => unknown): Promise<void> {
    const handle = this.get(number);
    this.#open.delete(number);
    const same = this.#ofNode.get(handle.held.nodeid);
    if (same?.delete(number) && same.size === 0) this.#ofNode.delete(handle.held.nodeid);
    try {
      await work(handle);
    } finally {
      this.#names.release(handle.held);
    }
  }
}
