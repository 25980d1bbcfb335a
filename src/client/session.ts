// A client's session with one server: a connection, the dialect spoken on it, and how both came about.
// The one thing that src/bridge and users of the library hold. It ends with its connection.

import type { AbortSignalLike } from '../common/abort.ts';
import type { Logger } from '../common/log.ts';
import type { Address } from '../transport/address.ts';
import { connectSocket } from '../transport/socket.ts';
import type { Transport } from '../transport/transport.ts';
import { VERSION } from '../wire/p9/constants.ts';
import { Accounts } from './accounts.ts';
import { Appending } from './append.ts';
import type { Calls } from './calls.ts';
import { type Connection, type ConnectionOptions, type ConnectionStats, negotiate } from './connection.ts';
import type { Dialect } from './dialects/dialect.ts';
import { DotL } from './dialects/dotl.ts';
import { DotLCalls } from './dialects/dotl-calls.ts';
import { DotU } from './dialects/dotu.ts';
import { Legacy } from './dialects/legacy.ts';
import { Plan9Calls } from './dialects/plan9-calls.ts';
import { candidates, type Version } from './dialects/versions.ts';
import { FidFacts } from './fidfacts.ts';
import { HungUp } from './version.ts';

export interface SessionOptions extends ConnectionOptions {
  /** Milliseconds for the transport to connect, and again for Tversion to be answered. Default 20 s. */
  timeout?: number;
  /** Default: those of this machine. */
  accounts?: Accounts;
  signal?: AbortSignalLike;
  logger?: Logger;
}

type Speaker = (connection: Connection, accounts: Accounts) => { calls: Calls; dialect: Dialect };

const speakers: Readonly<Record<Version, Speaker>> = {
  [VERSION.dotl]: (connection) => {
    const calls = new DotLCalls(connection);
    return { calls, dialect: new DotL(calls) };
  },
  [VERSION.dotu]: (connection, accounts) => {
    const calls = new Plan9Calls(connection);
    return { calls, dialect: new DotU(calls, accounts) };
  },
  [VERSION.legacy]: (connection, accounts) => {
    const calls = new Plan9Calls(connection);
    return { calls, dialect: new Legacy(calls, accounts) };
  },
};

export class Session {
  readonly connection: Connection;
  readonly calls: Calls;
  readonly dialect: Dialect;
  /** What the fids of this connection's server turned out to be. */
  readonly fidFacts: FidFacts;
  /** Appends to files, by what the server makes of O_APPEND. */
  readonly appending: Appending;
  /** Names for numbers and numbers for names, where the dialect needs them. */
  readonly accounts: Accounts;

  constructor(connection: Connection, accounts: Accounts = new Accounts()) {
    this.connection = connection;
    this.accounts = accounts;
    this.fidFacts = new FidFacts(connection.logger);
    const { calls, dialect } = speakers[connection.version](connection, accounts);
    this.calls = calls;
    this.dialect = dialect;
    this.appending = new Appending(calls, dialect);
  }

  get stats(): ConnectionStats {
    return this.connection.stats;
  }

  /** Settles with the error that ended the connection. */
  get closed(): Promise<Error> {
    return this.connection.closed;
  }

  close(): void {
    this.connection.close();
  }
}

const DEFAULT_TIMEOUT = 20_000;

/**
 * Connects and negotiates; with another connection for each version at which the server hangs up. Rejects with
 * ConnectionError, ProtocolError, ConfigError or CancelledError; nothing stays open.
 */
export async function connect(address: Address, options: SessionOptions = {}): Promise<Session> {
  const timeout = options.timeout ?? DEFAULT_TIMEOUT;
  for (let versions = candidates(options.version ?? 'auto'); ; ) {
    const transport = await connectSocket(address, { timeout, ...(options.signal && { signal: options.signal }) });
    try {
      return new Session(await negotiate(transport, { ...options, timeout }, versions), options.accounts);
    } catch (error) {
      if (!(error instanceof HungUp) || error.left.length === 0) throw error;
      versions = error.left;
    }
  }
}

/** The same over a transport that is connected and has not started. */
export async function openSession(transport: Transport, options: SessionOptions = {}): Promise<Session> {
  return new Session(await negotiate(transport, { timeout: DEFAULT_TIMEOUT, ...options }), options.accounts);
}
