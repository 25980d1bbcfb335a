// One file that the kernel knows: what it looked like when it was last seen, where it lies in the tree as far as this mount
// knows, and what became of its names. nodes.ts keeps the table of nodes, fids/ the ways to reach them.
// Guarantees: a node's attributes change only through saw(), wrote(), truncated() and changed(); its life moves only along
// NEXT. What only few nodes need (children, open files, locks, pages) takes no memory in the others.
// Must not ask the server.

import type { FileStat, StatChange } from '../../client/dialects/dialect.ts';
import type { NodeId } from '../../common/brand.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import { ROOT_ID } from '../../wire/fuse/constants.ts';
import { QT } from '../../wire/p9/constants.ts';
import { changedStat, inoOf, privilegesIn } from '../attributes/attrs.ts';
import type { OpenFile } from '../files/handles.ts';
import { Pages } from '../files/pages.ts';
import type { NodeLocks } from '../locks/nodelocks.ts';

export const ROOT = ROOT_ID as NodeId;

/** Where a file is linked, and the place where it was seen before that. */
export interface Place {
  readonly parent: Node;
  readonly name: string;
  readonly next: Place | undefined;
}

/** A hidden name under which a removed file waits until it is closed (names/asides.ts). */
export interface Aside {
  readonly parent: Node;
  readonly name: string;
  /** The caller who removed it: the hidden name is removed on its behalf. */
  readonly by: RequestContext;
  /** The removal of the hidden name, once it has begun. */
  ending?: Promise<void>;
}

/**
 * named: it has a name here. aside: its name was removed while it was open, and it has a hidden one. unlinked: the last name that
 * this mount knew was removed, or is another file's now; the file may have others. removed: the server has shown that
 * another client has removed the file.
 */
export type Life =
  | { readonly kind: 'named' }
  | { readonly kind: 'aside'; readonly aside: Aside }
  | { readonly kind: 'unlinked' }
  | { readonly kind: 'removed' };

const NEXT: Readonly<Record<Life['kind'], readonly Life['kind'][]>> = {
  // aside again: its hidden name was moved to another directory
  named: ['aside', 'unlinked', 'removed'],
  aside: ['aside', 'named', 'unlinked', 'removed'],
  // another name of it, that was not known, is found
  unlinked: ['named', 'removed'],
  removed: ['unlinked', 'aside'],
};

const NAMED: Life = { kind: 'named' };
const none: ReadonlyMap<string, Node> = new Map();

/** Whether a directory has a default ACL (owners/acls.ts). */
export interface DefaultAcl {
  is: boolean;
  /** performance.now() up to which this is believed. */
  until: number;
}

/** What few nodes of many have. */
interface More {
  /** Shown as st_ino in the place of qid.path, where several files have the same. */
  ino?: bigint;
  /** Known children by name. */
  names?: Map<string, Node> | undefined;
  opens?: Set<OpenFile> | undefined;
  /** Opens that are under way. */
  opening?: number;
  pages?: Pages;
  pagesOf?: FileStat | undefined;
  plain?: boolean;
  privileged?: boolean;
  incapableUntil?: number;
  defaultAcl?: DefaultAcl | undefined;
  locks?: NodeLocks | undefined;
}

const nothing: Readonly<More> = {};

export class Node {
  readonly id: NodeId;
  #stat: FileStat;
  #life: Life = NAMED;
  /** The server counts links; some do not, and show none at any time. */
  readonly #countsLinks: boolean;
  /** The place that was seen last; undefined for the root and for a file without a known name. */
  place: Place | undefined;
  nlookup = 0;
  /** The next node of the same qid.path: nodes.ts. */
  twin: Node | undefined;
  #more: More | undefined;

  /** `counts`: the dialect has link counts, and the server may. */
  constructor(id: NodeId, stat: FileStat, counts = true, ownIno?: bigint) {
    this.id = id;
    this.#stat = stat;
    this.#countsLinks = counts && stat.nlink > 0;
    if (ownIno !== undefined) this.#own.ino = ownIno;
    this.privileged = privilegesIn(stat.mode) !== 0;
  }

