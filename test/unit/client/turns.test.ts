// What a server's numbers can make of one read or write: never more than a bounded number of chunks on their way, whatever
// iounit it names; and how those who want many share what there is with each other, and with those who want little.

import { afterEach, describe, expect, test } from 'vitest';
import { read, write } from '../../../src/client/io.ts';
import { Abort } from '../../../src/common/abort.ts';
import { errno } from '../../../src/common/errno.ts';
import { FilePeer } from '../../support/filepeer.ts';
import { expectCancelled, expectIdle, expectNothingAfterEnd } from '../../support/leaks.ts';
import { type Attached, attached, type ScriptedOptions, turn } from '../../support/scripted.ts';

/** By one transfer, and by all of a connection. */
const OF_ONE = 64;
const OF_ALL = 256;
const MIB = 1024 * 1024;
const WRITES_AT_ONCE = 8;

let { client, calls, root } = {} as Attached;
let file: FilePeer;

async function begin(bytes: Uint8Array, options: ScriptedOptions = {}): Promise<void> {
  const made = await attached({ msize: 4096, ...options });
  ({ client, calls, root } = made);
  file = new FilePeer(made.server, bytes);
}

afterEach(() => expectNothingAfterEnd(client));

const CHUNK = 4096 - 24;
const text = (length: number) => Buffer.alloc(length, 'every byte says where it is. ');

/** Reads it all, and says what came. */
async function readAll(offset: number, size: number, signal?: Abort): Promise<Buffer> {
  const { data, release } = await read(calls, root, offset, size, { whole: true, signal });
  const copy = Buffer.from(data);
  release();
  return copy;
}

/** Turns of the loop until nothing more is asked. */
async function asked(): Promise<number> {
  for (let before = -1; before < file.asked.length; ) {
    before = file.asked.length;
    for (let i = 0; i < 5; i++) await turn();
  }
  return file.asked.length;
}

