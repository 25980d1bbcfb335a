// What the operations of ops/ share: the session with the server, the tables of nodes and open files, the policies.
// Holds no logic but what every family of operations needs: from a node to an entry for the kernel, and a node's fresh
// attributes.

import type { FileStat, StatChange } from '../client/dialects/dialect.ts';
import type { Fid } from '../client/fids.ts';
import type { Session } from '../client/session.ts';
import { SideNames } from '../client/sidename.ts';
import type { AbortSignalLike } from '../common/abort.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError, isErrno } from '../common/errors.ts';
import { Finishing, finish } from '../common/finishing.ts';
import type { Logger } from '../common/log.ts';
import type { AttrReply, Entry, RequestContext } from '../fuse/operations.ts';
import { S_ISGID, toAttr, withoutPrivileges } from './attrs.ts';
import type { CachePolicy } from './cache.ts';
import { Handles } from './handles.ts';
import { Locks } from './locks.ts';
import type { Node } from './node.ts';
import { Nodes } from './nodes.ts';
import type { Owners } from './owners.ts';
import { Replacing } from './replacing.ts';
import { tellApart, type Verdict } from './sameness.ts';
import type { Users } from './users.ts';

export interface BridgeOptions {
  session: Session;
  users: Users;
  rootStat: FileStat;
  policy: CachePolicy;
  owners: Owners;
  /** ACLs count. */
  posixAcl?: boolean;
  logger: Logger;
  /** Milliseconds: what bounds waits that nothing can abort. */
  flushTimeout: number;
}

export class Bridge {
  readonly session: Session;
  readonly users: Users;
  readonly nodes: Nodes;
  readonly handles = new Handles();
  readonly locks = new Locks();
  readonly replacing = new Replacing();
  readonly policy: CachePolicy;
  readonly owners: Owners;
  readonly posixAcl: boolean;
  readonly logger: Logger;
  readonly flushTimeout: number;
  /** Of files that were removed while they are open (asides.ts). */
  readonly sideNames = new SideNames();
  /** Makes the kernel ask for a node's attributes again; set when the mount is live. */
  expireAttr: (node: Node) => Promise<unknown> = async () => {};
  /** The same, and makes it read a part of the file anew (length 0: all the rest); set when the mount is live. */
  dropPages: (node: Node, offset: number, length: number) => Promise<unknown> = async () => {};

  constructor(options: BridgeOptions) {
    this.session = options.session;
    this.users = options.users;
    this.policy = options.policy;
    this.owners = options.owners;
    this.posixAcl = options.posixAcl ?? false;
    this.logger = options.logger;
    this.flushTimeout = options.flushTimeout;
    this.nodes = new Nodes(options.session, options.users, options.rootStat);
  }

  /**
   * The node's fid for whoever asks. It may be replaced and clunked as soon as the event loop turns: whoever has more to
   * do with it than to name it in one request uses withFids.
   */
  fid(ctx: RequestContext, node: Node): Fid | Promise<Fid> {
    return this.nodes.fid(node, this.users.of(ctx), ctx.signal);
  }

  /** The same of several nodes for the length of `work`, whatever becomes of the nodes meanwhile. */
  async withFids<T>(ctx: RequestContext, nodes: readonly Node[], work: (...fids: Fid[]) => Promise<T>): Promise<T> {
    const table = this.session.connection.fids;
    const held: Fid[] = [];
    try {
      for (const node of nodes) {
        const fid = await this.fid(ctx, node);
        table.hold([fid]);
        held.push(fid);
      }
      return await work(...held);
    } finally {
      table.drop(held);
    }
  }

  /** A fid of the caller's own, to be opened, created through, or renamed by. */
  async clone(ctx: RequestContext, node: Node): Promise<Fid> {
    return this.session.dialect.walk(await this.fid(ctx, node), [], ctx.signal);
  }

  attrReply(node: Node): AttrReply {
    return { attr: toAttr(node.stat, this.owners, node.ino), attrTtl: this.policy.attrTtl };
  }

