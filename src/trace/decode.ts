// What the head of a message says, in words to show and values to print, in the dialect of its session.
// Guarantees: nothing that a peer can send makes it throw; a message that is malformed says why and shows its first bytes.
// A payload is told by its length and how it begins: the rest of it is never here.

import { errnoName } from '../common/errno.ts';
import { type Codec, dotlCodec, dotuCodec, legacyCodec } from '../wire/p9/codec.ts';
import { HEADER, VERSION } from '../wire/p9/constants.ts';
import type { Message } from '../wire/p9/messages.ts';
import { payloadAt } from '../wire/p9/traits.ts';

/** So much of a message that cannot be decoded is shown. */
const RAW = 32;

/** The dialects that can be decoded, by the version that names them. */
export const CODECS: Readonly<Record<string, Codec>> = {
  [VERSION.dotl]: dotlCodec,
  [VERSION.dotu]: dotuCodec,
  [VERSION.legacy]: legacyCodec,
};
/** Before a version is agreed, and after a server has refused one. */
export const FIRST_CODEC = dotlCodec;

export interface Decoded {
  /** As the manual calls it; `type 55` for one that the dialect does not have. */
  readonly type: string;
  readonly tag: number;
  /** Bytes on the wire. */
  readonly size: number;
  /** Each field with its value as text, in the order of the wire. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Undefined where it is malformed; a payload in it is only its beginning. */
  readonly message: Message | undefined;
  /** Bytes of the payload, where there is one. */
  readonly payload: number | undefined;
  /** What is wrong with it. */
  readonly fault: string | undefined;
}

/** For machines: the values of the fields, with bigints in decimal and a payload as its length and its first bytes in hex. */
export function values({ message, payload, fields }: Decoded): Record<string, unknown> {
  if (message === undefined) return Object.fromEntries(fields);
  const shown = new Set(fields.map(([name]) => name));
  const found = Object.entries(message).filter(([name]) => shown.has(name));
  return Object.fromEntries(
    found.map(([name, value]) =>
      value instanceof Uint8Array
        ? [name, { length: payload, head: Buffer.from(value).toString('hex') }]
        : [name, plain(value)],
    ),
  );
}

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? String(inner) : inner)));
}

/** Characters that could forge a line or drive a terminal, beside those that JSON escapes. */
const UNSAFE = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

export function safe(text: string): string {
  return text.replace(UNSAFE, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A payload's length and how it begins, with everything escaped that is not printable ASCII. */
function showPayload(head: Uint8Array, length: number): string {
  const text = Array.from(head, (byte) => {
    if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
    if (byte === 0x0a) return '\\n';
    return byte < 0x20 || byte > 0x7e ? `\\x${byte.toString(16).padStart(2, '0')}` : String.fromCharCode(byte);
  }).join('');
  return `${length}:"${text}"${head.length < length ? '...' : ''}`;
}

/** As if the payload were what is there of it; undefined where its count and the size of the message do not agree. */
function shortened(bytes: Buffer, size: number, head: number): Buffer | undefined {
  const countAt = head - 4;
  if (bytes.readUInt32LE(countAt) !== size - head) return undefined;
  const copy = Buffer.from(bytes.subarray(0, head));
  copy.writeUInt32LE(bytes.length, 0);
  copy.writeUInt32LE(bytes.length - head, countAt);
  return copy;
}

function malformed(codec: Codec, bytes: Buffer, size: number, why: string): Decoded {
  const number = bytes[4] ?? 0;
  return {
    type: codec.nameOf(number) ?? `type ${number}`,
    tag: bytes.readUInt16LE(5),
    size,
    fields: [['bytes', bytes.subarray(HEADER, HEADER + RAW).toString('hex')]],
    message: undefined,
    payload: undefined,
    fault: why,
  };
}

/** `bytes`: the head as the scanner gives it. */
export function decode(codec: Codec, bytes: Buffer, size: number): Decoded {
  const head = payloadAt(bytes[4] ?? 0);
  const carries = head > 0 && bytes.length >= head;
  if (bytes.length < size && !carries)
    return malformed(codec, bytes, size, `it has ${size} bytes, more than it may have`);
  let message: Message;
  try {
    if (carries) {
      const copy = shortened(bytes, size, head);
      if (copy === undefined) return malformed(codec, bytes, size, 'its count is not that of the bytes that follow');
      message = codec.decode(copy, 0, head, Buffer.from(bytes.subarray(head)));
    } else {
      message = codec.decode(bytes, 0, size);
    }
  } catch (error) {
    return malformed(codec, bytes, size, (error as Error).message);
  }
  const fields = codec.show(message).map(([name, value]): [string, string] => {
    if (name === 'data') return [name, showPayload((message as Message<'Rread'>).data, size - head)];
    return [name, safe(value)];
  });
  if (message.type === 'Rlerror') fields.push(['errno', errnoName(message.ecode)]);
  return {
    type: message.type,
    tag: message.tag,
    size,
    fields,
    message,
    payload: carries ? size - head : undefined,
    fault: undefined,
  };
}
