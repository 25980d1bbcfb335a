// One connection of the server: frames in, replies out, and the sessions that Tversion begins on it.
//
// Guarantees: what is malformed, or sent out of turn, ends this connection and nothing else; memory is bounded: when the peer
// does not take its replies no more requests are begun (they wait as `queued`, where a Tflush still drops them) and the
// transport is paused; when the payloads of unfinished writes pile up it is paused as well; a tag too many is refused.
// Tflush is handled here, as it is read, and waits for nothing.
// Must not know what any request means.

import { BufferPool, type Slab } from '../common/bufpool.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError, ProtocolError } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import type { Transport } from '../transport/transport.ts';
import { type Codec, dotlCodec, requestOfAny } from '../wire/p9/codec.ts';
import { IOHDR, VERSION } from '../wire/p9/constants.ts';
import { FrameReader } from '../wire/p9/framing.ts';
import type { Body, Message, ReplyName, RequestName } from '../wire/p9/messages.ts';
import { isRequestType, traitsOf } from '../wire/p9/traits.ts';
import type { Dialect } from './dialects/dialect.ts';
import { dotl } from './dialects/dotl.ts';
import { agree } from './dialects/negotiate.ts';
import { failure } from './failure.ts';
import { NO_REPLY, type Wire } from './fault.ts';
import { faultFor } from './faultfor.ts';
import { type FlushCounts, type Request, Requests } from './flush.ts';
import { Replies, type Terms } from './replies.ts';
import { Session, type Shared } from './session.ts';
import { type Awaitable, isPromise, type ReadResult } from './tree.ts';

/** Frames before Tversion has set msize. */
const FIRST_FRAME = 8192;
/** Rgetattr and an Rwalk of 16 qids fit; with less, nothing can be served. */
const SMALLEST_MSIZE = 256;
/** Requests outstanding; what comes above it is refused, except for what releases. */
const MAX_TAGS = 4096;
/** Bytes of write payloads whose requests have not ended before the transport is paused. */
const PAYLOADS_WAITING = 8 * 1024 * 1024;

export interface ConnectionOptions extends Shared {
  readonly dialects: readonly Dialect[];
  readonly msize: number;
  readonly logger: Logger;
  readonly flushes: FlushCounts;
}

/** Before anything was agreed on only Rversion is said, which is the same in every dialect. */
const UNVERSIONED: Terms = { dialect: dotl, msize: SMALLEST_MSIZE };

type State =
  /** Only Tversion is taken. */
  | { readonly kind: 'unversioned' }
  | { readonly kind: 'open'; readonly session: Session }
  /** Another Tversion has come: its answer waits for the old session to end, and the client must wait for the answer. */
  | { readonly kind: 'resetting'; readonly ending: Promise<void> }
  | { readonly kind: 'ended' };

export class Connection {
  readonly #transport: Transport;
  readonly #options: ConnectionOptions;
  readonly #logger: Logger;
  readonly #tracing: boolean;
  readonly #replies: Replies;
  readonly #reader: FrameReader;
  readonly #payloads: BufferPool;
  #state: State = { kind: 'unversioned' };
  /** Requests that wait for the peer to take its replies. */
  #queue: { session: Session; message: Message; request: Request }[] = [];
  #queueAt = 0;
  #payloadBytes = 0;
  #paused = false;
  /** Memory of the payload that is being received. */
  #incoming: Slab | undefined;
  /** Settles when the connection has ended and everything that it held is let go. */
  readonly done: Promise<void>;

