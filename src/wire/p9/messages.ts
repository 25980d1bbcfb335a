// The tables of 9P messages: type number, layout and traits of every message of the core, of 9P2000.L, .u and 9P2000.
// Everything about the wire form of a message, and how it behaves, is here and nowhere else: codec.ts derives encode,
// decode and format, traits.ts the look-ups.
// A message has the same fields in every dialect that has it: one that a dialect does not send is `absent` in its table
// and has its neutral value, so that nobody who handles messages needs to know the dialect.
// Sources: the manual pages of section 9P (core) and the Linux header include/net/9p/9p.h with diod's protocol.md (.L).

import {
  absent,
  bits,
  bits8,
  data,
  type Fields,
  i53,
  lateU32,
  mode,
  string,
  u8,
  u16,
  u32,
  u53,
  u64,
} from '../../common/layout.ts';
import { NONUNAME, OMODE, OPEN, XATTR } from './constants.ts';
import { errorText, looseErrno } from './errors.ts';
import { type Effect, type Rows, refusal, reply, request } from './rows.ts';
import { type Stat, statDotu, statLegacy } from './stat.ts';
import { names, qid, qids } from './types.ts';

const none = {};

// Traits that several messages have. Each row says for its own layout that they name all of its fids.

/** Asks about a file. A late answer, or a second one, harms nobody. */
const looks = { flushable: true, effect: 'none', fids: { fid: 'uses' } } as const;
/** Gives a file a state that the message tells in full. */
const sets = { flushable: true, effect: 'absolute', fids: { fid: 'uses' } } as const;
/** Makes a file, and has the fid of its directory reach it. */
const creates = { flushable: true, effect: 'once', fids: { fid: 'uses' } } as const;
/** Makes a name in a directory. */
const makesName = { flushable: true, effect: 'once', fids: { dfid: 'uses' } } as const;
const walks = { flushable: true, effect: 'none', fids: { fid: 'uses', newfid: 'makes' } } as const;
const onFid = { flushable: true, fids: { fid: 'uses' } } as const;

const writeEffect = (_: unknown, appends: boolean): Effect => (appends ? 'once' : 'absolute');

function lopenEffect({ flags }: { flags: number }): Effect {
  if ((flags & OPEN.CREATE) !== 0) return 'once';
  return (flags & OPEN.TRUNC) === 0 ? 'none' : 'absolute';
}

/** RCLOSE removes the file when the fid goes, and that is also when the connection does. */
function openEffect({ mode }: { mode: number }): Effect {
  if ((mode & OMODE.RCLOSE) !== 0) return 'once';
  return (mode & OMODE.TRUNC) === 0 ? 'none' : 'absolute';
}

/** What the Tclunk of its fid will do: remove the attribute (size 0), make it, or set it. */
function xattrEffect({ size, flags }: { size: number; flags: number }): Effect {
  return size === 0 || (flags & XATTR.CREATE) !== 0 ? 'once' : 'absolute';
}

/** A name in it renames the file. */
const wstatEffect = ({ stat }: { stat: Stat }): Effect => (stat.name === '' ? 'absolute' : 'once');

/** Messages that every dialect has in the same form. */
export const core = {
  /** Flushed it would leave the session that it ends alive; it is alone on the wire anyway (version(9P)). */
  Tversion: request(100, { msize: u32, version: string }, { flushable: false, effect: 'none', fids: {} }),
  Rversion: reply(101, { msize: u32, version: string }),
  Rauth: reply(103, { aqid: qid }),
  Rattach: reply(105, { qid }),
  Tflush: request(108, { oldtag: u16 }, { flushable: false, effect: 'none', fids: {}, releases: true }),
  Rflush: reply(109, none),
  Twalk: request(110, { fid: u32, newfid: u32, names }, walks),
  Rwalk: reply(111, { qids }),
  Tread: request(116, { fid: u32, offset: u53, count: u32 }, looks),
  Rread: reply(117, { data }),
  Twrite: request(118, { fid: u32, offset: u53, data }, { ...onFid, effect: writeEffect }),
  Rwrite: reply(119, { count: u32 }),
  /** "As though never sent" would leave the fid alive. */
  Tclunk: request(120, { fid: u32 }, { flushable: false, effect: 'once', fids: { fid: 'ends' }, releases: true }),
  Rclunk: reply(121, none),
  /** As Tclunk, which it is besides. */
  Tremove: request(122, { fid: u32 }, { flushable: false, effect: 'once', fids: { fid: 'ends' } }),
  Rremove: reply(123, none),
} as const satisfies Rows;

