// ONE transaction: a T-message, its reply, and what becomes of it when its caller loses interest.
//
//   state      event                      what follows                                                      next
//   queued     abort                      taken out of the send queue, no message, CancelledError           over
//   queued     handed to the socket       the frame is written to its end, before any later frame           sent
//   sent       reply                      delivered                                                         over
//   sent       abort                      one Tflush, its tag from the reserve; everything stays reserved   flushing
//   flushing   reply                      honoured as if never flushed; fids and buffer free, the tag taken   answered
//   flushing   Rflush                     nothing had happened: CancelledError                              over
//   flushing   deadline, no side effects  the caller gets CancelledError; tag, fids, buffer stay taken      abandoned
//   flushing   deadline, side effects     the connection is given up: nothing else is honest                over
//   answered   Rflush                     the tags are free                                                 over
//   abandoned  reply                      dropped; what it made is undone by closing its fids               answered
//   abandoned  Rflush                     nothing had happened                                              over
//   any        the connection ends        its error, if the caller still waits                              over
//
// Sources: flush(9P); net/9p/client.c (p9_client_rpc, p9_client_flush) for the reply that wins over its flush.
// The caller's promise settles once; `over` is later or at the same time, and frees tag, fids and receive buffer.

import type { AbortSignalLike } from '../common/abort.ts';
import type { Standing } from '../common/line.ts';
import type { Body, Message, RequestName } from '../wire/p9/messages.ts';
import { effectOf, type Traits, traitsOf } from '../wire/p9/traits.ts';
import type { Fid } from './fids.ts';

export type RequestState = 'queued' | 'sent' | 'flushing' | 'answered' | 'abandoned' | 'over';

const NEXT: Readonly<Record<RequestState, readonly RequestState[]>> = {
  queued: ['sent', 'over'],
  sent: ['flushing', 'over'],
  flushing: ['answered', 'abandoned', 'over'],
  answered: ['over'],
  abandoned: ['answered', 'over'],
  over: [],
};

/** What a call may say beside its message. */
export interface CallOptions {
  /** Fids that the message names: held until the request is over. */
  fids?: readonly Fid[] | undefined;
  signal?: AbortSignalLike | undefined;
  /** Where the payload of Rread or Rreaddir goes; as long as the count that is asked for. */
  buffer?: Uint8Array | undefined;
  /** Runs once, when the server is done with the request: fids and buffer are free again. */
  over?: (() => void) | undefined;
  /** Runs when the frame was handed to the transport: what is sent from then on comes behind it. */
  sent?: (() => void) | undefined;
  /** Runs when the system has taken the frame's bytes (or never will): until then the payload must not change. */
  taken?: (() => void) | undefined;
}

export class Request<N extends RequestName = RequestName> {
  readonly name: N;
  readonly traits: Traits;
  readonly body: Body<N>;
  readonly options: CallOptions;
  state: RequestState = 'queued';
  /** In the queue, once it has had to wait there. */
  place: Standing<Request> | undefined;
  tag = -1;
  flushTag = -1;
  /** Milliseconds of performance.now() at which the frame was handed over; only kept where a timeout or a log wants it. */
  sentAt = 0;
  /** The same for its Tflush. */
  flushedAt = 0;
  /** errno of the CancelledError: EINTR, or ETIMEDOUT when `timeout` flushed it. */
  cancelErrno = 0;
  deadline: NodeJS.Timeout | undefined;
  /** What it listens to while it may be flushed: its caller's signal, or what stands in for it. */
  signal: AbortSignalLike | undefined;
  onAbort: (() => void) | undefined;
  readonly resolve: (reply: Message) => void;
  readonly reject: (error: Error) => void;

  constructor(
    name: N,
    body: Body<N>,
    options: CallOptions,
    resolve: (reply: Message) => void,
    reject: (error: Error) => void,
  ) {
    this.name = name;
    this.traits = traitsOf(name);
    this.body = body;
    this.options = options;
    this.resolve = resolve;
    this.reject = reject;
  }

  become(state: RequestState): void {
    if (!NEXT[this.state].includes(state)) {
      throw new Error(`${this.name} tag ${this.tag}: ${this.state} cannot become ${state}`);
    }
    this.state = state;
  }
}

/** Whether a request may not be forgotten by its caller while the server may still carry it out. */
export function hasSideEffects({ name, body }: Request): boolean {
  return effectOf(name, body) !== 'none';
}
