// Derives a dialect's encoder, decoder and one-line printer from its message tables.
// Guarantees: decode either returns a whole message or throws ProtocolError with what is wrong; it never reads outside
// the frame and never allocates by a count in it. encode returns the head and leaves the payload where it lies.
// Pure: no sockets, no state, no logging.

import { Cursor } from '../../common/cursor.ts';
import { ProtocolError } from '../../common/errors.ts';
import { type CompiledLayout, compile } from '../../common/layout.ts';
import { Writer } from '../../common/writer.ts';
import { HEADER } from './constants.ts';
import { type Body, core, dotl, dotu, legacy, type Message, type MessageName, type RequestName } from './messages.ts';
import type { Row, Rows } from './rows.ts';

/** A message ready for the wire: `head`, then `payload` where the message has one. */
export interface Frame {
  head: Buffer;
  payload: Uint8Array | undefined;
}

interface Compiled {
  name: MessageName;
  number: number;
  layout: CompiledLayout;
}

export interface Codec {
  /**
   * Throws RangeError for a field that does not fit its width: that is the caller's bug, or a name over 64 KiB. Throws ErrnoError
   * EILSEQ for a string for which there are no bytes (common/text.ts).
   */
  encode<N extends MessageName>(name: N, tag: number, body: Body<N>): Frame;
  /**
   * The message in bytes[start, end): a whole frame, or only its head where `payload` holds what a `data` field
   * carries.
   */
  decode(bytes: Uint8Array, start: number, end: number, payload?: Uint8Array): Message;
  /** One line: name, tag, fields. */
  format(message: Message): string;
  /** The fields alone, as format() shows them: those that this dialect sends, in its order. */
  show(message: Message): [name: string, value: string][];
  number(name: MessageName): number;
  nameOf(number: number): MessageName | undefined;
}

function makeCodec(rows: Rows): Codec {
  const byName = new Map<string, Compiled>();
  const byNumber: (Compiled | undefined)[] = new Array(256).fill(undefined);
  for (const [name, row] of Object.entries(rows) as [MessageName, Row][]) {
    const compiled = { name, number: row.number, layout: compile(row.layout) };
    byName.set(name, compiled);
    byNumber[row.number] = compiled;
  }
  const cursor = new Cursor(Buffer.alloc(0));

  function row(name: MessageName): Compiled {
    const found = byName.get(name);
    if (found === undefined) throw new RangeError(`this dialect has no ${name}`);
    return found;
  }

  function show(message: Message): [name: string, value: string][] {
    return row(message.type).layout.show(message as unknown as Record<string, unknown>);
  }

  return {
    encode(name, tag, body) {
      const { number, layout } = row(name);
      const fields = body as Record<string, unknown>;
      const size = HEADER + layout.size(fields);
      const payload = layout.hasData ? (fields['data'] as Uint8Array) : undefined;
      const writer = Writer.sized(size);
      writer.u32(size + (payload?.length ?? 0));
      writer.u8(number);
      writer.u16(tag);
      layout.write(writer, fields);
      return { head: writer.bytes, payload };
    },

    decode(bytes, start, end, payload) {
      cursor.reset(bytes, start, end);
      const size = cursor.u32();
      const number = cursor.u8();
      const tag = cursor.u16();
      const found = byNumber[number];
      if (found === undefined) throw new ProtocolError(`message of unknown type ${number}`);
      const bytesThere = end - start + (payload?.length ?? 0);
      if (cursor.fault === undefined && size !== bytesThere) {
        throw new ProtocolError(`${found.name}: size ${size}, but the frame has ${bytesThere} bytes`);
      }
      if (payload !== undefined && !found.layout.hasData) throw new ProtocolError(`${found.name} carries no payload`);
      const message: Record<string, unknown> = { type: found.name, tag };
      found.layout.read(cursor, message, payload);
      if (cursor.fault !== undefined) throw new ProtocolError(`${found.name} tag ${tag}: ${cursor.fault}`);
      if (cursor.left !== 0) throw new ProtocolError(`${found.name} tag ${tag}: ${cursor.left} bytes too many`);
      return message as Message;
    },

    format(message) {
      return [message.type, `tag ${message.tag}`, ...show(message).map((field) => field.join(' '))].join(' ');
    },
    show,

    number: (name) => row(name).number,
    nameOf: (number) => byNumber[number]?.name,
  };
}

/** 9P2000.L. Its Tversion and Rversion are the core's, so it also negotiates. */
export const dotlCodec: Codec = makeCodec({ ...core, ...dotl });
/** 9P2000.u and 9P2000. */
export const dotuCodec: Codec = makeCodec({ ...core, ...dotu });
export const legacyCodec: Codec = makeCodec({ ...core, ...legacy });

const codecs: readonly Codec[] = [dotlCodec, dotuCodec, legacyCodec];

/** The request that some dialect has under a number. */
export function requestOfAny(number: number): RequestName | undefined {
  const name = codecs.map((codec) => codec.nameOf(number)).find((found) => found !== undefined);
  return name?.startsWith('T') === true ? (name as RequestName) : undefined;
}
