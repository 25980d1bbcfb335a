// The scanner hands on what it is given, byte for byte, however the stream is cut, and tells of each message once.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PEEK, Scanner } from '../../../src/trace/scan.ts';
import { dialects } from '../wire/p9/arbitraries.ts';
import { bytesOf, rawFrame } from '../wire/p9/frames.ts';

interface Seen {
  heads: { head: string; size: number }[];
  bytes: Buffer;
  /** Where each message ended, in bytes of the stream. */
  ends: number[];
  lost: string[];
  within: boolean;
}

function scan(chunks: readonly Buffer[], maxFrame?: number): Seen {
  const seen: Seen = { heads: [], bytes: Buffer.alloc(0), ends: [], lost: [], within: false };
  const pieces: Buffer[] = [];
  let got = 0;
  const scanner = new Scanner({
    message: (head, size) => void seen.heads.push({ head: head.toString('hex'), size }),
    bytes(piece, ends) {
      pieces.push(piece);
      got += piece.length;
      if (ends) seen.ends.push(got);
    },
    lost: (head) => void seen.lost.push(head.toString('hex')),
  });
  if (maxFrame !== undefined) scanner.maxFrame = maxFrame;
  for (const chunk of chunks) scanner.push(chunk);
  seen.within = scanner.end();
  seen.bytes = Buffer.concat(pieces);
  return seen;
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 });

describe('a stream of messages', () => {
  test('is the same behind it, and its messages are the same, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(dialects.dotl.anyMessage, { maxLength: 12 }), sizes, fc.nat(40), (messages, sizes, last) => {
        const frames = messages.map((message) => bytesOf(message));
        const stream = Buffer.concat([
          ...frames,
          bytesOf({ type: 'Twrite', tag: 1, fid: 1, offset: 0, data: Buffer.alloc(90) }),
        ]);
        const whole = stream.subarray(0, stream.length - last);
        const inPieces = scan(cut(whole, sizes));
        expect(inPieces.bytes.equals(whole)).toBe(true);
        expect(inPieces).toEqual(scan([whole]));
        expect(inPieces.heads.slice(0, frames.length).map(({ size }) => size)).toEqual(
          frames.map(({ length }) => length),
        );
        expect(inPieces.within).toBe(last > 0);
      }),
    );
  });

  test('of which nothing is gathered but heads', () => {
    const frame = bytesOf({ type: 'Rread', tag: 1, data: Buffer.alloc(100_000, 'x') });
    const { heads } = scan(cut(frame, [10_000]));
    expect(heads).toEqual([{ head: frame.subarray(0, 11 + PEEK).toString('hex'), size: frame.length }]);
  });

  test('goes on with what it was handed, not with copies', () => {
    const chunk = bytesOf({ type: 'Tclunk', tag: 1, fid: 2 });
    const pieces: Buffer[] = [];
    const scanner = new Scanner({ message: () => {}, bytes: (piece) => void pieces.push(piece), lost: () => {} });
    for (const part of cut(chunk, [3, 5])) scanner.push(part);
    expect(pieces.every(({ buffer }) => buffer === chunk.buffer)).toBe(true);
  });
});

describe('what is no message of a legal size', () => {
  test('larger than any may be: only its header is waited for', () => {
    const { heads, bytes } = scan([rawFrame(24, Buffer.alloc(12), 9000).subarray(0, 8)], 8192);
    expect(heads).toEqual([{ head: '282300001801' + '00', size: 9000 }]);
    expect(bytes.length).toBe(8);
  });

  test('smaller than a header: the rest goes on unread, at once', () => {
    const bytes = Buffer.concat([bytesOf({ type: 'Rclunk', tag: 1 }), Buffer.from([6, 0, 0, 0]), Buffer.alloc(50, 9)]);
    for (const chunks of [[bytes], cut(bytes, [1])]) {
      const seen = scan(chunks);
      expect(seen.bytes.equals(bytes)).toBe(true);
      expect(seen.heads.length).toBe(1);
      expect(seen.lost).toEqual(['06000000']);
    }
  });
});
