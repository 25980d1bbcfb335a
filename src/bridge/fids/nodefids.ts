// Lends the fids by which the server is asked about a node, to one piece of work at a time: the cached one, or one walked to.
// Guarantees: what is lent lives until the work is done. with() lends a fid whose answers the caller judges by the qid in them;
// sure() one that cannot be another file's, for what changes something; checked() looks at the qid beside the work, for answers
// that carry none; own() gives a new one away, to be opened or created through; child() walks to a name.
// On servers whose fids follow their files (client/fidfacts.ts) all of them are the cached fid. On others sure(), own() and child()
// walk from the root by names, and the qid that comes back must be the node's; what remains is the moment between that walk
// and the request.

import { WrongWay } from '../../client/dialects/walk.ts';
import type { Fid } from '../../client/fids.ts';
import type { Session } from '../../client/session.ts';
import { type AbortSignalLike, unlessAborted } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import { isQid, type Node, ROOT, routeOf } from '../nodes/node.ts';
import type { Users } from '../owners/users.ts';
import type { FidCache } from './cache.ts';

/** On whose behalf: a request, or what was kept of one. */
export interface Asker {
  readonly uid: number;
  readonly signal: AbortSignalLike;
}

export interface NodeFidsOptions {
  session: Session;
  users: Users;
  cache: FidCache;
  /** False once the node was forgotten: nobody would clunk its fid. */
  isKnown(node: Node): boolean;
  /** The node is not where it was seen last: forgets that place. False: there is no other. */
  misplaced(node: Node): boolean;
  /** Settles when the renames that this client has under way are over; undefined: there is none. */
  moving(): Promise<unknown> | undefined;
  /** How often this client has changed a name. */
  moves(): number;
}

export class NodeFids {
  readonly #session: Session;
  readonly #users: Users;
  readonly #cache: FidCache;
  readonly #nodes: Pick<NodeFidsOptions, 'isKnown' | 'misplaced' | 'moving' | 'moves'>;

  constructor({ session, users, cache, ...nodes }: NodeFidsOptions) {
    this.#session = session;
    this.#users = users;
    this.#cache = cache;
    this.#nodes = nodes;
  }

  async with<T>(ctx: Asker, node: Node, work: (fid: Fid) => Promise<T>): Promise<T> {
    return this.#lend(await this.#held(ctx, node, false), work);
  }

