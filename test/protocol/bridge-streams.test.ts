// Files that were empty when they were opened and have been written to: some have a length from then on and are read as files are,
// some answer to what was written and show none, and are read as their answers come.

import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FileHandle, NodeId } from '../../src/common/brand.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import type { MessageName } from '../../src/wire/p9/messages.ts';
import { type Bridged, bridged, caller } from '../support/bridged.ts';
import { expectIdle, expectNothingAfterEnd } from '../support/leaks.ts';
import { getattr } from '../support/scripted.ts';

const ROOT = 1 as NodeId;
const SIZE = 4096;
const FLAGS = { fromCache: false, killSuidGid: false, openFlags: OPEN.RDWR, lockOwner: 0n };

let at: Bridged;
let file: NodeId;
let fh: FileHandle;
/** What the server says of its length. */
let length: number;
/** What it has to say to the next reads; one more would wait for ever. */
let replies: string[];

beforeEach(async () => {
  at = await bridged();
  length = 0;
  replies = [];
  const { files } = at;
  file = (await at.ops.lookup(caller(), ROOT, 'file')).nodeid as NodeId;
  const { qid } = at.bridge.nodes.get(file).stat;
  at.bridge.nodes.get(file).truncated(0);
  files.before = (message) => {
    if (message.type === 'Tgetattr') return files.say(message, { ...getattr, qid, size: length });
    if (message.type !== 'Tread') return false;
    const data = replies.shift();
    return data === undefined || files.say(message, { data: Buffer.from(data) });
  };
  ({ fh } = await at.ops.open(caller(), file, OPEN.RDWR, false));
});
afterEach(async () => {
  at.files.before = undefined;
  await at.ops.release(caller(), file, fh);
  at.ops.forget(file, 1);
  await expectIdle(at.client, 1);
  await expectNothingAfterEnd(at.client);
});

const count = (type: MessageName) => at.files.received.filter((message) => message.type === type).length;

async function write(text: string, offset = 0): Promise<void> {
  expect(await at.ops.write(caller(), file, fh, offset, Buffer.from(text), FLAGS)).toBe(text.length);
}

async function read(offset: number): Promise<string> {
  const { data, release } = (await at.ops.read(caller(), file, fh, offset, SIZE, 0)) as {
    data: Buffer;
    release(): void;
  };
  const text = data.toString();
  release();
  return text;
}

test.each([0, 10])('what answers to writes, and shows no length, is read as it comes, at %i', async (offset) => {
  replies = ['an answer', 'more of it'];
  await write('a question');
  expect(await read(offset)).toBe('an answer');
  expect(await read(offset + 9)).toBe('more of it');
  replies = ['another'];
  await write('and again?');
  expect(await read(offset)).toBe('another');
});

test('what has a length when it was written to is a file: a short answer is not its end', async () => {
  await write('0123456789');
  length = 10;
  replies = ['0123', '456789'];
  expect(await read(0)).toBe('0123456789');
  const asked = count('Tgetattr');
  await write('abcdef', 10);
  length = 16;
  replies = ['0123456789', 'abcdef'];
  expect(await read(0)).toBe('0123456789abcdef');
  // once is enough
  expect(count('Tgetattr')).toBe(asked);
});
