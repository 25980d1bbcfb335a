// All transactions of one connection: tags, the send queue, replies. The table of states is in request.ts; what follows
// when a caller gives up is in flushes.ts.
// Guarantees: a caller's promise settles exactly once; a tag is given out again only after its reply and the reply of
// its flush; Tflush and Tclunk never wait for an ordinary tag, for the queue, or for memory from the pool; a reply that
// nobody can have asked for ends the connection.
// Must not know what a message is for.

import { errno } from '../common/errno.ts';
import { CancelledError, ErrnoError, ProtocolError, traceless } from '../common/errors.ts';
import { IdPool } from '../common/idpool.ts';
import { Line } from '../common/line.ts';
import type { Logger } from '../common/log.ts';
import { relayed } from '../common/relay.ts';
import { quote } from '../common/text.ts';
import type { Codec, Frame } from '../wire/p9/codec.ts';
import type { Body, Message, RefusalName, ReplyTo, RequestName } from '../wire/p9/messages.ts';
import { isRefusal } from '../wire/p9/traits.ts';
import { encodeRequest } from './encode.ts';
import type { Fid, Fids } from './fids.ts';
import { Flushes, type FlushStats } from './flushes.ts';
import { MAX_CLUNKS, type RequestOptions } from './limits.ts';
import { type CallOptions, Request } from './request.ts';

const MAX_ERRNO = 4095;
/** Characters of an error's words that are kept. */
const SHOWN = 200;

export interface RequestStats extends FlushStats {
  /** Tags taken now by ordinary requests, flushing and quarantined ones included. */
  tags: number;
  /** Tags taken by Tflush and Tclunk. */
  reserveTags: number;
  /** Requests waiting to be sent. */
  queued: number;
  /** Ever. */
  sent: number;
}

/** What Requests needs of its connection. */
export interface Wire {
  readonly codec: Codec;
  /** The errno of an error reply, or a number that is none. */
  errnoOf(reply: Message<RefusalName>): number;
  /** Bytes; a longer message is refused, not sent. */
  readonly msize: number;
  /** False: above the mark; Requests.drained() is called when it is empty. */
  send(frame: Frame, taken?: () => void): boolean;
  /** Ends the connection, which calls Requests.end(). */
  fail(error: Error): void;
  readonly fids: Fids;
  readonly logger: Logger;
}

export class Requests {
  readonly #wire: Wire;
  readonly #options: RequestOptions;
  readonly #tags: IdPool;
  readonly #reserve: IdPool;
  readonly #byTag = new Map<number, Request>();
  readonly #flushes: Flushes;
  /** Both are empty while there is room on the wire: what can be sent at once enters neither. */
  readonly #queue = new Line<Request>();
  readonly #clunkQueue = new Line<Request>();
  #clunks = 0;
  #full = false;
  #ended: Error | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #sent = 0;