  constructor(transport: Transport, options: ConnectionOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#logger = options.logger;
    this.#tracing = options.logger.isLevelEnabled('trace');
    this.#replies = new Replies(transport, options.logger, () => this.#flow());
    this.#payloads = new BufferPool(Math.max(PAYLOADS_WAITING, 2 * 2 ** Math.ceil(Math.log2(options.msize))));
    this.#reader = new FrameReader(FIRST_FRAME, {
      frame: (bytes, start, end, payload) => this.#frame(bytes, start, end, payload),
      sink: (bytes, start, length) => this.#sink(bytes, start, length),
    });
    transport.onDrain = () => this.#drained();
    this.done = this.#end();
    transport.start(this.#reader);
  }

  get peer(): string {
    return this.#transport.peer;
  }

  get tags(): number {
    return this.#state.kind === 'open' ? this.#state.session.requests.size : 0;
  }

  get fids(): number {
    return this.#state.kind === 'open' ? this.#state.session.fids.size : 0;
  }

  close(): void {
    this.#transport.close();
  }

  async #end(): Promise<void> {
    const error = await this.#transport.closed;
    const fields = { peer: this.peer, error: error?.message };
    if (error instanceof ProtocolError) this.#logger.warn(fields, 'connection closed: the client broke the protocol');
    else if (error instanceof TypeError || error instanceof RangeError) {
      this.#logger.error({ peer: this.peer, error: error.stack }, 'connection closed: our own mistake');
    } else this.#logger.info(fields, 'connection closed');
    const state = this.#state;
    this.#state = { kind: 'ended' };
    this.#queue = [];
    if (state.kind === 'open') await this.#over(state.session);
    if (state.kind === 'resetting') await state.ending;
  }

  /** Does not reject: a tree's mistakes are nobody else's. */
  #over(session: Session): Promise<void> {
    return session.end().catch((error: unknown) => {
      const what = error instanceof Error ? error.stack : String(error);
      this.#logger.error({ peer: this.peer, error: what }, 'the end of a session failed for no reason of its own');
    });
  }

  /** Payloads of writes go to pooled memory while there is some, since a fresh megabyte costs more than its copy. */
  #sink(bytes: Buffer, start: number, length: number): Uint8Array {
    const type = bytes[start + 4]!;
    if (!isRequestType(type) || this.#state.kind !== 'open')
      throw new ProtocolError(`message of type ${type} out of turn`);
    this.#incoming = this.#payloads.tryTake(Math.max(length, 1));
    return this.#incoming?.bytes.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
  }

  #frame(bytes: Buffer, start: number, end: number, payload: Uint8Array | undefined): void {
    const slab = this.#incoming;
    this.#incoming = undefined;
    const codec = this.#codec;
    const number = bytes[start + 4]!;
    const foreign = codec.nameOf(number) === undefined ? requestOfAny(number) : undefined;
    if (foreign !== undefined) {
      this.#refuse(foreign, bytes.readUInt16LE(start + 5));
      return;
    }
    const message = codec.decode(bytes, start, end, payload);
    if (this.#tracing) this.#logger.trace({ peer: this.peer }, `<- ${codec.format(message)}`);
    if (message.type === 'Tversion') {
      this.#version(message);
      return;
    }
    if (this.#state.kind !== 'open') throw new ProtocolError(`${message.type} before a version was agreed`);
    const { session } = this.#state;
    const { requests } = session;
    if (message.type === 'Tflush') {
      requests.flush(message.tag, message.oldtag);
      return;
    }
    const traits = traitsOf(message.type);
    if (traits === undefined || session.dialect.handlerOf(message.type) === undefined) {
      throw new ProtocolError(`${message.type} from a client`);
    }
    const crowded = requests.size >= MAX_TAGS && !traits.releases;
    const request = requests.begin(message.tag, traits);
    if (payload !== undefined) this.#hold(request, payload.length, slab);
    if (crowded) {
      requests.run(request);
      this.#fail(session, request, new ErrnoError(errno.ENOBUFS));
    } else if (this.#queue.length > 0 || this.#replies.congested) {
      // a message is decoded into memory of its own, but for the payload, which lies in `slab`
      this.#queue.push({ session, message, request });
      this.#flow();
    } else {
      this.#run(session, message, request);
    }
  }

  /** A request that other dialects have is no mistake in the framing: the client can go on without it. */
  #refuse(type: RequestName, tag: number): void {
    if (this.#state.kind !== 'open') throw new ProtocolError(`${type} before a version was agreed`);
    const { session } = this.#state;
    if (this.#tracing) this.#logger.trace({ peer: this.peer }, `<- ${type} tag ${tag}, of another dialect`);
    const request = session.requests.begin(tag, traitsOf(type));
    session.requests.run(request);
    this.#fail(session, request, new ErrnoError(errno.EOPNOTSUPP));
  }

  /** Counts a payload until its request has ended. */
  #hold(request: Request, length: number, slab: Slab | undefined): void {
    this.#payloadBytes += length;
    request.release = () => {
      this.#payloadBytes -= length;
      slab?.release();
      this.#flow();
    };
    this.#flow();
  }

  /** Reads on, or not, as the two piles are. */
  #flow(): void {
    const full = this.#queue.length > 0 || this.#replies.congested || this.#payloadBytes > PAYLOADS_WAITING;
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.#transport.pause();
    else this.#transport.resume();
  }

  #drained(): void {
    this.#replies.drained();
    if (this.#paused) this.#resumeQueue();
  }

  #resumeQueue(): void {
    while (this.#queueAt < this.#queue.length && !this.#replies.congested) {
      const { session, message, request } = this.#queue[this.#queueAt++]!;
      if (request.state === 'queued') this.#run(session, message, request);
    }
    if (this.#queueAt === this.#queue.length) {
      this.#queue = [];
      this.#queueAt = 0;
    }
    this.#flow();
  }

  #run(session: Session, message: Message, request: Request): void {
    const handler = session.dialect.handlerOf(message.type);
    if (handler === undefined) return;
    session.requests.run(request);
    const fault = this.#options.tree.misbehaves === true ? faultFor(session, message) : undefined;
    let result: Awaitable<object | typeof NO_REPLY>;
    try {
      result =
        fault === undefined
          ? handler(session, message, request)
          : fault({
              message,
              signal: request,
              wire: this.#wire(session, request),
              perform: (changed = message) => handler(session, changed, request),
            });
    } catch (error) {
      this.#fail(session, request, error);
      return;
    }
    if (isPromise(result)) {
      result.then(
        (body) => this.#later(() => this.#answer(session, request, body)),
        (error) => this.#later(() => this.#fail(session, request, error)),
      );
    } else {
      this.#answer(session, request, result);
    }
  }

  /** What goes wrong ends this connection, as it does where the transport that delivered the request sees it. */
  #later(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#transport.close(error as Error);
    }
  }

  /** What a fault may do beside what requests do. */
  #wire(session: Session, request: Request): Wire {
    const { codec, refusal } = session.dialect;
    const encode: Wire['encode'] = (name, tag, body) => {
      const { head, payload } = codec.encode(name, tag, body);
      return payload === undefined ? head : Buffer.concat([head, payload]);
    };
    return {
      encode,
      refusal(ecode) {
        const { name, body } = refusal(ecode);
        return encode(name, request.tag, body);
      },
      frame: (body) => encode(request.traits.reply, request.tag, gathered(body)),
      send: (frame) => void this.#transport.send(frame),
      sendLast: (frame) => void this.#transport.send(frame, undefined, () => this.#transport.close()),
      over: session.requests.over,
    };
  }

  #answer(session: Session, request: Request, body: object | typeof NO_REPLY): void {
    if (body === NO_REPLY) {
      this.#finish(session, request, undefined, () => {});
      return;
    }
    if (request.traits.fetches) {
      const result = body as ReadResult;
      if (session.requests.ended) result.release?.();
      this.#finish(session, request, undefined, () => this.#replies.sendData(session, request, result));
    } else {
      const name = request.traits.reply;
      this.#finish(session, request, undefined, () =>
        this.#replies.send(session, request.tag, { name, body: body as Body<typeof name> }),
      );
    }
  }

  #fail(session: Session, request: Request, error: unknown): void {
    const { ecode, meant } = failure(error);
    if (!meant) {
      const what = error instanceof Error ? error.stack : String(error);
      this.#logger.error(
        { op: request.type, tag: request.tag, error: what },
        'a request failed for no reason of its own',
      );
    }
    this.#finish(session, request, error, () =>
      this.#replies.send(session, request.tag, session.dialect.refusal(ecode)),
    );
  }

  #finish(session: Session, request: Request, error: unknown, answer: () => void): void {
    session.requests.end(request, error, answer);
    const { fids, release } = request;
    if (fids !== undefined) for (const fid of fids) session.fids.unuse(fid);
    release?.();
  }

  /** A new session: what the old one had in flight is ended without replies and its fids are clunked first. */
  #version({ tag, msize, version }: Message<'Tversion'>): void {
    const state = this.#state;
    if (state.kind === 'resetting') throw new ProtocolError('Tversion while the last one is not answered');
    this.#queue = [];
    this.#queueAt = 0;
    if (state.kind !== 'open' || (state.session.requests.size === 0 && state.session.fids.size === 0)) {
      this.#begin(tag, msize, version);
      return;
    }
    const ending = this.#over(state.session);
    this.#state = { kind: 'resetting', ending };
    ending.then(() => {
      if (this.#state.kind === 'resetting') this.#begin(tag, msize, version);
    });
  }

  #begin(tag: number, offered: number, version: string): void {
    const msize = Math.min(offered, this.#options.msize);
    const dialect = agree(version, this.#options.dialects);
    this.#state = { kind: 'unversioned' };
    if (dialect === undefined) {
      this.#replies.send(UNVERSIONED, tag, { name: 'Rversion', body: { msize, version: VERSION.unknown } });
    } else if (offered < SMALLEST_MSIZE) {
      this.#replies.send({ ...UNVERSIONED, dialect }, tag, dialect.refusal(errno.EINVAL));
    } else {
      const answerFlush = (flush: number) => this.#replies.send(session, flush, { name: 'Rflush', body: {} });
      const requests = new Requests(answerFlush, this.#options.flushes);
      const session = new Session(dialect, msize, this.#options, requests, this.#logger);
      this.#state = { kind: 'open', session };
      this.#reader.maxFrame = Math.max(msize, FIRST_FRAME);
      const fields = { peer: this.peer, version: dialect.version, msize, iounit: msize - IOHDR };
      this.#logger.debug(fields, 'session begun');
      this.#replies.send(session, tag, { name: 'Rversion', body: { msize, version: dialect.version } });
    }
    this.#flow();
  }

  /** Tversion has the same form in every dialect. */
  get #codec(): Codec {
    return this.#state.kind === 'open' ? this.#state.session.dialect.codec : dotlCodec;
  }
}

/** A reply's body with the pieces of a read in one, and their memory given back. */
function gathered(body: object): Body<ReplyName> {
  if (!('data' in body)) return body as Body<ReplyName>;
  const { data, release } = body as ReadResult;
  const whole = data instanceof Uint8Array ? Buffer.from(data) : Buffer.concat(data);
  release?.();
  return { data: whole };
}
