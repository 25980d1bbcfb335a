// The in-process pair keeps the promises of a transport however it cuts the stream, and loses it where it is told to.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConnectionError } from '../../../src/common/errors.ts';
import { memoryPair, type PairOptions } from '../../../src/transport/memory.ts';
import type { Receiver } from '../../../src/transport/transport.ts';
import { type Pair, transportContract } from './contract.ts';
import { frame, inbox, turn } from './kit.ts';

const pairOf = (ab: PairOptions, ba: PairOptions) => async (): Promise<Pair> => ({
  ends: memoryPair(ab, ba),
  dispose: async () => {},
});

transportContract('memory pair, as sent', pairOf({}, {}));
transportContract('memory pair, cut', pairOf({ chunks: [1, 6, 4096, 65537] }, { chunks: [100_000, 3] }));

/** Notes the size of every piece, and what came in all. */
function recorder(windowSize: number): Receiver & { sizes: number[]; bytes(): Buffer } {
  const pieces: Buffer[] = [];
  const sizes: number[] = [];
  const window = Buffer.alloc(windowSize);
  return {
    sizes,
    bytes: () => Buffer.concat(pieces),
    window: () => window,
    filled(count) {
      sizes.push(count);
      pieces.push(Buffer.from(window.subarray(0, count)));
    },
    push(chunk) {
      sizes.push(chunk.length);
      pieces.push(Buffer.from(chunk));
    },
  };
}

describe('memoryPair', () => {
  test('each direction is cut as was asked for that direction', async () => {
    const [a, b] = memoryPair({ chunks: [2] }, { chunks: [5] });
    const [atA, atB] = [recorder(64), recorder(64)];
    a.start(atA);
    b.start(atB);
    a.send(Buffer.alloc(10));
    b.send(Buffer.alloc(10));
    await turn();
    expect(atB.sizes).toEqual([2, 2, 2, 2, 2]);
    expect(atA.sizes).toEqual([5, 5]);
  });

  test('any cutting delivers the same bytes, and the sender may change its own at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { minLength: 1, maxLength: 10 }),
        fc.array(fc.nat(20), { maxLength: 5 }),
        fc.integer({ min: 1, max: 30 }),
        async (frames, chunks, windowSize) => {
          const [a, b] = memoryPair({ chunks });
          const atB = recorder(windowSize);
          const wanted = Buffer.concat(frames);
          b.start(atB);
          for (const bytes of frames) {
            a.send(bytes);
            bytes.fill(0xee);
          }
          a.close();
          expect(await b.closed).toBeUndefined();
          expect(atB.bytes()).toEqual(wanted);
        },
      ),
    );
  });

  test('a connection that is cut at any byte delivers what came before it, and ends both sides with the reason', async () => {
    const stream = Buffer.concat([1, 2, 3].flatMap((tag) => frame(tag, 20)));
    for (let cutAfter = 0; cutAfter <= stream.length; cutAfter++) {
      const [a, b] = memoryPair({ cutAfter, chunks: [7] });
      const atB = recorder(16);
      a.start(inbox().receiver);
      b.start(atB);
      for (const tag of [1, 2, 3]) a.send(...frame(tag, 20));
      const ends = await Promise.all([a.closed, b.closed]);
      for (const error of ends) {
        expect(error).toBeInstanceOf(ConnectionError);
        expect(error?.message).toContain(`cut after ${cutAfter} bytes`);
      }
      expect(atB.bytes()).toEqual(stream.subarray(0, cutAfter));
      expect(a.send(Buffer.alloc(1))).toBe(false);
    }
  });

  test('a stream shorter than the cut is not cut', async () => {
    const [a, b] = memoryPair({ cutAfter: 32 });
    const atB = inbox();
    b.start(atB.receiver);
    a.send(...frame(1, 20));
    await atB.count(1);
    a.close();
    expect(await b.closed).toBeUndefined();
  });

  test('a paused end sees the end of the other only behind the bytes before it', async () => {
    const [a, b] = memoryPair();
    const atB = inbox();
    b.start(atB.receiver);
    b.pause();
    a.send(...frame(1, 100));
    a.close();
    await a.closed;
    await turn();
    expect(atB.frames).toHaveLength(0);
    b.resume();
    await b.closed;
    expect(atB.frames.map(({ tag }) => tag)).toEqual([1]);
  });
});
