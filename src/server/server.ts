// The embedded 9P server: a tree, served over sockets, or over any transport that one has in hand.
// Guarantees: connections know nothing of each other but the tree; close() ends them all, waits until what they held is let
// go, and closes the tree last.

import { ConnectionError } from '../common/errors.ts';
import { type Logger, silent } from '../common/log.ts';
import type { Address } from '../transport/address.ts';
import { type Listener, listenSocket } from '../transport/socket.ts';
import type { Transport } from '../transport/transport.ts';
import { DEFAULT_MSIZE } from '../wire/p9/constants.ts';
import { type ClientUsers, wantsEvidence } from './admission.ts';
import { type BehaviourOptions, behaviourOf } from './behaviour.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { DIALECT_NAMES, type DialectName, dialectsOf } from './dialects/negotiate.ts';
import { type Limits, limitsOf } from './limits.ts';
import { checkEvidence } from './peer.ts';
import { Places } from './places.ts';
import { Shortage } from './shortage.ts';
import type { ServerStats } from './stats.ts';
import { Tenants } from './tenants.ts';
import type { Tree } from './tree.ts';
import { Users } from './users.ts';

export type { ClientUsers } from './admission.ts';
export { BEHAVIOURS, type BehaviourOptions, oneOf } from './behaviour.ts';
export { DIALECT_NAMES, type DialectName } from './dialects/negotiate.ts';
export type { FidKindName } from './fidkinds.ts';
export type { Limits } from './limits.ts';
export type { ConnectionStats, ServerStats } from './stats.ts';
export type { Tree } from './tree.ts';
export { faultsTree } from './trees/faults.ts';
export { hostTree } from './trees/host.ts';
export { memoryTree } from './trees/memory.ts';
export { parseUserMap, type UserMap } from './usermap.ts';
export { Users } from './users.ts';

export interface ServerOptions extends BehaviourOptions {
  readonly tree: Tree;
  readonly logger?: Logger;
  /** The largest that is agreed to; default 1 MiB of payload. */
  readonly msize?: number;
  /** Whom clients may be; default whomever they say, which is for clients that one has in hand. */
  readonly users?: ClientUsers;
  /** The user database; default this machine's. */
  readonly accounts?: Users;
  /** The versions that are spoken; default all of them. */
  readonly dialects?: readonly DialectName[];
  /** What all connections together may have; see Limits for what each is if not given. */
  readonly limits?: Partial<Limits>;
}

export class Server {
  readonly #options: ConnectionOptions;
  readonly #connections = new Set<Connection>();
  /** Those whose transports have not ended, in the order in which they came: with a client let in, and without. */
  readonly #attached = new Set<Connection>();
  readonly #strangers = new Set<Connection>();
  readonly #listeners: Listener[] = [];
  #accepted = 0;
  #refused = 0;
  #closing: Promise<void> | undefined;

  constructor({
    tree,
    logger = silent,
    msize = DEFAULT_MSIZE,
    users: clients = { kind: 'trust' },
    accounts: users = new Users(),
    dialects = DIALECT_NAMES,
    limits: given = {},
    ...behaviour
  }: ServerOptions) {
    const limits = limitsOf(given, msize);
    const tenants = new Tenants(limits);
    const shortage = new Shortage(tenants, this.#attached, limits.patience);
    this.#options = {
      ...{ tree, logger, msize, users, clients, limits, tenants, shortage },
      dialects: dialectsOf(dialects),
      places: new Places(),
      behaviour: behaviourOf(behaviour),
      allOnes: new WeakSet(),
      flushes: { received: 0, dropped: 0, aborted: 0, suppressed: 0 },
    };
    tree.serving?.(() => this.stats);
  }

  /** The address with the real port. Rejects with ConfigError when it cannot be listened on. */
  async listen(address: Address): Promise<Address> {
    if (wantsEvidence(this.#options.clients)) checkEvidence(address);
    const listener = await listenSocket(address, (transport) => this.serveTransport(transport));
    this.#listeners.push(listener);
    return listener.address;
  }

  /** Serves one connection; settles when it has ended and what it held is let go. */
  serveTransport(transport: Transport): Promise<void> {
    if (this.#closing !== undefined) {
      transport.close();
      return transport.closed.then(() => undefined);
    }
    const { logger } = this.#options;
    if (!this.#hasRoom()) {
      this.#refused++;
      logger.info({ peer: transport.peer }, 'connection refused: there are as many as there may be');
      transport.close();
      return transport.closed.then(() => undefined);
    }
    this.#accepted++;
    logger.info({ peer: transport.peer }, 'connection accepted');
    const connection: Connection = new Connection(transport, this.#options, () => {
      this.#strangers.delete(connection);
      this.#attached.add(connection);
    });
    this.#connections.add(connection);
    this.#strangers.add(connection);
    transport.closed.then(() => {
      this.#strangers.delete(connection);
      this.#attached.delete(connection);
    });
    return connection.done.finally(() => this.#connections.delete(connection));
  }

  /** One that has not come in yet makes room for the next: whoever holds all places with nothing but connections gets none. */
  #hasRoom(): boolean {
    if (this.#attached.size + this.#strangers.size < this.#options.limits.connections) return true;
    const [oldest] = this.#strangers;
    if (oldest === undefined) return false;
    this.#strangers.delete(oldest);
    oldest.close(new ConnectionError('others came, and nobody had attached'));
    return true;
  }

  get stats(): ServerStats {
    return {
      connections: [...this.#connections].map(({ peer, tags, fids }) => ({ peer, tags, fids })),
      accepted: this.#accepted,
      refused: this.#refused,
      memory: this.#options.tenants.stats,
      places: this.#options.places.size,
      flushes: { ...this.#options.flushes },
    };
  }

  /** Ends everything; every call gets the same promise. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#options.shortage.end();
    const listening = this.#listeners.map((listener) => listener.close());
    for (const connection of this.#connections) connection.close();
    // no deadline: a tree that does not heed its abort signals would be closed under its own calls
    await Promise.all([...this.#connections].map((connection) => connection.done));
    await Promise.all(listening);
    await this.#options.tree.close();
  }
}

export interface ServeOptions extends ServerOptions {
  readonly address: Address;
}

export interface Serving {
  /** With the real port. */
  readonly address: Address;
  readonly server: Server;
  readonly stats: ServerStats;
  close(): Promise<void>;
}

/** Serves a tree at an address until close(). */
export async function serve(options: ServeOptions): Promise<Serving> {
  const server = new Server(options);
  const address = await server.listen(options.address);
  return {
    address,
    server,
    get stats() {
      return server.stats;
    },
    close: () => server.close(),
  };
}
