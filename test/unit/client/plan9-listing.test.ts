// Listings of the dialects in which a directory is read like a file: where the reads begin, and that a place in a listing
// means the same however it is come to. The server here is as strict as read(9P): from the start, or on from the last read.

import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import type { Connection } from '../../../src/client/connection.ts';
import type { Dialect, ListedDirent } from '../../../src/client/dialects/dialect.ts';
import { Plan9Calls } from '../../../src/client/dialects/plan9-calls.ts';
import { Listings } from '../../../src/client/dialects/plan9-listing.ts';
import type { Fid } from '../../../src/client/fids.ts';
import { Session } from '../../../src/client/session.ts';
import { Abort } from '../../../src/common/abort.ts';
import { ProtocolError } from '../../../src/common/errors.ts';
import { Writer } from '../../../src/common/writer.ts';
import { DM, QT } from '../../../src/wire/p9/constants.ts';
import { type Stat, statSize, UNTOUCHED, writeStat } from '../../../src/wire/p9/stat.ts';
import { expectCancelled, expectEnded, expectIdle, expectNothingAfterEnd } from '../../support/leaks.ts';
import { type Scripted, scripted } from '../../support/scripted.ts';

let client: Connection;
let server: Scripted;
let dialect: Dialect;
let dir: Fid;

const entry = (name: string, mode = 0o644, extension = ''): Stat => ({
  ...UNTOUCHED,
  name,
  mode,
  extension,
  length: 0,
});

function bytesOf(stat: Stat): Buffer {
  const writer = Writer.sized(statSize(stat, true));
  writeStat(writer, stat, true);
  return Buffer.from(writer.bytes);
}

async function begin(): Promise<void> {
  client?.close();
  ({ client, server } = await scripted({ version: '9P2000.u', msize: 4096 }));
  ({ dialect } = new Session(client));
  const attaching = dialect.attach('me', '', 0);
  await server.serve('Tattach', 'Rattach', { qid: { type: QT.DIR, version: 0, path: 1n } });
  dir = await attaching;
}

afterEach(() => expectNothingAfterEnd(client));

/** Serves these entries from now on, whole ones, and only where a read may begin. Returns the offsets that were asked for. */
function serveEntries(entries: () => readonly Buffer[]): number[] {
  const offsets: number[] = [];
  let next = 0;
  /** The entry at which the next read goes on: a place among the names, not a byte. */
  let at = 0;
  server.answer = (message) => {
    if (message.type === 'Tclunk') return server.reply(message.tag, 'Rclunk', {});
    if (message.type !== 'Tread') throw new Error(message.type);
    const { offset, count } = message;
    offsets.push(offset);
    if (offset !== 0 && offset !== next) {
      return server.reply(message.tag, 'Rerror', { ename: 'bad offset in directory read', ecode: 0 });
    }
    if (offset === 0) at = 0;
    const all = entries();
    const parts: Buffer[] = [];
    for (let size = 0; at < all.length && size + all[at]!.length <= count; at++) {
      parts.push(all[at]!);
      size += all[at]!.length;
    }
    const data = Buffer.concat(parts);
    next = offset + data.length;
    server.reply(message.tag, 'Rread', { data });
  };
  return offsets;
}

async function rest(offset: bigint): Promise<ListedDirent[]> {
  const all: ListedDirent[] = [];
  for (let at = offset; ; ) {
    const some = await dialect.readdir(dir, at, 4096);
    const last = some.at(-1);
    if (last === undefined) return all;
    all.push(...some);
    at = last.offset;
  }
}

const namesOf = (entries: readonly ListedDirent[]) => entries.map(({ name }) => name);
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `file-${i}`);

test('a listing is read on from where it ended, with . and .. before it', async () => {
  await begin();
  const names = numbered(200);
  const offsets = serveEntries(() => names.map((name) => bytesOf(entry(name))));
  const found = await rest(0n);
  expect(namesOf(found)).toEqual(['.', '..', ...names]);
  expect(found[0]?.qid).toEqual(dir.qid);
  expect(offsets.length).toBeGreaterThan(3);
  expect(new Set(offsets).size).toBe(offsets.length);
  await expectIdle(client, 1);
});

test('entries have the type that their stat says', async () => {
  await begin();
  const stats: [Stat, number][] = [
    [entry('file'), 8],
    [entry('dir', DM.DIR + 0o755), 4],
    [entry('link', DM.SYMLINK + 0o777, 'to'), 10],
    [entry('pipe', DM.NAMEDPIPE + 0o644), 1],
    [entry('char', DM.DEVICE + 0o644, 'c 1 3'), 2],
    [entry('block', DM.DEVICE + 0o644, 'b 1 3'), 6],
    [entry('socket', DM.SOCKET + 0o644), 12],
  ];
  serveEntries(() => stats.map(([stat]) => bytesOf(stat)));
  expect((await rest(2n)).map(({ name, type }) => [name, type])).toEqual(stats.map(([{ name }, type]) => [name, type]));
});

test('names that no directory can hold have no name, and those of the server for itself and its parent neither', async () => {
  await begin();
  serveEntries(() => ['a/b', '.', '..', 'good', ''].map((name) => bytesOf(entry(name))));
  expect(namesOf(await rest(2n))).toEqual([undefined, undefined, undefined, 'good', undefined]);
});

