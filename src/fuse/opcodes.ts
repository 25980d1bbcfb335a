// What a row of the opcode table says: how the session treats a message of the kernel, and for one that asks something
// of the file system, what is called, how it is answered, and what is taken back when the kernel did not want the
// answer.
// Guarantees by types: an opcode that has no row, or one that has another opcode's handler, does not compile.
// Must not know any one opcode: the rows are in dispatch.ts.

import type { NodeId } from '../common/brand.ts';
import type { Cursor } from '../common/cursor.ts';
import type { OpcodeName } from '../wire/fuse/constants.ts';
import { type Body, requests } from '../wire/fuse/requests.ts';
import type { Struct } from '../wire/fuse/structs.ts';
import type { Awaitable, Operations, RequestContext } from './operations.ts';
import type { ReplyWriter } from './reply.ts';

/** A request as the handlers see it. */
export interface Incoming extends RequestContext {
  readonly opcode: number;
  readonly nodeid: NodeId;
}

/** A request of the file system: it gets exactly one reply. */
export interface Handler<A, T> {
  readonly kind: 'request';
  readonly name: OpcodeName;
  readonly body: Struct<A>;
  run(ops: Operations, at: Incoming, args: A): Awaitable<T>;
  /** Writes the body of the successful reply; what it throws is answered instead. */
  reply(out: ReplyWriter, value: T, args: A): void;
  /** The reply did not reach the kernel: undoes what the kernel would have had to undo. */
  undo?(ops: Operations, at: Incoming, value: T): Awaitable<void>;
  /** The payload has been written, or will not be. */
  release?(value: T): void;
  /** For the interrupt policy. */
  mayBlock?(ops: Operations, at: Incoming, args: A): boolean;
  /** The body ends in a payload that is not copied: it must stay where it was read until the method has settled. */
  readonly holds?: true;
  /** It gives something back, so it is carried out while the session is stopping as well. */
  readonly givesBack?: true;
}

/** A handler whose types are its own business. */
export type AnyHandler = Handler<unknown, unknown>;

/** Answered by an error, the same each time. With ENOSYS the kernel stops asking, for the whole mount. */
export interface Refusal {
  readonly errno: number;
  /** For the log: why that is right. */
  readonly why: string;
}

export type OpcodeRow<N extends OpcodeName = OpcodeName> =
  | (AnyHandler & { readonly name: N })
  /** The kernel's first message; it is refused when it comes later. */
  | ({ readonly kind: 'init' } & Refusal)
  /** Lookups that are taken back: no reply. `nodeid` is that of the header. */
  | { readonly kind: 'forget'; each(nodeid: number, cursor: Cursor, forget: Forgetter): void }
  /** A signal for the caller of another request: no reply. */
  | { readonly kind: 'interrupt'; target(cursor: Cursor): number }
  /** The kernel's answer to a notification: no reply, and nothing to be done. */
  | { readonly kind: 'reply' }
  | ({ readonly kind: 'refused' } & Refusal);

export type Forgetter = (nodeid: number, nlookup: number) => void;

/** The table of all opcodes. */
export type Opcodes = { readonly [N in OpcodeName]: OpcodeRow<N> };

type Parts<N extends OpcodeName, T> = Omit<Handler<Body<N>, T>, 'kind' | 'name' | 'body'>;

export function on<N extends OpcodeName, T>(name: N, parts: Parts<N, T>): AnyHandler & { readonly name: N } {
  return { kind: 'request', name, body: requests[name], ...parts } as AnyHandler & { readonly name: N };
}

export function refused(errno: number, why: string): OpcodeRow<never> {
  return { kind: 'refused', errno, why };
}

/** Becomes ENOSYS, which an ErrnoError never does (errno.ts, clampErrno). */
export class NotImplemented extends Error {
  override readonly name = 'NotImplemented';
}
