// The frames of test/corpus, which were put together by hand: independent of the encoder, they pin the wire form.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../../../src/common/errors.ts';
import { type Codec, dotlCodec, dotuCodec, legacyCodec } from '../../../../src/wire/p9/codec.ts';
import { FrameReader } from '../../../../src/wire/p9/framing.ts';
import { bytesOf, messageIn } from './frames.ts';

const folder = new URL('../../../corpus/', import.meta.url);
const codecs: Readonly<Record<string, Codec>> = {
  'dotl.txt': dotlCodec,
  'dotu.txt': dotuCodec,
  'legacy.txt': legacyCodec,
};

interface Entry {
  bytes: Buffer;
  kind: '=' | '~' | '!';
  text: string;
}

function entriesOf(file: string): Entry[] {
  const lines = readFileSync(new URL(file, folder), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const joined: string[] = [];
  for (const line of lines) {
    if (line.startsWith(' ')) joined.push(`${joined.pop() ?? ''} ${line.trim()}`);
    else joined.push(line);
  }
  const entries: Entry[] = [];
  for (let i = 0; i < joined.length; i += 2) {
    const digits = joined[i]!.replaceAll(' ', '');
    const [, kind, text] = /^([=~!]) (.*)$/.exec(joined[i + 1] ?? '') ?? [];
    if (!/^([0-9a-f]{2})+$/.test(digits) || text === undefined) throw new Error(`${file}: ${joined[i]}`);
    entries.push({ bytes: Buffer.from(digits, 'hex'), kind: kind as Entry['kind'], text });
  }
  return entries;
}

test('every file of the corpus belongs to a dialect', () => {
  // check.txt holds no frames, but what the rules of the check say
  const files = readdirSync(folder).filter((file) => file.endsWith('.txt') && file !== 'check.txt');
  expect(files.sort()).toEqual(Object.keys(codecs));
});

describe.each(Object.entries(codecs))('%s', (file, codec) => {
  const entries = entriesOf(file);
  const good = entries.filter(({ kind }) => kind !== '!');

  test.each(good)('$text', ({ bytes, kind, text }) => {
    const message = messageIn(bytes, codec);
    expect(codec.format(message)).toBe(text);
    if (kind === '=') expect(bytesOf(message, codec)).toEqual(bytes);
    else expect(bytesOf(message, codec)).not.toEqual(bytes);
  });

  test.each(entries.filter(({ kind }) => kind === '!'))('refused: $text', ({ bytes, text }) => {
    expect(() => messageIn(bytes, codec)).toThrow(ProtocolError);
    expect(() => messageIn(bytes, codec)).toThrow(text);
  });

  test('as one stream, in order', () => {
    const lines: string[] = [];
    const reader = new FrameReader(8192, {
      frame: (bytes, start, end, payload) => lines.push(codec.format(codec.decode(bytes, start, end, payload))),
    });
    reader.push(Buffer.concat(good.map(({ bytes }) => bytes)));
    expect(lines).toEqual(good.map(({ text }) => text));
    expect(reader.idle).toBe(true);
  });
});
