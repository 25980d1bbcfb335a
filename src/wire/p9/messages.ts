// The tables of 9P messages: type number and layout of every message of the common core, of 9P2000.L, .u and 9P2000.
// Everything about the wire form of a message is here and nowhere else; codec.ts derives encode, decode and format.
// A message has the same fields in every dialect that has it: one that a dialect does not send is `absent` in its table and
// has its neutral value, so that nobody who handles messages needs to know the dialect.
// Sources: the manual pages of section 9P (core) and the Linux header include/net/9p/9p.h with diod's protocol.md (.L).

import {
  absent,
  bits,
  bits8,
  data,
  type Fields,
  i53,
  type Layout,
  lateU32,
  mode,
  string,
  u8,
  u16,
  u32,
  u53,
  u64,
} from '../../common/layout.ts';
import { NONUNAME } from './constants.ts';
import { errorText, looseErrno } from './errors.ts';
import { statDotu, statLegacy } from './stat.ts';
import { names, qid, qids } from './types.ts';

const none = {};

/** Messages that every dialect has in the same form. */
export const core = {
  Tversion: { number: 100, layout: { msize: u32, version: string } },
  Rversion: { number: 101, layout: { msize: u32, version: string } },
  Rauth: { number: 103, layout: { aqid: qid } },
  Rattach: { number: 105, layout: { qid } },
  Tflush: { number: 108, layout: { oldtag: u16 } },
  Rflush: { number: 109, layout: none },
  Twalk: { number: 110, layout: { fid: u32, newfid: u32, names } },
  Rwalk: { number: 111, layout: { qids } },
  Tread: { number: 116, layout: { fid: u32, offset: u53, count: u32 } },
  Rread: { number: 117, layout: { data } },
  Twrite: { number: 118, layout: { fid: u32, offset: u53, data } },
  Rwrite: { number: 119, layout: { count: u32 } },
  Tclunk: { number: 120, layout: { fid: u32 } },
  Rclunk: { number: 121, layout: none },
  Tremove: { number: 122, layout: { fid: u32 } },
  Rremove: { number: 123, layout: none },
} as const satisfies Rows;

