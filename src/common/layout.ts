// Message layouts as data: a record of field name -> field type, in wire order, from which size, encode, decode and the
// one-line printer are derived. The static type of a message is derived from the same record.
// A field of type `data` (u32 count, then bytes) must come last; its bytes travel beside the head, never through it,
// so that no payload is copied.

import type { Cursor } from './cursor.ts';
import { byteLength, quote } from './text.ts';
import { unrollRead, unrollWrite } from './unroll.ts';
import type { Writer } from './writer.ts';

/** How one field type is measured, written, read and shown. `size` is of the encoded value in bytes. */
export interface FieldType<T> {
  /** Encoded size where it is always the same. */
  readonly fixed?: number;
  size?(value: T): number;
  write(writer: Writer, value: T): void;
  read(cursor: Cursor): T;
  show(value: T): string;
}

const plain = (value: number | bigint): string => String(value);

export const u8: FieldType<number> = { fixed: 1, write: (w, v) => w.u8(v), read: (c) => c.u8(), show: plain };
export const u16: FieldType<number> = { fixed: 2, write: (w, v) => w.u16(v), read: (c) => c.u16(), show: plain };
export const u32: FieldType<number> = { fixed: 4, write: (w, v) => w.u32(v), read: (c) => c.u32(), show: plain };
/** u64 where all 64 bits matter (qid.path, directory cookies, lock ranges). */
export const u64: FieldType<bigint> = { fixed: 8, write: (w, v) => w.u64(v), read: (c) => c.u64(), show: plain };
/** u64 where a number does (sizes, offsets, counts); saturates when read. */
export const u53: FieldType<number> = { fixed: 8, write: (w, v) => w.u53(v), read: (c) => c.u53(), show: plain };
/** i64 where a number does (seconds since 1970, before it negative); saturates when read. */
export const i53: FieldType<number> = { fixed: 8, write: (w, v) => w.i53(v), read: (c) => c.i53(), show: plain };
/** Shown in octal: file modes. */
export const mode: FieldType<number> = { ...u32, show: (v) => `0${v.toString(8)}` };
/** Shown in hexadecimal: bit masks. */
export const bits: FieldType<number> = { ...u32, show: (v) => `0x${v.toString(16)}` };
export const bits8: FieldType<number> = { ...u8, show: bits.show };
/** u32 that old peers leave out at the end of the message; then 0. */
export const lateU32: FieldType<number> = { ...u32, read: (c) => (c.left === 0 ? 0 : c.u32()) };
export const string: FieldType<string> = {
  size: (v) => 2 + byteLength(v),
  write: (w, v) => w.string(v),
  read: (c) => c.string(),
  show: quote,
};

/** A field that a message has in other dialects: no bytes stand for it, and reading it gives `value`. */
export function absent<T>(value: T): FieldType<T> {
  return { fixed: 0, write: () => {}, read: () => value, show: () => '' };
}

/** Only the count is in the head; see the head of this file. */
export const data: FieldType<Uint8Array> = {
  fixed: 4,
  write: (w, v) => w.u32(v.length),
  read: () => {
    throw new Error('data is taken from the frame, not from the cursor');
  },
  show: (v) => `[${v.length} bytes]`,
};

// biome-ignore lint/suspicious/noExplicitAny: the one place where field types of every value type meet
export type Layout = Readonly<Record<string, FieldType<any>>>;
/** The fields of a message, from its layout. */
export type Fields<L extends Layout> = { -readonly [K in keyof L]: L[K] extends FieldType<infer T> ? T : never };

interface Field {
  name: string;
  type: FieldType<unknown>;
}

export interface CompiledLayout {
  readonly hasData: boolean;
  /** Bytes of the body without the payload. */
  size(fields: Record<string, unknown>): number;
  write(writer: Writer, fields: Record<string, unknown>): void;
  /** Reads into `into`; a `data` field takes `payload`, whose length must be the count in the head. */
  read(cursor: Cursor, into: Record<string, unknown>, payload: Uint8Array | undefined): void;
  /** The fields that are on the wire, in its order: name and value. */
  show(fields: Record<string, unknown>): [name: string, value: string][];
}

/** Turns a layout into its functions. */
export function compile(layout: Layout): CompiledLayout {
  const fields: Field[] = Object.entries(layout).map(([name, type]) => ({ name, type }));
  const variable = fields.filter((field) => field.type.fixed === undefined);
  const base = fields.reduce((sum, field) => sum + (field.type.fixed ?? 0), 0);
  const payloadAt = fields.findIndex((field) => field.type === (data as FieldType<unknown>));
  if (payloadAt >= 0 && payloadAt !== fields.length - 1) throw new Error('data must be the last field of a layout');
  const hasData = payloadAt >= 0;
  if (hasData && fields[payloadAt]?.name !== 'data') throw new Error("a field of type data must be called 'data'");
  const shown = fields.filter((field) => field.type.fixed !== 0);
  const readHead = unrollRead(hasData ? fields.slice(0, -1) : fields);
  return {
    hasData,
    size(values) {
      let size = base;
      for (const { name, type } of variable) size += type.size?.(values[name]) ?? 0;
      return size;
    },
    write: unrollWrite(fields),
    read(cursor, into, payload) {
      readHead(cursor, into);
      if (!hasData) return;
      const count = cursor.u32();
      const bytes = payload ?? cursor.view(cursor.left);
      if (count !== bytes.length) cursor.fail(`count ${count}, but ${bytes.length} bytes follow`);
      into['data'] = bytes;
    },
    show(values) {
      return shown.map(({ name, type }) => [name, type.show(values[name])]);
    },
  };
}