  async sure<T>(ctx: Asker, nodes: readonly Node[], work: (...fids: Fid[]) => Promise<T>): Promise<T> {
    const fresh = !this.#session.fidFacts.sure;
    const each = [...new Set(nodes)];
    const held = await Promise.allSettled(each.map((node) => this.#held(ctx, node, fresh)));
    try {
      const fids = held.map((one) => {
        if (one.status === 'rejected') throw one.reason;
        return one.value;
      });
      // one node that is named twice is one fid: a dialect may have to see that
      return await work(...nodes.map((node) => fids[each.indexOf(node)]!));
    } finally {
      for (const one of held) if (one.status === 'fulfilled') this.#session.connection.fids.drop([one.value]);
    }
  }

  async checked<T>(ctx: Asker, node: Node, work: (fid: Fid) => Promise<T>): Promise<T> {
    const { dialect, fidFacts } = this.#session;
    if (fidFacts.sure || node.id === ROOT || this.#known(ctx, node) === undefined) return this.with(ctx, node, work);
    const [result, stat] = await this.with(ctx, node, (fid) =>
      Promise.allSettled([work(fid), dialect.stat(fid, ctx.signal)]),
    );
    if (stat.status === 'rejected' && !isGone(stat.reason)) throw stat.reason;
    if (stat.status === 'rejected' || !isQid(node, stat.value.qid)) {
      this.#cache.drop(node);
      return this.with(ctx, node, work);
    }
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  }

  /** Whether with() need not walk. */
  has(ctx: Asker, node: Node): boolean {
    return this.#known(ctx, node) !== undefined;
  }

  /** The caller's to clunk. */
  async own(ctx: Asker, node: Node): Promise<Fid> {
    const { dialect, fidFacts } = this.#session;
    const known = fidFacts.sure ? this.#known(ctx, node) : undefined;
    if (known !== undefined || node.id === ROOT)
      return this.with(ctx, node, (fid) => dialect.walk(fid, [], ctx.signal));
    return this.#walkTo(ctx, node);
  }

  /** The caller's to clunk. ENOENT: there is no such name; ESTALE: the directory is no longer where it was. */
  async child(ctx: Asker, parent: Node, name: string): Promise<Fid> {
    const { dialect, fidFacts } = this.#session;
    if (fidFacts.sure || parent.id === ROOT || !parent.hasName) {
      // nothing is found in a directory that this client has removed
      if (!parent.hasName && !fidFacts.sure) throw new ErrnoError(errno.ENOENT, 'the directory was removed');
      return this.with(ctx, parent, (dir) => dialect.walk(dir, [name], ctx.signal));
    }
    for (;;) {
      const route = routeOf(parent) ?? fail('its directory was removed');
      const moves = this.#nodes.moves();
      try {
        if (fidFacts.knows('walkQids') === false) return await this.#childOf(ctx, parent, route, name);
        return await dialect.walk(await this.#root(ctx), [...route, name], ctx.signal, parent.stat.qid);
      } catch (error) {
        if (!(error instanceof WrongWay)) throw error;
        if (await this.#missed(ctx, parent, moves)) continue;
        if (error.way === 'untold') {
          fidFacts.settle('walkQids', false);
          continue;
        }
        // the directory is there, and only the name is not, or this throws ESTALE
        if (error.way === 'refused') await this.sure(ctx, [parent], async () => {}).catch(staleIfGone);
        throw error;
      }
    }
  }

  /** By two walks side by side, one to the directory and one to the name, where the second tells nothing of the first. */
  async #childOf(ctx: Asker, parent: Node, route: readonly string[], name: string): Promise<Fid> {
    const { dialect, calls } = this.#session;
    const walking = dialect.walk(await this.#root(ctx), [...route, name], ctx.signal);
    const [way, child] = await Promise.allSettled([this.sure(ctx, [parent], async () => {}), walking]);
    if (way.status === 'fulfilled' && child.status === 'fulfilled') return child.value;
    if (child.status === 'fulfilled') calls.clunk(child.value);
    if (way.status === 'rejected') return staleIfGone(way.reason);
    throw (child as PromiseRejectedResult).reason;
  }

  #known(ctx: Asker, node: Node): Fid | undefined {
    const user = this.#users.of(ctx);
    if (node.id === ROOT) return this.#users.attachedRoot(user);
    const fid = this.#cache.get(node, user);
    // the name is gone: another user's fid is the only way left to reach the file
    return fid ?? (node.hasName ? undefined : this.#cache.peek(node));
  }

  async #root(ctx: Asker): Promise<Fid> {
    return this.#users.root(this.#users.of(ctx), ctx.signal);
  }

  /** A fid of the node that is held for the caller, who lets it go. `fresh`: walked to now. What is walked to the cache keeps. */
  async #held(ctx: Asker, node: Node, fresh: boolean): Promise<Fid> {
    const { fids } = this.#session.connection;
    const known = fresh && node.id !== ROOT ? undefined : this.#known(ctx, node);
    const fid = known ?? (node.id === ROOT ? await this.#root(ctx) : await this.#walkTo(ctx, node));
    // held before anything else runs, or the cache could give it up
    fids.hold([fid]);
    if (known !== undefined || node.id === ROOT) return fid;
    if (!this.#nodes.isKnown(node)) {
      fids.drop([fid]);
      this.#session.calls.clunk(fid);
      fail('forgotten meanwhile');
    }
    this.#cache.found(node, this.#users.of(ctx), fid, true);
    return fid;
  }

  /**
   * Whether a walk is worth another try: this client has renamed something since it counted `moves`, also where that has come back to
   * its old name meanwhile.
   */
  async #missed(ctx: Asker, node: Node, moves: number): Promise<boolean> {
    const moving = this.#nodes.moving();
    if (moving !== undefined) await unlessAborted(moving, ctx.signal);
    return node.hasName && this.#nodes.moves() !== moves;
  }

  async #walkTo(ctx: Asker, node: Node): Promise<Fid> {
    const { dialect, calls } = this.#session;
    for (;;) {
      const route = routeOf(node) ?? fail('it has no name');
      const moves = this.#nodes.moves();
      const root = await this.#root(ctx);
      let fid: Fid;
      try {
        fid = await dialect.walk(root, route, ctx.signal);
      } catch (error) {
        // this client has moved it, or what it lies in, while the walk was on its way
        // a file has taken the place of a directory on the way
        const isLost = isGone(error) || isErrno(error, errno.ENOTDIR);
        if (isLost && ((await this.#missed(ctx, node, moves)) || this.#nodes.misplaced(node))) continue;
        throw isErrno(error, errno.ENOTDIR) ? new ErrnoError(errno.ESTALE, 'its directory has gone') : error;
      }
      const right = isQid(node, fid.qid);
      if (right && (this.#session.fidFacts.sure || !hasMoved(node, route))) return fid;
      calls.clunk(fid);
      if (right || (await this.#missed(ctx, node, moves)) || this.#nodes.misplaced(node)) continue;
      fail('another file has the name now');
    }
  }

  async #lend<T>(fid: Fid, work: (fid: Fid) => Promise<T>): Promise<T> {
    try {
      return await work(fid);
    } finally {
      this.#session.connection.fids.drop([fid]);
    }
  }
}

function fail(why: string): never {
  throw new ErrnoError(errno.ESTALE, why);
}

/** The server no longer finds the file by the fid, or by the name. */
export function isGone(error: unknown): boolean {
  return isErrno(error, errno.ENOENT, errno.ESTALE);
}

function staleIfGone(error: unknown): never {
  throw isErrno(error, errno.ENOENT) ? new ErrnoError(errno.ESTALE, 'the directory is no longer there') : error;
}

/** Whether another way leads to it now. */
function hasMoved(node: Node, route: readonly string[]): boolean {
  const now = routeOf(node);
  return now !== undefined && now.join('/') !== route.join('/');
}
