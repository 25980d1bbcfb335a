// The forms in which real servers send type 107 in a .L session, and that no form of it can do harm.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../../../src/common/errors.ts';
import { dotlCodec } from '../../../../src/wire/p9/codec.ts';
import { rawFrame } from './frames.ts';

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const text = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([bytes.length & 0xff, bytes.length >> 8]), bytes]);
const ecode = (body: Uint8Array): unknown => {
  const frame = rawFrame(107, body);
  return dotlCodec.decode(frame, 0, frame.length);
};

describe('type 107', () => {
  test('a bare number', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), (number) => {
        expect(ecode(word(number))).toEqual({ type: 'Rerror', tag: 1, ename: '', ecode: number });
      }),
    );
  });

  test('a text with a number behind it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(0xffff_ffff), (bytes, number) => {
        expect(ecode(Buffer.concat([text(bytes), word(number)]))).toEqual({
          type: 'Rerror',
          tag: 1,
          ename: '',
          ecode: number,
        });
      }),
    );
  });

  test('a text without a number is EIO', () => {
    expect(ecode(text(Buffer.from('permission denied')))).toEqual({ type: 'Rerror', tag: 1, ename: '', ecode: 5 });
    expect(ecode(text(Buffer.alloc(0)))).toMatchObject({ ecode: 5 });
  });

  test('a text that was cut within a character does not end the connection', () => {
    expect(ecode(text(Buffer.from('gibt es nicht: \u00fc').subarray(0, -1)))).toMatchObject({ ecode: 5 });
  });

  test('a text longer than the frame, and bytes behind the number, are refused', () => {
    expect(() => ecode(Buffer.from([9, 0, 0x61]))).toThrow(ProtocolError);
    expect(() => ecode(Buffer.concat([text(Buffer.from('abc')), word(1), Buffer.alloc(1)]))).toThrow(ProtocolError);
    expect(() => ecode(Buffer.alloc(0))).toThrow(ProtocolError);
  });

  test('is written as a bare number', () => {
    expect(dotlCodec.encode('Rerror', 1, { ename: 'not sent', ecode: 2 }).head).toEqual(rawFrame(107, word(2)));
  });
});
