// What a row of the message table says: the number and the layout of a message, and its traits. The traits are for code
// that handles messages without knowing what each is for: transactions, connections, framing, tracing.
// Guarantees by types: a T row without its traits does not compile, nor does one that names other fids than its layout.
// The name of a field ends in `fid` where the field holds a fid, and nowhere else; so no fid is forgotten.
// Must not know any one message: the rows are in messages.ts, and traits.ts looks them up.

import { data, type Fields, type Layout } from '../../common/layout.ts';
import { HEADER } from './constants.ts';

/** What a request does to a fid that one of its fields holds. NOFID in such a field means that there is none. */
export type FidRole =
  /** The fid exists before and after, though it may reach something else then: the file that Tlcreate has made. */
  | 'uses'
  /**
   * The fid comes into being when the request succeeds; for Twalk that is an Rwalk with a qid for each name. The newfid
   * of a Twalk may be its fid, which then moves.
   */
  | 'makes'
  /** The fid is gone when the request has been answered, by an error too (clunk(9P), remove(9P)). */
  | 'ends';

/**
 * What a request leaves behind at the server beside fids. It decides whether a caller may be let go while the server
 * may still carry the request out, and what may be done when the connection is lost before the reply comes.
 */
export type Effect =
  /** The request leaves nothing behind: its caller may forget it, and it may be asked again. */
  | 'none'
  /** The result is what the request says, each time it is carried out: it may be asked again, but not forgotten. */
  | 'absolute'
  /** A second time would fail or do more: it may not be forgotten, nor asked again before its outcome is known. */
  | 'once';

/** The fields that hold fids, as the manual pages and protocol.md call them. */
type FidName = 'fid' | 'newfid' | 'afid' | 'dfid' | 'dirfid' | 'olddirfid' | 'newdirfid';
type FidField<L extends Layout> = Extract<keyof L, `${string}fid`>;
/**
 * All fids of a layout, and no others: TypeScript by itself finds others in a literal, but not in traits that rows
 * share.
 */
type Fids<L extends Layout> = { readonly [F in FidField<L>]: FidRole } & {
  readonly [F in Exclude<FidName, FidField<L>>]?: never;
};

export interface RequestTraits<L extends Layout> {
  /** Whether its sender may flush it: then it must be able to live with "as though never sent" (flush(9P)). */
  readonly flushable: boolean;
  /** `appends`: whether its fid may have been opened to append. */
  readonly effect: Effect | ((body: Fields<L>, appends: boolean) => Effect);
  /** Every field that holds a fid. */
  readonly fids: Fids<L>;
  /**
   * The request gives back what others wait for, and does nothing else. So the client sends it under a tag of the
   * reserve, and the server takes it where it refuses others because there are too many.
   */
  readonly releases?: true;
}

export interface Row {
  readonly number: number;
  readonly layout: Layout;
  /** Bytes of the message in front of its payload, header included; 0 where it carries none. */
  readonly payloadAt: number;
}

export interface RequestRow<L extends Layout> extends Row, RequestTraits<L> {
  readonly kind: 'request';
  readonly layout: L;
}

/** A request of any layout. */
export interface AnyRequestRow extends Row {
  readonly kind: 'request';
  readonly flushable: boolean;
  readonly effect: Effect | ((body: never, appends: boolean) => Effect);
  readonly fids: Readonly<Record<string, FidRole>>;
  readonly releases?: true;
}

export interface ReplyRow<L extends Layout = Layout> extends Row {
  readonly kind: 'reply';
  readonly layout: L;
}

/** A reply to any request: that it failed. */
export interface RefusalRow<L extends Layout = Layout> extends Row {
  readonly kind: 'refusal';
  readonly layout: L;
}

export type AnyRow = AnyRequestRow | ReplyRow | RefusalRow;

/** A table of messages by their names, T... and R... */
export type Rows = { readonly [T in `T${string}`]: AnyRequestRow } & {
  readonly [R in `R${string}`]: ReplyRow | RefusalRow;
};

/** Throws where the place of the payload depends on the values before it: then nobody could put it where it belongs. */
function payloadAt(number: number, layout: Layout): number {
  const types = Object.values(layout);
  if (!types.includes(data)) return 0;
  return types.reduce((sum, { fixed }) => {
    if (fixed === undefined) throw new Error(`message ${number}: its payload begins at no fixed place`);
    return sum + fixed;
  }, HEADER);
}

export function request<L extends Layout>(number: number, layout: L, traits: RequestTraits<NoInfer<L>>): RequestRow<L> {
  const { flushable, effect, fids, releases } = traits;
  const row = {
    kind: 'request',
    number,
    layout,
    payloadAt: payloadAt(number, layout),
    flushable,
    effect,
    fids,
  } as const;
  return releases === undefined ? row : { ...row, releases };
}

export function reply<L extends Layout>(number: number, layout: L): ReplyRow<L> {
  return { kind: 'reply', number, layout, payloadAt: payloadAt(number, layout) };
}

export function refusal<L extends Layout>(number: number, layout: L): RefusalRow<L> {
  return { kind: 'refusal', number, layout, payloadAt: payloadAt(number, layout) };
}
