// One file that the kernel knows, and where it lies in the tree as far as is known. nodes.ts keeps the table of them, and
// nodefids.ts the fids that reach them.

import type { FileStat } from '../client/dialects/dialect.ts';
import type { Fid } from '../client/fids.ts';
import type { NodeId } from '../common/brand.ts';
import { ROOT_ID } from '../wire/fuse/constants.ts';
import { QT } from '../wire/p9/constants.ts';
import type { DefaultAcl } from './acls.ts';
import type { Aside } from './asides.ts';
import { inoOf } from './attrs.ts';
import type { NodeLocks } from './nodelocks.ts';
import { Pages } from './pages.ts';

export const ROOT = ROOT_ID as NodeId;

/** Where a file is linked. */
export interface Place {
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
  /** NodeFids.epoch when the fids were walked to. */
  epoch = 0;
  /** The record locks on it, while it is open and somebody has asked for one. */
  locks: NodeLocks | undefined;
  /** Its name was removed while it was open, and it has a hidden one until it is closed (asides.ts). */
  aside: Aside | undefined;
  /** Open files, for what must be asked through them once the name is gone. */
  readonly opens = new Set<{ fid: Fid }>();

  #pages: Pages | undefined;

  constructor(id: NodeId, stat: FileStat, ino = inoOf(stat.qid)) {
    this.id = id;
    this.ino = ino;
    this.stat = stat;
    this.hasCount = stat.nlink > 0;
  }

  /** The kernel's. Few nodes of many have ever had any. */
  get pages(): Pages {
    this.#pages ??= new Pages();
    return this.#pages;
  }

  /** Somebody else has removed it, or put another file in its place. */
  get isRemoved(): boolean {
    return this.hasCount && this.stat.nlink === 0 && !this.isUnlinked && this.aside === undefined;
  }

  get isUnlinked(): boolean {
    return this.places.length === 0 && this.id !== ROOT;
  }
}

export function isDir(node: Node): boolean {
  return (node.stat.qid.type & QT.DIR) !== 0;
}

/** Names from the root to the node, or undefined where no way is known. */
export function routeOf(node: Node): string[] | undefined {
  const names: string[] = [];
  let at = node;
  while (at.id !== ROOT) {
    const place = at.places[0];
    if (place === undefined || names.length > 10_000) return undefined;
    names.push(place.name);
    at = place.parent;
  }
  return names.reverse();
}
