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
  /** libfuse lists a directory by its path: any open handle of the node will do for it. */
  readonly #directories = new Map<NodeId, Set<number>>();
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
    if (kind === 'directory') {
      const same = this.#directories.get(held.nodeid);
      if (same === undefined) this.#directories.set(held.nodeid, new Set([this.#last]));
      else same.add(this.#last);
    }
    return this.#last;
  }

  find(number: number): Handle | undefined {
    return this.#open.get(number);
  }

  get(number: number): Handle {
    const handle = this.#open.get(number);
    if (handle === undefined) throw new ErrnoError(errno.EBADF);
    return handle;
  }

  /** An open handle of a directory. */
  directory(nodeid: NodeId): Handle | undefined {
    const [number] = this.#directories.get(nodeid) ?? [];
    return number === undefined ? undefined : this.#open.get(number);
  }

  /** Takes it out; `work` closes it, and after that its node may be forgotten. */
  async remove(number: number, work: (handle: Handle) => unknown): Promise<void> {
    const handle = this.get(number);
    this.#open.delete(number);
    const same = this.#directories.get(handle.held.nodeid);
    if (handle.kind === 'directory' && same?.delete(number) && same.size === 0) {
      this.#directories.delete(handle.held.nodeid);
    }
    try {
      await work(handle);
    } finally {
      this.#names.release(handle.held);
    }
  }
}
