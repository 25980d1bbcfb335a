// All transactions of one connection: tags, the send queue, flushes, quarantine. The table of states is in request.ts.
// Guarantees: a caller's promise settles exactly once; a tag is given out again only after its reply and the reply of
// its flush; Tflush and Tclunk never wait for an ordinary tag, for the queue, or for memory from the pool; a reply that
// nobody can have asked for ends the connection.
// Must not know what a message is for.

import { isDying, onceDying } from '../common/abort.ts';
import { errno } from '../common/errno.ts';
import { CancelledError, ErrnoError, ProtocolError } from '../common/errors.ts';
import { IdPool } from '../common/idpool.ts';
import type { Logger } from '../common/log.ts';
import type { Codec, Frame } from '../wire/p9/codec.ts';
import type { Body, Message, ReplyTo, RequestName } from '../wire/p9/messages.ts';
import { encodeRequest } from './encode.ts';
import type { Fid, Fids } from './fids.ts';
import { MAX_CLUNKS, type RequestOptions } from './limits.ts';
import { Quarantine } from './quarantine.ts';
import { type CallOptions, hasSideEffects, isFlushable, Request } from './request.ts';

const MAX_ERRNO = 4095;

export interface RequestStats {
  /** Tags taken now by ordinary requests, flushing and quarantined ones included. */
  tags: number;
  /** Tags taken by Tflush and Tclunk. */
  reserveTags: number;
  /** Requests waiting to be sent. */
  queued: number;
  /** Requests whose caller was released before they were over, and answered ones whose Rflush is overdue. */
  quarantine: number;
  /** Ever. */
  sent: number;
  flushes: number;
  cancelled: number;
  /** Replies to tags that had been flushed already: dropped. */
  lateReplies: number;
}

/** What Requests needs of its connection. */
export interface Wire {
  readonly codec: Codec;
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
  /** Flush tag -> the request that it flushes. */
  readonly #flushes = new Map<number, Request>();
  /** Tags freed by Rflush and not given out since: a reply to one is late, not unknown. */
  readonly #flushed = new Set<number>();
  #queue: Request[] = [];
  #clunkQueue: Request[] = [];
  #clunks = 0;
  #full = false;
  #ended: Error | undefined;
  readonly #quarantine = new Quarantine();
  #sweep: NodeJS.Timeout | undefined;
  #counts = { sent: 0, flushes: 0, cancelled: 0, lateReplies: 0 };

