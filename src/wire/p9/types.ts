// The compound values of 9P: qid, name lists, and the entries inside an Rreaddir payload.
// Their field types join the plain ones of common/layout.ts.

import { Cursor } from '../../common/cursor.ts';
import type { FieldType } from '../../common/layout.ts';
import { byteLength, quote } from '../../common/text.ts';
import type { Writer } from '../../common/writer.ts';
import { MAXWELEM } from './constants.ts';

/** The server's identity of a file: equal qids, same file (intro(9P)). */
export interface Qid {
  /** QT bits. */
  type: number;
  version: number;
  path: bigint;
}

const QID_SIZE = 13;

function writeQid(writer: Writer, qid: Qid): void {
  writer.u8(qid.type);
  writer.u32(qid.version);
  writer.u64(qid.path);
}

function readQid(cursor: Cursor): Qid {
  return { type: cursor.u8(), version: cursor.u32(), path: cursor.u64() };
}

function showQid(qid: Qid): string {
  return `(${qid.type.toString(16).padStart(2, '0')} v${qid.version} 0x${qid.path.toString(16)})`;
}

export const qid: FieldType<Qid> = { fixed: QID_SIZE, write: writeQid, read: readQid, show: showQid };

/** u16 count, then so many qids: at most MAXWELEM. */
export const qids: FieldType<Qid[]> = {
  size: (list) => 2 + QID_SIZE * list.length,
  write(writer, list) {
    writer.u16(list.length);
    for (const each of list) writeQid(writer, each);
  },
  read: (cursor) => readList(cursor, readQid),
  show: (list) => `[${list.map(showQid).join(' ')}]`,
};

/** u16 count, then so many strings: at most MAXWELEM. */
export const names: FieldType<readonly string[]> = {
  size: (list) => list.reduce((sum, name) => sum + 2 + byteLength(name), 2),
  write(writer, list) {
    writer.u16(list.length);
    for (const name of list) writer.string(name);
  },
  read: (cursor) => readList(cursor, (c) => c.string()),
  show: (list) => `[${list.map(quote).join(' ')}]`,
};

function readList<T>(cursor: Cursor, read: (cursor: Cursor) => T): T[] {
  const count = cursor.u16();
  const list: T[] = [];
  if (count > MAXWELEM) {
    cursor.fail(`${count} elements, at most ${MAXWELEM} are allowed`);
    return list;
  }
  for (let i = 0; i < count; i++) list.push(read(cursor));
  return list;
}

/** One entry of an Rreaddir payload: qid[13] offset[8] type[1] name[s]. `offset` is the cookie that resumes after it. */
export interface Dirent {
  qid: Qid;
  offset: bigint;
  /** DT_* of readdir(3). */
  type: number;
  name: string;
}

/** Bytes that an entry takes in Rreaddir. */
export function direntSize(name: string): number {
  return QID_SIZE + 8 + 1 + 2 + byteLength(name);
}

export function writeDirent(writer: Writer, entry: Dirent): void {
  writeQid(writer, entry.qid);
  writer.u64(entry.offset);
  writer.u8(entry.type);
  writer.string(entry.name);
}

/**
 * The entries of an Rreaddir payload. A name that no directory can hold (empty, with NUL or `/`; `.` and `..` are passed
 * on, the caller knows them) comes back with name undefined, so that its cookie is still known.
 * A payload that ends within an entry is a fault: `fault` says so, and the whole entries before it are returned.
 */
export function readDirents(payload: Uint8Array): {
  entries: (Dirent | (Omit<Dirent, 'name'> & { name: undefined }))[];
  fault: string | undefined;
} {
  const cursor = new Cursor(payload);
  const entries: (Dirent | (Omit<Dirent, 'name'> & { name: undefined }))[] = [];
  while (cursor.left > 0) {
    const id = readQid(cursor);
    const offset = cursor.u64();
    const type = cursor.u8();
    const length = cursor.u16();
    if (cursor.fault === undefined && length > cursor.left)
      cursor.fail(`a name of ${length} bytes, ${cursor.left} are left`);
    if (cursor.fault !== undefined) return { entries, fault: cursor.fault };
    const name = cursor.text(length);
    const usable = cursor.fault === undefined && name !== '' && !name.includes('/');
    cursor.fault = undefined; // a name with NUL spoils its entry only
    entries.push({ qid: id, offset, type, name: usable ? name : undefined });
  }
  return { entries, fault: undefined };
}
