// Open files and directories: the fh that the kernel holds, and what it stands for, which is not a fid but a node, a user and the
// flags of the open. The open fid is the present way to it: reopen.ts replaces one that may have lost the file.
// Guarantees: a handle's fid is its own and is clunked when it is released.

import type { ListedDirent } from '../../client/dialects/dialect.ts';
import type { Fid } from '../../client/fids.ts';
import type { FileHandle } from '../../common/brand.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import type { Node } from '../nodes/node.ts';
import type { ListingWatch } from './listing.ts';

/** What files and directories have in common; files/reopen.ts writes what is not readonly. */
interface Opened {
  fid: Fid;
  readonly node: Node;
  /** Who opened it. */
  readonly by: RequestContext;
  /** Of Tlopen, without what must not happen twice. */
  readonly flags: number;
  /** The names by which the fid came, joined, and Nodes.moves when they were last the right ones. */
  route: string;
  moves: number;
  /** performance.now() when the fid was last seen to reach the node. */
  checked: number;
}

export interface OpenFile extends Opened {
  readonly kind: 'file';
  /** One request a read, a short answer is an answer (cache.ts). */
  readonly stream: boolean;
  /** The server decides where a write goes. */
  readonly append: boolean;
  /** Opened without O_APPEND, for what a shared mapping of an append-only descriptor writes to its own place. */
  mapped: Fid | undefined;
}

export interface OpenDirectory extends Opened {
  readonly kind: 'directory';
  /** Entries that were read, and the cookie before the first of them. */
  listing: { from: bigint; entries: readonly ListedDirent[] } | undefined;
  /** Of those, the last that the kernel was given: another may have the same cookie. */
  given: ListedDirent | undefined;
  readonly watch: ListingWatch;
}

export class Handles {
  readonly #open = new Map<number, OpenFile | OpenDirectory>();
  #next = 1;

  get size(): number {
    return this.#open.size;
  }

  add(handle: OpenFile | OpenDirectory): FileHandle {
    const fh = this.#next++ as FileHandle;
    this.#open.set(fh, handle);
    if (handle.kind === 'file') handle.node.opened(handle);
    return fh;
  }

  find(fh: FileHandle | undefined): OpenFile | OpenDirectory | undefined {
    return fh === undefined ? undefined : this.#open.get(fh);
  }

  file(fh: FileHandle): OpenFile {
    const handle = this.#open.get(fh);
    if (handle?.kind !== 'file') throw new ErrnoError(errno.EBADF, `fh ${fh}`);
    return handle;
  }

  directory(fh: FileHandle): OpenDirectory {
    const handle = this.#open.get(fh);
    if (handle?.kind !== 'directory') throw new ErrnoError(errno.EBADF, `fh ${fh}`);
    return handle;
  }

  /** Takes it out; its fid is then the caller's to clunk. */
  remove(fh: FileHandle): OpenFile | OpenDirectory {
    const handle = this.#open.get(fh);
    if (handle === undefined) throw new ErrnoError(errno.EBADF, `fh ${fh}`);
    this.#open.delete(fh);
    if (handle.kind === 'file') handle.node.closed(handle);
    return handle;
  }
}
