// Planned misbehaviour, for trees that are made to test clients: what a fault is given, and what it may do that no handler
// can, such as answering twice, under another tag, or never.
// Guarantees: a tree without faults pays for none of this. Must not know any particular fault: those are trees/faults.

import type { AbortSignalLike } from '../common/abort.ts';
import type { Body, Message, ReplyName } from '../wire/p9/messages.ts';
import type { Awaitable } from './tree.ts';

/** What a fault returns when the request is to end without a reply from the server. Its Tflushes are still answered. */
export const NO_REPLY = Symbol('no reply');

/** The bytes that go to the client, for what the server itself would never send. */
export interface Wire {
  /** The whole frame of the reply that `body` is to the request; a copy, to be changed at will. */
  frame(body: object): Buffer;
  /** The frame of any reply under any tag. */
  encode<N extends ReplyName>(name: N, tag: number, body: Body<N>): Buffer;
  /** The frame of a refusal of the request, as the dialect has it. */
  refusal(ecode: number): Buffer;
  send(frame: Uint8Array): void;
  /** Sends it and ends the connection. */
  sendLast(frame: Uint8Array): void;
  /** Aborted when the session ends, and with it every wait. */
  readonly over: AbortSignalLike;
}

/** One request about to be carried out. */
export interface Act {
  readonly message: Message;
  /** Aborted by a Tflush, and by the end of the session. */
  readonly signal: AbortSignalLike;
  readonly wire: Wire;
  /** Carries it out, as it is or with other fields; the result is the reply's body. */
  perform(message?: Message): Awaitable<object>;
}

export type Fault = (act: Act) => Awaitable<object | typeof NO_REPLY>;
