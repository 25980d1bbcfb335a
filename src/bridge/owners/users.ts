// Who a request is made as. access=user attaches every uid on its first use and keeps its root fid; the other modes
// attach once. A uid here is a key of the fids that nodes.ts keeps.
// A failed attach is not remembered: the server may know the user a moment later.

import type { Fid } from '../../client/fids.ts';
import type { Session } from '../../client/session.ts';
import { type AbortSignalLike, unlessAborted } from '../../common/abort.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import type { AccessMode } from '../settings.ts';

export interface UsersOptions {
  access: AccessMode;
  uname: string;
  /** Of whoever mounts. */
  uid: number;
  aname: string;
  /** What a uid of this machine is at the server. Throws EPERM where it is nobody there. */
  atServer?: ((uid: number) => number) | undefined;
}

export class Users {
  readonly #session: Session;
  readonly #options: UsersOptions;
  readonly #roots = new Map<number, Fid>();
  readonly #attaching = new Map<number, Promise<Fid>>();

  constructor(session: Session, options: UsersOptions) {
    this.#session = session;
    this.#options = options;
  }

  /** The uid that the mount itself acts as. */
  get owner(): number {
    return typeof this.#options.access === 'number' ? this.#options.access : this.#options.uid;
  }

  /** The uid that a request is made as. */
  of(ctx: Pick<RequestContext, 'uid'>): number {
    return this.#options.access === 'user' ? ctx.uid : this.owner;
  }

  /** access=client: one attach acts for everybody, and the kernel has checked that they may. */
  get shared(): boolean {
    return this.#options.access === 'client';
  }

  /** Whether what the caller makes is somebody else's to the server, and has to be given to the caller. */
  makesForOthers(ctx: Pick<RequestContext, 'uid'>): boolean {
    return this.shared && ctx.uid !== this.owner;
  }

  /** How many uids are attached. */
  get attached(): number {
    return this.#roots.size;
  }

  /** What a uid of this machine is at the server; access=UID is the server's already. */
  #numberOf(uid: number): number {
    const { access, atServer } = this.#options;
    return atServer === undefined || typeof access === 'number' ? uid : atServer(uid);
  }

  /** As whom the server takes who makes a request: the number with which it was attached. */
  atServer(ctx: Pick<RequestContext, 'uid'>): number {
    return this.#numberOf(this.of(ctx));
  }

  #nameOf(uid: number): string {
    const { dialect, accounts } = this.#session;
    return dialect.attachesByName && uid !== this.owner ? accounts.userOf(uid) : this.#options.uname;
  }

  /** The root as one uid, where it is attached. */
  attachedRoot(uid: number): Fid | undefined {
    return this.#roots.get(uid);
  }

  /**
   * The root as one uid. The attach is shared by everybody who asks at the same time: one that gives up leaves it to the
   * others; the connection's end or its timeout ends it.
   */
  root(uid: number, signal?: AbortSignalLike): Fid | Promise<Fid> {
    const known = this.#roots.get(uid);
    if (known !== undefined) return known;
    let attaching = this.#attaching.get(uid);
    if (attaching === undefined) {
      const { aname } = this.#options;
      attaching = this.#session.dialect.attach(this.#nameOf(uid), aname, this.#numberOf(uid)).then(
        (fid) => {
          this.#attaching.delete(uid);
          this.#roots.set(uid, fid);
          return fid;
        },
        (error) => {
          this.#attaching.delete(uid);
          throw error;
        },
      );
      this.#attaching.set(uid, attaching);
    }
    return unlessAborted(attaching, signal);
  }
}
