// The unopened fids of nodes, as a cache: for each node and user at most one, of at most so many nodes, the longest unused of
// which give theirs up. A node without one costs nothing, here and at the server.
// Guarantees: a fid is handed out only while it can still mean its file as far as this client knows; one that is clunked while
// somebody has borrowed it leaves when the borrower is done (Fids.hold).
// Must not walk: borrow.ts does, where there is none.

import type { Fid } from '../../client/fids.ts';
import type { Session } from '../../client/session.ts';
import { type Node, ROOT } from '../nodes/node.ts';

/** Nodes that have fids at the most. */
const MOST_NODES = 4096;
/** A server that has no room for this many is asked again and again instead. */
const LEAST_NODES = 64;

interface Ways {
  readonly byUser: Map<number, Fid>;
  /** FidCache.#epoch when the first of them was walked to. */
  readonly epoch: number;
}

export class FidCache {
  readonly #session: Session;
  /** The longest unused first: an operation under way has its fids at the other end. */
  readonly #ways = new Map<Node, Ways>();
  #latest: Node | undefined;
  /** How many nodes may have fids; fewer once a server has refused one more. */
  #limit: number;
  /** Raised when a directory was renamed on a server whose fids may be paths: all may have come through it. */
  #epoch = 0;

  constructor(session: Session, limit = MOST_NODES) {
    this.#session = session;
    this.#limit = limit;
    session.connection.fids.onShortage = () => this.#shrink();
  }

  /** Nodes that have fids. */
  get size(): number {
    return this.#ways.size;
  }

  get(node: Node, user: number): Fid | undefined {
    const ways = this.#usable(node);
    const fid = ways?.byUser.get(user);
    if (fid !== undefined) this.#touch(node, ways as Ways);
    return fid;
  }

  /** Any user's, for a look at the file itself; does not count as use. */
  peek(node: Node): Fid | undefined {
    const [fid] = this.#ways.get(node)?.byUser.values() ?? [];
    return fid;
  }

  /**
   * A fid that was walked to by name just now, from now on the cache's. It takes the place of one that is there where that
   * may have lost its file, or `better` says so.
   */
  found(node: Node, user: number, fid: Fid, better: boolean): void {
    if (node.id === ROOT) {
      this.#session.calls.clunk(fid);
      return;
    }
    let ways = this.#usable(node);
    const old = ways?.byUser.get(user);
    if (old !== undefined && !better && this.#session.fidFacts.sure) {
      this.#session.calls.clunk(fid);
      this.#touch(node, ways as Ways);
      return;
    }
    if (ways === undefined) {
      this.drop(node);
      ways = { byUser: new Map(), epoch: this.#epoch };
    }
    ways.byUser.set(user, fid);
    if (old !== undefined) this.#session.calls.clunk(old);
    this.#touch(node, ways);
    if (this.#ways.size > this.#limit) this.#evict(this.#limit, node);
  }

  /** A name of the node was given or taken: unless fids are known to follow, they may mean another file now. */
  moved(node: Node): void {
    if (!this.#session.fidFacts.sure) this.drop(node);
  }

  /** A directory has another name. */
  outdate(): void {
    if (!this.#session.fidFacts.sure) this.#epoch++;
  }

  /** They are walked to again when they are asked for. */
  drop(node: Node): void {
    const ways = this.#ways.get(node);
    if (ways === undefined) return;
    this.#ways.delete(node);
    if (this.#latest === node) this.#latest = undefined;
    for (const fid of ways.byUser.values()) this.#session.calls.clunk(fid);
  }

  #usable(node: Node): Ways | undefined {
    const ways = this.#ways.get(node);
    return ways === undefined || ways.epoch === this.#epoch ? ways : undefined;
  }

  #touch(node: Node, ways: Ways): void {
    if (node === this.#latest) return;
    this.#ways.delete(node);
    this.#ways.set(node, ways);
    this.#latest = node;
  }

  /** The server has no room for more fids: a quarter of ours go, and no more than the rest are kept from now on. */
  #shrink(): boolean {
    const before = this.#ways.size;
    this.#limit = Math.max(LEAST_NODES, Math.floor(before * 0.75));
    this.#evict(this.#limit, undefined);
    return this.#ways.size < before;
  }

  /** Takes the fids of the longest unused nodes. */
  #evict(size: number, except: Node | undefined): void {
    for (const node of this.#ways.keys()) {
      if (this.#ways.size <= size) return;
      // what has no name any more could not be walked to again
      if (node !== except && node.hasName) this.drop(node);
    }
  }
}
