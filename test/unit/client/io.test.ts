// Reads and writes of any length against a file in memory, whatever the server's msize, iounit and short transfers: the
// bytes are right, the receive memory is bounded and comes back once, and what a write reports is what is in the file.

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { chunkSize, read, write } from '../../../src/client/io.ts';
import { Abort } from '../../../src/common/abort.ts';
import { slabSize } from '../../../src/common/bufpool.ts';
import { errno } from '../../../src/common/errno.ts';
import { FilePeer } from '../../support/filepeer.ts';
import { expectCancelled, expectIdle, expectNothingAfterEnd } from '../../support/leaks.ts';
import { type Attached, attached, type ScriptedOptions, turn } from '../../support/scripted.ts';

let { client, calls, root } = {} as Attached;
let file: FilePeer;

async function begin(bytes: Uint8Array, options: ScriptedOptions = {}): Promise<void> {
  client?.close();
  const made = await attached({ msize: 4096, ...options });
  ({ client, calls, root } = made);
  file = new FilePeer(made.server, bytes);
}

/** Bytes that tell every place from every other. */
function pattern(length: number, seed = 7): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0, x = seed; i < length; i++) {
    x = (x * 1103515245 + 12345) & 0x7fffffff;
    bytes[i] = x >> 16;
  }
  return bytes;
}

const CHUNK = 4096 - 24;

beforeEach(() => begin(pattern(30_000)));
afterEach(async () => {
  vi.useRealTimers();
  await expectNothingAfterEnd(client);
});

async function readAll(offset: number, size: number, end?: number): Promise<Buffer> {
  const { data, release } = await read(calls, root, offset, size, { whole: true, end });
  const copy = Buffer.from(data);
  release();
  return copy;
}

/** How a server cuts its transfers short: the n-th moves at most sizes[n]. */
function shortened(sizes: readonly number[]): (count: number) => number {
  let turns = 0;
  return (count) => (sizes.length === 0 ? count : Math.max(1, sizes[turns++ % sizes.length]!));
}

const world = fc.record({
  length: fc.nat(40_000),
  offset: fc.nat(45_000),
  size: fc.integer({ min: 1, max: 30_000 }),
  msize: fc.integer({ min: 4096, max: 20_000 }),
  iounit: fc.oneof(fc.constant(0), fc.integer({ min: 500, max: 20_000 })),
  // few bytes at a time only where it is done in few turns
  sizes: fc.array(fc.integer({ min: 300, max: 20_000 }), { maxLength: 5 }),
  cut: fc.array(fc.integer({ min: 7, max: 9000 }), { maxLength: 3 }),
});

