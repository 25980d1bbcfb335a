// One transport, one negotiated version and msize, and the receive loop between the transport and the requests.
// Guarantees: it ends once, for one reason, which every request then gets; nothing is received after that.
// A connection is never re-negotiated, and one that has ended does not come back.

import type { AbortSignalLike } from '../common/abort.ts';
import { BufferPool, NO_RESERVE, type Reserve, slabSize } from '../common/bufpool.ts';
import { ConfigError, ConnectionError, ProtocolError } from '../common/errors.ts';
import { type Logger, silent } from '../common/log.ts';
import { PoolShare, type ShareStats } from '../common/poolshare.ts';
import type { Transport } from '../transport/transport.ts';
import type { Frame } from '../wire/p9/codec.ts';
import { DEFAULT_MSIZE, IOHDR, MIN_MSIZE } from '../wire/p9/constants.ts';
import { FrameReader } from '../wire/p9/framing.ts';
import { speech } from './dialects/speech.ts';
import { candidates, type Version, type VersionChoice } from './dialects/versions.ts';
import { type Fid, type FidStats, Fids } from './fids.ts';
import { checkLimits, defaultRequestOptions, type RequestOptions } from './limits.ts';
import { type RequestStats, Requests } from './requests.ts';
import { type TurnStats, Turns } from './turns.ts';
import { type Agreed, exchangeVersion, type Frames } from './version.ts';

export interface ConnectionOptions {
  /** Default auto. */
  version?: VersionChoice;
  /** Bytes; the server may lower it. */
  msize?: number;
  /** Bytes of receive memory for payloads at the most; at least one chunk. */
  rxPool?: number;
  /** Milliseconds for Tversion to be answered. */
  timeout?: number;
  signal?: AbortSignalLike;
  requests?: Partial<RequestOptions>;
  logger?: Logger;
}

export interface ConnectionStats extends RequestStats {
  fids: FidStats;
  /** Of transfers that do not fit in one message. */
  chunks: TurnStats;
  pool: BufferPool['stats'] & { streams: ShareStats };
}

const DEFAULT_RX_POOL = 32 * 1024 * 1024;

/** Bytes of a read, or of a listing, that is not kept waiting for memory by larger ones. */
const LITTLE = 64 * 1024;
/** The part of the receive memory that is there for those; none where it would not do for one of them. */
const RESERVED = 1 / 8;

function reserveOf(capacity: number): Reserve {
  const bytes = Math.floor(capacity * RESERVED);
  return bytes < LITTLE ? NO_RESERVE : { little: LITTLE, bytes };
}

/** A frame's size is a u32, and some of ours are numbers of 31 bits. */
const MAX_MSIZE = 2 ** 31 - 1;
/** How many of the peer's first bytes are kept at least. */
const OPENING = 40;

export class Connection {
  readonly peer: string;
  readonly version: Version;
  /** Negotiated, bytes. */
  readonly msize: number;
  readonly requests: Requests;
  readonly fids: Fids;
  readonly pool: BufferPool;
  /** The part of the pool for reads that may not be answered for long. */
  readonly streams: PoolShare;
  /** What transfers that do not fit in one message take. */
  readonly turns = new Turns();
  readonly logger: Logger;
  /** Milliseconds that an answer to a Tflush is waited for. */
  readonly flushTimeout: number;
  readonly #transport: Transport;
  #error: Error | undefined;
  #ended: (error: Error) => void = () => {};
  /** With the error that ended the connection. */
  readonly closed: Promise<Error>;

  constructor(
    transport: Transport,
    reader: FrameReader,
    handler: { frames: Frames },
    { version, msize }: Agreed,
    limits: RequestOptions,
    options: ConnectionOptions,
  ) {
    this.peer = transport.peer;
    this.version = version;
    this.msize = msize;
    this.logger = options.logger ?? silent;
    this.flushTimeout = limits.flushTimeout;
    this.#transport = transport;
    const capacity = Math.max(options.rxPool ?? DEFAULT_RX_POOL, slabSize(this.chunk));
    this.pool = new BufferPool(capacity, reserveOf(capacity));
    this.streams = new PoolShare(this.pool, capacity / 2);
    this.fids = new Fids(async (fid: Fid, signal?: AbortSignalLike) => {
      await this.requests.call('Tclunk', { fid: fid.number }, { ...(signal && { signal }) });
    });
    this.requests = new Requests(
      {
        ...speech[version],
        msize,
        send: (frame: Frame, taken?: () => void) => transport.send(frame.head, frame.payload, taken),
        fail: (error: Error) => this.fail(error),
        fids: this.fids,
        logger: this.logger,
      },
      // half of the pool in quarantine leaves the other half to those who read on
      { ...limits, maxQuarantineBytes: options.requests?.maxQuarantineBytes ?? capacity / 2 },
    );
    this.closed = new Promise((resolve) => {
      this.#ended = resolve;
    });
    handler.frames = {
      frame: (bytes, start, end, payload) => this.requests.frame(bytes, start, end, payload),
      sink: (type, tag, length) => this.requests.sink(type, tag, length),
      fail: (error) => this.fail(error),
    };
    reader.maxFrame = msize;
    transport.onDrain = () => this.requests.drained();
    void transport.closed.then((error) => {
      const how = reader.idle ? 'the server closed the connection' : 'the connection was cut within a message';
      this.fail(error ?? new ConnectionError(`${this.peer}: ${how}`));
    });
  }

