// The files that the kernel knows: node ids, their lookup counts, where they lie in the tree, and the fids that reach
// them for each user. One file has one node, by whatever name it was found (attrs.ts, sameFile).
// Guarantees: a node id is never used for a second file, so generations are not needed; a node lives while the kernel
// counts lookups of it or a child of it is known; its fids are clunked when it dies.

import type { FileStat } from '../client/dialects/dialect.ts';
import type { Fid } from '../client/fids.ts';
import type { Session } from '../client/session.ts';
import type { AbortSignalLike } from '../common/abort.ts';
import type { NodeId } from '../common/brand.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError } from '../common/errors.ts';
import { ROOT_ID } from '../wire/fuse/constants.ts';
import type { Qid } from '../wire/p9/types.ts';
import type { DefaultAcl } from './acls.ts';
import type { Aside } from './asides.ts';
import { inoOf } from './attrs.ts';
import { Inos } from './inos.ts';
import type { NodeLocks } from './nodelocks.ts';
import { alike, linked, type Verdict } from './sameness.ts';
import type { Users } from './users.ts';

interface Place {
  parent: Node;
  name: string;
}

export class Node {
  readonly id: NodeId;
  /** What stat shows: the qid's path, or where that collides a number of the file's own. */
  readonly ino: bigint;
  /** As last seen. */
  stat: FileStat;
  /** The server counts links; some do not, and show none at any time. */
  readonly hasCount: boolean;
  /** The file as it was when the kernel's pages of it were last known to be right. */
  pagesOf: FileStat | undefined;
  /** Was made here, or has shown a length: no synthetic file, which shows none and has content all the same. */
  plain = false;
  /** performance.now() until which it is known to have no security.capability. */
  incapableUntil = 0;
  /** Of a directory, with posixacl. */
  defaultAcl: DefaultAcl | undefined;
  nlookup = 0;
  /** Where it is linked, as far as is known, the place that was seen last first; empty for the root and for what was unlinked. */
  places: Place[] = [];
  /** Known children by name. */
  readonly names = new Map<string, Node>();
  /** An unopened fid for each user. */
  readonly fids = new Map<number, Fid>();
  /** Nodes.epoch when the fids were walked to. */
  epoch = 0;
  /** The record locks on it, while it is open and somebody has asked for one. */
  locks: NodeLocks | undefined;
  /** Its name was removed while it was open, and it has a hidden one until it is closed (asides.ts). */
  aside: Aside | undefined;
  /** Open files, for what must be asked through them once the name is gone. */
  readonly opens = new Set<{ fid: Fid }>();

  constructor(id: NodeId, stat: FileStat, ino = inoOf(stat.qid)) {
    this.id = id;
    this.ino = ino;
    this.stat = stat;
    this.hasCount = stat.nlink > 0;
  }

  /** Somebody else has removed it, or put another file in its place. */
  get isRemoved(): boolean {
    return this.hasCount && this.stat.nlink === 0 && !this.isUnlinked && this.aside === undefined;
  }

  get isUnlinked(): boolean {
    return this.places.length === 0 && this.id !== ROOT;
  }
}

export const ROOT = ROOT_ID as NodeId;
/** Fewer than this are not worth fighting for. */
const LEAST_FIDS = 64;

export class Nodes {
  readonly #session: Session;
  readonly #users: Users;
  readonly #byId = new Map<number, Node>();
  readonly #byPath = new Map<bigint, Set<Node>>();
  readonly #inos = new Inos();
  readonly root: Node;
  #nextId = 2;
  /** Nodes that hold fids, the longest unused first: an operation under way has its fids at the other end. */
  readonly #holders = new Set<Node>();
  #latest: Node | undefined;
  /** How many nodes may hold fids, learned from a server that refused one more. */
  #limit = Number.POSITIVE_INFINITY;
  /** Raised when fids that were walked to by path may have lost their file (Dialect.fidsFollowPaths). */
  #epoch = 0;
  /** How often this client has given a file another name: a fid that was on its way then may have missed it. */
  moves = 0;

  constructor(session: Session, users: Users, rootStat: FileStat) {
    this.#session = session;
    this.#users = users;
    this.root = new Node(ROOT, rootStat);
    this.root.nlookup = 1;
    this.#index(this.root);
    session.connection.fids.onShortage = () => this.#shrink();
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: NodeId): Node {
    const node = this.#byId.get(id);
    if (node === undefined) throw new ErrnoError(errno.ESTALE, `node ${id}`);
    return node;
  }

  /** The path from the root, for logs. */
  pathOf(node: Node): string {
    const names = this.routeOf(node);
    return names === undefined ? '(unlinked)' : `/${names.join('/')}`;
  }

  /** The child that is known by this name. */
  child(parent: Node, name: string): Node | undefined {
    return parent.names.get(name);
  }

