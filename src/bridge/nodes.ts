// The files that the kernel knows: node ids, their lookup counts, and where they lie in the tree. One file has one node, by
// whatever name it was found (sameness.ts).
// Guarantees: a node id is never used for a second file, so generations are not needed; a node lives while the kernel
// counts lookups of it or a child of it is known; its fids are clunked when it dies.

import type { FileStat } from '../client/dialects/dialect.ts';
import type { Fid } from '../client/fids.ts';
import type { Session } from '../client/session.ts';
import type { AbortSignalLike } from '../common/abort.ts';
import type { NodeId } from '../common/brand.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError } from '../common/errors.ts';
import type { Qid } from '../wire/p9/types.ts';
import { inoOf } from './attrs.ts';
import { Inos } from './inos.ts';
import { isDir, Node, ROOT, routeOf } from './node.ts';
import { NodeFids } from './nodefids.ts';
import { alike, linked, type Verdict } from './sameness.ts';
import type { Users } from './users.ts';

export class Nodes {
  readonly #session: Session;
  readonly #byId = new Map<number, Node>();
  readonly #byPath = new Map<bigint, Set<Node>>();
  readonly #inos = new Inos();
  readonly #fids: NodeFids;
  readonly root: Node;
  #nextId = 2;
  /** How often this client has given a file another name: a fid that was on its way then may have missed it. */
  moves = 0;

  constructor(session: Session, users: Users, rootStat: FileStat) {
    this.#session = session;
    this.#fids = new NodeFids(session, users, (node) => this.#byId.has(node.id));
    this.root = new Node(ROOT, rootStat);
    this.root.nlookup = 1;
    this.#index(this.root);
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: NodeId): Node {
    const node = this.#byId.get(id);
    if (node === undefined) throw new ErrnoError(errno.ESTALE, `node ${id}`);
    return node;
  }

  /** An unopened fid of the node for one user; walked to when there is none. Not the caller's to clunk. */
  fid(node: Node, user: number, signal?: AbortSignalLike): Fid | Promise<Fid> {
    return this.#fids.find(node, user, signal);
  }

  /** The path from the root, for logs. */
  pathOf(node: Node): string {
    const names = routeOf(node);
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
    if (moved && isDir(node)) this.#fids.outdate();
    this.#fids.set(node, user, fid, moved || this.#session.dialect.fidsFollowPaths);
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
      if (first.ino === inoOf(stat.qid)) this.#inos.collides(stat.qid, routeOf(first)?.join('/') ?? '');
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
    return [...(routeOf(parent) ?? []), name].join('/');
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
    if (this.#session.dialect.fidsFollowPaths && node.places.length > 0) this.#fids.drop(node);
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
    if (isDir(node)) this.#fids.outdate();
    else this.#fids.drop(node);
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
    this.#fids.drop(node);
    const places = node.places;
    node.places = [];
    for (const { parent, name } of places) {
      if (parent.names.get(name) === node) parent.names.delete(name);
      this.#collect(parent);
    }
  }
}
