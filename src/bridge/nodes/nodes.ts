// The files that the kernel knows: node ids, their lookup counts, and where they lie in the tree. One file has one node, by
// whatever name it was found (sameness.ts).
// Guarantees: a node id is never used for a second file, so generations are not needed; a node lives while the kernel
// counts lookups of it or a child of it is known; its fids are clunked when it dies; what a change of names makes of the
// cached fids is told to them here, and nowhere else.

import type { FileStat } from '../../client/dialects/dialect.ts';
import type { Fid } from '../../client/fids.ts';
import type { NodeId } from '../../common/brand.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import type { Qid } from '../../wire/p9/types.ts';
import { inoOf } from '../attributes/attrs.ts';
import type { FidCache } from '../fids/cache.ts';
import { Heap } from './heap.ts';
import { Inos } from './inos.ts';
import { isDir, Node, type Place, placesOf, ROOT, routeOf } from './node.ts';
import { alike, linked } from './sameness.ts';
import { Twins } from './twins.ts';

/**
 * What was found out about a name whose qid.path other nodes have: it is one of them, 'another' file, which has got a number
 * that was in use before, or one more with a number that 'collides': that number is shown for the other.
 */
export type Verdict = Node | 'another' | 'collides';

export class Nodes {
  readonly #byId = new Map<number, Node>();
  readonly #byPath = new Twins();
  readonly #inos = new Inos();
  readonly #heap = new Heap();
  readonly #counts: boolean;
  readonly #fids: FidCache;
  readonly root: Node;
  #nextId = 2;
  /**
   * How often this client has given a file another name, taken one away, or seen that another client has: a fid that was walked
   * to before may have missed it.
   */
  moves = 0;

  /** `counts`: the dialect has link counts. */
  constructor(fids: FidCache, rootStat: FileStat, counts: boolean) {
    this.#fids = fids;
    this.#counts = counts;
    this.root = new Node(ROOT, rootStat, counts);
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

  /** False once it was forgotten. */
  has(node: Node): boolean {
    return this.#byId.has(node.id);
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
    const moved = node.place !== undefined && parent.names.get(name) !== node;
    node.saw(stat);
    node.nlookup++;
    this.#place(node, parent, name);
    // another client has moved it: a fid that came by another name may lead nowhere by now, nor may those below it
    if (moved) this.#moved(node);
    this.#fids.found(node, user, fid, moved);
    return node;
  }

  /** Nodes that may be what a name leads to, or may only have the same qid.path: the server has to be asked. */
  suspects(parent: Node, name: string, stat: FileStat): Node[] {
    const { path } = stat.qid;
    if (!this.#byPath.has(path) || this.#identify(parent, name, stat, undefined) !== undefined) return [];
    return [...this.#byPath.of(path)].filter((node) => !node.isGone && node.life.kind !== 'unlinked');
  }

  #identify(parent: Node, name: string, stat: FileStat, verdict: Verdict | undefined): Node | undefined {
    const { path, type } = stat.qid;
    // what was removed does not come back: the server has given its number to another file
    const isThere = (node: Node) => !node.isGone && this.#byPath.includes(path, node);
    const here = parent.names.get(name);
    if (here !== undefined && here.stat.qid.type === type && isThere(here)) return here;
    if (verdict instanceof Node && isThere(verdict)) return verdict;
    for (const node of this.#byPath.of(path)) {
      if (node.isGone) continue;
      // its other names are not known: nobody can ask for it by one
      if (linked(node.stat, stat) || (node.life.kind === 'unlinked' && alike(node.stat, stat))) return node;
    }
    return undefined;
  }

  #make(parent: Node, name: string, stat: FileStat, collides: boolean): Node {
    const first = inoOf(stat.qid);
    if (collides) {
      for (const other of this.#byPath.of(stat.qid.path)) {
        if (other.ino === first) this.#inos.collides(stat.qid, routeOf(other)?.join('/') ?? '');
      }
    }
    const ino = this.#inos.of(stat.qid, () => this.#nameOf(parent, name), collides);
    const node = new Node(this.#nextId++ as NodeId, stat, this.#counts, ino === first ? undefined : ino);
    this.#index(node);
    return node;
  }

  /** The number of a file that is listed, known or not. */
  inoIn(dir: Node, name: string, qid: Qid): bigint {
    const known = name === '.' ? dir : dir.names.get(name);
    // `..` may have been made up, with the directory's own qid
    if (name === '..') return dir.place?.parent.ino ?? inoOf(qid);
    if (known !== undefined && known.stat.qid.path === qid.path) return known.ino;
    return this.#inos.of(qid, () => this.#nameOf(dir, name), false);
  }

  #nameOf(parent: Node, name: string): string {
    return [...(routeOf(parent) ?? []), name].join('/');
  }

  #index(node: Node): void {
    this.#byId.set(node.id, node);
    this.#byPath.add(node);
    this.#heap.grew(this.#byId.size);
  }

