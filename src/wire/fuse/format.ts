// One line a message, both directions, from the layout tables: for the log at level trace and for failing tests.
// Guarantees: never throws, whatever the bytes; prints no payload, only its length.

import { Cursor } from '../../common/cursor.ts';
import { errnoName } from '../../common/errno.ts';
import { OUT_HEADER, opcode } from './constants.ts';
import { replies } from './replies.ts';
import { opcodeName, readHeader, requests } from './requests.ts';
import type { Struct } from './structs.ts';

function show(struct: Struct<never> | Struct<object>, cursor: Cursor): string {
  const values = struct.read(cursor);
  if (cursor.fault !== undefined) return `malformed: ${cursor.fault}`;
  return (struct as Struct<object>).show(values);
}

/** A request as read from the device; `bytes` holds it from its first byte. */
export function formatRequest(bytes: Uint8Array): string {
  const cursor = new Cursor(bytes);
  const header = readHeader(cursor);
  const name = opcodeName(header.opcode);
  const ids = `unique ${header.unique} nodeid ${header.nodeid} uid ${header.uid} gid ${header.gid} pid ${header.pid}`;
  if (cursor.fault !== undefined) return `request of ${bytes.length} bytes is malformed: ${cursor.fault}`;
  if (name === undefined) return `opcode ${header.opcode} ${ids} [${cursor.left} bytes]`;
  return `${name} ${ids} ${show(requests[name], cursor)}`.trimEnd();
}

/** A reply to a request of opcode `number`: `head` is what goes before the payload, `payload` the bytes behind it. */
export function formatReply(number: number, head: Uint8Array, payload: number): string {
  const cursor = new Cursor(head);
  cursor.u32();
  const error = cursor.i32();
  const unique = cursor.u53();
  const name = opcodeName(number);
  const start = `${name ?? `opcode ${number}`} unique ${unique}`;
  if (cursor.fault !== undefined) return `${start} malformed: ${cursor.fault}`;
  if (error !== 0) return `${start} ${errnoName(-error)}`;
  if (payload > 0) return `${start} ok [${payload} bytes]`;
  const struct = name === undefined ? undefined : replies[name];
  if (struct === undefined || head.length === OUT_HEADER) return `${start} ok`;
  // A negative entry is an entry_out of which only the timeout means something.
  if (number === opcode.LOOKUP && Buffer.from(head).readBigUInt64LE(OUT_HEADER) === 0n) return `${start} ok negative`;
  return `${start} ok ${show(struct, cursor)}`.trimEnd();
}
