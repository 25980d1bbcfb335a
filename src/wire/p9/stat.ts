// The stat structure of 9P2000 and 9P2000.u (stat(9P)): what Rstat and Twstat carry, and what a directory is read as.
// Both dialects have one type here; 9P2000 does not send the last four fields, which are then '' and NONUNAME.
// Guarantees: the sizes inside an entry are believed only as far as they agree with the bytes that are there.

import { Cursor } from '../../common/cursor.ts';
import type { FieldType } from '../../common/layout.ts';
import { byteLength, quote } from '../../common/text.ts';
import type { Writer } from '../../common/writer.ts';
import { NONUNAME } from './constants.ts';
import { type Qid, qid } from './types.ts';

export interface Stat {
  /** For the server's kernel. */
  type: number;
  dev: number;
  qid: Qid;
  /** DM bits and permissions. */
  mode: number;
  /** Seconds since 1970, as u32. */
  atime: number;
  mtime: number;
  /** -1 in a Twstat: don't touch. */
  length: number;
  name: string;
  uid: string;
  gid: string;
  muid: string;
  /** .u: the target of a symlink, `b 8 0` or `c 1 3` of a device. */
  extension: string;
  nUid: number;
  nGid: number;
  nMuid: number;
}

/** Twstat with nothing to change, which asks the server to commit the file to stable storage; a template for others. */
export const UNTOUCHED: Readonly<Stat> = {
  type: 0xffff,
  dev: 0xffffffff,
  qid: { type: 0xff, version: 0xffffffff, path: 0xffff_ffff_ffff_ffffn },
  mode: 0xffffffff,
  atime: 0xffffffff,
  mtime: 0xffffffff,
  length: -1,
  name: '',
  uid: '',
  gid: '',
  muid: '',
  extension: '',
  nUid: NONUNAME,
  nGid: NONUNAME,
  nMuid: NONUNAME,
};

/** Bytes behind the inner size: type, dev, qid, mode, atime, mtime, length; then strings, then .u's three ids. */
const FIXED = 2 + 4 + 13 + 4 + 4 + 4 + 8;
const IDS = 3 * 4;
const SIZE = 2;

function textSize(text: string): number {
  return 2 + byteLength(text);
}

/** Bytes that an entry takes in a directory's Rread, its size field included. */
export function statSize(stat: Stat, extended: boolean): number {
  const { name, uid, gid, muid, extension } = stat;
  const size = SIZE + FIXED + textSize(name) + textSize(uid) + textSize(gid) + textSize(muid);
  return extended ? size + textSize(extension) + IDS : size;
}

export function writeStat(writer: Writer, stat: Stat, extended: boolean): void {
  writer.u16(statSize(stat, extended) - SIZE);
  writer.u16(stat.type);
  writer.u32(stat.dev);
  qid.write(writer, stat.qid);
  writer.u32(stat.mode);
  writer.u32(stat.atime);
  writer.u32(stat.mtime);
  if (stat.length === UNTOUCHED.length) writer.i53(-1);
  else writer.u53(stat.length);
  writer.string(stat.name);
  writer.string(stat.uid);
  writer.string(stat.gid);
  writer.string(stat.muid);
  if (!extended) return;
  writer.string(stat.extension);
  writer.u32(stat.nUid);
  writer.u32(stat.nGid);
  writer.u32(stat.nMuid);
}

/** What follows the inner size. */
function readBody(cursor: Cursor, extended: boolean): Stat {
  return {
    type: cursor.u16(),
    dev: cursor.u32(),
    qid: qid.read(cursor),
    mode: cursor.u32(),
    atime: cursor.u32(),
    mtime: cursor.u32(),
    length: readLength(cursor),
    name: cursor.string(),
    uid: cursor.string(),
    gid: cursor.string(),
    muid: cursor.string(),
    extension: extended ? cursor.string() : '',
    nUid: extended ? cursor.u32() : NONUNAME,
    nGid: extended ? cursor.u32() : NONUNAME,
    nMuid: extended ? cursor.u32() : NONUNAME,
  };
}

/** All ones is -1; what else does not fit in a number saturates. */
function readLength(cursor: Cursor): number {
  const length = cursor.i53();
  if (length === -1) return length;
  return length < 0 ? Number.MAX_SAFE_INTEGER : length;
}

function makeStat(extended: boolean): FieldType<Stat> {
  return {
    size: (stat) => SIZE + statSize(stat, extended),
    write(writer, stat) {
      writer.u16(statSize(stat, extended));
      writeStat(writer, stat, extended);
    },
    /** In a message the size stands twice (stat(9P), BUGS). */
    read(cursor) {
      const outer = cursor.u16();
      const inner = cursor.u16();
      const from = cursor.at;
      const stat = readBody(cursor, extended);
      const length = cursor.at - from;
      if (inner !== length || outer !== inner + SIZE) {
        cursor.fail(`a stat of ${length} bytes says that it has ${inner}, in a field of ${outer}`);
      }
      return stat;
    },
    show(stat) {
      const { qid: id, mode, atime, mtime, length, name, uid, gid, muid, extension, nUid, nGid, nMuid } = stat;
      const texts = [uid, gid, muid].map(quote).join(' ');
      const head = `type ${stat.type} dev ${stat.dev} qid ${qid.show(id)} mode 0x${mode.toString(16)}`;
      const line = `${head} atime ${atime} mtime ${mtime} length ${length} name ${quote(name)} ids ${texts}`;
      return `{${extended ? `${line} extension ${quote(extension)} n ${nUid} ${nGid} ${nMuid}` : line}}`;
    },
  };
}

/** The stat of a message, with and without .u's fields. */
export const statDotu: FieldType<Stat> = makeStat(true);
export const statLegacy: FieldType<Stat> = makeStat(false);

/** An entry of a directory; `name` is undefined where the server sent one that no directory can hold. */
export type ListedStat = Stat | (Omit<Stat, 'name'> & { name: undefined });

/**
 * The entries of a directory's Rread. A name that no directory can hold (empty, with NUL or `/`; `.` and `..` are passed
 * on, though read(9P) has no such entries), or an owner with NUL, spoils its own entry only. What is no whole entry
 * is a fault: `fault` says so, and the whole entries before it are returned.
 */
export function readStats(
  payload: Uint8Array,
  extended: boolean,
): { entries: ListedStat[]; fault: string | undefined } {
  const sizes = new Cursor(payload);
  const cursor = new Cursor(payload);
  const entries: ListedStat[] = [];
  while (sizes.left > 0) {
    const size = sizes.u16();
    const from = sizes.at;
    sizes.view(size);
    if (sizes.fault !== undefined) return { entries, fault: sizes.fault };
    cursor.reset(payload, from, from + size);
    const stat = readBody(cursor, extended);
    const { fault } = cursor;
    // faults are sticky, but all strings are passed over also after one of them held NUL
    if (cursor.at !== from + size || (fault?.startsWith('needs') ?? false)) {
      return { entries, fault: fault ?? `an entry of ${cursor.at - from} bytes says that it has ${size}` };
    }
    const usable = fault === undefined && stat.name !== '' && !stat.name.includes('/');
    entries.push(usable ? stat : { ...stat, name: undefined });
  }
  return { entries, fault: undefined };
}