/** What 9P2000.L adds, and the core messages to which it adds a number. */
export const dotl = {
  Rlerror: { number: 7, layout: { ecode: u32 } },
  Tstatfs: { number: 8, layout: { fid: u32 } },
  Rstatfs: {
    number: 9,
    layout: {
      fsType: bits,
      bsize: u32,
      blocks: u53,
      bfree: u53,
      bavail: u53,
      files: u53,
      ffree: u53,
      fsid: u64,
      namelen: u32,
    },
  },
  Tlopen: { number: 12, layout: { fid: u32, flags: mode } },
  Rlopen: { number: 13, layout: { qid, iounit: u32 } },
  Tlcreate: { number: 14, layout: { fid: u32, name: string, flags: mode, mode, gid: u32 } },
  Rlcreate: { number: 15, layout: { qid, iounit: u32 } },
  Tsymlink: { number: 16, layout: { dfid: u32, name: string, target: string, gid: u32 } },
  Rsymlink: { number: 17, layout: { qid } },
  Tmknod: { number: 18, layout: { dfid: u32, name: string, mode, major: u32, minor: u32, gid: u32 } },
  Rmknod: { number: 19, layout: { qid } },
  Trename: { number: 20, layout: { fid: u32, dfid: u32, name: string } },
  Rrename: { number: 21, layout: none },
  Treadlink: { number: 22, layout: { fid: u32 } },
  Rreadlink: { number: 23, layout: { target: string } },
  Tgetattr: { number: 24, layout: { fid: u32, mask: u53 } },
  Rgetattr: {
    number: 25,
    layout: {
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
    },
  },
  Tsetattr: {
    number: 26,
    layout: {
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
  },
  Rsetattr: { number: 27, layout: none },
  Txattrwalk: { number: 30, layout: { fid: u32, newfid: u32, name: string } },
  Rxattrwalk: { number: 31, layout: { size: u53 } },
  Txattrcreate: { number: 32, layout: { fid: u32, name: string, size: u53, flags: u32 } },
  Rxattrcreate: { number: 33, layout: none },
  Treaddir: { number: 40, layout: { fid: u32, offset: u64, count: u32 } },
  Rreaddir: { number: 41, layout: { data } },
  Tfsync: { number: 50, layout: { fid: u32, datasync: lateU32 } },
  Rfsync: { number: 51, layout: none },
  Tlock: {
    number: 52,
    layout: { fid: u32, kind: u8, flags: u32, start: u64, length: u64, procId: u32, clientId: string },
  },
  Rlock: { number: 53, layout: { status: u8 } },
  Tgetlock: { number: 54, layout: { fid: u32, kind: u8, start: u64, length: u64, procId: u32, clientId: string } },
  Rgetlock: { number: 55, layout: { kind: u8, start: u64, length: u64, procId: u32, clientId: string } },
  Tlink: { number: 70, layout: { dfid: u32, fid: u32, name: string } },
  Rlink: { number: 71, layout: none },
  Tmkdir: { number: 72, layout: { dfid: u32, name: string, mode, gid: u32 } },
  Rmkdir: { number: 73, layout: { qid } },
  Trenameat: { number: 74, layout: { olddirfid: u32, oldname: string, newdirfid: u32, newname: string } },
  Rrenameat: { number: 75, layout: none },
  Tunlinkat: { number: 76, layout: { dirfid: u32, name: string, flags: bits } },
  Runlinkat: { number: 77, layout: none },
  Tauth: { number: 102, layout: { afid: u32, uname: string, aname: string, nUname: u32 } },
  Tattach: { number: 104, layout: { fid: u32, afid: u32, uname: string, aname: string, nUname: u32 } },
  /** Not in .L, but nfs-ganesha answers its errors so, with a number in the place of the text. */
  Rerror: { number: 107, layout: { ename: absent(''), ecode: looseErrno } },
} as const satisfies Rows;

/** What 9P2000 and 9P2000.u have in the same form. */
const plan9 = {
  Topen: { number: 112, layout: { fid: u32, mode: bits8 } },
  Ropen: { number: 113, layout: { qid, iounit: u32 } },
  Rcreate: { number: 115, layout: { qid, iounit: u32 } },
  Tstat: { number: 124, layout: { fid: u32 } },
  Rwstat: { number: 127, layout: none },
} as const satisfies Rows;

/** What 9P2000.u adds to the core. Its Tauth and Tattach are those of .L. */
export const dotu = {
  ...plan9,
  Tauth: dotl.Tauth,
  Tattach: dotl.Tattach,
  Rerror: { number: 107, layout: { ename: errorText, ecode: lateU32 } },
  Tcreate: { number: 114, layout: { fid: u32, name: string, perm: bits, mode: bits8, extension: string } },
  Rstat: { number: 125, layout: { stat: statDotu } },
  Twstat: { number: 126, layout: { fid: u32, stat: statDotu } },
} as const satisfies Rows;

/** What 9P2000 adds to the core. */
export const legacy = {
  ...plan9,
  Tauth: { number: 102, layout: { afid: u32, uname: string, aname: string, nUname: absent(NONUNAME) } },
  Tattach: {
    number: 104,
    layout: { fid: u32, afid: u32, uname: string, aname: string, nUname: absent(NONUNAME) },
  },
  Rerror: { number: 107, layout: { ename: errorText, ecode: absent(0) } },
  Tcreate: { number: 114, layout: { fid: u32, name: string, perm: bits, mode: bits8, extension: absent('') } },
  Rstat: { number: 125, layout: { stat: statLegacy } },
  Twstat: { number: 126, layout: { fid: u32, stat: statLegacy } },
} as const satisfies Rows;

export interface Row {
  readonly number: number;
  readonly layout: Layout;
}
export type Rows = Readonly<Record<string, Row>>;

/** .u's tables stand for 9P2000 too, which has the same fields. */
type Table = typeof core & typeof dotl & Omit<typeof dotu, keyof typeof dotl>;
export type MessageName = keyof Table;
export type RequestName = Extract<MessageName, `T${string}`>;
export type ReplyName = Extract<MessageName, `R${string}`>;
/** The fields of one message, without type and tag. */
export type Body<N extends MessageName> = Fields<Table[N]['layout']>;
/** The name of the reply to a request. */
export type ReplyTo<N extends RequestName> = N extends `T${infer Rest}` ? Extract<ReplyName, `R${Rest}`> : never;
/** A decoded message: its name, its tag, its fields. */
export type Message<N extends MessageName = MessageName> = { [K in N]: { type: K; tag: number } & Body<K> }[N];
