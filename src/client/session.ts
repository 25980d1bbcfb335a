// A client's session with one server: a connection, the dialect spoken on it, and how both came about.
// The one thing that src/bridge and users of the library hold; what replaces a lost connection will live here.

import type { AbortSignalLike } from '../common/abort.ts';
import { type Logger, silent } from '../common/log.ts';
import type { Address } from '../transport/address.ts';
import { connectSocket } from '../transport/socket.ts';
import type { Transport } from '../transport/transport.ts';
import type { Calls } from './calls.ts';
import { type Connection, type ConnectionOptions, type ConnectionStats, negotiate } from './connection.ts';
import type { Dialect } from './dialects/dialect.ts';
import { DotL } from './dialects/dotl.ts';
import { DotLCalls } from './dialects/dotl-calls.ts';

export interface SessionOptions extends ConnectionOptions {
  /** Milliseconds for the transport to connect, and again for Tversion to be answered. Default 20 s. */
  timeout?: number;
  signal?: AbortSignalLike;
  logger?: Logger;
}

export class Session {
  readonly connection: Connection;
  readonly calls: Calls;
  readonly dialect: Dialect;

  constructor(connection: Connection) {
    this.connection = connection;
    const calls = new DotLCalls(connection);
    this.calls = calls;
    this.dialect = new DotL(calls);
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

/** Connects and negotiates. Rejects with ConnectionError, ProtocolError, ConfigError or CancelledError; nothing stays open. */
export async function connect(address: Address, options: SessionOptions = {}): Promise<Session> {
  const timeout = options.timeout ?? DEFAULT_TIMEOUT;
  const transport = await connectSocket(address, { timeout, ...(options.signal && { signal: options.signal }) });
  return openSession(transport, { ...options, timeout });
}

/** The same over a transport that is connected and has not started. */
export async function openSession(transport: Transport, options: SessionOptions = {}): Promise<Session> {
  return new Session(await negotiate(transport, { logger: silent, timeout: DEFAULT_TIMEOUT, ...options }));
}
