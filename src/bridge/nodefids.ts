// The fids that reach the nodes: one that is not open for each node and user, walked to when it is asked for.
// Guarantees: a fid that was given to an operation lives until the event loop turns; servers whose table of fids is full get back
// those of the longest unused nodes; where fids are paths, those that may have lost their file are walked to anew.

import type { Fid } from '../client/fids.ts';
import type { Session } from '../client/session.ts';
import type { AbortSignalLike } from '../common/abort.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError, isErrno } from '../common/errors.ts';
import { type Node, ROOT, routeOf } from './node.ts';
import type { Users } from './users.ts';

/** Fewer than this are not worth fighting for. */
const LEAST_FIDS = 64;

export class NodeFids {
  readonly #session: Session;
  readonly #users: Users;
  readonly #isKnown: (node: Node) => boolean;
  /** Nodes that hold fids, the longest unused first: an operation under way has its fids at the other end. */
  readonly #holders = new Set<Node>();
  #latest: Node | undefined;
  /** How many nodes may hold fids, learned from a server that refused one more. */
  #limit = Number.POSITIVE_INFINITY;
  /** Raised when fids that were walked to by path may have lost their file (Dialect.fidsFollowPaths). */
  #epoch = 0;

  constructor(session: Session, users: Users, isKnown: (node: Node) => boolean) {
    this.#session = session;
    this.#users = users;
    this.#isKnown = isKnown;
    session.connection.fids.onShortage = () => this.#shrink();
  }

  /** A directory has another name: all that were walked to by path may have come through it. */
  outdate(): void {
    this.#epoch++;
  }

  /** A fid that was walked to, from now on not the caller's. `replace`: it is better than one that there is. */
  set(node: Node, user: number, fid: Fid, replace: boolean): void {
    if (node.epoch !== this.#epoch) this.drop(node);
    const old = node.fids.get(user);
    if (old !== undefined && !replace) {
      // both reach the file, and the old one may be on its way into somebody's request
      this.#session.calls.clunk(fid);
      return;
    }
    node.fids.set(user, fid);
    if (old !== undefined) this.#retire(old);
    this.#touch(node);
    if (this.#holders.size > this.#limit) this.#evict(this.#limit, node);
  }

  /**
   * Clunks a fid that an operation may just have been given. Who is given one names it in a request before the event
   * loop turns, and that request then keeps it alive until it is over.
   */
  #retire(fid: Fid): void {
    setImmediate(() => this.#session.calls.clunk(fid));
  }

  #touch(node: Node): void {
    if (node === this.#latest) return;
    this.#holders.delete(node);
    this.#holders.add(node);
    this.#latest = node;
  }

  /** The server has no room for more fids: a quarter of ours go, and no more than the rest are kept from now on. */
  #shrink(): boolean {
    const before = this.#holders.size;
    this.#limit = Math.max(LEAST_FIDS, Math.floor(before * 0.75));
    this.#evict(this.#limit, undefined);
    return this.#holders.size < before;
  }

  /** Takes the fids of the longest unused nodes; they are walked to again when they are asked for. */
  #evict(size: number, except: Node | undefined): void {
    for (const node of this.#holders) {
      if (this.#holders.size <= size) return;
      // what has no name any more could not be walked to again
      if (node === except || node.isUnlinked) continue;
      // at once, not retired: they are the longest unused, and somebody waits for the room
      for (const fid of node.fids.values()) this.#session.calls.clunk(fid);
      this.#forget(node);
    }
  }

  /** Those of one node; they are walked to again when they are asked for. */
  drop(node: Node): void {
    for (const fid of node.fids.values()) this.#retire(fid);
    this.#forget(node);
  }

  #forget(node: Node): void {
    node.fids.clear();
    this.#holders.delete(node);
    if (this.#latest === node) this.#latest = undefined;
    node.epoch = this.#epoch;
  }

  /** An unopened fid of the node for one user; walked to when there is none. Not the caller's to clunk. */
  find(node: Node, user: number, signal?: AbortSignalLike): Fid | Promise<Fid> {
    if (node.id === ROOT) return this.#users.root(user, signal);
    const known = node.fids.get(user);
    if (known !== undefined && (node.epoch === this.#epoch || node.isUnlinked)) {
      this.#touch(node);
      return known;
    }
    return this.#walk(node, user, signal);
  }

  async #walk(node: Node, user: number, signal: AbortSignalLike | undefined): Promise<Fid> {
    const route = routeOf(node);
    if (route === undefined) {
      // the name is gone: another user's fid is the only way left to reach the file
      const [other] = node.fids.values();
      if (other !== undefined) return other;
      throw new ErrnoError(errno.ESTALE, 'unlinked');
    }
    const root = await this.#users.root(user, signal);
    let fid: Fid;
    try {
      fid = await this.#session.dialect.walk(root, route, signal);
    } catch (error) {
      // this client has moved it, or what it lies in, while the walk was on its way
      if (isErrno(error, errno.ENOENT, errno.ESTALE) && hasMoved(node, route)) return this.#walk(node, user, signal);
      throw error;
    }
    if (this.#session.dialect.fidsFollowPaths && hasMoved(node, route)) {
      this.#session.calls.clunk(fid);
      return this.#walk(node, user, signal);
    }
    const there = node.fids.get(user);
    if (there !== undefined && node.epoch === this.#epoch) {
      this.#session.calls.clunk(fid);
      return there;
    }
    // nobody would clunk the fid of a node that was forgotten meanwhile
    if (fid.qid.path !== node.stat.qid.path || !this.#isKnown(node)) {
      this.#session.calls.clunk(fid);
      throw new ErrnoError(errno.ESTALE, 'another file has the name now');
    }
    this.set(node, user, fid, false);
    return fid;
  }
}

/** Whether another way leads to it now. */
function hasMoved(node: Node, route: readonly string[]): boolean {
  const now = routeOf(node);
  return now !== undefined && now.join('/') !== route.join('/');
}
