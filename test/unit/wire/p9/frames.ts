// Messages to bytes and back for the tests of this folder.

import type { Codec } from '../../../../src/wire/p9/codec.ts';
import { dotlCodec } from '../../../../src/wire/p9/codec.ts';
import type { Body, Message, MessageName } from '../../../../src/wire/p9/messages.ts';

/** The whole frame of a message in one buffer. */
export function bytesOf(message: Message, codec: Codec = dotlCodec): Buffer {
  const { type, tag, ...body } = message;
  const { head, payload } = codec.encode(type, tag, body as unknown as Body<MessageName>);
  return Buffer.concat(payload === undefined ? [head] : [head, payload]);
}

/** The message with its payload copied out of the frame and as a plain Uint8Array, so that messages can be compared. */
export function detached(message: Message): Message {
  const { data } = message as unknown as { data?: Uint8Array };
  return data === undefined ? message : ({ ...message, data: new Uint8Array(data) } as Message);
}

/** Decodes one whole frame. */
export function messageIn(bytes: Uint8Array, codec: Codec = dotlCodec): Message {
  return detached(codec.decode(bytes, 0, bytes.length));
}

/** A frame of any type with any body; the size is right unless it is given. */
export function rawFrame(type: number, body: Uint8Array = new Uint8Array(0), size = 7 + body.length): Buffer {
  const bytes = Buffer.alloc(7 + body.length);
  bytes.writeUInt32LE(size, 0);
  bytes[4] = type;
  bytes.writeUInt16LE(1, 5);
  bytes.set(body, 7);
  return bytes;
}