describe('a server that names an iounit of 1', () => {
  test('is asked for pages all the same', async () => {
    const bytes = text(128 * 1024);
    await begin(bytes, { msize: MIB + 24 });
    root.iounit = 1;
    expect((await readAll(0, bytes.length)).equals(bytes)).toBe(true);
    expect(file.asked.map((request) => request.type === 'Tread' && request.count)).toEqual(Array(32).fill(4096));
    file.asked.length = 0;
    expect(await write(calls, root, 0, text(20_000), { inOrder: true })).toBe(20_000);
    expect(file.asked.map((request) => request.offset)).toEqual([0, 4096, 8192, 12_288, 16_384]);
    await expectIdle(client, 1);
  });

  test('gets it where it refuses more, a bounded number of messages at a time', async () => {
    const bytes = text(3000);
    await begin(bytes);
    root.iounit = 1;
    const length = (request: (typeof file.asked)[number]) =>
      request.type === 'Tread' ? request.count : request.data.length;
    for (const refusal of [errno.EMSGSIZE, errno.EINVAL]) {
      root.insists = false;
      file.refuses = (request) => (length(request) > 1 ? refusal : 0);
      expect((await readAll(0, 1000)).equals(bytes.subarray(0, 1000))).toBe(true);
      // it is known now, also where several of these are under way
      file.holds = () => true;
      const reading = readAll(0, 3000);
      expect((await asked()) - 1001).toBe(OF_ONE);
      file.release();
      expect((await reading).equals(bytes)).toBe(true);
      expect(file.asked.filter((request) => length(request) > 1)).toHaveLength(1);
      root.insists = false;
      file.asked.length = 0;
      expect(await write(calls, root, 0, text(500), { inOrder: false })).toBe(500);
      expect(file.asked).toHaveLength(501);
      file.asked.length = 0;
    }
    await expectIdle(client, 1);
  });

  test('may refuse for another reason, and is not asked again', async () => {
    await begin(text(3000));
    root.iounit = 1;
    file.refuses = () => errno.EIO;
    await expect(readAll(0, 1000)).rejects.toMatchObject({ code: 'EIO' });
    await expect(write(calls, root, 0, text(500), { inOrder: false })).rejects.toMatchObject({ code: 'EIO' });
    file.refuses = () => errno.EINVAL;
    root.iounit = 0;
    await expect(readAll(0, 1000)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(file.asked).toHaveLength(3);
    await expectIdle(client, 1);
  });
});

test('an iounit of a page or more is heeded', async () => {
  const bytes = text(20_000);
  await begin(bytes, { msize: 65_536 });
  root.iounit = 5000;
  expect((await readAll(0, bytes.length)).equals(bytes)).toBe(true);
  expect(file.asked.map((request) => request.type === 'Tread' && request.count).slice(0, 4)).toEqual(
    Array(4).fill(5000),
  );
  await expectIdle(client, 1);
});

describe('chunks on their way', () => {
  test('of one read are bounded; each that is answered is followed by one', async () => {
    const bytes = text(200 * CHUNK);
    await begin(bytes);
    file.holds = () => true;
    const reading = readAll(0, bytes.length);
    expect(await asked()).toBe(OF_ONE);
    file.answerHeld(3);
    expect(await asked()).toBe(OF_ONE + 3);
    expect(client.stats.chunks).toMatchObject({ inFlight: OF_ONE, waiting: 0 });
    file.release();
    expect((await reading).equals(bytes)).toBe(true);
    expect(client.stats.chunks.peak).toBe(OF_ONE);
    await expectIdle(client, 1);
  });

  test('of all reads and writes together are bounded, and a small read is asked at once', async () => {
    const bytes = text(100 * CHUNK);
    await begin(bytes);
    file.holds = () => true;
    const readers = Array.from({ length: 20 }, () => readAll(0, bytes.length));
    const writer = write(calls, root, 0, bytes, { inOrder: false });
    expect(await asked()).toBe(OF_ALL);
    expect(client.stats).toMatchObject({ tags: OF_ALL, queued: 0, chunks: { inFlight: OF_ALL, waiting: 17 } });
    const small = readAll(5, 10);
    expect(await asked()).toBe(OF_ALL + 1);
    file.release();
    for (const reading of readers) expect((await reading).equals(bytes)).toBe(true);
    expect(await writer).toBe(bytes.length);
    expect((await small).equals(bytes.subarray(5, 15))).toBe(true);
    expect(client.stats.chunks.peak).toBe(OF_ALL);
    await expectIdle(client, 1);
  });

  test('are bounded in bytes too: of one, and of all', async () => {
    await begin(Buffer.alloc(0), { msize: MIB + 24 });
    file.holds = () => true;
    const data = Buffer.alloc(12 * MIB);
    const writers = Array.from({ length: 3 }, () => write(calls, root, 0, data, { inOrder: false }));
    expect(await asked()).toBe(16);
    expect(client.stats.chunks).toMatchObject({ inFlight: 16, waiting: 1 });
    file.release();
    expect(await Promise.all(writers)).toEqual(Array(3).fill(data.length));
    await expectIdle(client, 1);
  });
});

test('a small read, and a listing, are not kept waiting for memory by large ones', async () => {
  const bytes = text(MIB);
  await begin(bytes, { msize: MIB + 24, rxPool: 4 * MIB });
  file.holds = () => true;
  const large = Array.from({ length: 6 }, () => readAll(0, MIB));
  expect(await asked()).toBe(3);
  expect(client.stats.pool).toMatchObject({ waiting: 3 });
  const small = [readAll(5, 4096), readAll(0, 65_536)];
  expect(await asked()).toBe(5);
  file.release();
  for (const reading of large) expect((await reading).equals(bytes)).toBe(true);
  expect((await Promise.all(small)).map(({ length }) => length)).toEqual([4096, 65_536]);
  await expectIdle(client, 1);
});

describe('a read', () => {
  test('of a few chunks is not kept waiting for one of many', async () => {
    const bytes = text(1000 * CHUNK);
    await begin(bytes);
    file.holds = () => true;
    const many = Array.from({ length: 5 }, () => readAll(0, bytes.length));
    expect(await asked()).toBe(OF_ALL);
    const few = readAll(100, 3 * CHUNK);
    expect(await asked()).toBe(OF_ALL);
    // one turn for each of those that wait, round and round: this one, the fifth of the many, and the one that is answered
    for (let i = 0; i < 3 * 3; i++) {
      file.answerHeld(1);
      await asked();
    }
    expect(file.asked.slice(OF_ALL).filter(({ offset }) => offset % CHUNK === 100)).toHaveLength(3);
    file.release();
    expect((await few).equals(bytes.subarray(100, 100 + 3 * CHUNK))).toBe(true);
    await Promise.all(many);
    await expectIdle(client, 1);
  });

  test('that is aborted while it waits for its turn asks nothing, and one on its way sends no more', async () => {
    const bytes = text(100 * CHUNK);
    await begin(bytes);
    file.holds = () => true;
    const abort = new Abort();
    const others = Array.from({ length: 4 }, () => readAll(0, bytes.length, abort));
    expect(await asked()).toBe(OF_ALL);
    const own = new Abort();
    const waiting = readAll(0, bytes.length, own);
    expect(client.stats.chunks.waiting).toBe(1);
    own.abort();
    await expectCancelled(waiting);
    expect(client.stats.chunks.waiting).toBe(0);
    await expectCancelled(readAll(0, bytes.length, own));
    abort.abort();
    for (const other of others) await expectCancelled(other);
    expect([await asked(), file.flushes]).toEqual([OF_ALL, OF_ALL]);
    await expectIdle(client, 1);
  });

  test('behind whose first chunks there is nothing asks for no more than was on its way', async () => {
    const bytes = text(2 * CHUNK + 5);
    await begin(bytes);
    expect((await readAll(0, 1000 * CHUNK)).equals(bytes)).toBe(true);
    expect(file.asked.length).toBeLessThanOrEqual(2 * OF_ONE);
    file.refuses = ({ offset }) => (offset >= CHUNK ? errno.EIO : 0);
    file.asked.length = 0;
    await expect(readAll(0, 1000 * CHUNK)).rejects.toMatchObject({ code: 'EIO' });
    expect(file.asked.length).toBeLessThanOrEqual(2 * OF_ONE);
    await expectIdle(client, 1);
  });

  test('ends with its connection, wherever its chunks are', async () => {
    const bytes = text(100 * CHUNK);
    await begin(bytes);
    file.holds = () => true;
    const readers = Array.from({ length: 6 }, () => readAll(0, bytes.length));
    const settled = Promise.allSettled(readers);
    await asked();
    client.close();
    for (const each of await settled) expect(each).toMatchObject({ status: 'rejected', reason: client.error });
  });
});

test('a write of many chunks has eight on their way', async () => {
  await begin(Buffer.alloc(0));
  file.holds = () => true;
  const data = text(100 * CHUNK);
  const writing = write(calls, root, 0, data, { inOrder: false });
  expect(await asked()).toBe(WRITES_AT_ONCE);
  file.answerHeld(1);
  expect(await asked()).toBe(WRITES_AT_ONCE + 1);
  file.release();
  expect(await writing).toBe(data.length);
  expect(file.bytes.equals(data)).toBe(true);
  await expectIdle(client, 1);
});