  /**
   * A name was found: `fid` (which this takes over) reaches it for `user`. Returns its node, with one lookup counted. `verdict`
   * is what was found out about suspects().
   */
  found(parent: Node, name: string, fid: Fid, stat: FileStat, user: number, verdict?: Verdict): Node {
    const node = this.#identify(parent, name, stat, verdict) ?? this.#make(parent, name, stat, verdict === 'collides');
    const moved = node.places.length > 0 && parent.names.get(name) !== node;
    node.stat = stat;
    node.nlookup++;
    this.#place(node, parent, name);
    // Where fids are paths, one that came by another name may lead nowhere by now. That a server is of this kind is not always
    // known (diod renames its fids' paths with what it renames, and knows nothing of what others do to its files): a
    // file that others have moved, and what lies below a directory that they have moved, is walked to anew.
    if (moved && isDir(node)) this.#epoch++;
    this.#setFid(node, user, fid, moved || this.#session.dialect.fidsFollowPaths);
    return node;
  }

  /** Nodes that may be what a name leads to, or may only have the same qid.path: the server has to be asked. */
  suspects(parent: Node, name: string, stat: FileStat): Node[] {
    const candidates = this.#byPath.get(stat.qid.path);
    if (candidates === undefined || this.#identify(parent, name, stat, undefined) !== undefined) return [];
    return [...candidates].filter((node) => node.stat.nlink !== 0 && !node.isUnlinked);
  }

  #identify(parent: Node, name: string, stat: FileStat, verdict: Verdict | undefined): Node | undefined {
    const candidates = this.#byPath.get(stat.qid.path);
    if (candidates === undefined) return undefined;
    const here = parent.names.get(name);
    for (const node of candidates) {
      // what this client removed does not come back: the server has given its number to another file
      if (node.stat.nlink === 0) continue;
      if (node === here && node.stat.qid.type === stat.qid.type) return node;
      if (verdict === node) return node;
      // its other names are not known: nobody can ask for it by one
      if (linked(node.stat, stat) || (node.isUnlinked && alike(node.stat, stat))) return node;
    }
    return undefined;
  }

  #make(parent: Node, name: string, stat: FileStat, collides: boolean): Node {
    for (const first of collides ? (this.#byPath.get(stat.qid.path) ?? []) : []) {
      if (first.ino === inoOf(stat.qid)) this.#inos.collides(stat.qid, this.routeOf(first)?.join('/') ?? '');
    }
    const ino = this.#inos.of(stat.qid, () => this.#nameOf(parent, name), collides);
    const node = new Node(this.#nextId++ as NodeId, stat, ino);
    this.#index(node);
    return node;
  }

  /** The number of a file that is listed, known or not. */
  inoIn(dir: Node, name: string, qid: Qid): bigint {
    const known = name === '.' ? dir : dir.names.get(name);
    // `..` may have been made up, with the directory's own qid
    if (name === '..') return dir.places[0]?.parent.ino ?? inoOf(qid);
    if (known !== undefined && known.stat.qid.path === qid.path) return known.ino;
    return this.#inos.of(qid, () => this.#nameOf(dir, name), false);
  }

  #nameOf(parent: Node, name: string): string {
    return [...(this.routeOf(parent) ?? []), name].join('/');
  }

