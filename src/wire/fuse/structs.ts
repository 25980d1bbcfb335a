// The field types of the kernel's structures, and how a table of them becomes a reader, a writer and a printer.
// A field whose name begins with "_" is padding or of no interest: skipped when read, zero when written, never shown.
// Byte order is the machine's own, which is little-endian wherever Node runs FUSE.

import type { Cursor } from '../../common/cursor.ts';
import { type Fields, type FieldType, type Layout, u64 } from '../../common/layout.ts';
import { byteLength, encodeText, quote } from '../../common/text.ts';
import { unrollRead, unrollWrite } from '../../common/unroll.ts';
import type { Writer } from '../../common/writer.ts';

/** `count` bytes that carry nothing. */
function skipped(count: number): FieldType<undefined> {
  return {
    fixed: count,
    write: (writer) => writer.zeros(count),
    read: (cursor) => {
      if (cursor.left < count) cursor.fail(`needs ${count} bytes, has ${cursor.left}`);
      else cursor.at += count;
      return undefined;
    },
    show: () => '',
  };
}

export const pad4 = skipped(4);
export const pad8 = skipped(8);

/** i32 stored in four bytes. */
export const i32: FieldType<number> = {
  fixed: 4,
  write: (writer, value) => writer.i32(value),
  read: (cursor) => cursor.i32(),
  show: String,
};

/** Shown in hexadecimal: lock owners and directory cookies are hashes. */
export const hash: FieldType<bigint> = { ...u64, show: (value) => `0x${value.toString(16)}` };

/** Text up to the next NUL. */
export const name: FieldType<string> = {
  size: (value) => byteLength(value) + 1,
  write: (writer, value) => {
    writer.raw(encodeText(value));
    writer.u8(0);
  },
  read: (cursor) => cursor.cstring(),
  show: quote,
};

/**
 * The second half of struct fuse_setxattr_in, which the kernel leaves out unless SETXATTR_EXT was agreed upon: flags, of
 * which ACL_KILL_SGID is the only one, and padding. Where it is missing the name begins, and no attribute's name begins so.
 */
export const setxattrFlags: FieldType<boolean> = {
  size: () => 8,
  write: (writer, value) => {
    writer.u32(value ? 1 : 0);
    writer.u32(0);
  },
  read: (cursor) => {
    const { at } = cursor;
    if (cursor.left < 8) return false;
    const flags = cursor.u32();
    if (flags <= 1 && cursor.u32() === 0) return flags === 1;
    cursor.at = at;
    return false;
  },
  show: String,
};

/** Everything that is left: a view into the request, not a copy. */
export const rest: FieldType<Uint8Array> = {
  size: (value) => value.length,
  write: (writer, value) => writer.raw(value),
  read: (cursor) => cursor.view(cursor.left),
  show: (value) => `[${value.length} bytes]`,
};

/** A symlink's target, in a reply that ends with it. */
export const restText: FieldType<string> = {
  size: byteLength,
  write: (writer, value) => writer.raw(encodeText(value)),
  read: (cursor) => cursor.text(cursor.left),
  show: quote,
};

export interface Forget {
  nodeid: number;
  nlookup: number;
}

/** BATCH_FORGET's list. The count is the kernel's, but no more is read than there are bytes. */
export const forgets: FieldType<Forget[]> = {
  size: (value) => 8 + value.length * 16,
  write: (writer, value) => {
    writer.u32(value.length);
    writer.u32(0);
    for (const { nodeid, nlookup } of value) {
      writer.u53(nodeid);
      writer.u53(nlookup);
    }
  },
  read: (cursor) => {
    const count = cursor.u32();
    cursor.u32();
    const list: Forget[] = [];
    for (let i = 0; i < count && cursor.fault === undefined; i++) {
      const nodeid = cursor.u53();
      const nlookup = cursor.u53();
      if (cursor.fault === undefined) list.push({ nodeid, nlookup });
    }
    return list;
  },
  show: (value) => `[${value.map(({ nodeid, nlookup }) => `${nodeid}-${nlookup}`).join(' ')}]`,
};

type Named<L extends Layout> = { [K in keyof L as K extends `_${string}` ? never : K]: L[K] };
/** The fields of a structure that carry something. */
export type Values<L extends Layout> = Fields<Named<L>>;

export interface Struct<V> {
  /** Bytes of the fields that have a fixed size. */
  readonly fixed: number;
  read(cursor: Cursor): V;
  write(writer: Writer, values: V): void;
  /** Bytes that write() will use. */
  sizeOf(values: V): number;
  show(values: V): string;
}

export function struct<L extends Layout>(layout: L): Struct<Values<L>> {
  const fields = Object.entries(layout).map(([key, type]) => ({ key, type, shown: !key.startsWith('_') }));
  const fixed = fields.reduce((sum, { type }) => sum + (type.fixed ?? 0), 0);
  const read = unrollRead(fields.map(({ key, type, shown }) => ({ name: key, type, keep: shown })));
  const write = unrollWrite(fields.map(({ key, type }) => ({ name: key, type })));
  return {
    fixed,
    read(cursor) {
      const into: Record<string, unknown> = {};
      read(cursor, into);
      return into as Values<L>;
    },
    write: (writer, values) => write(writer, values as Record<string, unknown>),
    sizeOf(values) {
      const from = values as Record<string, unknown>;
      return fields.reduce((sum, { key, type }) => sum + (type.size?.(from[key]) ?? 0), fixed);
    },
    show(values) {
      const from = values as Record<string, unknown>;
      const parts: string[] = [];
      for (const { key, type, shown } of fields) if (shown) parts.push(`${key} ${type.show(from[key])}`);
      return parts.join(' ');
    },
  };
}
