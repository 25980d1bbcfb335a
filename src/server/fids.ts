// The fids of one session: number -> node and what is open on it.
// Guarantees: a fid that is removed while requests use it is dead for new ones at once and lets go of its node and file when
// the last of them ends; a number that a running Twalk or Tattach is to make cannot be given out twice; how many
// fids, open files and xattr values there are is bounded, by what their tenant may have.

import { errno } from '../common/errno.ts';
import type { Dirent } from '../wire/p9/types.ts';
import type { Place, Places } from './places.ts';
import { refuse } from './refuse.ts';
import type { Route } from './routes.ts';
import { inSlices, type Steps } from './slices.ts';
import type { Tenant } from './tenants.ts';
import type { OpenFile, TreeNode, User } from './tree.ts';
import { after, isPromise } from './tree.ts';

/** Values of up to 64 KiB each that a peer can make us hold. */
const MAX_XATTR_FIDS = 256;

/** How far a directory has been read, in the dialects that have offsets in bytes. */
export interface Listing {
  /** The only one that may be asked for, beside 0. */
  offset: number;
  /** Of the last entry that was taken from the tree. */
  cookie: bigint;
  /** Taken, and not sent yet. */
  ahead: readonly Dirent[];
}

export interface OpenFid {
  readonly kind: 'open';
  /** What reads, writes and the like go to. */
  readonly file: OpenFile;
  /** What the tree gave; the same file, unless the server behaves like another (opened.ts). */
  readonly own: OpenFile;
  readonly flags: number;
  /** Of a directory that is read as stats. */
  readonly listing?: Listing;
}

export type FidState =
  | { readonly kind: 'walked' }
  /** A Tlopen or Tlcreate is running. */
  | { readonly kind: 'opening' }
  | OpenFid
  | { readonly kind: 'xattr read'; readonly value: Uint8Array }
  /** `filled` bytes of `value` have been written; the clunk commits them. */
  | {
      readonly kind: 'xattr write';
      readonly name: string;
      readonly value: Buffer;
      readonly flags: number;
      filled: number;
    };

const WALKED: FidState = { kind: 'walked' };

export class Fid {
  readonly number: number;
  readonly user: User;
  /** The file to which it was walked, or on which it is open. */
  node: TreeNode;
  /** Where that stands, of a fid that follows it. */
  place: Place | undefined;
  /** Of a fid that is a path. With it the fid has a reference to the root of the route. */
  route: Route | undefined;
  state: FidState;
  /** What is to happen when the file has been closed. */
  atClunk: (() => void | Promise<void>) | undefined;
  /** Requests that use it now. */
  uses = 0;
  /** No longer in the table. */
  removed = false;

  /** Takes over the references to node and place. */
  constructor(
    number: number,
    user: User,
    node: TreeNode,
    place: Place | undefined,
    route: Route | undefined,
    state: FidState = WALKED,
  ) {
    this.number = number;
    this.user = user;
    this.node = node;
    this.place = place;
    this.route = route;
    this.state = state;
    route?.root.retain();
  }
}

export class FidTable {
  readonly #fids = new Map<number, Fid>();
  readonly #reserved = new Set<number>();
  readonly #places: Places;
  readonly #lateError: (fid: Fid, error: unknown) => void;
  /** Whose they are; given before there are any. */
  tenant: Tenant | undefined;
  #xattrs = 0;

  /** `lateError` hears of a close that failed when no request was left to say so. */
  constructor(places: Places, lateError: (fid: Fid, error: unknown) => void) {
    this.#places = places;
    this.#lateError = lateError;
  }

  get size(): number {
    return this.#fids.size;
  }

  get(number: number): Fid {
    return this.#fids.get(number) ?? refuse(errno.EBADF);
  }

  find(number: number): Fid | undefined {
    return this.#fids.get(number);
  }

  /** Holds a number for a fid that is being made; add() or cancel() follows. */
  reserve(number: number): void {
    if (this.#fids.has(number) || this.#reserved.has(number)) refuse(errno.EINVAL);
    if (this.tenant?.fids.take() !== true) refuse(errno.EMFILE);
    this.#reserved.add(number);
  }

  cancel(number: number): void {
    if (this.#reserved.delete(number)) this.tenant?.fids.give();
  }

  /** Enters a fid; its number was reserved, or is that of a fid just removed. */
  add(fid: Fid): void {
    if (!this.#reserved.delete(fid.number)) this.tenant?.fids.add();
    this.#fids.set(fid.number, fid);
  }

  /** Counts one more xattr value in a fid; it is counted off when that fid ends. */
  countXattr(bytes: number): void {
    if (this.#xattrs >= MAX_XATTR_FIDS || this.tenant?.bytes.take(bytes) !== true) refuse(errno.ENOSPC);
    this.#xattrs++;
  }

  /** Counts one more open file; it is counted off when its fid ends, or by uncountFile() where it comes to none. */
  countFile(): void {
    if (this.tenant?.files.take() !== true) refuse(errno.EMFILE);
  }

  uncountFile(): void {
    this.tenant?.files.give();
  }

  /** Takes the fid out of the table. What it holds is let go by destroy(), or by the last use that ends. */
  remove(number: number): Fid {
    const fid = this.get(number);
    this.#fids.delete(number);
    fid.removed = true;
    return fid;
  }

  /** A request that used the fid has ended. */
  unuse(fid: Fid): void {
    if (--fid.uses > 0 || !fid.removed) return;
    const report = (error: unknown) => this.#lateError(fid, error);
    try {
      const closing = this.destroy(fid);
      if (isPromise(closing)) closing.catch(report);
    } catch (error) {
      report(error);
    }
  }

  /** Closes what is open and gives the node back, also when closing fails. The fid is out of the table and unused. */
  destroy(fid: Fid): void | Promise<void> {
    const { state } = fid;
    fid.state = WALKED;
    if (state.kind === 'xattr read' || state.kind === 'xattr write') {
      this.#xattrs--;
      this.tenant?.bytes.give(state.value.length);
    }
    if (state.kind === 'open') this.uncountFile();
    let closing: void | Promise<void>;
    try {
      closing = state.kind === 'open' ? state.file.close() : undefined;
      if (fid.atClunk !== undefined) closing = after(closing, fid.atClunk);
    } catch (error) {
      this.#letGo(fid);
      throw error;
    }
    if (isPromise(closing)) return closing.finally(() => this.#letGo(fid));
    this.#letGo(fid);
  }

  #letGo(fid: Fid): void {
    this.#places.release(fid.place);
    fid.place = undefined;
    fid.node.release();
    fid.route?.root.release();
    this.tenant?.fids.give();
  }

  /** The end of the session; no request runs any more. */
  clear(): Promise<void> {
    return inSlices(this.#ends());
  }

  *#ends(): Steps {
    for (const number of this.#fids.keys()) {
      const fid = this.remove(number);
      const report = (error: unknown) => this.#lateError(fid, error);
      try {
        const closing = this.destroy(fid);
        yield isPromise(closing) ? closing.catch(report) : undefined;
      } catch (error) {
        report(error);
      }
    }
  }
}
