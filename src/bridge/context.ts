// What the operations of ops/ and the rooms that they use have in common: the session with the server, the tables of nodes and
// open files, the policies. It is handed over complete; nothing in it is replaced while the mount lives.
// The session's dialect, and what its fids are, are read at the call: they go with the connection.

import type { FileStat } from '../client/dialects/dialect.ts';
import type { Session } from '../client/session.ts';
import { SideNames } from '../client/sidename.ts';
import type { Logger } from '../common/log.ts';
import { FidCache } from './fids/cache.ts';
import { NodeFids } from './fids/nodefids.ts';
import type { CachePolicy } from './files/cache.ts';
import { Handles } from './files/handles.ts';
import { NoAtime } from './files/noatime.ts';
import type { KernelPort } from './kernel.ts';
import { Locks } from './locks/locks.ts';
import { Moving } from './names/moving.ts';
import { Replacing } from './names/replacing.ts';
import { Nodes } from './nodes/nodes.ts';
import type { Owners } from './owners/owners.ts';
import type { Users } from './owners/users.ts';

export interface BridgeOptions {
  session: Session;
  users: Users;
  rootStat: FileStat;
  policy: CachePolicy;
  owners: Owners;
  kernel: KernelPort;
  /** Record locks are the server's; otherwise the kernel keeps them, for this mount alone. */
  remoteLocks: boolean;
  /** ACLs count. */
  posixAcl?: boolean;
  /** Reading leaves the server's access times alone, where the server lets it. */
  noatime?: boolean;
  logger: Logger;
  /** Milliseconds: what bounds waits that nothing can abort. */
  flushTimeout: number;
}

export interface Bridge extends Readonly<Omit<BridgeOptions, 'rootStat' | 'noatime'>> {
  readonly nodes: Nodes;
  readonly fids: NodeFids;
  readonly fidCache: FidCache;
  readonly handles: Handles;
  readonly locks: Locks;
  readonly noAtime: NoAtime;
  /** Names that are just being moved. */
  readonly moving: Moving;
  /** Names that are just being replaced. */
  readonly replacing: Replacing;
  /** Names of files that were removed while they are open. */
  readonly sideNames: SideNames;
}

export function makeBridge({ rootStat, noatime = false, ...given }: BridgeOptions): Bridge {
  const { session, users } = given;
  const fidCache = new FidCache(session);
  const moving = new Moving();
  const nodes = new Nodes(fidCache, rootStat, session.dialect.countsLinks);
  return {
    ...given,
    nodes,
    fidCache,
    fids: new NodeFids({
      session,
      users,
      cache: fidCache,
      isKnown: (node) => nodes.has(node),
      misplaced: (node) => nodes.misplaced(node),
      moving: () => moving.over,
      moves: () => nodes.moves,
    }),
    moving,
    handles: new Handles(),
    locks: new Locks(),
    noAtime: new NoAtime({ ...given, wanted: noatime }),
    replacing: new Replacing(),
    sideNames: new SideNames(),
  };
}