  constructor(wire: Wire, options: RequestOptions) {
    this.#wire = wire;
    this.#options = options;
    this.#tags = new IdPool(0, options.tagWindow);
    this.#reserve = new IdPool(options.tagWindow, options.tagWindow + MAX_CLUNKS);
    this.#flushes = new Flushes(wire, options, this.#reserve, {
      over: (request) => this.#over(request),
      pump: () => this.#pump(),
    });
    if (options.timeout > 0) {
      this.#sweep = setInterval(() => this.#flushOverdue(), Math.max(10, options.timeout / 8));
      this.#sweep.unref();
    }
  }

  get stats(): RequestStats {
    return {
      tags: this.#tags.inUse,
      reserveTags: this.#reserve.inUse,
      queued: this.#queue.length + this.#clunkQueue.length,
      sent: this.#sent,
      ...this.#flushes.stats,
    };
  }

  /**
   * Sends a request and settles with its reply. Rejects with ErrnoError (the server's), CancelledError (aborted, no
   * effect), or the error that ended the connection.
   */
  call<N extends RequestName>(name: N, body: Body<N>, options: CallOptions = {}): Promise<Message<ReplyTo<N>>> {
    return new Promise<Message>((resolve, reject) => {
      const request = new Request<N>(name, body, options, resolve, reject) as unknown as Request;
      const signal = options.signal && relayed(options.signal);
      const { flushable, releases } = request.traits;
      const early = signal?.aborted === true;
      const refusal =
        this.#ended ?? (early && flushable ? traceless(() => new CancelledError(name)) : this.#hold(options.fids));
      if (refusal !== undefined) {
        request.become('over');
        options.taken?.();
        options.over?.();
        reject(refusal);
        return;
      }
      if (signal !== undefined && !early) {
        request.signal = signal;
        request.onAbort = flushable ? () => this.#abort(request, errno.EINTR) : () => this.#flushes.limit(request);
        signal.addEventListener('abort', request.onAbort);
      }
      if (early) this.#flushes.limit(request);
      if (releases) this.#sendClunk(request);
      else this.#send(request);
    }) as Promise<Message<ReplyTo<N>>>;
  }

  /** Why the fids cannot be named, or undefined: they are held. */
  #hold(fids: readonly Fid[] | undefined): Error | undefined {
    try {
      if (fids !== undefined) this.#wire.fids.hold(fids);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  /** The transport's queue is empty again. */
  drained(): void {
    this.#full = false;
    this.#pump();
  }

  /** Now, or when those who came before are sent and there is room. */
  #send(request: Request): void {
    const tag = this.#queue.length === 0 ? this.#freeTag() : undefined;
    if (tag === undefined) request.place = this.#queue.enter(request);
    else this.#dispatch(request, tag);
  }

  /** In the reserve there is a tag for each Tclunk that may be on the wire. */
  #sendClunk(request: Request): void {
    if (this.#clunks >= MAX_CLUNKS) {
      request.place = this.#clunkQueue.enter(request);
      return;
    }
    this.#clunks++;
    this.#dispatch(request, this.#reserve.take()!);
  }

  /** For an ordinary request, or undefined: it has to wait. */
  #freeTag(): number | undefined {
    const inFlight = this.#tags.inUse - this.#flushes.quarantined;
    return this.#full || inFlight >= this.#options.maxInFlight ? undefined : this.#tags.take();
  }

  #pump(): void {
    while (this.#clunkQueue.length > 0 && this.#clunks < MAX_CLUNKS) this.#sendClunk(this.#clunkQueue.shift()!);
    while (this.#queue.length > 0) {
      const tag = this.#freeTag();
      if (tag === undefined) return;
      this.#dispatch(this.#queue.shift()!, tag);
    }
  }

  #dispatch(request: Request, tag: number): void {
    request.tag = tag;
    let frame: Frame;
    try {
      frame = encodeRequest(this.#wire.codec, this.#wire.msize, request, tag);
    } catch (error) {
      // the caller's fault, not the connection's
      request.reject(error as Error);
      request.options.taken?.();
      this.#over(request);
      return;
    }
    request.become('sent');
    this.#flushes.reused(tag);
    this.#byTag.set(tag, request);
    this.#sent++;
    if (this.#options.timeout > 0) request.sentAt = performance.now();
    const { logger, codec } = this.#wire;
    if (logger.isLevelEnabled('trace')) {
      logger.trace({ tag }, `> ${codec.format({ type: request.name, tag, ...request.body } as Message)}`);
    }
    if (!this.#wire.send(frame, request.options.taken)) this.#full = true;
    request.options.sent?.();
  }

  // --- cancelling ---

  #abort(request: Request, number: number): void {
    if (request.state !== 'queued') {
      this.#flushes.begin(request, number);
      return;
    }
    this.#queue.leave(request.place!);
    request.cancelErrno = number;
    request.options.taken?.();
    this.#flushes.cancel(request);
    this.#over(request);
  }

  #flushOverdue(): void {
    const before = performance.now() - this.#options.timeout;
    for (const request of this.#byTag.values()) {
      if (request.state === 'sent' && request.sentAt < before && request.tag < this.#options.tagWindow) {
        if (request.traits.flushable) this.#abort(request, errno.ETIMEDOUT);
        else {
          this.#wire.fail(new ProtocolError(`the server did not answer a ${request.name} in time`));
          return;
        }
      }
    }
  }

  // --- replies ---

  /** Where the payload of a reply belongs; undefined drops it. Called by the frame reader when the head has arrived. */
  sink(type: number, tag: number, length: number): Uint8Array | undefined {
    const request = this.#byTag.get(tag);
    if (request === undefined) {
      this.#flushes.unknown(type, tag);
      return undefined;
    }
    if (request.traits.number + 1 !== type) {
      throw new ProtocolError(`a reply of type ${type} to ${request.name} tag ${tag}`);
    }
    if (request.state === 'abandoned' || request.state === 'answered') {
      this.#late(request, type);
      return undefined;
    }
    const buffer = request.options.buffer;
    if (buffer === undefined || length > buffer.length) {
      throw new ProtocolError(
        `${request.name} tag ${tag}: ${length} bytes came, ${buffer?.length ?? 0} were asked for`,
      );
    }
    return length === buffer.length ? buffer : buffer.subarray(0, length);
  }

  /** One whole frame. Throws ProtocolError for what no server may send. */
  frame(bytes: Buffer, start: number, end: number, payload: Uint8Array | undefined): void {
    const type = bytes[start + 4]!;
    const tag = bytes[start + 5]! | (bytes[start + 6]! << 8);
    const flushed = this.#flushes.of(tag);
    const request = flushed ?? this.#byTag.get(tag);
    if (request === undefined) {
      this.#flushes.unknown(type, tag);
      return;
    }
    const { codec, logger } = this.#wire;
    const message = codec.decode(bytes, start, end, payload);
    if (logger.isLevelEnabled('trace')) logger.trace({ tag }, `< ${codec.format(message)}`);
    if (flushed !== undefined) {
      this.#flushes.reply(flushed, type, message);
      return;
    }
    let refusal: Message<RefusalName> | undefined;
    if (type !== request.traits.number + 1) {
      if (!isRefusal(message)) throw new ProtocolError(`${message.type} in answer to ${request.name} tag ${tag}`);
      refusal = message;
    }
    if (request.state === 'abandoned' || request.state === 'answered') {
      this.#late(request, type);
      return;
    }
    if (refusal === undefined) request.resolve(message);
    else this.#refuse(request, this.#refusal(request, refusal));
    if (request.state !== 'flushing') {
      this.#over(request);
      return;
    }
    request.become('answered');
    this.#letGo(request);
  }

  /** The error that a server answered with. A number that is no errno is a bug of the server's, and of this call only. */
  #refusal({ name, tag }: Request, reply: Message<RefusalName>): ErrnoError {
    const ecode = this.#wire.errnoOf(reply);
    const words = reply.type === 'Rerror' ? reply.ename.slice(0, SHOWN) : '';
    if (ecode > 0 && ecode <= MAX_ERRNO) {
      return new ErrnoError(ecode, words === '' ? name : `${name}: ${quote(words)}`);
    }
    this.#wire.logger.warn({ tag, op: name, errno: ecode }, 'an error with a number that is no errno: EPROTO');
    return new ErrnoError(errno.EPROTO, `${name} answered by errno ${ecode}`);
  }

  /**
   * An old mistake of servers: what is flushed fails with EINTR before its Rflush comes, which should have been all. That is
   * no outcome of the call's, but how it was cancelled.
   */
  #refuse(request: Request, error: ErrnoError): void {
    if (request.state === 'flushing' && error.errno === errno.EINTR) this.#flushes.cancel(request);
    else request.reject(error);
  }

  /** A reply whose caller has been released, or the second reply to one request. */
  #late(request: Request, type: number): void {
    this.#flushes.late(request, type);
    this.#letGo(request);
  }

  /** The server is done with the request: what it names and where it answers is free. The tag may not be, yet. */
  #letGo(request: Request): void {
    const { fids, over } = request.options;
    if (request.onAbort !== undefined) request.signal?.removeEventListener('abort', request.onAbort);
    if (fids !== undefined) this.#wire.fids.drop(fids);
    over?.();
  }

  /** Frees everything that a request still holds. */
  #over(request: Request): void {
    const before = request.state;
    request.become('over');
    if (request.tag >= 0) {
      this.#byTag.delete(request.tag);
      if (request.tag < this.#options.tagWindow) {
        this.#tags.release(request.tag);
      } else {
        this.#reserve.release(request.tag);
        this.#clunks--;
      }
    }
    this.#flushes.end(request, before);
    if (before !== 'answered') this.#letGo(request);
    if (this.#queue.length > 0 || this.#clunkQueue.length > 0) this.#pump();
  }

  /** The connection is gone: everything settles with its error. */
  end(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    clearInterval(this.#sweep);
    const all = [...this.#byTag.values(), ...everyone(this.#queue), ...everyone(this.#clunkQueue)];
    for (const request of all) {
      if (request.state === 'queued') request.options.taken?.();
      request.reject(error);
      this.#over(request);
    }
  }
}

/** All of a line, which they leave. */
function* everyone<T>(line: Line<T>): Iterable<T> {
  for (let next = line.shift(); next !== undefined; next = line.shift()) yield next;
}