  /** For a node whose lookup has been counted; taken back where its owner may not be shown (idmap=file). */
  entry(node: Node): Entry {
    const { entryTtl } = this.policy;
    try {
      return { nodeid: node.id, generation: 0, entryTtl, ...this.attrReply(node) };
    } catch (error) {
      this.nodes.forget(node.id, 1);
      throw error;
    }
  }

  /** The name's node and its attributes, asked from the server; one lookup is counted. `same`: what it was just linked to. */
  async look(ctx: RequestContext, parent: Node, name: string, same?: Node): Promise<Node> {
    const { dialect, calls } = this.session;
    const { signal } = ctx;
    const replaced = this.replacing.end(parent, name, signal);
    if (replaced !== undefined) await replaced;
    if (this.sideNames.has(name)) throw new ErrnoError(errno.ENOENT, 'a hidden name');
    const fid = await dialect.walk(await this.fid(ctx, parent), [name], signal);
    let stat: FileStat;
    let verdict: Verdict | undefined = same;
    try {
      stat = await dialect.stat(fid, signal);
      if (verdict === undefined) {
        const suspects = this.nodes.suspects(parent, name, stat);
        if (suspects.length > 0) verdict = await tellApart(this, ctx, suspects, fid, stat);
      }
    } catch (error) {
      calls.clunk(fid);
      throw error;
    }
    return this.nodes.found(parent, name, fid, stat, this.users.of(ctx), verdict);
  }

  /** The same after an operation that made the name: it has happened, so nothing may abort the look at its result. */
  async made(ctx: RequestContext, parent: Node, name: string, mode?: number): Promise<Entry> {
    return this.entry(await this.lookAtMade(ctx, parent, name, mode));
  }

  /**
   * What was made belongs to its maker: where one attach acts for all (access=client), the server has to be told. And it
   * has the mode that was asked for, where the server goes by more than that.
   */
  lookAtMade(ctx: RequestContext, parent: Node, name: string, mode?: number): Promise<Node> {
    return this.finish(ctx, async (rest) =>
      this.#settle(rest, await this.look(rest, parent, name), parent, name, mode),
    );
  }

  async #settle(ctx: RequestContext, node: Node, parent: Node, name: string, mode: number | undefined): Promise<Node> {
    const { dialect } = this.session;
    const uid = this.users.shared ? this.owners.uids.toServer(ctx.uid) : node.stat.uid;
    const foreign = uid !== node.stat.uid && ctx.uid !== this.users.owner;
    const cut = mode !== undefined && dialect.cutsModes && ((node.stat.mode ^ mode) & 0o777) !== 0;
    if (!foreign && !cut) return node;
    return this.counted(node, () =>
      this.withFids(ctx, [node], async (fid) => {
        const { signal } = ctx;
        if (cut) await dialect.change(fid, { mode: mode & 0o7777 }, signal).catch((error) => this.#leave(name, error));
        if (foreign) await this.change(fid, { uid, gid: this.groupIn(ctx, parent) }, signal);
        this.nodes.refresh(node, await dialect.stat(fid, signal));
        return node;
      }),
    );
  }

