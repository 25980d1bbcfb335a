// Finds the traits that stand in the rows of the message tables, by a message's name or by its number on the wire.
// Guarantees: everything is worked out when the module is loaded, so that a look-up allocates nothing. It needs no
// dialect: a message has the same traits in all that have it, and a number stands for one message
// (test/unit/wire/p9/traits.test.ts).
// Must not name a message: how a message behaves is said in its row.

import {
  type Body,
  core,
  dotl,
  dotu,
  legacy,
  type Message,
  type RefusalName,
  type ReplyName,
  type RequestName,
} from './messages.ts';
import type { AnyRequestRow, AnyRow, Effect, FidRole } from './rows.ts';

export interface FidField {
  readonly field: string;
  readonly role: FidRole;
}

export interface Traits {
  readonly name: RequestName;
  readonly number: number;
  /** Its reply, where it succeeds. */
  readonly reply: ReplyName;
  readonly flushable: boolean;
  readonly releases: boolean;
  /** In the order of the wire. */
  readonly fids: readonly FidField[];
  /**
   * The field with the fid that the request is about: the file, or the directory in which a name is looked up, made or
   * removed.
   * It is the first one of the message, unless the request is to make that.
   */
  readonly subject: string | undefined;
  readonly effect: AnyRequestRow['effect'];
  /** Whether its reply carries a payload. */
  readonly fetches: boolean;
}

const rows = [core, dotl, dotu, legacy].flatMap((table): [string, AnyRow][] => Object.entries(table));
const payloads = new Uint8Array(256);
const refusals: ReadonlySet<string> = new Set(rows.flatMap(([name, { kind }]) => (kind === 'refusal' ? [name] : [])));
const requests = new Map<string, Traits>();

for (const [, row] of rows) payloads[row.number] = row.payloadAt;
for (const [name, row] of rows) {
  if (row.kind === 'request') requests.set(name, traitsIn(name as RequestName, row));
}

function traitsIn(name: RequestName, row: AnyRequestRow): Traits {
  const { number, flushable, effect, releases = false } = row;
  const fids = Object.keys(row.layout).flatMap((field) => {
    const role = row.fids[field];
    return role === undefined ? [] : [{ field, role }];
  });
  const [first] = fids;
  return {
    name,
    number,
    reply: `R${name.slice(1)}` as ReplyName,
    flushable,
    releases,
    fids,
    subject: first === undefined || first.role === 'makes' ? undefined : first.field,
    effect,
    fetches: payloads[number + 1] !== 0,
  };
}

export const requestNames: readonly RequestName[] = [...requests.keys()] as RequestName[];

/** The traits of a request; undefined for what is none. */
export function traitsOf(name: RequestName): Traits;
export function traitsOf(name: string): Traits | undefined;
export function traitsOf(name: string): Traits | undefined {
  return requests.get(name);
}

/**
 * Bytes of a message of this type in front of its payload, header included; 0 where it carries none, or no dialect has
 * it.
 */
export function payloadAt(type: number): number {
  return payloads[type] ?? 0;
}

/** Whether a message of this type is a request: replies have odd numbers (intro(9P)). */
export function isRequestType(type: number): boolean {
  return (type & 1) === 0;
}

/**
 * What the request leaves behind. `appends`: whether its fid may have been opened to append; so it is if nobody knows.
 */
export function effectOf<N extends RequestName>(name: N, body: Body<N>, appends = true): Effect {
  const { effect } = traitsOf(name);
  return typeof effect === 'string' ? effect : effect(body as never, appends);
}

/** The fid that a message is about; undefined where that is to be made, or there is none. */
export function subjectOf(message: Message): number | undefined {
  const field = requests.get(message.type)?.subject;
  return field === undefined ? undefined : (message as unknown as Record<string, number>)[field];
}

/** Whether the message says that a request, whichever, has failed. */
export function isRefusal<M extends { readonly type: string }>(
  message: M,
): message is Extract<M, { type: RefusalName }> {
  return refusals.has(message.type);
}

/** Whether a server may answer that request by that reply; both are names, of whatever there is. */
export function isReplyTo(reply: string, request: string): boolean {
  return requests.get(request)?.reply === reply || refusals.has(reply);
}
