// Bytes to text and back: exact for every byte string, the plain string for valid UTF-8, and lengths that are those of the bytes.

import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { byteLength, decodeText, encodeText, quote, quoteStart, writeText } from '../../../src/common/text.ts';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function strictly(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined; // not UTF-8: that is the answer
  }
}

/** Character by character, each the one that Node finds there, or else an escape of one byte. */
function reference(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const size = [1, 2, 3, 4].find((count) => at + count <= bytes.length && isUtf8(bytes.subarray(at, at + count)));
    text += size === undefined ? String.fromCharCode(0xdc00 + bytes[at]!) : bytes.toString('utf8', at, at + size);
    at += size ?? 1;
  }
  return text;
}

/** At the borders of what UTF-8 allows. */
const edges = [
  0x00, 0x2f, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
].concat([0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xfe, 0xff]);
const piece = fc.oneof(
  fc.uint8Array({ maxLength: 6 }),
  fc.array(fc.constantFrom(...edges), { maxLength: 5 }).map((list) => Uint8Array.from(list)),
  fc.string({ unit: 'binary', maxLength: 3 }).map((text) => new Uint8Array(Buffer.from(text))),
);
const anyBytes = fc.array(piece, { maxLength: 5 }).map((pieces) => Buffer.concat(pieces));

function isExact(bytes: Buffer): boolean {
  const text = decodeText(bytes);
  return text === reference(bytes) && encodeText(text).equals(bytes) && byteLength(text) === bytes.length;
}

describe('every byte string', () => {
  test('of one and two bytes is exact, and of three and four at the borders', () => {
    const all = Array.from({ length: 256 }, (_, byte) => byte);
    const wrong: number[][] = [];
    const look = (...list: number[]) => {
      if (!isExact(Buffer.from(list))) wrong.push(list);
    };
    for (const lead of all) {
      look(lead);
      for (const second of all) look(lead, second);
    }
    for (const lead of all.slice(0xc0)) {
      for (const second of edges) for (const third of edges) look(lead, second, third);
    }
    for (const lead of [0xf0, 0xf1, 0xf3, 0xf4, 0xf5]) {
      for (const second of edges)
        for (const third of edges)
          for (const last of [0x7f, 0x80, 0xbf, 0xc0]) {
            look(lead, second, third, last);
          }
    }
    expect(wrong).toEqual([]);
  });

  test('of any length comes back, and has its own length', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const text = decodeText(bytes);
        expect(encodeText(text)).toEqual(bytes);
        expect(byteLength(text)).toBe(bytes.length);
        expect(text).toBe(reference(bytes));
      }),
      { numRuns: 3000 },
    );
  });

  test('that is valid UTF-8 is the plain string, and no other is well formed', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const plain = strictly(bytes);
        const text = decodeText(bytes);
        expect(text.isWellFormed()).toBe(plain !== undefined);
        if (plain !== undefined) expect(text).toBe(plain);
        expect(/[\ud800-\udbff]/u.test(text)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  test('of the length that a string of 9P may have comes back', () => {
    const worst = Buffer.alloc(0xffff, 0xc3);
    expect(byteLength(decodeText(worst))).toBe(0xffff);
    expect(encodeText(decodeText(worst)).equals(worst)).toBe(true);
  });
});