  constructor(wire: Wire, options: RequestOptions) {
    this.#wire = wire;
    this.#options = options;
    this.#tags = new IdPool(0, options.tagWindow);
    this.#reserve = new IdPool(options.tagWindow, options.tagWindow + MAX_CLUNKS);
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
      quarantine: this.#quarantine.size,
      ...this.#counts,
    };
  }

  /**
   * Sends a request and settles with its reply. Rejects with ErrnoError (the server's), CancelledError (aborted, no
   * effect), or the error that ended the connection.
   */
  call<N extends RequestName>(name: N, body: Body<N>, options: CallOptions = {}): Promise<Message<ReplyTo<N>>> {
    return new Promise<Message>((resolve, reject) => {
      const request = new Request<N>(name, body, options, resolve, reject) as unknown as Request;
      const signal = options.signal;
      const refusal = this.#ended ?? (signal?.aborted ? new CancelledError(name) : this.#hold(options.fids));
      if (refusal !== undefined) {
        request.become('over');
        options.taken?.();
        options.over?.();
        reject(refusal);
        return;
      }
      if (signal !== undefined && isFlushable(name)) {
        request.onAbort = () => this.#abort(request, errno.EINTR);
        signal.addEventListener('abort', request.onAbort, { once: true });
      }
      if (name === 'Tclunk') this.#clunkQueue.push(request);
      else this.#queue.push(request);
      this.#pump();
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

  #pump(): void {
    while (this.#clunkQueue.length > 0 && this.#clunks < MAX_CLUNKS) {
      const request = this.#clunkQueue.shift()!;
      this.#clunks++;
      this.#dispatch(request, this.#reserve.take()!);
    }
    while (
      this.#queue.length > 0 &&
      !this.#full &&
      this.#tags.inUse - this.#quarantine.size < this.#options.maxInFlight
    ) {
      const tag = this.#tags.take();
      if (tag === undefined) return;
      this.#flushed.delete(tag);
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
    this.#byTag.set(tag, request);
    this.#counts.sent++;
    if (this.#options.timeout > 0) request.sentAt = performance.now();
    const { logger, codec } = this.#wire;
    if (logger.isLevelEnabled('trace')) {
      logger.trace({ tag }, `> ${codec.format({ type: request.name, tag, ...request.body } as Message)}`);
    }
    if (!this.#wire.send(frame, request.options.taken)) this.#full = true;
  }

  // --- cancelling ---

  #abort(request: Request, number: number): void {
    if (request.state === 'queued') {
      this.#queue.splice(this.#queue.indexOf(request), 1);
      this.#counts.cancelled++;
      request.options.taken?.();
      request.reject(new CancelledError(request.name, number));
      this.#over(request);
      return;
    }
    const { flushTimeout } = this.#options;
    if (request.state === 'flushing') this.#hurry(request); // by its timeout before: its caller may be dying now
    if (request.state !== 'sent') return;
    request.become('flushing');
    request.cancelErrno = number;
    const tag = this.#reserve.take();
    if (tag === undefined) throw new Error('the reserve of tags is empty');
    request.flushTag = tag;
    this.#flushes.set(tag, request);
    this.#counts.flushes++;
    const { logger, codec } = this.#wire;
    logger.debug({ tag, oldtag: request.tag, op: request.name }, 'flush');
    if (logger.isLevelEnabled('trace'))
      logger.trace({ tag }, `> ${codec.format({ type: 'Tflush', tag, oldtag: request.tag })}`);
    this.#wire.send(codec.encode('Tflush', tag, { oldtag: request.tag }));
    request.flushedAt = performance.now();
    request.deadline = setTimeout(() => this.#overdue(request), flushTimeout);
    if (number === errno.EINTR) this.#hurry(request);
  }

  /** A caller that is being killed, now or later, does not wait as long for what may be forgotten. */
  #hurry(request: Request): void {
    const signal = request.options.signal;
    if (signal === undefined || hasSideEffects(request)) return;
    if (!isDying(signal)) {
      onceDying(signal, () => this.#hurry(request));
      return;
    }
    const { dyingTimeout, flushTimeout } = this.#options;
    const left = request.flushedAt + flushTimeout - performance.now();
    if (request.state !== 'flushing' || left <= dyingTimeout) return;
    clearTimeout(request.deadline);
    request.deadline = setTimeout(() => this.#overdue(request), dyingTimeout);
  }

  /** The flush was not answered in time (design decision 5). */
  #overdue(request: Request): void {
    request.deadline = undefined;
    const { logger } = this.#wire;
    const fields = { tag: request.flushTag, oldtag: request.tag, op: request.name };
    if (request.state === 'flushing' && hasSideEffects(request)) {
      this.#wire.fail(new ProtocolError(`the server did not answer the Tflush of a ${request.name} in time`));
      return;
    }
    if (request.state === 'flushing') {
      logger.warn(fields, 'flush not answered in time: caller released, request in quarantine');
      request.become('abandoned');
      this.#quarantine.keep(request.options.buffer);
      this.#counts.cancelled++;
      request.reject(new CancelledError(request.name, request.cancelErrno));
    } else {
      logger.warn(fields, 'answered, but the flush is not: tag in quarantine');
    }
    this.#quarantine.enter();
    const { maxQuarantine, maxQuarantineBytes } = this.#options;
    if (this.#quarantine.size > maxQuarantine || this.#quarantine.bytes > maxQuarantineBytes) {
      this.#wire.fail(new ProtocolError(`the server left ${this.#quarantine.size} flushes unanswered`));
      return;
    }
    this.#pump(); // what is in quarantine does not count as in flight
  }

  #flushOverdue(): void {
    const before = performance.now() - this.#options.timeout;
    for (const request of this.#byTag.values()) {
      if (request.state === 'sent' && request.sentAt < before && request.tag < this.#options.tagWindow) {
        if (isFlushable(request.name)) this.#abort(request, errno.ETIMEDOUT);
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
      this.#unknown(type, tag);
      return undefined;
    }
    if (this.#wire.codec.number(request.name) + 1 !== type) {
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
    const flushed = this.#flushes.get(tag);
    if (flushed !== undefined) {
      this.#flushReply(flushed, tag, type, bytes, start, end);
      return;
    }
    const request = this.#byTag.get(tag);
    if (request === undefined) {
      this.#unknown(type, tag);
      return;
    }
    const { codec, logger } = this.#wire;
    const message = codec.decode(bytes, start, end, payload);
    if (logger.isLevelEnabled('trace')) logger.trace({ tag }, `< ${codec.format(message)}`);
    const failed = message.type === 'Rlerror' || message.type === 'Rerror';
    if (!failed && type !== codec.number(request.name) + 1) {
      throw new ProtocolError(`${message.type} in answer to ${request.name} tag ${tag}`);
    }
    if (failed && (message.ecode === 0 || message.ecode > MAX_ERRNO)) {
      throw new ProtocolError(`${message.type} tag ${tag} with errno ${message.ecode}`);
    }
    if (request.state === 'abandoned' || request.state === 'answered') {
      this.#late(request, type);
      return;
    }
    if (failed) request.reject(new ErrnoError(message.ecode, request.name));
    else request.resolve(message);
    if (request.state !== 'flushing') {
      this.#over(request);
      return;
    }
    request.become('answered');
    this.#letGo(request);
  }

  /** A reply whose caller has been released, or the second reply to one request. */
  #late(request: Request, type: number): void {
    if (request.state === 'answered') {
      throw new ProtocolError(`a second reply (type ${type}) to ${request.name} tag ${request.tag}`);
    }
    this.#counts.lateReplies++;
    this.#wire.logger.debug({ tag: request.tag, op: request.name }, 'late reply to an abandoned request dropped');
    this.#quarantine.free(request.options.buffer);
    request.become('answered');
    this.#letGo(request);
  }

  #unknown(type: number, tag: number): void {
    if (this.#flushed.delete(tag)) {
      this.#counts.lateReplies++;
      this.#wire.logger.warn({ tag, type }, 'reply to a tag that was flushed already: dropped');
      return;
    }
    throw new ProtocolError(`reply of type ${type} with tag ${tag}, which is not outstanding`);
  }

  #flushReply(request: Request, tag: number, type: number, bytes: Buffer, start: number, end: number): void {
    const { codec, logger } = this.#wire;
    const message = codec.decode(bytes, start, end);
    if (logger.isLevelEnabled('trace')) logger.trace({ tag }, `< ${codec.format(message)}`);
    if (message.type === 'Rlerror' || message.type === 'Rerror') {
      logger.warn(
        { tag, oldtag: request.tag, errno: message.ecode },
        'a Tflush was answered by an error: taken as Rflush',
      );
    } else if (message.type !== 'Rflush') {
      throw new ProtocolError(`${message.type} (type ${type}) in answer to Tflush tag ${tag}`);
    }
    if (request.state === 'flushing') {
      this.#counts.cancelled++;
      request.reject(new CancelledError(request.name, request.cancelErrno));
    }
    // after a reply and Rflush nothing more can come; after Rflush alone a reply may have been on its way, wrongly
    if (request.state !== 'answered') this.#flushed.add(request.tag);
    this.#over(request);
  }

  /** The server is done with the request: what it names and where it answers is free. The tag may not be, yet. */
  #letGo(request: Request): void {
    const { fids, signal, over } = request.options;
    if (request.onAbort !== undefined) signal?.removeEventListener('abort', request.onAbort);
    if (fids !== undefined) this.#wire.fids.drop(fids);
    over?.();
  }

  /** Frees everything that a request still holds. */
  #over(request: Request): void {
    const before = request.state;
    request.become('over');
    if (before === 'abandoned') this.#quarantine.free(request.options.buffer);
    if (before === 'abandoned' || (before === 'answered' && request.deadline === undefined)) this.#quarantine.leave();
    if (request.deadline !== undefined) clearTimeout(request.deadline);
    if (request.tag >= 0) {
      this.#byTag.delete(request.tag);
      if (request.tag < this.#options.tagWindow) {
        this.#tags.release(request.tag);
      } else {
        this.#reserve.release(request.tag);
        this.#clunks--;
      }
    }
    if (request.flushTag >= 0) {
      this.#flushes.delete(request.flushTag);
      this.#reserve.release(request.flushTag);
    }
    if (before !== 'answered') this.#letGo(request);
    if (this.#queue.length > 0 || this.#clunkQueue.length > 0) this.#pump();
  }

  /** The connection is gone: everything settles with its error. */
  end(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    clearInterval(this.#sweep);
    const all = [...this.#byTag.values(), ...this.#queue, ...this.#clunkQueue];
    this.#queue = [];
    this.#clunkQueue = [];
    for (const request of all) {
      if (request.state === 'queued') request.options.taken?.();
      request.reject(error);
      this.#over(request);
    }
  }
}
