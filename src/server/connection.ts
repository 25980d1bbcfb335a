// One connection of the server: frames in, replies out, and the sessions that Tversion begins on it.
//
// Guarantees: what is malformed, or sent out of turn, ends this connection and nothing else; memory is bounded: when the peer
// does not take its replies no more requests are begun (they wait as `queued`, where a Tflush still drops them) and the
// transport is paused, and so it is when the payloads of unfinished writes pile up, or there is no memory for one; what has
// come beyond that stays as the bytes that it is; a tag too many is refused. Before the first attach nothing is held for it,
// and it has to come in time. Tflush is handled here, as it is read, and waits for nothing.
// Must not know what any request means.

import { errno } from '../common/errno.ts';
import { ConnectionError, ErrnoError, ProtocolError } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import type { Transport } from '../transport/transport.ts';
import { type Codec, dotlCodec, requestOfAny } from '../wire/p9/codec.ts';
import { IOHDR, VERSION } from '../wire/p9/constants.ts';
import { FrameReader, type HOLD } from '../wire/p9/framing.ts';
import type { Body, Message, RequestName } from '../wire/p9/messages.ts';
import { isRequestType, traitsOf } from '../wire/p9/traits.ts';
import { type Admit, admitter, type ClientUsers } from './admission.ts';
import { Backlog, type Waiting } from './backlog.ts';
import type { Dialect } from './dialects/dialect.ts';
import { dotl } from './dialects/dotl.ts';
import { agree } from './dialects/negotiate.ts';
import { failure, tellEnd, tellMistake } from './failure.ts';
import { NO_REPLY } from './fault.ts';
import { faultFor } from './faultfor.ts';
import { type FlushCounts, type Request, Requests } from './flush.ts';
import { Handshake } from './handshake.ts';
import type { Limits } from './limits.ts';
import { Payloads } from './payloads.ts';
import { uidAt } from './peer.ts';
import { Replies, type Terms } from './replies.ts';
import { type Bearer, Session, type Shared } from './session.ts';
import { type MemoryHolder, Progress, type Shortage } from './shortage.ts';
import { chargeRequest, type Tenant, type Tenants } from './tenants.ts';
import { type Awaitable, isPromise, type ReadResult } from './tree.ts';
import { wireOf } from './wire.ts';

/** Frames before Tversion has set msize. */
const FIRST_FRAME = 8192;
/** Rgetattr and an Rwalk of 16 qids fit; with less, nothing can be served. */
const SMALLEST_MSIZE = 256;
/** Requests outstanding; what comes above it is refused, except for what releases. */
const MAX_TAGS = 4096;
/** Requests outstanding that are nobody's affair; each one beyond them takes a part of its tenant's memory. */
const FREE_TAGS = 64;
/** Requests that wait, for the peer to take its replies or for memory, before what follows is not even looked at. */
const MANY_WAITING = 64;

export interface ConnectionOptions extends Shared {
  readonly clients: ClientUsers;
  readonly limits: Limits;
  readonly tenants: Tenants;
  readonly shortage: Shortage;
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

export class Connection implements Bearer, MemoryHolder {
  readonly #transport: Transport;
  readonly #options: ConnectionOptions;
  readonly #logger: Logger;
  readonly #tracing: boolean;
  readonly #replies: Replies;
  readonly #reader: FrameReader;
  readonly #handshake: Handshake;
  readonly #whenAttached: () => void;
  readonly #payloads: Payloads;
  readonly admit: Admit;
  #tenant: Tenant | undefined;
  #state: State = { kind: 'unversioned' };
  readonly #backlog = new Backlog();
  #paused = false;
  readonly #progress = new Progress();
  #drains = 0;
  /** Settles when the connection has ended and everything that it held is let go. */
  readonly done: Promise<void>;

