// The requests of one session by tag, and the Tflush algorithm over them (flush(9P)).
//
//   oldtag is ...                      Tflush is answered ...
//   unknown, finished, or its own      at once
//   another Tflush, one that waits     right behind the answer to that: its tag is free with this one
//   queued (nothing has happened)      at once, and the request is dropped without a reply
//   running                            after the request has ended; its AbortSignal is fired
//
// A request that was aborted still gets its reply, ahead of the Rflush, unless it failed because of the abort. Several
// flushes of one request are answered in the order in which they came. Taking a tag off the table and handing over the
// reply is one synchronous step, so a client that reuses the tag at once is safe and no Rflush overtakes a reply.

import { Abort } from '../common/abort.ts';
import { errno } from '../common/errno.ts';
import { isErrno, ProtocolError } from '../common/errors.ts';
import type { RequestName } from '../wire/p9/messages.ts';
import type { Traits } from '../wire/p9/traits.ts';
import type { Fid } from './fids.ts';
import { inSlices, type Steps } from './slices.ts';

/** One T-message from its arrival to its reply; also its abort signal. */
export class Request extends Abort {
  readonly tag: number;
  readonly traits: Traits;
  state: 'queued' | 'running' | 'ended' = 'queued';
  /** Tags of the Tflushes that wait for this one. */
  flushes: number[] | undefined;
  /** The fids that it uses, each once a use. */
  fids: Fid[] | undefined;
  /** Gives back what its payload lies in. */
  release: (() => void) | undefined;

  constructor(tag: number, traits: Traits) {
    super();
    this.tag = tag;
    this.traits = traits;
  }

  get type(): RequestName {
    return this.traits.name;
  }
}

export interface FlushCounts {
  received: number;
  /** How many found their request queued, or running. */
  dropped: number;
  aborted: number;
  /** Requests that ended without a reply because of a flush. */
  suppressed: number;
}

/** Stands in the table for a Tflush that waits: its tag is taken, and what flushes it waits for the same request. */
class Waiting {
  readonly target: Request;

  constructor(target: Request) {
    this.target = target;
  }
}

export class Requests {
  readonly #byTag = new Map<number, Request | Waiting>();
  readonly #answerFlush: (tag: number) => void;
  readonly #counts: FlushCounts;
  /** Aborted when the session ends. */
  readonly over = new Abort();
  #running = 0;
  #ended = false;
  #onIdle: (() => void) | undefined;

  /** `answerFlush` sends one Rflush. `counts` is added to. */
  constructor(answerFlush: (tag: number) => void, counts: FlushCounts) {
    this.#answerFlush = answerFlush;
    this.#counts = counts;
  }

  /** Tags outstanding. */
  get size(): number {
    return this.#byTag.size;
  }

  /** The session is over: nothing is answered any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Enters a request. The client may not use a tag twice at a time (intro(9P)). */
  begin(tag: number, traits: Traits): Request {
    if (this.#byTag.has(tag)) throw new ProtocolError(`${traits.name} tag ${tag}: that tag is outstanding`);
    const request = new Request(tag, traits);
    this.#byTag.set(tag, request);
    return request;
  }

  run(request: Request): void {
    request.state = 'running';
    this.#running++;
  }

  /** A Tflush. */
  flush(tag: number, oldtag: number): void {
    if (this.#byTag.has(tag)) throw new ProtocolError(`Tflush tag ${tag}: that tag is outstanding`);
    this.#counts.received++;
    const found = this.#byTag.get(oldtag);
    const target = found instanceof Waiting ? found.target : found;
    if (target === undefined) {
      this.#answerFlush(tag);
    } else if (target.state === 'queued') {
      this.#counts.dropped++;
      this.#drop(target);
      this.#answerFlush(tag);
    } else {
      this.#counts.aborted++;
      this.#byTag.set(tag, new Waiting(target));
      if (target.flushes === undefined) target.flushes = [tag];
      else target.flushes.push(tag);
      target.abort();
    }
  }

  /**
   * A request has ended, with `error` or without. `answer` hands its reply over; it is not called when the request was
   * aborted and failed because of that, or when the session is over.
   */
  end(request: Request, error: unknown, answer: () => void): void {
    request.state = 'ended';
    this.#running--;
    this.#byTag.delete(request.tag);
    try {
      if (this.#ended) return;
      if (request.aborted && isErrno(error, errno.EINTR)) this.#counts.suppressed++;
      else answer();
      if (request.flushes === undefined) return;
      for (const tag of request.flushes) {
        this.#byTag.delete(tag);
        this.#answerFlush(tag);
      }
    } finally {
      if (this.#ended && this.#running === 0) this.#onIdle?.();
    }
  }

  /**
   * Ends the session: aborts everything, without replies, and not more of it at a time than others can wait for. Settles when
   * the last handler has ended; it rejects then with what a tree's own listener has thrown.
   */
  async stop(): Promise<void> {
    this.#ended = true;
    let thrown: { error: unknown } | undefined;
    const attempt = (end: () => void): void => {
      try {
        end();
      } catch (error) {
        thrown ??= { error };
      }
    };
    attempt(() => this.over.abort());
    await inSlices(this.#ends(attempt));
    // no deadline: what a handler still does may change the tree, and the fids under it must not go before it ends
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#byTag.clear();
    if (thrown !== undefined) throw thrown.error;
  }

  *#ends(attempt: (end: () => void) => void): Steps {
    for (const request of [...this.#byTag.values()]) {
      if (request instanceof Waiting || request.state === 'ended') continue;
      if (request.state === 'queued') this.#drop(request);
      else attempt(() => request.abort());
      yield;
    }
  }

  #drop(request: Request): void {
    request.state = 'ended';
    this.#byTag.delete(request.tag);
    request.release?.();
    request.release = undefined;
  }
}
