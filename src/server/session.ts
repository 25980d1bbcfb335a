// What one Tversion begins and the next one, or the end of the connection, ends: msize, fids, requests, memory for reads.
// Guarantees: when end() has settled, no handler of it runs, all its fids are gone, and a fid that a late handler made has
// been given back at once.

import type { AbortSignalLike } from '../common/abort.ts';
import { cancelled, type Slab, slabSize } from '../common/bufpool.ts';
import { errno } from '../common/errno.ts';
import type { Logger } from '../common/log.ts';
import { IOHDR } from '../wire/p9/constants.ts';
import type { Admit } from './admission.ts';
import type { Behaviour } from './behaviour.ts';
import type { Dialect } from './dialects/dialect.ts';
import { type Fid, FidTable } from './fids.ts';
import type { Request, Requests } from './flush.ts';
import type { Places } from './places.ts';
import { Ration } from './ration.ts';
import { refuse } from './refuse.ts';
import type { Tenant } from './tenants.ts';
import type { Lender, Tree, TreeNode } from './tree.ts';
import type { Users } from './users.ts';

/** Read payloads that wait for the socket, at least; a slow reader's requests wait when it is used up. */
const READ_MEMORY = 8 * 1024 * 1024;

/** What all connections of one server share. */
export interface Shared {
  readonly tree: Tree;
  readonly users: Users;
  readonly places: Places;
  readonly behaviour: Behaviour;
  /** Nodes that show a mode of all ones, because a Twstat left the mode alone (--wstat=all-ones). */
  readonly allOnes: WeakSet<TreeNode>;
}

/** What a session asks of its connection. */
export interface Bearer {
  readonly admit: Admit;
  /** Known from the first client on that was let in. */
  readonly tenant: Tenant | undefined;
  /** A client has been let in: `uid` is what the kernel says of it. Throws EMFILE. */
  enter(uid: number | undefined): Tenant;
  /** A Tattach has succeeded. */
  attached(): void;
  /** A read begins to wait for memory, or waits no more. */
  readWaits(): void;
}

export class Session {
  readonly dialect: Dialect;
  readonly msize: number;
  /** The largest payload of a reply, and what Rlopen says. */
  readonly iounit: number;
  readonly tree: Tree;
  readonly users: Users;
  readonly bearer: Bearer;
  readonly places: Places;
  readonly behaviour: Behaviour;
  readonly allOnes: Shared['allOnes'];
  readonly fids: FidTable;
  readonly requests: Requests;
  readonly lend: Lender;
  #ration: Ration | undefined;
  #over: Promise<void> | undefined;

  constructor(dialect: Dialect, msize: number, shared: Shared, bearer: Bearer, requests: Requests, logger: Logger) {
    this.dialect = dialect;
    this.msize = msize;
    this.iounit = msize - IOHDR;
    this.tree = shared.tree;
    this.users = shared.users;
    this.bearer = bearer;
    this.places = shared.places;
    this.behaviour = shared.behaviour;
    this.allOnes = shared.allOnes;
    this.requests = requests;
    this.fids = new FidTable(shared.places, (fid, error) => {
      logger.debug({ fid: fid.number, error: String(error) }, 'closing failed after the clunk was answered');
    });
    // whatever reads has a fid, and so has come in
    this.lend = (size, signal) => {
      const ration = this.#ration ?? refuse(errno.ENOBUFS);
      return ration.tryTake(size) ?? this.#wait(ration, size, signal);
    };
    if (bearer.tenant !== undefined) this.#moveIn(bearer.tenant);
  }

  /** Reads that wait for memory. */
  get waiting(): number {
    return this.#ration?.waiting ?? 0;
  }

  /** A client has been let in, of which the kernel says that it is `uid`. Throws EMFILE. */
  enter(uid: number | undefined): void {
    if (this.#ration === undefined) this.#moveIn(this.bearer.enter(uid));
  }

  #moveIn(tenant: Tenant): void {
    this.fids.tenant = tenant;
    this.#ration = new Ration(tenant.memory, Math.max(READ_MEMORY, 4 * slabSize(this.msize)));
  }

  async #wait(ration: Ration, size: number, signal: AbortSignalLike): Promise<Slab> {
    try {
      const taking = ration.take(size, signal);
      this.bearer.readWaits();
      const slab = await taking;
      if (!this.requests.ended) return slab;
      slab.release();
      throw cancelled();
    } finally {
      this.bearer.readWaits();
    }
  }

  /** The fid of this number, in use until the request ends. */
  use(request: Request, number: number): Fid {
    const fid = this.fids.get(number);
    fid.uses++;
    if (request.fids === undefined) request.fids = [fid];
    else request.fids.push(fid);
    return fid;
  }

  /** Ends it; every call gets the same promise. */
  end(): Promise<void> {
    this.#over ??= this.requests.stop().finally(() => this.fids.clear());
    return this.#over;
  }
}