  /** To be read. */
  get #kept(): Readonly<More> {
    return this.#more ?? nothing;
  }

  /** To be written. */
  get #own(): More {
    this.#more ??= {};
    return this.#more;
  }

  /** As last seen, and as this mount has changed it since. */
  get stat(): FileStat {
    return this.#stat;
  }

  get ino(): bigint {
    return this.#kept.ino ?? inoOf(this.#stat.qid);
  }

  get life(): Life {
    return this.#life;
  }

  become(life: Life): void {
    if (!NEXT[this.#life.kind].includes(life.kind)) {
      throw new Error(`node ${this.id}: ${this.#life.kind} cannot become ${life.kind}`);
    }
    this.#life = life;
  }

  /** It can be walked to by a name, be it a hidden one. */
  get hasName(): boolean {
    return this.place !== undefined || this.id === ROOT;
  }

  /** This mount, or another client, has taken its last name. */
  get isGone(): boolean {
    return this.#life.kind === 'removed' || (this.#life.kind === 'unlinked' && this.links === 0);
  }

  /** st_nlink: a hidden name is not counted, and a file whose only name is gone has none whatever the server says. */
  get links(): number {
    const { nlink } = this.#stat;
    if (this.#life.kind === 'named') return nlink;
    if (this.#life.kind === 'aside') return Math.max(0, nlink - 1);
    return this.#countsLinks ? nlink : 0;
  }

  /** Fresh attributes. Throws ESTALE for those of another file: what was asked leads there now. */
  saw(stat: FileStat): void {
    if (!isQid(this, stat.qid)) throw new ErrnoError(errno.ESTALE, 'another file has the name now');
    this.#stat = stat;
    this.privileged ||= privilegesIn(stat.mode) !== 0;
    if (this.#countsLinks && stat.nlink === 0 && this.#life.kind === 'named') this.become({ kind: 'removed' });
  }

  /** Bytes were written, the last of them before `end`. */
  wrote(end: number): void {
    if (end > this.#stat.size) this.#stat = { ...this.#stat, size: end };
  }

  truncated(size: number): void {
    this.#stat = { ...this.#stat, size };
  }

  /** A change that this mount has made, or that it keeps to itself because nobody else can see the file. */
  changed(change: StatChange & { nlink?: number }): void {
    this.#stat = changedStat(this.#stat, change);
  }

  /** The kernel's. */
  get pages(): Pages {
    this.#own.pages ??= new Pages();
    return this.#own.pages;
  }

  /** The file as it was when the kernel's pages of it were last known to be right. */
  get pagesOf(): FileStat | undefined {
    return this.#kept.pagesOf;
  }

  set pagesOf(stat: FileStat | undefined) {
    this.#own.pagesOf = stat;
  }

  /** Was made here, or has shown a length: no synthetic file, which shows none and has content all the same. */
  get isPlain(): boolean {
    return this.#kept.plain === true;
  }

  setPlain(): void {
    if (!this.isPlain) this.#own.plain = true;
  }

  /** The kernel may have been shown a setuid or setgid bit of it, and still go by that (owners/privileges.ts). */
  get privileged(): boolean {
    return this.#kept.privileged === true;
  }

  set privileged(is: boolean) {
    if (is !== this.privileged) this.#own.privileged = is;
  }

  /** performance.now() until which it is known to have no security.capability. */
  get incapableUntil(): number {
    return this.#kept.incapableUntil ?? 0;
  }

  set incapableUntil(time: number) {
    this.#own.incapableUntil = time;
  }

  /** Of a directory, with posixacl. */
  get defaultAcl(): DefaultAcl | undefined {
    return this.#kept.defaultAcl;
  }

  set defaultAcl(acl: DefaultAcl | undefined) {
    if (acl !== this.defaultAcl) this.#own.defaultAcl = acl;
  }

  /** The record locks on it, while it is open and somebody has asked for one. */
  get locks(): NodeLocks | undefined {
    return this.#kept.locks;
  }

  set locks(locks: NodeLocks | undefined) {
    this.#own.locks = locks;
  }

  /** Known children by name. */
  get names(): ReadonlyMap<string, Node> {
    return this.#kept.names ?? none;
  }

  setChild(name: string, child: Node): void {
    const own = this.#own;
    own.names ??= new Map();
    own.names.set(name, child);
  }

  dropChild(name: string): void {
    const { names } = this.#kept;
    names?.delete(name);
    if (names?.size === 0) this.#own.names = undefined;
  }

  /** Its open files, the oldest first. */
  get opens(): Iterable<OpenFile> {
    return this.#kept.opens ?? [];
  }

  /** Also while it is being opened: its name must not be taken from under that. */
  get isOpen(): boolean {
    return this.#kept.opens !== undefined || (this.#kept.opening ?? 0) > 0;
  }

  /** Counts an open that begins (1), or has ended (-1). */
  countOpening(by: 1 | -1): void {
    this.#own.opening = (this.#kept.opening ?? 0) + by;
  }

  opened(file: OpenFile): void {
    const own = this.#own;
    own.opens ??= new Set();
    own.opens.add(file);
  }

  closed(file: OpenFile): void {
    const { opens } = this.#kept;
    opens?.delete(file);
    if (opens?.size === 0) this.#own.opens = undefined;
  }
}

export function isDir(node: Node): boolean {
  return (node.stat.qid.type & QT.DIR) !== 0;
}

/** Whether a qid is the node's: the path says so, and the kind, which a number that is used again seldom keeps. */
export function isQid({ stat }: Node, qid: FileStat['qid']): boolean {
  return qid.path === stat.qid.path && (qid.type & QT.DIR) === (stat.qid.type & QT.DIR);
}

export function* placesOf(node: Node): Iterable<Place> {
  for (let place = node.place; place !== undefined; place = place.next) yield place;
}

/** An open file of the node, to ask through when its name is gone. */
export function firstOpen(node: Node): OpenFile | undefined {
  for (const file of node.opens) return file;
  return undefined;
}

/** Names from the root to the node, or undefined where no way is known. */
export function routeOf(node: Node): string[] | undefined {
  const names: string[] = [];
  let at = node;
  while (at.id !== ROOT) {
    const { place } = at;
    if (place === undefined || names.length > 10_000) return undefined;
    names.push(place.name);
    at = place.parent;
  }
  return names.reverse();
}
