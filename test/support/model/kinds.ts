// The calls that random programs are made of, in each dialect: how a client makes each, and how a server answers what comes
// of it. Each message carries the number of its call in a field that the server here has no other use for.

import type { Calls } from '../../../src/client/calls.ts';
import type { Connection } from '../../../src/client/connection.ts';
import { DotLCalls } from '../../../src/client/dialects/dotl-calls.ts';
import { Plan9Calls } from '../../../src/client/dialects/plan9-calls.ts';
import type { Version } from '../../../src/client/dialects/versions.ts';
import type { Fid } from '../../../src/client/fids.ts';
import type { AbortSignalLike } from '../../../src/common/abort.ts';
import { OMODE, OPEN } from '../../../src/wire/p9/constants.ts';
import type { Body, Message, MessageName } from '../../../src/wire/p9/messages.ts';
import { UNTOUCHED } from '../../../src/wire/p9/stat.ts';
import { getattr, qid } from '../scripted.ts';

/** Bytes that a read asks for. */
export const READ = 64;
/** Tlopen's flags have room for the number above those that mean something. */
const FLAGS = 24;
/** A name that no message of these connections has room for. */
const TOO_LONG = 'x'.repeat(5000);

/** What a call is made with; what it makes and says goes back through it. */
export interface Start<C extends Calls = Calls> {
  readonly calls: C;
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

export interface KindOfCall<C extends Calls = Calls> {
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
  start(at: Start<C>): Promise<unknown>;
}

/** A kind in the dialect of its connection. */
export interface Startable extends Omit<KindOfCall, 'start'> {
  start(at: Omit<Start, 'calls'>): Promise<unknown>;
}

const name = ({ index }: Start): string => `n${index}`;

async function whole(reading: Promise<number>): Promise<void> {
  const count = await reading;
  if (count !== READ && count !== READ / 2) throw new Error(`read ${count} bytes`);
}

const common = {
  walk: {
    effects: false,
    start: async (at) => at.made((await at.calls.walk(at.fid, [name(at)], at.signal)).fid),
  },
  attach: {
    effects: false,
    start: async (at) => at.made(await at.calls.attach(name(at), '', 0, at.signal)),
  },
  read: {
    effects: false,
    buffer: true,
    start: ({ calls, fid, index, buffer, over, signal }) => whole(calls.read(fid, index, buffer!, over, signal)),
  },
  write: {
    effects: true,
    start: ({ calls, fid, index, taken, over, signal }) => {
      const body = { fid: fid.number, offset: index, data: Buffer.alloc(5, index) };
      return calls.connection.requests.call('Twrite', body, { fids: [fid], taken, over, signal });
    },
  },
  remove: {
    effects: true,
    unflushable: 'Tremove',
    ends: true,
    start: ({ calls, fid, signal }) => calls.remove(fid, signal),
  },
} satisfies Record<string, KindOfCall>;

const dotl = {
  ...common,
  getattr: { effects: false, start: ({ calls, fid, index, signal }) => calls.getattr(fid, index, signal) },
  xattrwalk: {
    effects: false,
    start: async (at) => at.made((await at.calls.xattrwalk(at.fid, name(at), at.signal)).fid),
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
  mkdir: { effects: true, start: (at) => at.calls.mkdir(at.fid, name(at), 0o755, 0, at.signal) },
  create: { effects: true, start: (at) => at.calls.lcreate(at.fid, name(at), 0, 0o644, 0, at.signal) },
  rename: { effects: true, start: (at) => at.calls.rename(at.fid, at.other, name(at), at.signal) },
  commit: {
    effects: true,
    unflushable: 'Tclunk',
    ends: true,
    start: ({ calls, fid, signal }) => calls.commitXattr(fid, signal),
  },
  huge: { effects: true, impossible: true, start: (at) => at.calls.mkdir(at.fid, TOO_LONG, 0o755, 0, at.signal) },
} satisfies Record<string, KindOfCall<DotLCalls>>;

export type Kind = keyof typeof dotl;
export const kindNames = Object.keys(dotl) as Kind[];

const create = (at: Start<Plan9Calls>, called: string): Promise<void> =>
  at.calls.create(at.fid, { name: called, perm: 0o644, mode: OMODE.READ, extension: '' }, undefined, at.signal);

/** What there is to be done by messages that have room for the number; of the others there is a read more. */
const plan9: Partial<Record<Kind, KindOfCall<Plan9Calls>>> = {
  ...common,
  create: { effects: true, start: (at) => create(at, name(at)) },
  rename: { effects: true, start: (at) => at.calls.wstat(at.fid, { ...UNTOUCHED, name: name(at) }, at.signal) },
  huge: { effects: true, impossible: true, start: (at) => create(at, TOO_LONG) },
};

/** The calls of a dialect. */
export function callsOf(version: Version, connection: Connection): (kind: Kind) => Startable {
  if (version === '9P2000.L') {
    const calls = new DotLCalls(connection);
    return (kind) => bound(dotl[kind], calls);
  }
  const calls = new Plan9Calls(connection);
  return (kind) => bound(plan9[kind] ?? common.read, calls);
}

function bound<C extends Calls>(kind: KindOfCall<C>, calls: C): Startable {
  return { ...kind, start: (at) => kind.start({ ...at, calls }) };
}

/** The number of the call that a message is of; undefined where only the fid can tell (Tremove, Tclunk). */
export function indexOf(message: Message): number | undefined {
  switch (message.type) {
    case 'Tgetattr':
      return message.mask;
    case 'Tattach':
      return Number(message.uname.slice(1));
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
    case 'Tcreate':
    case 'Trename':
      return Number(message.name.slice(1));
    case 'Twstat':
      return Number(message.stat.name.slice(1));
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
    case 'Tcreate':
      return { name: 'Rcreate', body: { qid, iounit: 0 } };
    case 'Twstat':
      return { name: 'Rwstat', body: {} };
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