describe('a read', () => {
  test('gives the bytes of the file, however the server and the transport cut them', async () => {
    await fc.assert(
      fc.asyncProperty(
        world,
        fc.constantFrom('none', 'right', 'too small'),
        async ({ length, offset, size, msize, iounit, sizes, cut }, hint) => {
          const bytes = pattern(length);
          await begin(bytes, { msize, cut: [{}, { chunks: cut }] });
          root.iounit = iounit;
          file.limit = shortened(sizes);
          const end = hint === 'none' ? undefined : hint === 'right' ? length : Math.floor(length / 2);
          const got = await readAll(offset, size, end);
          const wanted = bytes.subarray(offset, offset + size);
          // a hint that is too small may end the read exactly there, nowhere else
          const cutShort = hint === 'too small' && end !== undefined && offset + got.length === end;
          expect(got.equals(cutShort ? wanted.subarray(0, got.length) : wanted)).toBe(true);
          for (const request of file.asked) {
            expect(request.type === 'Tread' && request.count <= chunkSize(calls, root)).toBe(true);
          }
          await expectIdle(client, 1);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('asks for all of its chunks at once', async () => {
    file.holds = () => true;
    const reading = readAll(0, 5 * CHUNK);
    await vi.waitFor(() => expect(file.held).toHaveLength(5));
    file.release();
    expect((await reading).equals(file.bytes.subarray(0, 5 * CHUNK))).toBe(true);
    await expectIdle(client, 1);
  });

  test('asks no more where it comes to the known end, and once more where the end is not known', async () => {
    await begin(pattern(CHUNK + 10));
    expect((await readAll(0, 3 * CHUNK, CHUNK + 10)).length).toBe(CHUNK + 10);
    expect(file.asked).toHaveLength(2);
    file.asked.length = 0;
    expect((await readAll(0, 3 * CHUNK)).length).toBe(CHUNK + 10);
    expect(file.asked.map((request) => request.offset)).toEqual([0, CHUNK, 2 * CHUNK, CHUNK + 10]);
    await expectIdle(client, 1);
  });

  test('goes on where the file turns out longer than was known', async () => {
    expect((await readAll(0, 20_000, 5000)).equals(file.bytes.subarray(0, 20_000))).toBe(true);
    file.limit = () => 1000;
    expect((await readAll(0, 20_000, 500)).equals(file.bytes.subarray(0, 20_000))).toBe(true);
    await expectIdle(client, 1);
  });

  test('without `whole` takes one answer for all there is', async () => {
    file.limit = () => 10;
    const { data, release } = await read(calls, root, 0, 3 * CHUNK, { whole: false });
    expect(Buffer.from(data).equals(file.bytes.subarray(0, 10))).toBe(true);
    expect(file.asked).toMatchObject([{ offset: 0, count: CHUNK }]);
    release();
    await expectIdle(client, 1);
  });

  test('beyond the end is empty, and its memory is given back all the same', async () => {
    const { data, release } = await read(calls, root, 90_000, 100, { whole: true, end: 30_000 });
    expect(data.length).toBe(0);
    release();
    await expectIdle(client, 1);
  });

  test('with an error in the middle fails once all of its chunks have settled', async () => {
    file.refuses = ({ offset }) => (offset === CHUNK ? errno.EIO : 0);
    file.holds = ({ offset }) => offset === 3 * CHUNK;
    const settled = vi.fn();
    const reading = readAll(0, 4 * CHUNK);
    reading.then(settled, settled);
    await vi.waitFor(() => expect(file.held).toHaveLength(1));
    await turn();
    expect(settled).not.toHaveBeenCalled();
    file.release();
    await expect(reading).rejects.toMatchObject({ code: 'EIO' });
    await expectIdle(client, 1);
  });

  test('behind its end does not care about errors', async () => {
    await begin(pattern(CHUNK + 5));
    file.refuses = ({ offset }) => (offset > CHUNK + 5 ? errno.EIO : 0);
    expect((await readAll(0, 4 * CHUNK)).length).toBe(CHUNK + 5);
    await expectIdle(client, 1);
  });

  test('larger than the whole pool is refused', async () => {
    await begin(pattern(10), { rxPool: 8192 });
    await expect(readAll(0, 8193)).rejects.toMatchObject({ code: 'ENOBUFS' });
    await expectIdle(client, 1);
  });
});

describe('receive memory', () => {
  test('for one chunk serves fifty readers, one after the other', async () => {
    await begin(pattern(30_000), { rxPool: 4096 });
    const got = await Promise.all(Array.from({ length: 50 }, (_, i) => readAll(i * 500, 4000)));
    for (const [i, bytes] of got.entries())
      expect(bytes.equals(file.bytes.subarray(i * 500, i * 500 + 4000))).toBe(true);
    expect(client.stats.pool).toMatchObject({ capacity: 4096, peak: 4096, waits: 49 });
    await expectIdle(client, 1);
  });

  test('is taken whole before anything is asked: readers of several chunks do not block each other', async () => {
    await begin(pattern(30_000), { rxPool: 3 * 16_384 });
    file.limit = shortened([1000, 3000]);
    const got = await Promise.all(Array.from({ length: 20 }, () => readAll(0, 16_384)));
    for (const bytes of got) expect(bytes.equals(file.bytes.subarray(0, 16_384))).toBe(true);
    expect(client.stats.pool.peak).toBe(3 * 16_384);
    await expectIdle(client, 1);
  });

  test('that a reader waits for is not his when he is aborted', async () => {
    await begin(pattern(30_000), { rxPool: 4096 });
    file.holds = () => true;
    const first = readAll(0, 4000);
    const abort = new Abort();
    const second = read(calls, root, 0, 4000, { whole: true, signal: abort });
    const third = readAll(0, 4000);
    await vi.waitFor(() => expect(file.held).toHaveLength(1));
    expect(client.stats.pool.waiting).toBe(2);
    abort.abort();
    await expectCancelled(second);
    file.release();
    await Promise.all([first, third]);
    expect(file.asked).toHaveLength(2);
    await expectIdle(client, 1);
  });

  test('of a reader that is aborted between its chunks comes back once all of them are over', async () => {
    file.holds = ({ offset }) => offset >= 2 * CHUNK;
    const abort = new Abort();
    const reading = read(calls, root, 0, 4 * CHUNK, { whole: true, signal: abort });
    await vi.waitFor(() => expect(file.held).toHaveLength(2));
    abort.abort();
    await expectCancelled(reading);
    expect(file.flushes).toBe(2);
    expect(client.stats.pool.inUse).toBe(0);
    await expectIdle(client, 1);
  });

  test('stays with the consumer until he gives it back, and he can do so once', async () => {
    const { data, release } = await read(calls, root, 0, 4 * CHUNK, { whole: true });
    expect(client.stats.pool.inUse).toBe(slabSize(4 * CHUNK));
    expect(Buffer.from(data).equals(file.bytes.subarray(0, 4 * CHUNK))).toBe(true);
    release();
    expect(release).toThrow(/twice/);
    await expectIdle(client, 1);
  });
});

describe('a write', () => {
  test('puts the bytes into the file, however few the server takes at a time', async () => {
    await fc.assert(
      fc.asyncProperty(world, fc.boolean(), async ({ length, offset, size, msize, iounit, sizes, cut }, inOrder) => {
        const bytes = pattern(length);
        await begin(bytes, { msize, cut: [{ chunks: cut }, {}] });
        root.iounit = iounit;
        file.limit = shortened(sizes);
        const data = pattern(size, 99);
        expect(await write(calls, root, offset, data, { inOrder })).toBe(size);
        const wanted = Buffer.alloc(Math.max(length, offset + size));
        wanted.set(bytes);
        wanted.set(data, offset);
        expect(file.bytes.equals(wanted)).toBe(true);
        if (inOrder) {
          const offsets = file.asked.map((request) => request.offset);
          expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
        }
        await expectIdle(client, 1);
      }),
      { numRuns: 150 },
    );
  });

  test('that fails somewhere reports what is written from its start without a gap', async () => {
    await fc.assert(
      fc.asyncProperty(world, fc.nat(30_000), fc.boolean(), async ({ size, msize, sizes }, room, inOrder) => {
        await begin(Buffer.alloc(0), { msize });
        file.limit = shortened(sizes);
        // the disk is full at `room`, within a request or between two
        file.refuses = (request) => (request.offset >= room ? errno.ENOSPC : 0);
        const data = pattern(size);
        const writing = write(calls, root, 0, data, { inOrder });
        if (room === 0) await expect(writing).rejects.toMatchObject({ code: 'ENOSPC' });
        else {
          const count = await writing;
          expect(count).toBeGreaterThan(0);
          expect(file.bytes.subarray(0, count).equals(data.subarray(0, count))).toBe(true);
          expect(count === size || count >= room).toBe(true);
        }
        await expectIdle(client, 1);
      }),
      { numRuns: 150 },
    );
  });

  test('in order sends one message after the other; not in order, eight at once', async () => {
    const data = pattern(10 * CHUNK);
    file.holds = () => true;
    const ordered = write(calls, root, 0, data, { inOrder: true });
    await vi.waitFor(() => expect(file.held).toHaveLength(1));
    await turn();
    expect(file.asked).toHaveLength(1);
    file.release();
    expect(await ordered).toBe(data.length);
    file.asked.length = 0;
    file.holds = () => true;
    const any = write(calls, root, 0, data, { inOrder: false });
    await vi.waitFor(() => expect(file.held).toHaveLength(8));
    file.release();
    expect(await any).toBe(data.length);
    await expectIdle(client, 1);
  });

  test('of which the server takes nothing is EIO, not a loop', async () => {
    file.limit = () => 0;
    await expect(write(calls, root, 0, pattern(10), { inOrder: false })).rejects.toMatchObject({ code: 'EIO' });
    expect(file.asked).toHaveLength(1);
    await expect(write(calls, root, 0, pattern(3 * CHUNK), { inOrder: false })).rejects.toMatchObject({ code: 'EIO' });
    await expectIdle(client, 1);
  });

  test('that is aborted after some of it was written reports that much', async () => {
    file.holds = ({ offset }) => offset >= CHUNK;
    const abort = new Abort();
    const writing = write(calls, root, 0, pattern(3 * CHUNK), { inOrder: false, signal: abort });
    await vi.waitFor(() => expect(file.held).toHaveLength(2));
    abort.abort();
    expect(await writing).toBe(CHUNK);
    expect(file.flushes).toBe(2);
    await expectIdle(client, 1);
  });

  test('that is aborted before any of it was written is cancelled', async () => {
    file.holds = () => true;
    const abort = new AbortController();
    const writing = write(calls, root, 0, pattern(3 * CHUNK), { inOrder: true, signal: abort.signal });
    await vi.waitFor(() => expect(file.held).toHaveLength(1));
    abort.abort();
    await expectCancelled(writing);
    await expectIdle(client, 1);
  });
});

test('an AbortSignal bears one listener, however many chunks it aborts', async () => {
  const abort = new AbortController();
  const added = vi.spyOn(abort.signal, 'addEventListener');
  const { release } = await read(calls, root, 0, 7 * CHUNK, { whole: true, signal: abort.signal });
  release();
  await write(calls, root, 0, pattern(7 * CHUNK), { inOrder: false, signal: abort.signal });
  expect(added).toHaveBeenCalledTimes(1);
  await expectIdle(client, 1);
});
