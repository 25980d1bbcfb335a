// From the paths that libfuse 2 speaks in to node ids: which node each path was last found to be, with the lookups that were
// counted for it and must be taken back.
// Guarantees: a node is forgotten once, with all its lookups, when no path, no open file and no call in progress has it any
// more; the number of paths is bounded. A path is looked up again when the kernel looks at it (getattr) and the time for which
// its entry held is over; what lies above it is as the kernel last saw it.

import type { NodeId } from '../../../common/brand.ts';
import { errno } from '../../../common/errno.ts';
import { ErrnoError, isErrno } from '../../../common/errors.ts';
import { ROOT_ID } from '../../../wire/fuse/constants.ts';
import type { Entry, Operations, RequestContext } from '../../operations.ts';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const ROOT = ROOT_ID as NodeId;
/** Enough that the files in use are found at once. */
const MOST = 16_384;

/** A node, as long as somebody has it. */
export interface Held {
  readonly nodeid: NodeId;
  lookups: number;
  holders: number;
  /** Its length as the kernel has it: what it was shown last, and what has been written since. */
  shown: number;
}

interface Known {
  readonly held: Held;
  readonly directory: boolean;
  /** performance.now() until which the name need not be looked up again. */
  readonly until: number;
}

/** The path above, and the name in it. */
export function split(path: string): [parent: string, name: string] {
  const at = path.lastIndexOf('/');
  return [at === 0 ? '/' : path.slice(0, at), path.slice(at + 1)];
}

export class Names {
  readonly #ops: Pick<Operations, 'lookup' | 'forget'>;
  readonly #most: number;
  /** The longest unused first. */
  readonly #paths = new Map<string, Known>();
  /** Names that libfuse has given to open files without one, and that exist nowhere else. */
  readonly #ghosts = new Map<string, Held>();
  readonly #nodes = new Map<NodeId, Held>();
  /** Has no lookups, and is never forgotten. */
  readonly #root: Held = { nodeid: ROOT, lookups: 0, holders: 1, shown: 0 };

  constructor(ops: Pick<Operations, 'lookup' | 'forget'>, most = MOST) {
    this.#ops = ops;
    this.#most = most;
  }