  #unindex(node: Node): void {
    this.#byId.delete(node.id);
    this.#byPath.delete(node);
    this.#heap.shrank(this.#byId.size);
  }

  #place(node: Node, parent: Node, name: string): void {
    const before = parent.names.get(name);
    if (before === node) {
      // of several places the one that was seen last is the likeliest to be there still
      if (node.place?.parent !== parent || node.place.name !== name) {
        node.place = { parent, name, next: without(node.place, parent, name) };
      }
      return;
    }
    if (before !== undefined) this.#unplace(before, parent, name);
    parent.setChild(name, node);
    // a directory has one name: somebody else has moved it
    const left = isDir(node) ? [...placesOf(node)] : [];
    node.place = { parent, name, next: isDir(node) ? undefined : node.place };
    if (node.life.kind === 'unlinked') node.become({ kind: 'named' });
    for (const place of left) {
      if (place.parent.names.get(place.name) === node) place.parent.dropChild(place.name);
      this.#collect(place.parent);
    }
  }

  /** Takes a name away. */
  #unplace(node: Node, parent: Node, name: string): void {
    parent.dropChild(name);
    node.place = without(node.place, parent, name);
    const { life } = node;
    if (node.place === undefined) {
      if (life.kind === 'named' || life.kind === 'aside') node.become({ kind: 'unlinked' });
    } else if (life.kind === 'aside' && life.aside.parent === parent && life.aside.name === name) {
      // another of its names was found meanwhile
      node.become({ kind: 'named' });
    }
    this.#collect(node);
    this.#collect(parent);
  }

  /** What this client or another has moved: fids and open files that were walked to by path may have missed it. */
  #moved(node: Node): void {
    this.moves++;
    this.#fids.moved(node);
    if (isDir(node)) this.#fids.outdate();
  }

  /** A name was given to a node by this client. */
  linked(parent: Node, name: string, node: Node): void {
    node.changed({ nlink: node.stat.nlink + 1 });
    this.#place(node, parent, name);
  }

  /** A name was removed by this client. */
  unlinked(parent: Node, name: string): void {
    const node = parent.names.get(name);
    if (node === undefined) return;
    if (this.#inos.knows(node.stat.qid)) this.#inos.removed(node.stat.qid, this.#nameOf(parent, name));
    const { nlink } = node.stat;
    node.changed({ nlink: Math.max(0, nlink - (isDir(node) ? nlink : 1)) });
    this.#unplace(node, parent, name);
    this.#moved(node);
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
      if (node.stat.nlink <= 1 && (parent !== newParent || name !== newName)) this.#leave(node, parent, name);
      return;
    }
    const { qid } = node.stat;
    if (this.#inos.knows(qid)) {
      this.#inos.renamed(qid, this.#nameOf(parent, name), this.#nameOf(newParent, newName), node.ino);
    }
    this.#place(node, newParent, newName);
    this.#leave(node, parent, name);
    this.#moved(node);
  }

  /** The first of several places no longer leads to the node: another client has taken the name away. False: it has no other. */
  misplaced(node: Node): boolean {
    const { place } = node;
    if (place?.next === undefined) return false;
    this.#leave(node, place.parent, place.name);
    return true;
  }

  /** The node has another name, and no longer this one. */
  #leave(node: Node, parent: Node, name: string): void {
    if (parent.names.get(name) === node) parent.dropChild(name);
    node.place = without(node.place, parent, name);
    this.#collect(parent);
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
    if (node.nlookup > 0 || node.names.size > 0 || node === this.root || !this.#byId.has(node.id)) return;
    this.#unindex(node);
    this.#fids.drop(node);
    const places = [...placesOf(node)];
    node.place = undefined;
    for (const { parent, name } of places) {
      if (parent.names.get(name) === node) parent.dropChild(name);
      this.#collect(parent);
    }
  }
}

function without(place: Place | undefined, parent: Node, name: string): Place | undefined {
  if (place === undefined) return undefined;
  if (place.parent === parent && place.name === name) return place.next;
  return { ...place, next: without(place.next, parent, name) };
}
