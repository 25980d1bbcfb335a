// The codec: every message comes back as it was sent, and whatever a peer sends instead is either a message or a
// ProtocolError that says what is wrong, never anything else.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../../../src/common/errors.ts';
import { type Codec, dotlCodec, dotuCodec, legacyCodec } from '../../../../src/wire/p9/codec.ts';
import { MAXWELEM } from '../../../../src/wire/p9/constants.ts';
import type { Message } from '../../../../src/wire/p9/messages.ts';
import { dialects, messageNamed } from './arbitraries.ts';
import { bytesOf, messageIn, rawFrame } from './frames.ts';

const number = (name: Message['type']): number => dotlCodec.number(name);
const decode = (bytes: Uint8Array): Message => dotlCodec.decode(bytes, 0, bytes.length);

/** The message, or undefined where the codec refuses; any other error goes through. */
function decodeOrRefuse(bytes: Uint8Array, codec: Codec): Message | undefined {
  try {
    return messageIn(bytes, codec);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

describe.each(Object.entries(dialects))('every message of %s', (_name, { codec, rows, anyMessage }) => {
  test.each(rows)('%s comes back as it was sent', (name, row) => {
    fc.assert(
      fc.property(messageNamed(name, row), (message) => {
        const bytes = bytesOf(message, codec);
        expect(bytes.readUInt32LE(0)).toBe(bytes.length);
        expect(bytes[4]).toBe(row.number);
        expect(bytes.readUInt16LE(5)).toBe(message.tag);
        expect(messageIn(bytes, codec)).toEqual(message);
      }),
      { numRuns: 60 },
    );
  });

  test('comes back from the middle of a larger buffer', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(20), fc.nat(20), (message, before, after) => {
        const frame = bytesOf(message, codec);
        const around = Buffer.concat([Buffer.alloc(before, 0xff), frame, Buffer.alloc(after, 0xff)]);
        const found = codec.decode(around, before, before + frame.length);
        expect(bytesOf(found, codec)).toEqual(frame);
      }),
    );
  });

  test('is one line when it is printed, that begins with name and tag', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const line = codec.format(message);
        expect(line).not.toMatch(/[\n\r\t]/);
        expect(line.startsWith(`${message.type} tag ${message.tag}`)).toBe(true);
        expect(line).toBe(line.trim());
      }),
    );
  });

  test('has a number that no other has, odd for replies, one above its request', () => {
    const numbers = new Map(rows.map(([name, row]) => [name as string, row.number]));
    expect(new Set(numbers.values()).size).toBe(numbers.size);
    for (const [name, row] of rows) {
      expect(codec.nameOf(row.number)).toBe(name);
      expect(row.number % 2, name).toBe(name.startsWith('R') ? 1 : 0);
      if (name.startsWith('T')) expect(numbers.get(`R${name.slice(1)}`), name).toBe(row.number + 1);
    }
    expect(codec.nameOf(6)).toBeUndefined();
    expect(codec.nameOf(300)).toBeUndefined();
  });

  test('any bytes are a message or a ProtocolError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        decodeOrRefuse(bytes, codec);
      }),
      { numRuns: 2000 },
    );
  });

  test('any body behind a right header is a message or a ProtocolError', () => {
    const types = fc.oneof(fc.constantFrom(...rows.map(([, row]) => row.number)), fc.nat(255));
    fc.assert(
      fc.property(types, fc.uint8Array({ maxLength: 160 }), (type, body) => {
        const found = decodeOrRefuse(rawFrame(type, body), codec);
        // what was understood can be said again, and is understood as the same
        if (found !== undefined) expect(messageIn(bytesOf(found, codec), codec)).toEqual(found);
      }),
      { numRuns: 3000 },
    );
  });

  test('a frame with some bytes changed is a message or a ProtocolError', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(anyMessage, changes, (message, changed) => {
        const bytes = bytesOf(message, codec);
        for (const [at, value] of changed) bytes[at % bytes.length] = value;
        const found = decodeOrRefuse(bytes, codec);
        if (found !== undefined) expect(messageIn(bytesOf(found, codec), codec)).toEqual(found);
      }),
      { numRuns: 2000 },
    );
  });

  // in .L Rerror has no one form: errors.test.ts
  test.each(rows.filter(([name]) => codec !== dotlCodec || name !== 'Rerror'))(
    '%s cut at any byte, or with bytes too many, is refused',
    (name, row) => {
      const examples = fc.sample(messageNamed(name, row), { numRuns: 4, seed: 9 });
      for (const message of examples) {
        const whole = bytesOf(message, codec);
        for (let length = 0; length < whole.length; length++) {
          const cut = Buffer.from(whole.subarray(0, length));
          expect(() => codec.decode(cut, 0, cut.length), `size says ${whole.length}, has ${length}`).toThrow(
            ProtocolError,
          );
          if (length >= 4) cut.writeUInt32LE(length, 0);
          // a size that admits the cut: only what is optional at the end may be missing
          const optional = name === 'Tfsync' || (name === 'Rerror' && codec === dotuCodec);
          if (optional && length === whole.length - 4) continue;
          expect(() => codec.decode(cut, 0, cut.length), `size and bytes ${length}`).toThrow(ProtocolError);
        }
        const more = Buffer.concat([whole, Buffer.alloc(1)]);
        expect(() => codec.decode(more, 0, more.length)).toThrow(ProtocolError);
        more.writeUInt32LE(more.length, 0);
        expect(() => codec.decode(more, 0, more.length)).toThrow(ProtocolError);
      }
    },
  );
});

