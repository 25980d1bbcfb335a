// One transport, one negotiated version and msize, and the receive loop between the transport and the requests.
// Guarantees: it ends once, for one reason, which every request then gets; nothing is received after that.
// A connection is never re-negotiated: a lost one is replaced by another (session.ts).

import type { AbortSignalLike } from '../common/abort.ts';
import { BufferPool } from '../common/bufpool.ts';
import { errnoName } from '../common/errno.ts';
import { CancelledError, ConfigError, ConnectionError, ProtocolError } from '../common/errors.ts';
import { type Logger, silent } from '../common/log.ts';
import type { Transport } from '../transport/transport.ts';
import { dotlCodec, type Frame } from '../wire/p9/codec.ts';
import { DEFAULT_MSIZE, IOHDR, MIN_MSIZE, NOTAG, VERSION } from '../wire/p9/constants.ts';
import { FrameReader } from '../wire/p9/framing.ts';
import type { Message } from '../wire/p9/messages.ts';
import { type Fid, type FidStats, Fids } from './fids.ts';
import { defaultRequestOptions, type RequestOptions, type RequestStats, Requests } from './requests.ts';

export interface ConnectionOptions {
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
  pool: BufferPool['stats'];
}

const DEFAULT_RX_POOL = 32 * 1024 * 1024;

/** The number of a frame that is not one: "HTTP", "SSH-", ... come first in frames of absurd size. */
const HINT = 'is it a 9P server?';

export class Connection {
  readonly peer: string;
  /** Negotiated, bytes. */
  readonly msize: number;
  readonly requests: Requests;
  readonly fids: Fids;
  readonly pool: BufferPool;
  readonly logger: Logger;
  readonly #transport: Transport;
  #error: Error | undefined;
  #ended: (error: Error) => void = () => {};
  /** With the error that ended the connection. */
  readonly closed: Promise<Error>;

  constructor(
    transport: Transport,
    reader: FrameReader,
    handler: { frames: Frames },
    msize: number,
    options: ConnectionOptions,
  ) {
    this.peer = transport.peer;
    this.msize = msize;
    this.logger = options.logger ?? silent;
    this.#transport = transport;
    this.pool = new BufferPool(Math.max(options.rxPool ?? DEFAULT_RX_POOL, this.chunk));
    this.fids = new Fids(async (fid: Fid) => {
      await this.requests.call('Tclunk', { fid: fid.number });
    });
    this.requests = new Requests(
      {
        codec: dotlCodec,
        send: (frame: Frame, taken?: () => void) => transport.send(frame.head, frame.payload, taken),
        fail: (error: Error) => this.fail(error),
        fids: this.fids,
        logger: this.logger,
      },
      {
        ...defaultRequestOptions,
        maxQuarantineBytes: (options.rxPool ?? DEFAULT_RX_POOL) / 2,
        ...options.requests,
      },
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
    return { ...this.requests.stats, fids: this.fids.stats, pool: this.pool.stats };
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

/** Who gets the frames: the negotiation first, then the connection. */
interface Frames {
  frame(bytes: Buffer, start: number, end: number, payload: Uint8Array | undefined): void;
  sink(type: number, tag: number, length: number): Uint8Array | undefined;
  fail(error: Error): void;
}

/**
 * Negotiates over a transport that has not started (version(9P)). Rejects with ProtocolError (not 9P), ConfigError (a
 * version or msize that cannot be used), ConnectionError, or CancelledError; the transport is then closed.
 */
export async function negotiate(transport: Transport, options: ConnectionOptions = {}): Promise<Connection> {
  const asked = options.msize ?? DEFAULT_MSIZE;
  if (asked < MIN_MSIZE) throw new ConfigError(`msize ${asked}: at least ${MIN_MSIZE} is needed`);
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
  const logger = options.logger ?? silent;
  try {
    const reply = await exchange(transport, asked, options, handler, () => {
      transport.start({
        window: () => reader.window(),
        filled: (count) => guard(() => reader.filled(count)),
        push: (chunk) => guard(() => reader.push(chunk)),
      });
    });
    const msize = agree(transport.peer, asked, reply);
    logger.info({ peer: transport.peer, version: reply.version, msize }, 'connected');
    return new Connection(transport, reader, handler, msize, options);
  } catch (error) {
    transport.close();
    throw error;
  }
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

/** Tversion and its reply, alone on the wire. */
function exchange(
  transport: Transport,
  msize: number,
  options: ConnectionOptions,
  handler: { frames: Frames },
  start: () => void,
): Promise<Message<'Rversion'>> {
  const { signal, timeout, logger = silent } = options;
  const peer = transport.peer;
  const question = { msize, version: VERSION.dotl };
  return new Promise((resolve, reject) => {
    const clock =
      timeout === undefined
        ? undefined
        : setTimeout(
            () => fail(new ConnectionError(`${peer}: no answer to Tversion within ${timeout / 1000} s; ${HINT}`)),
            timeout,
          );
    const cancel = () => fail(new CancelledError(`Tversion to ${peer}`));
    const settle = () => {
      clearTimeout(clock);
      signal?.removeEventListener('abort', cancel);
      handler.frames = unready;
    };
    const fail = (error: Error) => {
      settle();
      reject(error);
    };
    handler.frames = {
      frame(bytes, begin, end, payload) {
        const message = dotlCodec.decode(bytes, begin, end, payload);
        logger.trace({ tag: message.tag }, `< ${dotlCodec.format(message)}`);
        if (message.type === 'Rversion') {
          settle();
          resolve(message);
        } else if (message.type === 'Rlerror' || message.type === 'Rerror') {
          fail(new ConfigError(`${peer}: the server refuses ${VERSION.dotl} (${errnoName(message.ecode)})`, 1));
        } else throw new ProtocolError(`${message.type} in answer to Tversion`);
      },
      sink() {
        throw new ProtocolError('a payload in answer to Tversion');
      },
      fail: (error) => fail(new ProtocolError(`${peer}: ${error.message}; ${HINT}`, { cause: error })),
    };
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted) cancel();
    void transport.closed.then((error) => {
      // a reset says no more than an orderly end here, and less to whoever reads it
      const hungUp = new ConnectionError(`${peer}: the server hung up on Tversion; ${HINT}`, { cause: error });
      fail(error === undefined || error instanceof ConnectionError ? hungUp : error);
    });
    start();
    logger.trace({ tag: NOTAG }, `> ${dotlCodec.format({ type: 'Tversion', tag: NOTAG, ...question })}`);
    const frame = dotlCodec.encode('Tversion', NOTAG, question);
    transport.send(frame.head);
  });
}

/** Checks what the server chose and returns the msize. */
function agree(peer: string, asked: number, reply: Message<'Rversion'>): number {
  if (reply.tag !== NOTAG) throw new ProtocolError(`${peer}: Rversion with tag ${reply.tag}, not NOTAG`);
  if (reply.version !== VERSION.dotl) {
    const offer = reply.version === VERSION.unknown ? 'does not know it' : `offers '${reply.version}'`;
    throw new ConfigError(`${peer}: ${VERSION.dotl} was asked for, the server ${offer}`, 1);
  }
  if (reply.msize > asked) throw new ProtocolError(`${peer}: msize ${reply.msize}, ${asked} was offered`);
  if (reply.msize < MIN_MSIZE) {
    throw new ConfigError(`${peer}: the server's msize is ${reply.msize}, at least ${MIN_MSIZE} is needed`, 1);
  }
  return reply.msize;
}
