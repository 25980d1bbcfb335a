// What a dialect is to the server: its version, its wire form, the handlers of its messages, and how it says that one failed.
// Everything behind the handlers (fids, flushes, places, trees) is the same in all of them.
// Must not know any one dialect: those are dotl.ts, dotu.ts and legacy.ts.

import type { Codec } from '../../wire/p9/codec.ts';
import type { Body, Message, ReplyName, ReplyTo, RequestName } from '../../wire/p9/messages.ts';
import type { Request } from '../flush.ts';
import type { Session } from '../session.ts';
import type { Awaitable, ReadResult } from '../tree.ts';

/** What is not answered by the connection itself. */
export type ServedName = Exclude<RequestName, 'Tversion' | 'Tflush'>;

/** The body of the reply; what carries a payload is answered with the bytes where they lie. */
export type Reply<N extends ServedName> = Body<ReplyTo<N>> extends { data: Uint8Array } ? ReadResult : Body<ReplyTo<N>>;

export type Handler<N extends ServedName> = (
  session: Session,
  message: Message<N>,
  request: Request,
) => Awaitable<Reply<N>>;

/** The messages that a dialect serves. */
export type Handlers = { readonly [N in ServedName]?: Handler<N> };

export type AnyHandler = (session: Session, message: Message, request: Request) => Awaitable<object>;

/** A reply ready to be encoded. */
export interface Answer<N extends ReplyName = ReplyName> {
  readonly name: N;
  readonly body: Body<N>;
}

export interface Dialect {
  readonly version: string;
  readonly codec: Codec;
  /** The handler of a message, or undefined for what no client may send. */
  handlerOf(type: string): AnyHandler | undefined;
  /** The reply of a request that failed. */
  refusal(ecode: number): Answer;
}

/** handlerOf() of a table. */
export function lookUp(handlers: Handlers): Dialect['handlerOf'] {
  const byType: ReadonlyMap<string, AnyHandler> = new Map(
    Object.entries(handlers) as unknown as [string, AnyHandler][],
  );
  return (type) => byType.get(type);
}