  /** Largest payload of one read or write, bytes. */
  get chunk(): number {
    return this.msize - IOHDR;
  }

  /** Why it ended, or undefined while it lives. */
  get error(): Error | undefined {
    return this.#error;
  }

  get stats(): ConnectionStats {
    return {
      ...this.requests.stats,
      fids: this.fids.stats,
      chunks: this.turns.stats,
      pool: { ...this.pool.stats, streams: this.streams.stats },
    };
  }

  /** Ends it with `error`, which everything in flight gets. Harmless when it has ended. */
  fail(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    const level = error instanceof ProtocolError ? 'error' : 'info';
    this.logger[level]({ peer: this.peer, reason: error.message }, 'connection ended');
    this.#transport.close(error);
    this.fids.end();
    this.requests.end(error);
    this.#ended(error);
  }

  /** Ends it on our side. */
  close(): void {
    this.fail(new ConnectionError(`${this.peer}: closed`));
  }
}

/**
 * Negotiates over a transport that has not started (version(9P)); `versions` are asked for in their order. Rejects with ProtocolError (not 9P), ConfigError (a
 * version or msize that cannot be used), ConnectionError, or CancelledError; the transport is then closed.
 */
export async function negotiate(
  transport: Transport,
  options: ConnectionOptions = {},
  versions: readonly Version[] = candidates(options.version ?? 'auto'),
): Promise<Connection> {
  try {
    return await openConnection(transport, options, versions);
  } catch (error) {
    transport.close();
    throw error;
  }
}

async function openConnection(
  transport: Transport,
  options: ConnectionOptions,
  versions: readonly Version[],
): Promise<Connection> {
  const { msize: asked = DEFAULT_MSIZE, timeout, signal, logger = silent } = options;
  if (!Number.isInteger(asked) || asked < MIN_MSIZE || asked > MAX_MSIZE) {
    throw new ConfigError(`msize ${asked}: ${MIN_MSIZE} to ${MAX_MSIZE} can be used`);
  }
  const limits = checkLimits({ ...defaultRequestOptions, ...options.requests });
  const handler: { frames: Frames } = { frames: unready };
  const guard = (deliver: () => void) => {
    try {
      deliver();
    } catch (error) {
      handler.frames.fail(error as Error);
    }
  };
  const reader = new FrameReader(asked, {
    frame: (bytes, start, end, payload) => handler.frames.frame(bytes, start, end, payload),
    sink: (bytes, start, length) => handler.frames.sink(bytes[start + 4]!, bytes.readUInt16LE(start + 5), length),
  });
  /** The peer's first bytes, for the message about a peer that does not speak 9P. */
  let opening: Buffer = Buffer.alloc(0);
  let window: Buffer;
  const begin = () =>
    transport.start({
      window: () => {
        window = reader.window();
        return window;
      },
      filled: (count) => {
        if (opening.length < OPENING) opening = Buffer.concat([opening, window.subarray(0, Math.min(count, OPENING))]);
        guard(() => reader.filled(count));
      },
      push: (chunk) => {
        if (opening.length < OPENING) opening = Buffer.concat([opening, chunk.subarray(0, OPENING)]);
        guard(() => reader.push(chunk));
      },
    });
  const agreed = await exchangeVersion(
    transport,
    handler,
    { versions, msize: asked, timeout, signal, logger },
    begin,
    () => opening,
  );
  logger.info({ peer: transport.peer, ...agreed }, 'connected');
  return new Connection(transport, reader, handler, agreed, limits, options);
}

const unready: Frames = {
  frame() {
    throw new ProtocolError('a message before the negotiation');
  },
  sink() {
    throw new ProtocolError('a message before the negotiation');
  },
  fail() {},
};
