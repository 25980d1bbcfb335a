// FrameReader: however the stream is cut, and whichever way the pieces come in, the same messages come out; sizes that lie
// end it before anything is allocated; payloads land where their owner said.

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { ProtocolError } from '../../../../src/common/errors.ts';
import { dotlCodec } from '../../../../src/wire/p9/codec.ts';
import { type FrameHandlers, FrameReader, HOLD } from '../../../../src/wire/p9/framing.ts';
import type { Message } from '../../../../src/wire/p9/messages.ts';
import { dialects, messageNamed } from './arbitraries.ts';

const { rows, anyMessage } = dialects.dotl;

import { bytesOf, detached, rawFrame } from './frames.ts';

const MAX_FRAME = 2 * 1024 * 1024;
/** Longest frame without payload that is accepted. */
const SCRATCH = 128 * 1024;

type Sinks = 'none' | 'all' | 'some';
const sinkModes: readonly Sinks[] = ['none', 'all', 'some'];
/** With sinks for some, the payloads of odd tags are dropped. */
const dropped = (sinks: Sinks, tag: number): boolean => sinks === 'some' && tag % 2 === 1;
const hasPayload = (message: Message): boolean => 'data' in message;

interface Collector {
  reader: FrameReader;
  /** What came since the last call, payloads as they lie in memory now. */
  taken(): Message[];
}

function collector(sinks: Sinks): Collector {
  let messages: Message[] = [];
  const handlers: FrameHandlers = {
    frame(bytes, start, end, payload) {
      messages.push(dotlCodec.decode(bytes, start, end, payload));
    },
  };
  if (sinks !== 'none') {
    handlers.sink = (bytes, start, length) => {
      if (bytes.readUInt32LE(start) < length) expect.unreachable('a payload longer than its frame');
      if (dropped(sinks, bytes.readUInt16LE(start + 5))) return undefined;
      return new Uint8Array(length + 8).fill(0xee).subarray(4, 4 + length);
    };
  }
  return {
    reader: new FrameReader(MAX_FRAME, handlers),
    taken() {
      const result = messages.map(detached);
      messages = [];
      return result;
    },
  };
}

type Way = 'push' | 'window';

function feed(reader: FrameReader, piece: Uint8Array, way: Way): void {
  if (way === 'push') {
    reader.push(Buffer.from(piece));
    return;
  }
  for (let at = 0; at < piece.length; ) {
    const window = reader.window();
    if (window.length === 0) expect.unreachable('an empty window');
    const count = Math.min(window.length, piece.length - at);
    window.set(piece.subarray(at, at + count));
    reader.filled(count);
    at += count;
  }
}

function expected(messages: readonly Message[], sinks: Sinks): Message[] {
  return messages.filter((message) => !(hasPayload(message) && dropped(sinks, message.tag)));
}

