// One connection as somebody sees it who reads along: pairs replies with requests, follows the version, and tells what became of
// a request that was flushed (flush(5)). Pure: it is told of each message and when it was seen, and returns a record of it.
// Guarantees: it changes nothing and refuses nothing; what breaks the rules is named in the record (`wrong`) and the next message
// is taken as it comes. What it keeps is bounded by the number of tags, whatever both sides send.

import type { Codec } from '../wire/p9/codec.ts';
import { NOTAG, VERSION } from '../wire/p9/constants.ts';
import { isReplyTo } from '../wire/p9/traits.ts';
import { CODECS, type Decoded, decode, FIRST_CODEC } from './decode.ts';

export type Side = 'client' | 'server';

/** A request that a record refers to. */
export interface Referred {
  readonly type: string;
  readonly tag: number;
  readonly fields: Decoded['fields'];
}

/** What a Tflush found, or what its Rflush means for the request that it named. */
export type FlushState =
  /** It waits for its answer. */
  | 'outstanding'
  /** Rflush came and no answer before it. */
  | 'cancelled'
  | 'answered'
  /** No such request was seen, or its tag has been used again since. */
  | 'unknown';

export interface MessageRecord {
  readonly from: Side;
  readonly at: number;
  readonly decoded: Decoded;
  /** For a reply: what it answers, and how long after it, in milliseconds. */
  readonly request?: Referred;
  readonly latency?: number;
  /** For a Tflush and its Rflush. */
  readonly flush?: { readonly state: FlushState; readonly oldtag: number; readonly request?: Referred };
  /** A reply to a request that was flushed, before the Rflush: as if nothing had been flushed. */
  readonly flushed?: true;
  readonly wrong?: string;
}

interface Request extends Referred {
  readonly at: number;
  readonly session: number;
  /** How many Tflushes there were for it, and up to which of them they are answered: a later Rflush answers those before it. */
  flushes: number;
  flushed: number;
  state: 'outstanding' | 'answered' | 'cancelled';
  /** What a Tflush was for; let go with the tag, or one could make a chain of them without end. */
  target: Target | undefined;
}

interface Target {
  readonly oldtag: number;
  readonly request: Request | undefined;
  /** The how many-th Tflush for it. */
  readonly nth: number;
}

/** So much of a value is kept with a request. */
const KEPT = 256;

/** The fields as they are kept for the reply: of a payload the length is enough. */
function kept(fields: Decoded['fields']): Decoded['fields'] {
  return fields.map(([name, value]) => {
    if (name === 'data') return [name, value.slice(0, value.indexOf(':'))];
    // by way of bytes: a slice of a string would keep all of it
    return [name, value.length <= KEPT ? value : `${Buffer.from(value.slice(0, KEPT)).toString()}...`];
  });
}

export class Tracer {
  /** What both sides agreed on; 0 before they have. */
  msize = 0;
  version = '';
  #codec: Codec = FIRST_CODEC;
  /** The last request of each tag, whatever became of it. */
  readonly #requests = new Map<number, Request>();
  readonly #outstanding = new Set<Request>();
  /** How many Tversions were sent: what was asked before the last one has ended when its answer comes. */
  #session = 0;

