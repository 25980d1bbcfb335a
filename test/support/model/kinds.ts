// The calls that random programs are made of: how a client makes each, and how a server answers what comes of it. Each
// message carries the number of its call in a field that the server here has no other use for.

import type { DotLCalls } from '../../../src/client/dialects/dotl-calls.ts';
import type { Fid } from '../../../src/client/fids.ts';
import type { AbortSignalLike } from '../../../src/common/abort.ts';
import { OPEN } from '../../../src/wire/p9/constants.ts';
import type { Body, Message, MessageName } from '../../../src/wire/p9/messages.ts';
import { getattr, qid } from '../scripted.ts';

/** Bytes that a read asks for. */
export const READ = 64;
/** Tlopen's flags have room for the number above those that mean something. */
const FLAGS = 24;
/** A name that no message of these connections has room for. */
const TOO_LONG = 'x'.repeat(5000);

/** What a call is made with; what it makes and says goes back through it. */
export interface Start {
  readonly calls: DotLCalls;
  readonly index: number;
  readonly fid: Fid;
  readonly other: Fid;
  readonly signal: AbortSignalLike;
  /** Of READ bytes, for kinds that have one. */
  readonly buffer: Buffer | undefined;
  over(): void;
  taken(): void;
  /** A fid that is the caller's from now on. */
  made(fid: Fid | undefined): void;
}

export interface KindOfCall {
  /** Not to be forgotten while the server may still carry it out. */
  readonly effects: boolean;
  /** Never flushed: an abort limits the wait. */
  readonly unflushable?: 'Tremove' | 'Tclunk';
  /** Its reply has bytes. */
  readonly buffer?: true;
  /** No frame can carry it. */
  readonly impossible?: true;
  /** The fid is gone with it: one of the caller's own. */
  readonly ends?: true;
  start(at: Start): Promise<unknown>;
}

const name = ({ index }: Start): string => `n${index}`;

async function whole(reading: Promise<number>): Promise<void> {
  const count = await reading;
  if (count !== READ && count !== READ / 2) throw new Error(`read ${count} bytes`);
}

const all = {
  getattr: { effects: false, start: ({ calls, fid, index, signal }) => calls.getattr(fid, index, signal) },
  walk: {
    effects: false,
    start: async (at) => at.made((await at.calls.walk(at.fid, [name(at)], at.signal)).fid),
  },
  attach: {
    effects: false,
    start: async (at) => at.made(await at.calls.attach('me', '', at.index, at.signal)),
  },
  xattrwalk: {
    effects: false,
    start: async (at) => at.made((await at.calls.xattrwalk(at.fid, name(at), at.signal)).fid),
  },
  read: {
    effects: false,
    buffer: true,
    start: ({ calls, fid, index, buffer, over, signal }) => whole(calls.read(fid, index, buffer!, over, signal)),
  },
  readdir: {
    effects: false,
    buffer: true,
    start: ({ calls, fid, index, buffer, over, signal }) =>
      whole(calls.readdir(fid, BigInt(index), buffer!, over, signal)),
  },
  open: { effects: false, start: ({ calls, fid, index, signal }) => calls.lopen(fid, index << FLAGS, signal) },
  truncate: {
    effects: true,
    start: ({ calls, fid, index, signal }) => calls.lopen(fid, (index << FLAGS) | OPEN.TRUNC, signal),
  },
  write: {
    effects: true,
    start: ({ calls, fid, index, taken, over, signal }) => {
      const body = { fid: fid.number, offset: index, data: Buffer.alloc(5, index) };
      return calls.connection.requests.call('Twrite', body, { fids: [fid], taken, over, signal });
    },
  },
  mkdir: { effects: true, start: (at) => at.calls.mkdir(at.fid, name(at), 0o755, 0, at.signal) },
  create: { effects: true, start: (at) => at.calls.lcreate(at.fid, name(at), 0, 0o644, 0, at.signal) },
  rename: { effects: true, start: (at) => at.calls.rename(at.fid, at.other, name(at), at.signal) },
  remove: {
    effects: true,
    unflushable: 'Tremove',
    ends: true,
    start: ({ calls, fid, signal }) => calls.remove(fid, signal),
  },
  commit: {
    effects: true,
    unflushable: 'Tclunk',
    ends: true,
    start: ({ calls, fid, signal }) => calls.commitXattr(fid, signal),
  },
  huge: { effects: true, impossible: true, start: (at) => at.calls.mkdir(at.fid, TOO_LONG, 0o755, 0, at.signal) },
} satisfies Record<string, KindOfCall>;

export type Kind = keyof typeof all;
export const kinds: Readonly<Record<Kind, KindOfCall>> = all;
export const kindNames = Object.keys(all) as Kind[];

/** The number of the call that a message is of; undefined where only the fid can tell (Tremove, Tclunk). */
export function indexOf(message: Message): number | undefined {
  switch (message.type) {
    case 'Tgetattr':
      return message.mask;
    case 'Tattach':
      return message.nUname;
    case 'Tread':
    case 'Twrite':
      return message.offset;
    case 'Treaddir':
      return Number(message.offset);
    case 'Tlopen':
      return message.flags >>> FLAGS;
    case 'Twalk':
      return Number(message.names[0]?.slice(1));
    case 'Txattrwalk':
    case 'Tmkdir':
    case 'Tlcreate':
    case 'Trename':
      return Number(message.name.slice(1));
    case 'Tremove':
      return undefined;
    default:
      throw new Error(`nobody asked ${message.type}`);
  }
}

export type Said = { [N in MessageName]: { name: N; body: Body<N> } }[MessageName];

/** The good answer. `short`: half of the bytes, a walk that found nothing. */
export function answerTo(message: Message, short: boolean): Said {
  switch (message.type) {
    case 'Tgetattr':
      return { name: 'Rgetattr', body: getattr };
    case 'Tattach':
      return { name: 'Rattach', body: { qid } };
    case 'Twalk':
      return { name: 'Rwalk', body: { qids: short ? [] : [qid] } };
    case 'Txattrwalk':
      return { name: 'Rxattrwalk', body: { size: 3 } };
    case 'Tread':
      return { name: 'Rread', body: { data: Buffer.alloc(short ? message.count / 2 : message.count, 1) } };
    case 'Treaddir':
      return { name: 'Rreaddir', body: { data: Buffer.alloc(short ? message.count / 2 : message.count, 1) } };
    case 'Tlopen':
      return { name: 'Rlopen', body: { qid, iounit: 0 } };
    case 'Tlcreate':
      return { name: 'Rlcreate', body: { qid, iounit: 0 } };
    case 'Twrite':
      return { name: 'Rwrite', body: { count: message.data.length } };
    case 'Tmkdir':
      return { name: 'Rmkdir', body: { qid } };
    case 'Trename':
      return { name: 'Rrename', body: {} };
    case 'Tremove':
      return { name: 'Rremove', body: {} };
    default:
      throw new Error(`nobody asked ${message.type}`);
  }
}
