// What becomes of requests whose callers have given up: their Tflush, how long it may stay unanswered, and what is kept
// when it does. The table of states is in request.ts.
// Guarantees: one Tflush a request, never waiting for an ordinary tag or for memory; every flush settles, by a reply, by
// its deadline or with the connection; what unanswered flushes keep is bounded.
// Must not free a request: its owner (requests.ts) does, when told that it is over.

import { isDying, onceDying } from '../common/abort.ts';
import { errno } from '../common/errno.ts';
import { CancelledError, ProtocolError, traceless } from '../common/errors.ts';
import type { IdPool } from '../common/idpool.ts';
import type { Message } from '../wire/p9/messages.ts';
import { isRefusal } from '../wire/p9/traits.ts';
import type { RequestOptions } from './limits.ts';
import { Quarantine } from './quarantine.ts';
import { hasSideEffects, type Request } from './request.ts';
import type { Wire } from './requests.ts';

/** Milliseconds by which a timer of a loop that is not held up may be late. */
const ON_TIME = 1;

export interface FlushStats {
  /** Requests whose caller was released before they were over, and answered ones whose Rflush is overdue. */
  quarantine: number;
  /** Ever. */
  flushes: number;
  cancelled: number;
  /** Replies to tags that had been flushed already: dropped. */
  lateReplies: number;
}

/** The owner of the requests. */
export interface FlushOwner {
  /** The server is done with a request that was flushed: its tags are free. */
  over(request: Request): void;
  /** There may be room for requests that wait. */
  pump(): void;
}

export class Flushes {
  readonly #wire: Wire;
  readonly #options: RequestOptions;
  readonly #owner: FlushOwner;
  /** Tags for Tflush. */
  readonly #reserve: IdPool;
  /** Flush tag -> the request that it flushes. */
  readonly #byTag = new Map<number, Request>();
  /** Tags freed by Rflush and not given out since: a reply to one is late, not unknown. */
  readonly #flushed = new Set<number>();
  readonly #quarantine = new Quarantine();
  #counts = { flushes: 0, cancelled: 0, lateReplies: 0 };

  constructor(wire: Wire, options: RequestOptions, reserve: IdPool, owner: FlushOwner) {
    this.#wire = wire;
    this.#options = options;
    this.#reserve = reserve;
    this.#owner = owner;
  }