  #index(node: Node): void {
    this.#byId.set(node.id, node);
    const path = node.stat.qid.path;
    const same = this.#byPath.get(path);
    if (same === undefined) this.#byPath.set(path, new Set([node]));
    else same.add(node);
  }

  #place(node: Node, parent: Node, name: string): void {
    const before = parent.names.get(name);
    if (before === node) return;
    if (before !== undefined) this.#unplace(before, parent, name);
    parent.names.set(name, node);
    // a directory has one name: somebody else has moved it
    const left = isDir(node) ? node.places : [];
    node.places = [{ parent, name }, ...(isDir(node) ? [] : node.places)];
    for (const place of left) {
      if (place.parent.names.get(place.name) === node) place.parent.names.delete(place.name);
      this.#collect(place.parent);
    }
  }

  #unplace(node: Node, parent: Node, name: string): void {
    parent.names.delete(name);
    const at = node.places.findIndex((place) => place.parent === parent && place.name === name);
    if (at >= 0) node.places.splice(at, 1);
    this.#collect(node);
    this.#collect(parent);
  }

  #setFid(node: Node, user: number, fid: Fid, replace: boolean): void {
    if (node.epoch !== this.#epoch) this.#dropFids(node);
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
      this.#forgetFids(node);
    }
  }

  #dropFids(node: Node): void {
    for (const fid of node.fids.values()) this.#retire(fid);
    this.#forgetFids(node);
  }

  #forgetFids(node: Node): void {
    node.fids.clear();
    this.#holders.delete(node);
    if (this.#latest === node) this.#latest = undefined;
    node.epoch = this.#epoch;
  }

  /** An unopened fid of the node for one user; walked to when there is none. Not the caller's to clunk. */
  fid(node: Node, user: number, signal?: AbortSignalLike): Fid | Promise<Fid> {
    if (node === this.root) return this.#users.root(user, signal);
    const known = node.fids.get(user);
    if (known !== undefined && (node.epoch === this.#epoch || node.isUnlinked)) {
      this.#touch(node);
      return known;
    }
    return this.#walk(node, user, signal);
  }

  async #walk(node: Node, user: number, signal: AbortSignalLike | undefined): Promise<Fid> {
    const route = this.routeOf(node);
    if (route === undefined) {
      // the name is gone: another user's fid is the only way left to reach the file
      const [other] = node.fids.values();
      if (other !== undefined) return other;
      throw new ErrnoError(errno.ESTALE, 'unlinked');
    }
    const root = await this.#users.root(user, signal);
    const fid = await this.#session.dialect.walk(root, route, signal);
    const there = node.fids.get(user);
    if (there !== undefined && node.epoch === this.#epoch) {
      this.#session.calls.clunk(fid);
      return there;
    }
    // nobody would clunk the fid of a node that was forgotten meanwhile
    if (fid.qid.path !== node.stat.qid.path || !this.#byId.has(node.id)) {
      this.#session.calls.clunk(fid);
      throw new ErrnoError(errno.ESTALE, 'another file has the name now');
    }
    this.#setFid(node, user, fid, false);
    return fid;
  }

  /** Names from the root to the node, or undefined where no way is known. */
  routeOf(node: Node): string[] | undefined {
    const names: string[] = [];
    let at = node;
    while (at !== this.root) {
      const place = at.places[0];
      if (place === undefined || names.length > 10_000) return undefined;
      names.push(place.name);
      at = place.parent;
    }
    return names.reverse();
  }

  /** New attributes of a node. A file of another qid means that the node's fid reaches something else now: ESTALE. */
  refresh(node: Node, stat: FileStat): FileStat {
    if (stat.qid.path !== node.stat.qid.path) throw new ErrnoError(errno.ESTALE, 'another file has the name now');
    node.stat = node.aside === undefined ? stat : { ...stat, nlink: 0 };
    return node.stat;
  }

  /** A name was given to a node by this client. */
  linked(parent: Node, name: string, node: Node): void {
    node.stat = { ...node.stat, nlink: node.stat.nlink + 1 };
    this.#place(node, parent, name);
  }

  /** A name was removed by this client. */
  unlinked(parent: Node, name: string): void {
    const node = parent.names.get(name);
    if (node === undefined) return;
    if (this.#inos.knows(node.stat.qid)) this.#inos.removed(node.stat.qid, this.#nameOf(parent, name));
    node.stat = { ...node.stat, nlink: Math.max(0, node.stat.nlink - (isDir(node) ? node.stat.nlink : 1)) };
    this.#unplace(node, parent, name);
    // another of its names still leads there, but the fid may have come by this one
    if (this.#session.dialect.fidsFollowPaths && node.places.length > 0) this.#dropFids(node);
  }

  /** A name was moved by this client; what was there before is unlinked. */
  renamed(parent: Node, name: string, newParent: Node, newName: string): void {
    const node = parent.names.get(name);
    const target = newParent.names.get(newName);
    if (target !== undefined && target !== node) this.unlinked(newParent, newName);
    if (node === undefined) return;
    if (target === node) {
      // renaming one hard link over another of the same file does nothing (rename(2)); or a lookup has found the file by its
      // new name while this was under way
      if (node.stat.nlink <= 1 && (parent !== newParent || name !== newName)) this.#unplace(node, parent, name);
      return;
    }
    const { qid } = node.stat;
    if (this.#inos.knows(qid)) {
      this.#inos.renamed(qid, this.#nameOf(parent, name), this.#nameOf(newParent, newName), node.ino);
    }
    node.nlookup++; // or taking its only name away could end it
    this.#unplace(node, parent, name);
    this.#place(node, newParent, newName);
    node.nlookup--;
    this.moves++;
    if (!this.#session.dialect.fidsFollowPaths) return;
    if (isDir(node)) this.#epoch++;
    else this.#dropFids(node);
  }

  /** The kernel takes lookups back. */
  forget(id: NodeId, nlookup: number): void {
    const node = this.#byId.get(id);
    if (node === undefined || node === this.root) return;
    node.nlookup = Math.max(0, node.nlookup - nlookup);
    this.#collect(node);
  }

  /** Ends a node that nobody needs any more, and then the parents that it kept alive. */
  #collect(node: Node): void {
    if (node.nlookup > 0 || node.names.size > 0 || node === this.root || !this.#byId.delete(node.id)) return;
    const path = node.stat.qid.path;
    const same = this.#byPath.get(path);
    same?.delete(node);
    if (same?.size === 0) this.#byPath.delete(path);
    this.#dropFids(node);
    const places = node.places;
    node.places = [];
    for (const { parent, name } of places) {
      if (parent.names.get(name) === node) parent.names.delete(name);
      this.#collect(parent);
    }
  }
}

function isDir(node: Node): boolean {
  return (node.stat.qid.type & 0x80) !== 0;
}