  /** `whenAttached` is called once, when a client has come in. */
  constructor(transport: Transport, options: ConnectionOptions, whenAttached: () => void = () => {}) {
    this.#transport = transport;
    this.#options = options;
    this.#logger = options.logger;
    this.#tracing = options.logger.isLevelEnabled('trace');
    this.#whenAttached = whenAttached;
    this.#payloads = new Payloads({
      changed: () => this.#later(() => this.#flow()),
      waits: () => this.readWaits(),
      failed: (error) => transport.close(error as Error),
    });
    this.#replies = new Replies(transport, options.logger, () => {
      if (this.#tenant?.bytes.isShort === true) options.shortage.watch();
      this.#flow();
    });
    this.#handshake = new Handshake(options.limits.handshake, (missing) => {
      transport.close(new ConnectionError(`${missing} within ${options.limits.handshake / 1000} s`));
    });
    this.#reader = new FrameReader(FIRST_FRAME, {
      frame: (bytes, start, end, payload) => this.#frame(bytes, start, end, payload),
      sink: (bytes, start, length) => this.#sink(bytes, start, length),
    });
    const { tree, users, logger, clients } = options;
    const evidence = () => uidAt(transport.accepted);
    this.admit = admitter(clients, { peer: transport.peer, tree, users, logger, evidence });
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

  close(error?: Error): void {
    this.#transport.close(error);
  }

  get tenant(): Tenant | undefined {
    return this.#tenant;
  }

  enter(uid: number | undefined): Tenant {
    if (this.#tenant === undefined) {
      const { tenants, msize } = this.#options;
      this.#tenant = tenants.enter(uid ?? this.#transport.accepted?.ends?.[1].host ?? this);
      this.#payloads.moveIn(this.#tenant, msize);
      this.#replies.tenant = this.#tenant;
    }
    return this.#tenant;
  }

  attached(): void {
    if (this.#handshake.over) return;
    this.#handshake.end();
    if (this.#state.kind === 'open') this.#reader.maxFrame = Math.max(this.#state.session.msize, FIRST_FRAME);
    this.#whenAttached();
  }

  readWaits(): void {
    this.#options.shortage.watch();
    this.#later(() => this.#flow());
  }

  stuckFor(now: number): number | undefined {
    const { missing } = this.#reader;
    const holds = this.#replies.waiting > 0 || missing > 0;
    return this.#progress.stuckFor(now, holds ? `${this.#transport.unsent} ${missing} ${this.#drains}` : undefined);
  }

  expel(): void {
    this.close(new ConnectionError('memory is short, and it does not go on'));
  }

  async #end(): Promise<void> {
    const error = await this.#transport.closed;
    tellEnd(this.#logger, this.peer, error);
    const state = this.#state;
    this.#state = { kind: 'ended' };
    this.#backlog.clear();
    this.#handshake.end();
    this.#payloads.end();
    this.#replies.end();
    if (state.kind === 'open') await this.#letGo(state.session);
    if (state.kind === 'resetting') await state.ending;
    if (this.#tenant !== undefined) this.#options.tenants.leave(this.#tenant);
  }

  /** Does not reject: a tree's mistakes are nobody else's. */
  #letGo(session: Session): Promise<void> {
    return session.end().catch((error: unknown) => {
      tellMistake(this.#logger, { peer: this.peer }, error, 'the end of a session failed for no reason of its own');
    });
  }

  #sink(bytes: Buffer, start: number, length: number): Uint8Array | typeof HOLD {
    const type = bytes[start + 4]!;
    if (!isRequestType(type) || this.#state.kind !== 'open')
      throw new ProtocolError(`message of type ${type} out of turn`);
    return this.#payloads.sink(length);
  }

  #frame(bytes: Buffer, start: number, end: number, payload: Uint8Array | undefined): void {
    const slab = this.#payloads.received();
    const codec = this.#codec;
    const number = bytes[start + 4]!;
    const foreign = codec.nameOf(number) === undefined ? requestOfAny(number) : undefined;
    if (foreign !== undefined) {
      this.#refuse(foreign, bytes.readUInt16LE(start + 5));
      return;
    }
    const message = codec.decode(bytes, start, end, payload);
    if (this.#tracing) this.#logger.trace({ peer: this.peer }, `<- ${codec.format(message)}`);
    this.#handshake.heard(message.type);
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
    const before = requests.size;
    const request = requests.begin(message.tag, traits);
    if (payload !== undefined) this.#payloads.hold(request, payload.length, slab);
    const charged = before < FREE_TAGS || chargeRequest(this.#tenant, request);
    if ((before >= MAX_TAGS || !charged) && !traits.releases) {
      requests.run(request);
      this.#fail(session, request, new ErrnoError(errno.ENOBUFS));
    } else if (this.#backlog.length > 0 || this.#replies.congested) {
      // a message is decoded into memory of its own, but for the payload, which lies in `slab`
      this.#backlog.push({ session, message, request });
      this.#flow();
    } else {
      this.#run({ session, message, request });
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

  /** Reads on, or not, as the piles are; with many waiting what was read is not looked at either. */
  #flow(): void {
    if (this.#state.kind === 'ended') return;
    const queued = this.#backlog.length;
    const reads = this.#state.kind === 'open' ? this.#state.session.waiting : 0;
    const stops = this.#payloads.waits || queued >= MANY_WAITING || reads >= MANY_WAITING;
    const full = stops || queued > 0 || this.#replies.congested || this.#payloads.piled;
    if (full !== this.#paused) {
      this.#paused = full;
      if (full) this.#transport.pause();
      else this.#transport.resume();
    }
    if (stops) this.#reader.hold();
    else this.#reader.release();
  }

  #drained(): void {
    this.#drains++;
    this.#replies.drained();
    if (!this.#paused) return;
    this.#later(() => {
      this.#backlog.begin(
        () => !this.#replies.congested,
        (waiting) => this.#run(waiting),
      );
      this.#flow();
    });
  }

  #run({ session, message, request }: Waiting): void {
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
              wire: wireOf(this.#transport, session, request),
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
      const { type: op, tag } = request;
      tellMistake(this.#logger, { op, tag }, error, 'a request failed for no reason of its own');
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
    this.#backlog.clear();
    if (state.kind !== 'open' || (state.session.requests.size === 0 && state.session.fids.size === 0)) {
      this.#begin(tag, msize, version);
      return;
    }
    const ending = this.#letGo(state.session);
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
      const session = new Session(dialect, msize, this.#options, this, requests, this.#logger);
      this.#state = { kind: 'open', session };
      this.#reader.maxFrame = this.#handshake.over ? Math.max(msize, FIRST_FRAME) : FIRST_FRAME;
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