  get stats(): FlushStats {
    return { quarantine: this.#quarantine.size, ...this.#counts };
  }

  /** Tags that unanswered flushes keep, and that no reply is hurried for. */
  get quarantined(): number {
    return this.#quarantine.size;
  }

  /** The request that a flush tag belongs to. */
  of(tag: number): Request | undefined {
    return this.#byTag.get(tag);
  }

  /** The tag is given out anew: replies to it are expected again. */
  reused(tag: number): void {
    this.#flushed.delete(tag);
  }

  /** Settles a call that had no effect. */
  cancel(request: Request): void {
    this.#counts.cancelled++;
    request.reject(traceless(() => new CancelledError(request.name, request.cancelErrno)));
  }

  /** The caller gives up a request that was sent: EINTR, or ETIMEDOUT where `timeout` does it for him. */
  begin(request: Request, number: number): void {
    // by its timeout before: its caller may be dying now
    if (request.state === 'flushing') this.#hurry(request);
    if (request.state !== 'sent') return;
    request.become('flushing');
    request.cancelErrno = number;
    const tag = this.#reserve.take();
    if (tag === undefined) throw new Error('the reserve of tags is empty');
    request.flushTag = tag;
    this.#byTag.set(tag, request);
    this.#counts.flushes++;
    const { logger, codec } = this.#wire;
    logger.debug({ tag, oldtag: request.tag, op: request.name }, 'flush');
    if (logger.isLevelEnabled('trace')) {
      logger.trace({ tag }, `> ${codec.format({ type: 'Tflush', tag, oldtag: request.tag })}`);
    }
    this.#wire.send(codec.encode('Tflush', tag, { oldtag: request.tag }));
    request.flushedAt = performance.now();
    this.#within(request, this.#options.flushTimeout, () => this.#overdue(request));
    if (number === errno.EINTR) this.#hurry(request);
  }

  /** The caller gives up a request that is never flushed: it goes on, but not for ever. */
  limit(request: Request): void {
    this.#within(request, this.#options.flushTimeout, () => {
      this.#wire.fail(new ProtocolError(`the server did not answer a ${request.name} in time`));
    });
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
    this.#within(request, dyingTimeout, () => this.#overdue(request));
  }

  /**
   * A process that was stopped, or had no processor for a while, finds its timers due before it has read what the server
   * said meanwhile: where a timer is late, what lies in the socket is read first, by one turn of the loop.
   */
  #within(request: Request, ms: number, late: () => void): void {
    const due = performance.now() + ms;
    const pass = () => {
      if (request.deadline === deadline) late();
    };
    const deadline = setTimeout(() => (performance.now() - due > ON_TIME ? setImmediate(pass) : pass()), ms);
    request.deadline = deadline;
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
      this.cancel(request);
    } else {
      logger.warn(fields, 'answered, but the flush is not: tag in quarantine');
    }
    this.#quarantine.enter();
    const { maxQuarantine, maxQuarantineBytes } = this.#options;
    if (this.#quarantine.size > maxQuarantine || this.#quarantine.bytes > maxQuarantineBytes) {
      this.#wire.fail(new ProtocolError(`the server left ${this.#quarantine.size} flushes unanswered`));
      return;
    }
    this.#owner.pump(); // what is in quarantine does not count as in flight
  }

  /** A reply whose caller has been released: dropped. Throws for the second reply to one request. */
  late(request: Request, type: number): void {
    if (request.state === 'answered') {
      throw new ProtocolError(`a second reply (type ${type}) to ${request.name} tag ${request.tag}`);
    }
    this.#counts.lateReplies++;
    this.#wire.logger.debug({ tag: request.tag, op: request.name }, 'late reply to an abandoned request dropped');
    this.#quarantine.free(request.options.buffer);
    request.become('answered');
  }

  /** A reply to a tag that no request has. Throws where it cannot be a late one. */
  unknown(type: number, tag: number): void {
    if (this.#flushed.delete(tag)) {
      this.#counts.lateReplies++;
      this.#wire.logger.warn({ tag, type }, 'reply to a tag that was flushed already: dropped');
      return;
    }
    throw new ProtocolError(`reply of type ${type} with tag ${tag}, which is not outstanding`);
  }

  /** What came for the flush tag of `request`; the request is then over. */
  reply(request: Request, type: number, message: Message): void {
    const { tag } = message;
    if (isRefusal(message)) {
      // flush(9P) knows no such answer; all that it can mean is that there is nothing to flush any more
      this.#wire.logger.warn(
        { tag, oldtag: request.tag, errno: message.ecode },
        'a Tflush was answered by an error: taken as Rflush',
      );
    } else if (message.type !== 'Rflush') {
      throw new ProtocolError(`${message.type} (type ${type}) in answer to Tflush tag ${tag}`);
    }
    if (request.state === 'flushing') this.cancel(request);
    // after a reply and Rflush nothing more can come; after Rflush alone a reply may have been on its way, wrongly
    if (request.state !== 'answered') this.#flushed.add(request.tag);
    this.#owner.over(request);
  }

  /** Frees what the flush of a request keeps, if it has one; `before`: its state until now. */
  end(request: Request, before: Request['state']): void {
    if (before === 'abandoned') this.#quarantine.free(request.options.buffer);
    if (before === 'abandoned' || (before === 'answered' && request.deadline === undefined)) this.#quarantine.leave();
    if (request.deadline !== undefined) clearTimeout(request.deadline);
    request.deadline = undefined;
    if (request.flushTag < 0) return;
    this.#byTag.delete(request.flushTag);
    this.#reserve.release(request.flushTag);
  }
}