describe('encode', () => {
  test('leaves the payload where it lies', () => {
    const data = new Uint8Array([1, 2, 3]);
    const { head, payload } = dotlCodec.encode('Twrite', 1, { fid: 1, offset: 0, data });
    expect(payload).toBe(data);
    expect(head).toHaveLength(23);
    expect(head.readUInt32LE(0)).toBe(26);
  });

  test('throws RangeError for a field that its width does not hold', () => {
    const long = 'x'.repeat(0x10000);
    expect(() => dotlCodec.encode('Tclunk', 0x10000, { fid: 1 })).toThrow(RangeError);
    expect(() => dotlCodec.encode('Tclunk', -1, { fid: 1 })).toThrow(RangeError);
    expect(() => dotlCodec.encode('Tclunk', 1, { fid: 2 ** 32 })).toThrow(RangeError);
    expect(() => dotlCodec.encode('Tread', 1, { fid: 1, offset: -1, count: 1 })).toThrow(RangeError);
    expect(() => dotlCodec.encode('Rreadlink', 1, { target: long })).toThrow(RangeError);
    expect(() => dotlCodec.encode('Twalk', 1, { fid: 1, newfid: 2, names: ['a', long] })).toThrow(RangeError);
    expect(() => dotlCodec.encode('Treaddir', 1, { fid: 1, offset: 1n << 64n, count: 1 })).toThrow(RangeError);
  });
});

