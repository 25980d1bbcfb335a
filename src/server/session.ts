// What one Tversion begins and the next one, or the end of the connection, ends: msize, fids, requests, read buffers.
// Guarantees: when end() has settled, no handler of it runs, all its fids are gone, and a fid that a late handler made
// has been given back at once.

import { BufferPool } from '../common/bufpool.ts';
import type { Logger } from '../common/log.ts';
import { IOHDR } from '../wire/p9/constants.ts';
import type { Behaviour } from './behaviour.ts';
import type { Dialect } from './dialects/dialect.ts';
import { type Fid, FidTable } from './fids.ts';
import type { Request, Requests } from './flush.ts';
import type { Places } from './places.ts';
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

export class Session {
  readonly dialect: Dialect;
  readonly msize: number;
  /** The largest payload of a reply, and what Rlopen says. */
  readonly iounit: number;
  readonly tree: Tree;
  readonly users: Users;
  readonly places: Places;
  readonly behaviour: Behaviour;
  readonly allOnes: Shared['allOnes'];
  readonly fids: FidTable;
  readonly requests: Requests;
  readonly lend: Lender;
  #over: Promise<void> | undefined;

  constructor(dialect: Dialect, msize: number, shared: Shared, requests: Requests, logger: Logger) {
    this.dialect = dialect;
    this.msize = msize;
    this.iounit = msize - IOHDR;
    this.tree = shared.tree;
    this.users = shared.users;
    this.places = shared.places;
    this.behaviour = shared.behaviour;
    this.allOnes = shared.allOnes;
    this.requests = requests;
    this.fids = new FidTable(shared.places, (fid, error) => {
      logger.debug({ fid: fid.number, error: String(error) }, 'closing failed after the clunk was answered');
    });
    const pool = new BufferPool(Math.max(READ_MEMORY, 4 * 2 ** Math.ceil(Math.log2(msize))));
    this.lend = (size, signal) => pool.tryTake(size) ?? pool.take(size, signal);
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