/** What 9P2000.L adds, and the core messages to which it adds a number. */
export const dotl = {
  Rlerror: refusal(7, { ecode: u32 }),
  Tstatfs: request(8, { fid: u32 }, looks),
  Rstatfs: reply(9, {
    fsType: bits,
    bsize: u32,
    blocks: u53,
    bfree: u53,
    bavail: u53,
    files: u53,
    ffree: u53,
    fsid: u64,
    namelen: u32,
  }),
  Tlopen: request(12, { fid: u32, flags: mode }, { ...onFid, effect: lopenEffect }),
  Rlopen: reply(13, { qid, iounit: u32 }),
  Tlcreate: request(14, { fid: u32, name: string, flags: mode, mode, gid: u32 }, creates),
  Rlcreate: reply(15, { qid, iounit: u32 }),
  Tsymlink: request(16, { dfid: u32, name: string, target: string, gid: u32 }, makesName),
  Rsymlink: reply(17, { qid }),
  Tmknod: request(18, { dfid: u32, name: string, mode, major: u32, minor: u32, gid: u32 }, makesName),
  Rmknod: reply(19, { qid }),
  Trename: request(
    20,
    { fid: u32, dfid: u32, name: string },
    { flushable: true, effect: 'once', fids: { fid: 'uses', dfid: 'uses' } },
  ),
  Rrename: reply(21, none),
  Treadlink: request(22, { fid: u32 }, looks),
  Rreadlink: reply(23, { target: string }),
  Tgetattr: request(24, { fid: u32, mask: u53 }, looks),
  Rgetattr: reply(25, {
    valid: u53,
    qid,
    mode,
    uid: u32,
    gid: u32,
    nlink: u53,
    rdev: u53,
    size: u53,
    blksize: u53,
    blocks: u53,
    atime: i53,
    atimeNsec: u53,
    mtime: i53,
    mtimeNsec: u53,
    ctime: i53,
    ctimeNsec: u53,
    btime: i53,
    btimeNsec: u53,
    gen: u64,
    dataVersion: u64,
  }),
  /** A time that is the server's clock is a later one the second time, which is what was asked for. */
  Tsetattr: request(
    26,
    {
      fid: u32,
      valid: bits,
      mode,
      uid: u32,
      gid: u32,
      size: u53,
      atime: i53,
      atimeNsec: u53,
      mtime: i53,
      mtimeNsec: u53,
    },
    sets,
  ),
  Rsetattr: reply(27, none),
  Txattrwalk: request(30, { fid: u32, newfid: u32, name: string }, walks),
  Rxattrwalk: reply(31, { size: u53 }),
  Txattrcreate: request(32, { fid: u32, name: string, size: u53, flags: u32 }, { ...onFid, effect: xattrEffect }),
  Rxattrcreate: reply(33, none),
  Treaddir: request(40, { fid: u32, offset: u64, count: u32 }, looks),
  Rreaddir: reply(41, { data }),
  /** What it brings to the disk was written before, and goes there in any case. */
  Tfsync: request(50, { fid: u32, datasync: lateU32 }, looks),
  Rfsync: reply(51, none),
  /** An owner that asks again for what it holds still holds it. */
  Tlock: request(52, { fid: u32, kind: u8, flags: u32, start: u64, length: u64, procId: u32, clientId: string }, sets),
  Rlock: reply(53, { status: u8 }),
  Tgetlock: request(54, { fid: u32, kind: u8, start: u64, length: u64, procId: u32, clientId: string }, looks),
  Rgetlock: reply(55, { kind: u8, start: u64, length: u64, procId: u32, clientId: string }),
  Tlink: request(
    70,
    { dfid: u32, fid: u32, name: string },
    { flushable: true, effect: 'once', fids: { dfid: 'uses', fid: 'uses' } },
  ),
  Rlink: reply(71, none),
  Tmkdir: request(72, { dfid: u32, name: string, mode, gid: u32 }, makesName),
  Rmkdir: reply(73, { qid }),
  Trenameat: request(
    74,
    { olddirfid: u32, oldname: string, newdirfid: u32, newname: string },
    { flushable: true, effect: 'once', fids: { olddirfid: 'uses', newdirfid: 'uses' } },
  ),
  Rrenameat: reply(75, none),
  Tunlinkat: request(
    76,
    { dirfid: u32, name: string, flags: bits },
    { flushable: true, effect: 'once', fids: { dirfid: 'uses' } },
  ),
  Runlinkat: reply(77, none),
  Tauth: request(
    102,
    { afid: u32, uname: string, aname: string, nUname: u32 },
    { flushable: true, effect: 'none', fids: { afid: 'makes' } },
  ),
  Tattach: request(
    104,
    { fid: u32, afid: u32, uname: string, aname: string, nUname: u32 },
    { flushable: true, effect: 'none', fids: { fid: 'makes', afid: 'uses' } },
  ),
  /** Not in .L, but nfs-ganesha answers its errors so, with a number in the place of the text. */
  Rerror: refusal(107, { ename: absent(''), ecode: looseErrno }),
} as const satisfies Rows;