  /** Paths that are known, and nodes that somebody has. */
  get size(): { paths: number; ghosts: number; nodes: number } {
    return { paths: this.#paths.size, ghosts: this.#ghosts.size, nodes: this.#nodes.size };
  }

  /** Does something with the node at a path, which is not forgotten meanwhile. */
  async use<T>(ctx: RequestContext, path: string, work: (nodeid: NodeId, held: Held) => T | Promise<T>): Promise<T> {
    const held = await this.#find(ctx, path);
    try {
      return await work(held.nodeid, held);
    } finally {
      this.release(held);
    }
  }

  /** The same with the directory that a path is in. */
  useParent<T>(ctx: RequestContext, path: string, work: (parent: NodeId, name: string) => T | Promise<T>): Promise<T> {
    const [parent, name] = split(path);
    return this.use(ctx, parent, (nodeid) => work(nodeid, name));
  }

  /** What is at a path now. Not for the root, which has no name. */
  look(ctx: RequestContext, path: string): Promise<Entry> {
    return this.useParent(ctx, path, async (parent, name) => (await this.#lookup(ctx, parent, name, path)).entry);
  }

  /** An entry that was counted is what the path leads to now. */
  put(path: string, { nodeid, attr, entryTtl }: Entry): Held {
    let held = this.#nodes.get(nodeid);
    if (held === undefined) {
      held = { nodeid, lookups: 0, holders: 0, shown: 0 };
      this.#nodes.set(nodeid, held);
    }
    held.lookups++;
    held.shown = attr.size;
    const before = this.#paths.get(path);
    this.hold(held);
    if (before !== undefined && before.held !== held) this.drop(path);
    else if (before !== undefined) this.#forgetPath(path, before);
    const until = performance.now() + entryTtl * 1000;
    this.#paths.set(path, { held, directory: (attr.mode & S_IFMT) === S_IFDIR, until });
    this.#limit();
    return held;
  }

  /** The path leads nowhere any more, nor does what was below it. */
  drop(path: string): void {
    for (const [each, known] of this.#at(path)) this.#forgetPath(each, known);
  }

  /** What was at and below one path is at and below the other. */
  move(from: string, to: string): void {
    const moved = this.#at(from);
    this.drop(to);
    for (const [path, known] of moved) {
      this.#paths.delete(path);
      this.#paths.set(to + path.slice(from.length), known);
    }
  }

  /** The file at a path has no name any more; until exorcise() another path leads to it, for this process alone. */
  haunt(from: string, ghost: string, held: Held): void {
    this.drop(from);
    this.#ghosts.set(ghost, this.hold(held));
  }

  /** Whether what is known of the path still holds, so that its node can be asked instead of its directory. */
  isCurrent(path: string): boolean {
    if (path === '/' || this.#ghosts.has(path)) return true;
    const known = this.#paths.get(path);
    return known !== undefined && performance.now() < known.until;
  }

  isGhost(path: string): boolean {
    return this.#ghosts.has(path);
  }

  exorcise(ghost: string): void {
    const held = this.#ghosts.get(ghost);
    if (held === undefined) return;
    this.#ghosts.delete(ghost);
    this.release(held);
  }

  hold(held: Held): Held {
    held.holders++;
    return held;
  }

  release(held: Held): void {
    held.holders--;
    if (held.holders > 0) return;
    this.#nodes.delete(held.nodeid);
    this.#ops.forget(held.nodeid, held.lookups);
  }

  /** Lets every path go. */
  clear(): void {
    for (const [path, known] of [...this.#paths]) this.#forgetPath(path, known);
    for (const ghost of [...this.#ghosts.keys()]) this.exorcise(ghost);
  }

  /** Held: nothing may come between finding it and that. */
  async #find(ctx: RequestContext, path: string): Promise<Held> {
    if (path === '/') return this.hold(this.#root);
    const ghost = this.#ghosts.get(path);
    if (ghost !== undefined) return this.hold(ghost);
    const known = this.#paths.get(path);
    if (known !== undefined) {
      // to the end of the row
      this.#paths.delete(path);
      this.#paths.set(path, known);
      return this.hold(known.held);
    }
    const [parent, name] = split(path);
    return this.use(ctx, parent, (nodeid) => this.#lookup(ctx, nodeid, name, path, true).then(({ held }) => held));
  }

  /** With `keep` the node is held for the caller, from the moment that it is known. */
  async #lookup(
    ctx: RequestContext,
    parent: NodeId,
    name: string,
    path: string,
    keep = false,
  ): Promise<{ entry: Entry; held: Held }> {
    try {
      const entry = await this.#ops.lookup(ctx, parent, name);
      if (entry.nodeid === 0) throw new ErrnoError(errno.ENOENT);
      const held = this.put(path, entry as Entry);
      if (keep) this.hold(held);
      return { entry: entry as Entry, held };
    } catch (error) {
      if (isErrno(error, errno.ENOENT)) this.drop(path);
      throw error;
    }
  }

  /** The path, if it is known, and what is known below it. */
  #at(path: string): [string, Known][] {
    const known = this.#paths.get(path);
    const self: [string, Known][] = known === undefined ? [] : [[path, known]];
    if (known !== undefined && !known.directory) return self;
    const below = `${path}/`;
    return [...self, ...[...this.#paths].filter(([each]) => each.startsWith(below))];
  }

  #forgetPath(path: string, known: Known): void {
    this.#paths.delete(path);
    this.release(known.held);
  }

  #limit(): void {
    if (this.#paths.size <= this.#most) return;
    const [oldest] = this.#paths;
    if (oldest !== undefined) this.#forgetPath(...oldest);
  }
}