  /** Requests that have no answer, oldest first. */
  get outstanding(): readonly Referred[] {
    return [...this.#outstanding];
  }

  /** A message whose head is `head` (see Scanner), seen `at` milliseconds. */
  see(from: Side, head: Buffer, size: number, at: number): MessageRecord {
    const decoded = decode(this.#codec, head, size);
    const record = from === 'client' ? this.#request(decoded, at) : this.#reply(decoded, at);
    const wrong = decoded.fault ?? record.wrong;
    return wrong === undefined ? record : { ...record, wrong };
  }

  #request(decoded: Decoded, at: number): MessageRecord {
    const { type, tag, fields, message } = decoded;
    const before = this.#requests.get(tag);
    const wrong = this.#misuse(decoded, before);
    if (type === 'Tversion') this.#session++;
    let flush: MessageRecord['flush'];
    let target: Target | undefined;
    if (message?.type === 'Tflush') {
      const { oldtag } = message;
      const found = oldtag === tag ? undefined : this.#requests.get(oldtag);
      if (found !== undefined) found.flushes++;
      target = { oldtag, request: found, nth: found?.flushes ?? 0 };
      flush = { state: found?.state ?? 'unknown', oldtag, ...(found === undefined ? {} : { request: found }) };
    }
    if (before !== undefined) {
      this.#outstanding.delete(before);
      before.target = undefined;
    }
    const request: Request = {
      type,
      tag,
      fields: kept(fields),
      at,
      session: this.#session,
      flushes: 0,
      flushed: 0,
      state: 'outstanding',
      target,
    };
    this.#requests.set(tag, request);
    this.#outstanding.add(request);
    return {
      from: 'client',
      at,
      decoded,
      ...(flush === undefined ? {} : { flush }),
      ...(wrong === undefined ? {} : { wrong }),
    };
  }

  /** What is wrong with sending this now. */
  #misuse({ type, tag }: Decoded, before: Request | undefined): string | undefined {
    if (/^R/.test(type)) return 'a reply, from the client';
    if (tag === NOTAG && type !== 'Tversion') return 'NOTAG is for Tversion alone';
    if (before === undefined) return undefined;
    if (before.state === 'outstanding') {
      return type === 'Tversion' ? undefined : `tag ${tag} is in use by ${before.type}`;
    }
    // flush(5): the tag is free when the Rflush has come, whatever was answered before it
    return before.flushes > before.flushed ? `tag ${tag} is used again before the Rflush for it` : undefined;
  }

  #reply(decoded: Decoded, at: number): MessageRecord {
    const { type, tag } = decoded;
    const request = this.#requests.get(tag);
    const record = { from: 'server', at, decoded } as const;
    if (/^T/.test(type)) return { ...record, wrong: 'a request, from the server' };
    if (request === undefined) return { ...record, wrong: `no request had tag ${tag}` };
    if (request.state !== 'outstanding') return { ...record, request, wrong: unasked(request) };
    this.#outstanding.delete(request);
    request.state = 'answered';
    const answer = {
      ...record,
      request,
      latency: at - request.at,
      ...(request.flushes > 0 ? { flushed: true as const } : {}),
    };
    if (!isReplyTo(type, request.type)) return { ...answer, wrong: `${type} is no answer to ${request.type}` };
    if (decoded.message?.type === 'Rversion') return { ...answer, ...this.#agree(decoded.message) };
    if (type === 'Rflush' && request.target !== undefined) return { ...answer, ...this.#settle(request.target) };
    return answer;
  }

  #agree({ msize, version }: { msize: number; version: string }): { wrong?: string } {
    for (const request of this.#outstanding) {
      if (request.session < this.#session) this.#outstanding.delete(request);
    }
    for (const [tag, request] of this.#requests) {
      if (request.session < this.#session) this.#requests.delete(tag);
    }
    if (version === VERSION.unknown) return {};
    this.msize = msize;
    this.version = version;
    const codec = CODECS[version];
    if (codec === undefined) return { wrong: 'a version that is not known here: what follows is taken for 9P2000.L' };
    this.#codec = codec;
    return {};
  }

  /** The Rflush of a Tflush. */
  #settle({ oldtag, request, nth }: Target): Pick<MessageRecord, 'flush'> {
    if (request === undefined) return { flush: { state: 'unknown', oldtag } };
    request.flushed = Math.max(request.flushed, nth);
    if (request.state === 'outstanding') {
      request.state = 'cancelled';
      this.#outstanding.delete(request);
    }
    return { flush: { state: request.state, oldtag, request } };
  }
}

function unasked(request: Request): string {
  if (request.state === 'cancelled') return `a reply after the Rflush for ${request.type}`;
  return `a second reply to ${request.type}`;
}