/** What 9P2000 and 9P2000.u have in the same form. */
const plan9 = {
  Topen: request(112, { fid: u32, mode: bits8 }, { ...onFid, effect: openEffect }),
  Ropen: reply(113, { qid, iounit: u32 }),
  Rcreate: reply(115, { qid, iounit: u32 }),
  Tstat: request(124, { fid: u32 }, looks),
  Rwstat: reply(127, none),
} as const satisfies Rows;

/** What 9P2000.u adds to the core. Its Tauth and Tattach are those of .L. */
export const dotu = {
  ...plan9,
  Tauth: dotl.Tauth,
  Tattach: dotl.Tattach,
  Rerror: refusal(107, { ename: errorText, ecode: lateU32 }),
  /** A hard link's extension is the number of another fid, as text (DM.LINK). */
  Tcreate: request(114, { fid: u32, name: string, perm: bits, mode: bits8, extension: string }, creates),
  Rstat: reply(125, { stat: statDotu }),
  Twstat: request(126, { fid: u32, stat: statDotu }, { ...onFid, effect: wstatEffect }),
} as const satisfies Rows;

/** What 9P2000 adds to the core. */
export const legacy = {
  ...plan9,
  Tauth: request(102, { afid: u32, uname: string, aname: string, nUname: absent(NONUNAME) }, dotl.Tauth),
  Tattach: request(104, { fid: u32, afid: u32, uname: string, aname: string, nUname: absent(NONUNAME) }, dotl.Tattach),
  Rerror: refusal(107, { ename: errorText, ecode: absent(0) }),
  Tcreate: request(114, { fid: u32, name: string, perm: bits, mode: bits8, extension: absent('') }, creates),
  Rstat: reply(125, { stat: statLegacy }),
  Twstat: request(126, { fid: u32, stat: statLegacy }, { ...onFid, effect: wstatEffect }),
} as const satisfies Rows;

/** .u's tables stand for 9P2000 too, which has the same fields. */
type Table = typeof core & typeof dotl & Omit<typeof dotu, keyof typeof dotl>;
export type MessageName = keyof Table;
export type RequestName = Extract<MessageName, `T${string}`>;
export type ReplyName = Extract<MessageName, `R${string}`>;
/** The replies by which any request may fail. */
export type RefusalName = { [N in ReplyName]: Table[N] extends { kind: 'refusal' } ? N : never }[ReplyName];
/** The fields of one message, without type and tag. */
export type Body<N extends MessageName> = Fields<Table[N]['layout']>;
/** The name of the reply to a request. */
export type ReplyTo<N extends RequestName> = N extends `T${infer Rest}` ? Extract<ReplyName, `R${Rest}`> : never;
/** A decoded message: its name, its tag, its fields. */
export type Message<N extends MessageName = MessageName> = { [K in N]: { type: K; tag: number } & Body<K> }[N];