describe('decode', () => {
  test('a type that the dialect does not have', () => {
    expect(() => decode(rawFrame(6))).toThrow('unknown type 6'); // Tlerror is never sent
    expect(() => decode(rawFrame(255))).toThrow(ProtocolError);
    // each knows its own errors and opens, and not the others'
    const topen = rawFrame(112, Buffer.alloc(5));
    expect(() => decode(topen)).toThrow('unknown type 112');
    const tlopen = rawFrame(12, Buffer.alloc(8));
    for (const codec of [dotuCodec, legacyCodec]) {
      expect(() => codec.decode(tlopen, 0, tlopen.length)).toThrow('unknown type 12');
      expect(() => codec.encode('Rlerror', 1, { ecode: 1 })).toThrow('this dialect has no Rlerror');
    }
    expect(() => dotlCodec.encode('Tstat', 1, { fid: 1 })).toThrow(RangeError);
  });

  test('a size that is not that of the frame, also where the payload lies beside it', () => {
    const { head } = dotlCodec.encode('Rread', 1, { data: new Uint8Array(10) });
    expect(dotlCodec.decode(head, 0, head.length, new Uint8Array(10))).toMatchObject({ type: 'Rread' });
    expect(() => dotlCodec.decode(head, 0, head.length, new Uint8Array(9))).toThrow('size 21, but the frame has 20');
    expect(() => dotlCodec.decode(head, 0, head.length)).toThrow(ProtocolError);
  });

  test.each(['Rread', 'Rreaddir', 'Twrite'] as const)('%s whose count is not what follows', (name) => {
    const message = { type: name, tag: 1, fid: 1, offset: 0, data: new Uint8Array(5) } as unknown as Message;
    for (const count of [0, 4, 6, 0xffff_ffff]) {
      const bytes = bytesOf(message);
      bytes.writeUInt32LE(count, bytes.length - 9);
      expect(() => decode(bytes)).toThrow(`count ${count}, but 5 bytes follow`);
      const head = bytes.subarray(0, bytes.length - 5);
      expect(() => dotlCodec.decode(head, 0, head.length, new Uint8Array(5))).toThrow(ProtocolError);
    }
  });

  test('a payload beside a message that has none', () => {
    const head = rawFrame(number('Rclunk'), undefined, 10);
    expect(() => dotlCodec.decode(head, 0, head.length, new Uint8Array(3))).toThrow('Rclunk carries no payload');
  });

  test('a payload is not copied', () => {
    const bytes = bytesOf({ type: 'Rread', tag: 1, data: new Uint8Array([1, 2, 3]) });
    const inFrame = decode(bytes) as Message<'Rread'>;
    bytes[bytes.length - 1] = 77;
    expect([...inFrame.data]).toEqual([1, 2, 77]);
    const { head, payload } = dotlCodec.encode('Rread', 1, { data: new Uint8Array(8) });
    expect((dotlCodec.decode(head, 0, head.length, payload) as Message<'Rread'>).data).toBe(payload);
  });

  test('a name with NUL', () => {
    const name = Buffer.from('\x03\0a\0b');
    expect(() => decode(rawFrame(number('Rreadlink'), name))).toThrow(/NUL/);
    const walk = Buffer.concat([Buffer.alloc(8), Buffer.from([1, 0]), name]);
    expect(() => decode(rawFrame(number('Twalk'), walk))).toThrow(/NUL/);
  });

  test('a name with bytes that are not UTF-8 is decoded, said again and shown without loss', () => {
    const walk = rawFrame(number('Twalk'), Buffer.from('0100000002000000' + '0100' + '0400' + '636166e9', 'hex'));
    const message = decode(walk);
    expect(message).toMatchObject({ names: ['caf\udce9'] });
    expect(bytesOf(message)).toEqual(walk);
    expect(dotlCodec.format(message)).toBe(String.raw`Twalk tag 1 fid 1 newfid 2 names ["caf\xe9"]`);
  });

  test('a string for which there are no bytes is not sent', () => {
    for (const target of ['\ud800', 'a\udc7f', '\ud83d\udcff\ud83d']) {
      expect(() => dotlCodec.encode('Rreadlink', 1, { target })).toThrow('EILSEQ');
    }
  });

  test('a walk of more than sixteen names or qids', () => {
    const most = { type: 'Twalk', tag: 1, fid: 1, newfid: 2, names: Array(MAXWELEM).fill('a') } as const;
    expect(messageIn(bytesOf(most))).toEqual(most);
    const names = Buffer.concat([Buffer.alloc(8), Buffer.from([17, 0]), Buffer.alloc(17 * 2)]);
    expect(() => decode(rawFrame(number('Twalk'), names))).toThrow('17 elements');
    const qids = Buffer.concat([Buffer.from([17, 0]), Buffer.alloc(17 * 13)]);
    expect(() => decode(rawFrame(number('Rwalk'), qids))).toThrow('17 elements');
    // the count alone must not make it allocate or loop
    expect(() => decode(rawFrame(number('Rwalk'), Buffer.from([0xff, 0xff])))).toThrow('65535 elements');
  });

  test('sizes and times that no number holds saturate', () => {
    const { head } = dotlCodec.encode('Tsetattr', 1, {
      fid: 1,
      valid: 0,
      mode: 0,
      uid: 0,
      gid: 0,
      size: 0,
      atime: -5,
      atimeNsec: 0,
      mtime: 0,
      mtimeNsec: 0,
    });
    head.fill(0xff, 27, 35); // size: 2^64-1
    head.writeBigInt64LE(-(1n << 63n), 51); // mtime
    const message = decode(head) as Message<'Tsetattr'>;
    expect(message.size).toBe(Number.MAX_SAFE_INTEGER);
    expect(message.atime).toBe(-5);
    expect(message.mtime).toBe(-Number.MAX_SAFE_INTEGER);
  });
});