test.each([
  ['a byte that begins nothing', [0x61, 0xff, 0x62], 'a\udcffb'],
  ['Latin-1', [0x63, 0x61, 0x66, 0xe9], 'caf\udce9'],
  ['a lone continuation byte', [0x80], '\udc80'],
  ['an overlong slash', [0xc0, 0xaf], '\udcc0\udcaf'],
  ['an overlong slash of three bytes', [0xe0, 0x80, 0xaf], '\udce0\udc80\udcaf'],
  ['a surrogate', [0xed, 0xa0, 0x80], '\udced\udca0\udc80'],
  ['an escape in UTF-8', [0xed, 0xb3, 0xbf], '\udced\udcb3\udcbf'],
  ['a pair of surrogates', [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80], '\udced\udca0\udcbd\udced\udcb8\udc80'],
  ['above U+10FFFF', [0xf4, 0x90, 0x80, 0x80], '\udcf4\udc90\udc80\udc80'],
  ['a cut character before a whole one', [0xe2, 0x82, 0xc3, 0xa9], '\udce2\udc82é'],
  ['a byte order mark', [0xef, 0xbb, 0xbf, 0x78], '\ufeffx'],
  ['the replacement character', [0xef, 0xbf, 0xbd], '\ufffd'],
])('%s', (_what, list, text) => {
  const bytes = Buffer.from(list);
  expect(decodeText(bytes)).toBe(text);
  expect(encodeText(text)).toEqual(bytes);
});

test('a pair with a half that alone would be an escape is one character', () => {
  const text = '\ud800\udc80';
  expect(encodeText(text)).toEqual(Buffer.from('f0908280', 'hex'));
  expect(encodeText(`${text}\udcff`)).toEqual(Buffer.from('f0908280ff', 'hex'));
  expect(byteLength(`${text}\udc80\udcff`)).toBe(6);
});

test('escapes that a program puts side by side may be UTF-8 as bytes, and come back as that', () => {
  expect(encodeText('\udcc3\udca9')).toEqual(Buffer.from('é'));
  expect(byteLength('\udcc3\udca9')).toBe(2);
});

test.each([
  ['a high one', 'ab\ud800c', 'U+D800 at 2'],
  ['the last of the high ones', '\udbff', 'U+DBFF at 0'],
  ['a low one below the escapes', 'x\udc7f', 'U+DC7F at 1'],
  ['a low one above them', 'x\udcff\udd00', 'U+DD00 at 2'],
  ['a high one in front of a pair', '\ud83d\ud83d\ude00', 'U+D83D at 0'],
])('%s of the lone surrogates stands for no bytes', (_what, text, where) => {
  expect(() => encodeText(text)).toThrow(expect.objectContaining({ errno: errno.EILSEQ }));
  expect(() => encodeText(text)).toThrow(where);
});

test('text is written at its place, and nothing beside it', () => {
  for (const text of ['plain', 'grüße', 'caf\udce9', '\udcff', '']) {
    const length = byteLength(text);
    const around = Buffer.alloc(length + 4, 0xaa);
    writeText(text, around, 2, length);
    expect(around.subarray(2, 2 + length)).toEqual(encodeText(text));
    expect([...around.subarray(0, 2), ...around.subarray(2 + length)]).toEqual([0xaa, 0xaa, 0xaa, 0xaa]);
  }
});

describe('in a log', () => {
  test.each([
    ['plain "text"\n', String.raw`"plain \"text\"\n"`],
    ['a\udcff', String.raw`"a\xff"`],
    ['caf\udce9 \udc80', String.raw`"caf\xe9 \x80"`],
    [String.raw`\udcff`, String.raw`"\\udcff"`],
    ['\\\udcff', String.raw`"\\\xff"`],
    ['\u001b[31m\udcff', String.raw`"\u001b[31m\xff"`],
    ['\ud800', String.raw`"\ud800"`],
    ['😀', '"😀"'],
  ])('%j is %s', (text, shown) => {
    expect(quote(text)).toBe(shown);
  });

  test('no two texts look alike, and each is one well-formed line', () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, (one, other) => {
        const [a, b] = [quote(decodeText(one)), quote(decodeText(other))];
        expect(a === b).toBe(one.equals(other));
        expect(a.isWellFormed()).toBe(true);
        expect([...a].every((character) => character >= ' ')).toBe(true);
      }),
    );
  });

  test('a long one is cut', () => {
    expect(quoteStart('x'.repeat(10), 4)).toBe('"xxxx..."');
    expect(quoteStart('xxxx', 4)).toBe('"xxxx"');
  });
});