  /** What is done with a node whose lookup was counted: the kernel, which is told of it last, is not told when this fails. */
  async counted<T>(node: Node, work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.nodes.forget(node.id, 1);
      throw error;
    }
  }

  /** The same caller for what follows a step that has had its effect: his abort is heeded late. */
  finishing({ unique, uid, gid, pid, signal }: RequestContext): RequestContext & { signal: Finishing } {
    return { unique, uid, gid, pid, signal: new Finishing(signal, this.flushTimeout) };
  }

  /** The same for work of its own: common/finishing.ts. */
  finish<T>(ctx: RequestContext, work: (ctx: RequestContext) => T | Promise<T>): Promise<T> {
    const { unique, uid, gid, pid } = ctx;
    return finish(ctx.signal, this.flushTimeout, (signal) => work({ unique, uid, gid, pid, signal }));
  }

  /** dialect.change; with chown=ignore an owner that the server refuses is left out. */
  async change(fid: Fid, change: StatChange, signal?: AbortSignalLike): Promise<void> {
    const { dialect, connection } = this.session;
    const { uid, gid, ...rest } = change;
    if (!this.owners.chownIgnored || (uid === undefined && gid === undefined)) {
      return dialect.change(fid, change, signal);
    }
    await connection.fids.during([fid], async () => {
      try {
        await dialect.change(fid, change, signal);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        if (Object.keys(rest).length > 0) await dialect.change(fid, rest, signal);
      }
    });
  }

  /** It was made, and is as the server wants it. */
  #leave(name: string, error: unknown): void {
    if (!(error instanceof ErrnoError)) throw error;
    this.logger.debug({ name, errno: error.code }, 'made with fewer permissions than were asked for');
  }

  /**
   * Fresh attributes, through `open` where given. A file that this client has unlinked is asked for through an open fid;
   * where the server has no answer even then (its fids die with the name), the last known attributes are it.
   */
  async stat(ctx: RequestContext, node: Node, open: Fid | undefined): Promise<FileStat> {
    const { dialect } = this.session;
    const through = open ?? (node.isUnlinked ? firstOpen(node) : undefined);
    try {
      return this.nodes.refresh(node, await dialect.stat(through ?? (await this.fid(ctx, node)), ctx.signal));
    } catch (error) {
      if (!isGone(error)) throw error;
      if (node.isUnlinked) return node.stat;
      if (through === undefined) throw error;
      return this.nodes.refresh(node, await dialect.stat(await this.fid(ctx, node), ctx.signal));
    }
  }

  /**
   * The file has no name any more and the server finds files by name: whatever is asked of its fids may hit the one that
   * has the name now. Nobody else can see the file, so that what only shows in its attributes is kept here.
   */
  isLost(node: Node): boolean {
    return node.isUnlinked && this.session.dialect.fidsFollowPaths;
  }

  /**
   * Clears setuid and setgid before a write or truncation by somebody who may not keep them (HANDLE_KILLPRIV_V2 leaves
   * that to us). Where the server acts as the writer it refuses him the chmod, and clears them itself when he writes.
   */
  async clearPrivileges(node: Node, fid: Fid, signal: AbortSignalLike): Promise<void> {
    await this.#setMode(node, fid, withoutPrivileges(node.stat.mode), signal);
  }

  /** An ACL is set by an owner who is not in the file's group; a server that takes him for himself does it by itself. */
  async clearSgid(node: Node, fid: Fid, signal: AbortSignalLike): Promise<void> {
    await this.#setMode(node, fid, node.stat.mode & ~S_ISGID, signal);
  }

  async #setMode(node: Node, fid: Fid, mode: number, signal: AbortSignalLike): Promise<void> {
    if (mode === node.stat.mode) return;
    try {
      if (this.isLost(node)) return;
      await this.session.dialect.change(fid, { mode: mode & 0o7777 }, signal);
    } catch (error) {
      if (!isErrno(error, errno.EPERM, errno.EACCES)) throw error;
    }
    node.stat = { ...node.stat, mode };
  }

  /**
   * The group of what is created in a directory: the directory's where it is setgid, else the caller's (inode_init_owner).
   * Throws EPERM before anything is made for somebody who is nobody at the server.
   */
  groupIn(ctx: RequestContext, parent: Node): number {
    if (this.users.shared) this.owners.uids.toServer(ctx.uid);
    return (parent.stat.mode & S_ISGID) !== 0 ? parent.stat.gid : this.owners.gids.toServer(ctx.gid);
  }
}

/** The same caller, with a signal that nobody aborts: for what is done later, when he no longer waits for it. */
export function withoutSignal({ unique, uid, gid, pid }: RequestContext): RequestContext {
  return { unique, uid, gid, pid, signal: never };
}

const never: RequestContext['signal'] = {
  aborted: false,
  reason: undefined,
  addEventListener: () => {},
  removeEventListener: () => {},
};

export function firstOpen(node: Node): Fid | undefined {
  for (const { fid } of node.opens) return fid;
  return undefined;
}

/** What servers say to a chown that they do not allow, or cannot carry out. */
export function isRefusal(error: unknown): boolean {
  return isErrno(error, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL);
}

/** The server no longer finds the file by the fid. */
export function isGone(error: unknown): boolean {
  return isErrno(error, errno.ENOENT, errno.ESTALE);
}