describe('a stream of frames', () => {
  test.each(rows)('%s cut in two at any byte', (name, row) => {
    const examples = fc.sample(messageNamed(name, row), { numRuns: 2, seed: 5 });
    const last: Message = { type: 'Rread', tag: 8, data: new Uint8Array([1, 2, 3]) };
    const ways: readonly [Way, Way][] = [
      ['push', 'push'],
      ['window', 'window'],
      ['push', 'window'],
      ['window', 'push'],
    ];
    for (const sinks of sinkModes) {
      const { reader, taken } = collector(sinks);
      for (const message of examples) {
        const first = bytesOf(message);
        const stream = Buffer.concat([first, bytesOf(last)]);
        const wanted = expected([message, last], sinks);
        for (const [before, after] of ways) {
          for (let cut = 0; cut <= stream.length; cut++) {
            feed(reader, stream.subarray(0, cut), before);
            const between = reader.idle;
            feed(reader, stream.subarray(cut), after);
            const result = { between, messages: taken(), idle: reader.idle };
            const right = {
              between: cut === 0 || cut === first.length || cut === stream.length,
              messages: wanted,
              idle: true,
            };
            // some ten thousand cases: expect() is for the one that fails
            if (!isDeepStrictEqual(result, right)) expect(result, `${before}, ${after}, cut at ${cut}`).toEqual(right);
          }
        }
      }
    }
  });

  test('cut anywhere, arriving in any mixture of ways', () => {
    const pieces = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.constantFrom<Way>('push', 'window')), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(
        fc.array(anyMessage, { minLength: 1, maxLength: 12 }),
        pieces,
        fc.constantFrom(...sinkModes),
        (messages, cuts, sinks) => {
          const { reader, taken } = collector(sinks);
          const stream = Buffer.concat(messages.map((message) => bytesOf(message)));
          for (let at = 0, i = 0; at < stream.length; i++) {
            const [size, way] = cuts[i % cuts.length]!;
            feed(reader, stream.subarray(at, at + size), way);
            at += size;
          }
          expect(reader.idle).toBe(true);
          expect(taken()).toEqual(expected(messages, sinks));
        },
      ),
      { numRuns: 200 },
    );
  });

  test('held up behind any frame, or for want of memory, and released at any time', () => {
    const pieces = fc.array(
      fc.record({
        size: fc.integer({ min: 1, max: 60 }),
        way: fc.constantFrom<Way>('push', 'window'),
        release: fc.boolean(),
      }),
      { minLength: 1, maxLength: 30 },
    );
    fc.assert(
      fc.property(
        fc.array(anyMessage, { minLength: 1, maxLength: 12 }),
        pieces,
        fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
        (messages, cuts, holds, wants) => {
          let asked = 0;
          let held = false;
          const got: Message[] = [];
          const reader: FrameReader = new FrameReader(MAX_FRAME, {
            frame(bytes, start, end, payload) {
              if (held) expect.unreachable('a frame while it is held up');
              got.push(detached(dotlCodec.decode(bytes, start, end, payload)));
              held = holds[got.length % holds.length]!;
              if (held || got.length % 3 === 0) reader.hold();
              if (!held) reader.release();
            },
            sink(_bytes, _start, length) {
              if (held) expect.unreachable('a payload while it is held up');
              held = wants[asked++ % wants.length]! && asked % 7 !== 0;
              return held ? HOLD : new Uint8Array(length);
            },
          });
          const release = () => {
            held = false;
            reader.release();
          };
          const stream = Buffer.concat(messages.map((message) => bytesOf(message)));
          for (let at = 0, i = 0; at < stream.length; i++) {
            const { size, way, release: now } = cuts[i % cuts.length]!;
            feed(reader, stream.subarray(at, at + size), way);
            at += size;
            if (now) release();
          }
          for (let i = 0; i < 10 * messages.length && got.length < messages.length; i++) release();
          release();
          expect(got).toEqual(messages);
          expect(reader.idle).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('with payloads up to a MiB, arriving in large and small pieces', () => {
    const lengths = fc.constantFrom(0, 1, 4085, 4096, 32767, 32768, SCRATCH - 23, SCRATCH - 11, SCRATCH, 1 << 20);
    const frames = fc.array(fc.tuple(lengths, fc.nat(0xfffe), fc.nat(255)), { minLength: 1, maxLength: 6 });
    const pieces = fc.array(
      fc.tuple(
        fc.constantFrom(1, 11, 4096, 4097, 65536, SCRATCH, 400_000),
        fc.constantFrom<Way>('push', 'window', 'window'),
      ),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(frames, pieces, fc.constantFrom(...sinkModes), (shapes, cuts, sinks) => {
        const messages = shapes.map(([length, tag, seed]): Message => {
          const data = new Uint8Array(length);
          for (let i = 0; i < length; i += 97) data[i] = seed + i;
          return { type: 'Rread', tag, data };
        });
        const seen: { tag: number; payload: Uint8Array | undefined }[] = [];
        const handlers: FrameHandlers = {
          frame: (bytes, start, _end, payload) => seen.push({ tag: bytes.readUInt16LE(start + 5), payload }),
        };
        if (sinks !== 'none') {
          handlers.sink = (bytes, start, length) =>
            dropped(sinks, bytes.readUInt16LE(start + 5)) ? undefined : new Uint8Array(length);
        }
        const reader = new FrameReader(MAX_FRAME, handlers);
        const stream = Buffer.concat(messages.map((message) => bytesOf(message)));
        // no pieces so small that a MiB takes long: at least a thousandth of the stream at a time
        const least = Math.ceil(stream.length / 1000);
        for (let at = 0, i = 0; at < stream.length; i++) {
          const [size, way] = cuts[i % cuts.length]!;
          const piece = stream.subarray(at, at + Math.max(size, least));
          feed(reader, piece, way);
          at += piece.length;
        }
        const wanted = expected(messages, sinks) as Message<'Rread'>[];
        expect(seen.map(({ tag }) => tag)).toEqual(wanted.map(({ tag }) => tag));
        // compared at the end: no later frame has written over an earlier payload
        const same = wanted.every(({ data }, i) => Buffer.compare(data, seen[i]?.payload ?? Buffer.from('none')) === 0);
        expect(same).toBe(true);
        expect(reader.idle).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test('many frames in one chunk are not written to, and are parsed where they lie', () => {
    const messages = fc.sample(anyMessage, { numRuns: 50, seed: 3 });
    const chunk = Buffer.concat(messages.map((message) => bytesOf(message)));
    const before = Buffer.from(chunk);
    const at: ArrayBufferLike[] = [];
    const reader = new FrameReader(MAX_FRAME, { frame: (bytes) => at.push(bytes.buffer) });
    reader.push(chunk);
    expect(chunk).toEqual(before);
    expect(at).toHaveLength(50);
    expect(at.every((memory) => memory === chunk.buffer)).toBe(true);
  });
});

describe('payloads', () => {
  const read = (tag: number, length: number): Buffer => bytesOf({ type: 'Rread', tag, data: new Uint8Array(length) });

  test('the window is the memory of the sink once the head is there', () => {
    const sink = new Uint8Array(100_000);
    const frame = vi.fn();
    const reader = new FrameReader(MAX_FRAME, { frame, sink: () => sink });
    const bytes = read(4, sink.length);
    feed(reader, bytes.subarray(0, 11 + 10), 'window');
    const window = reader.window();
    expect([window.buffer, window.byteOffset, window.length]).toEqual([sink.buffer, 10, sink.length - 10]);
    reader.filled(1000);
    expect(reader.window().byteOffset).toBe(1010);
    reader.filled(sink.length - 1010);
    expect(frame).toHaveBeenCalledTimes(1);
    expect(frame.mock.calls[0]?.[3]).toBe(sink);
  });

  test('the sink is asked once a payload, with its length and the head', () => {
    const asked: [number, number][] = [];
    const reader = new FrameReader(MAX_FRAME, {
      frame: () => {},
      sink(bytes, start, length) {
        asked.push([bytes.readUInt16LE(start + 5), length]);
        return new Uint8Array(length);
      },
    });
    const write = bytesOf({ type: 'Twrite', tag: 3, fid: 1, offset: 0, data: new Uint8Array(5) });
    const entries = bytesOf({ type: 'Rreaddir', tag: 5, data: new Uint8Array(7) });
    const stream = Buffer.concat([read(1, 0), write, rawFrame(121), read(2, 40_000), entries]);
    for (let at = 0; at < stream.length; at += 9) feed(reader, stream.subarray(at, at + 9), 'window');
    expect(asked).toEqual([
      [1, 0],
      [3, 5],
      [2, 40_000],
      [5, 7],
    ]);
  });

  test('what is dropped takes bounded memory and leaves what follows intact', () => {
    const frame = vi.fn();
    const reader = new FrameReader(MAX_FRAME, { frame, sink: () => undefined });
    const make = vi.spyOn(Buffer, 'allocUnsafeSlow');
    try {
      const stream = Buffer.concat([read(1, 1 << 20), read(2, 1 << 20), rawFrame(121)]);
      feed(reader, stream, 'window');
      const made = make.mock.calls.reduce((sum, [size]) => sum + size, 0);
      expect(made).toBeLessThanOrEqual(64 * 1024);
    } finally {
      make.mockRestore();
    }
    expect(frame).toHaveBeenCalledTimes(1);
    expect(reader.idle).toBe(true);
  });

  test('a frame too short for the head of its payload is passed on whole, for the decoder to refuse', () => {
    for (const way of ['push', 'window'] as const) {
      const { reader } = collector('all');
      expect(() => feed(reader, rawFrame(117, Buffer.alloc(3)), way)).toThrow(ProtocolError);
    }
  });
});

describe('sizes that lie', () => {
  const ways: readonly Way[] = ['push', 'window'];

  test.each([0, 1, 4, 6])('%i bytes are less than a header', (size) => {
    for (const way of ways) {
      const reader = new FrameReader(MAX_FRAME, { frame: () => expect.unreachable() });
      expect(() => feed(reader, rawFrame(121, undefined, size), way)).toThrow(`frame of ${size} bytes, the header`);
    }
  });

  test('above the limit, whatever the type, before anything is allocated', () => {
    for (const type of [117, 41, 118, 121, 6]) {
      for (const size of [8193, 0x7fff_ffff, 0xffff_ffff]) {
        for (const way of ways) {
          const sink = vi.fn();
          const reader = new FrameReader(8192, { frame: () => expect.unreachable(), sink });
          const make = vi.spyOn(Buffer, 'allocUnsafeSlow');
          try {
            expect(() => feed(reader, rawFrame(type, Buffer.alloc(30), size), way)).toThrow('msize is 8192');
            expect(make).not.toHaveBeenCalled();
            expect(sink).not.toHaveBeenCalled();
          } finally {
            make.mockRestore();
          }
        }
      }
    }
  });

  test('the limit itself is accepted, and can be moved between frames', () => {
    const sizes: number[] = [];
    const reader = new FrameReader(8192, {
      frame: (_bytes, start, end, payload) => sizes.push(end - start + payload!.length),
    });
    const exact = bytesOf({ type: 'Rread', tag: 1, data: new Uint8Array(8192 - 11) });
    reader.push(exact);
    reader.maxFrame = 8191;
    expect(() => reader.push(exact)).toThrow(ProtocolError);
    expect(sizes).toEqual([8192]);
  });

  test('a frame without payload is bounded by what is set aside for it, exactly', () => {
    for (const way of ways) {
      const frame = vi.fn();
      const reader = new FrameReader(MAX_FRAME, { frame });
      feed(reader, rawFrame(23, Buffer.alloc(SCRATCH - 7)), way);
      feed(reader, rawFrame(121), way);
      expect(frame).toHaveBeenCalledTimes(2);
      expect(frame.mock.calls[0]?.slice(1, 3)).toEqual([0, SCRATCH]);
      const head = rawFrame(23, undefined, SCRATCH + 1);
      expect(() => feed(reader, head, way)).toThrow('carries no payload');
    }
  });

  test('any bytes give messages or a ProtocolError', () => {
    const pieces = fc.array(
      fc.tuple(
        fc.oneof(
          fc.uint8Array({ maxLength: 40 }),
          fc
            .tuple(fc.constantFrom(7, 8, 11, 20, 23, 60), fc.constantFrom(117, 118, 41, 121, 25), fc.uint8Array())
            .map(([size, type, body]) => rawFrame(type, body, size)),
          anyMessage.map((message) => bytesOf(message)),
        ),
        fc.constantFrom<Way>('push', 'window'),
      ),
      { maxLength: 10 },
    );
    fc.assert(
      fc.property(pieces, fc.constantFrom(...sinkModes), (stream, sinks) => {
        const { reader } = collector(sinks);
        try {
          for (const [bytes, way] of stream) feed(reader, bytes, way);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('idle', () => {
  test('is true between frames and nowhere else', () => {
    const { reader } = collector('all');
    expect(reader.idle).toBe(true);
    const bytes = bytesOf({ type: 'Rread', tag: 1, data: new Uint8Array(4) });
    for (let i = 0; i < bytes.length; i++) {
      feed(reader, bytes.subarray(i, i + 1), i % 2 === 0 ? 'push' : 'window');
      expect(reader.idle).toBe(i === bytes.length - 1);
    }
  });
});