test('any walk through a listing shows what one from its start shows from there', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(300), { minLength: 1, maxLength: 6 }), async (places) => {
      await begin();
      const names = numbered(300);
      serveEntries(() => names.map((name) => bytesOf(entry(name))));
      const whole = await rest(0n);
      for (const place of places) {
        const from = whole[place]!;
        expect(namesOf(await rest(from.offset))).toEqual(namesOf(whole.slice(place + 1)));
      }
    }),
    { numRuns: 20 },
  );
});

test('a place stays the same when entries before it are removed', async () => {
  await begin();
  let names = numbered(300);
  serveEntries(() => names.map((name) => bytesOf(entry(name))));
  const whole = await rest(0n);
  names = names.slice(50);
  expect(namesOf(await rest(whole[100]!.offset))).toEqual(namesOf(whole.slice(101)));
  // from the start it is what there is now
  expect(namesOf(await rest(0n))).toEqual(['.', '..', ...names]);
});

test('more than is kept is read again from the start', async () => {
  await begin();
  const all = numbered(40_000).map((name) => bytesOf(entry(name)));
  serveEntries(() => all);
  const whole = await rest(0n);
  expect(whole.length).toBe(all.length + 2);
  const again = await dialect.readdir(dir, whole[10]!.offset, 4096);
  expect(again[0]?.name).toBe(whole[11]?.name);
  await expectIdle(client, 1);
});

test('what is kept of names as long as a server likes is bounded in bytes too', async () => {
  await begin();
  const all = numbered(2000).map((name) => bytesOf(entry(name.padEnd(3000, '-'))));
  const offsets = serveEntries(() => all);
  const whole = await rest(0n);
  expect(whole.length).toBe(all.length + 2);
  offsets.length = 0;
  // half of it is there at least, the rest is read again
  const near = await dialect.readdir(dir, whole.at(-500)!.offset, 4096);
  expect([near[0]?.name, offsets]).toEqual([whole.at(-499)?.name, []]);
  const far = await dialect.readdir(dir, whole[10]!.offset, 4096);
  expect([far[0]?.name, offsets[0]]).toEqual([whole[11]?.name, 0]);
  await expectIdle(client, 1);
});

test('of many open directories the entries of those that were read last are kept', async () => {
  await begin();
  const all = Buffer.concat(numbered(10).map((name) => bytesOf(entry(name))));
  const asked: [fid: number, offset: number][] = [];
  server.answer = (message) => {
    if (message.type === 'Twalk') return server.reply(message.tag, 'Rwalk', { qids: [] });
    if (message.type === 'Tclunk') return server.reply(message.tag, 'Rclunk', {});
    if (message.type !== 'Tread') throw new Error(message.type);
    asked.push([message.fid, message.offset]);
    server.reply(message.tag, 'Rread', { data: message.offset === 0 ? all : Buffer.alloc(0) });
  };
  const dirs: Fid[] = [];
  // room for sixteen of them
  const listings = new Listings(new Plan9Calls(client), true, 16 * all.length);
  for (let i = 0; i < 20; i++) {
    dirs.push(await dialect.walk(dir, []));
    await listings.read(dirs[i]!, 0n, 4096);
  }
  const third = (await listings.read(dirs[19]!, 0n, 4096))[2]!;
  asked.length = 0;
  for (const each of dirs.toReversed()) {
    expect((await listings.read(each, third.offset, 4096))[0]?.name).toBe('file-1');
  }
  const forgotten = dirs.slice(0, 4).toReversed();
  expect(asked).toEqual(forgotten.map(({ number }) => [number, 0]));
  for (const each of dirs) client.fids.close(each);
  await expectIdle(client, 1);
});

test('a read that was flushed is followed by one from the start', async () => {
  await begin();
  const names = numbered(60);
  const first = dialect.readdir(dir, 0n, 4096);
  const { tag } = await server.next('Tread');
  const blocks = names.map((name) => bytesOf(entry(name)));
  const data = Buffer.concat(blocks.slice(0, 30));
  server.reply(tag, 'Rread', { data });
  const last = (await first).at(-1)!;
  const abort = new Abort();
  const second = dialect.readdir(dir, last.offset, 4096, abort);
  expect((await server.next('Tread')).offset).toBe(data.length);
  abort.abort();
  await server.serve('Tflush', 'Rflush', {});
  await expectCancelled(second);
  const offsets = serveEntries(() => blocks);
  expect(namesOf(await rest(last.offset))).toEqual(names.slice(30));
  expect(offsets[0]).toBe(0);
  await expectIdle(client, 1);
});

test.each([
  ['cut', (whole: Buffer) => whole.subarray(0, -1)],
  [
    'with a size that is not its own',
    (whole: Buffer) => Buffer.concat([Buffer.from([whole[0]! - 1, 0]), whole.subarray(2, -1)]),
  ],
])('an entry %s ends the connection', async (_what, spoil) => {
  await begin();
  const reading = dialect.readdir(dir, 2n, 4096).catch((error: Error) => error);
  const { tag } = await server.next('Tread');
  server.reply(tag, 'Rread', { data: spoil(bytesOf(entry('file'))) });
  expect(await reading).toBeInstanceOf(ProtocolError);
  await expectEnded(client, ProtocolError);
});
