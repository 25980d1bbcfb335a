// Corners of the protocol: Tflush, the order of replies, tags that nobody asked for, and the end of a session.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { read } from '../../src/client/io.ts';
import { Abort } from '../../src/common/abort.ts';
import { errno } from '../../src/common/errno.ts';
import { ProtocolError } from '../../src/common/errors.ts';
import { faultsTree } from '../../src/server/server.ts';
import { dotlCodec } from '../../src/wire/p9/codec.ts';
import { expectCancelled, expectEnded, expectIdle, expectNothingAfterEnd } from '../support/leaks.ts';
import { type Attached, attached, getattr, qid, turn } from '../support/scripted.ts';
import { serveAny } from '../support/served.ts';

let { client, server, calls, root } = {} as Attached;

beforeEach(async () => {
  ({ client, server, calls, root } = await attached());
});
afterEach(async () => {
  vi.useRealTimers();
  await expectNothingAfterEnd(client);
});

/** Both in one piece, as they would come from a server that wrote them at once. */
function together(...replies: [name: 'Rflush' | 'Rgetattr' | 'Rwalk', tag: number, body: object][]): void {
  const frames = replies.map(([name, tag, body]) => dotlCodec.encode(name, tag, body as never).head);
  server.raw(Buffer.concat(frames));
}

async function flushing(): Promise<{ call: Promise<unknown>; tag: number; flush: number }> {
  const abort = new Abort();
  const call = calls.getattr(root, 1, abort);
  const { tag } = await server.next('Tgetattr');
  abort.abort();
  return { call, tag, flush: (await server.next('Tflush')).tag };
}

describe('Tflush: no Rerror ever; Rflush answers all earlier flushes; server may answer only the last', () => {
  const corner = 'Tflush: no Rerror ever; Rflush answers all earlier flushes; server may answer only the last';

  test(`${corner}: a request is flushed once, however often its caller gives up`, async () => {
    const abort = new Abort();
    const call = calls.getattr(root, 1, abort);
    await server.next('Tgetattr');
    abort.abort();
    const { tag } = await server.next('Tflush');
    abort.abort({ dying: true });
    await server.quiet();
    server.reply(tag, 'Rflush', {});
    await expectCancelled(call);
    await expectIdle(client, 1);
  });

  test(`${corner}: a server that refuses a Tflush has answered it`, async () => {
    const { call, flush } = await flushing();
    server.reply(flush, 'Rlerror', { ecode: errno.EINVAL });
    await expectCancelled(call);
    await expectIdle(client, 1);
  });

  test(`${corner}: the server answers each, in their order, and none with an error`, async () => {
    const served = serveAny(faultsTree());
    const raw = await served.connect();
    const fid = await raw.open('hang', 2);
    const oldtag = raw.send('Tread', { fid, offset: 0, count: 10 });
    const flushes = [oldtag, oldtag, oldtag, 0x1234, 0xffff].map((each) => raw.send('Tflush', { oldtag: each }));
    for (const tag of flushes) expect((await raw.reply(tag)).type).toBe('Rflush');
    const answered = raw.log.filter((line) => line.startsWith('Rflush')).map((line) => Number(line.split(' ')[1]));
    expect(answered.filter((tag) => flushes.slice(0, 3).includes(tag))).toEqual(flushes.slice(0, 3));
    expect(raw.log.filter((line) => line.endsWith(` ${oldtag}`))).toEqual([]);
    await raw.clunk(fid);
    await served.end();
  });
});

test('Reply before Rflush must be honoured: a fid that it made is real, the tag is free with the Rflush', async () => {
  const abort = new Abort();
  const walking = calls.walk(root, ['a'], abort);
  const { tag } = await server.next('Twalk');
  abort.abort();
  const flush = await server.next('Tflush');
  server.reply(tag, 'Rwalk', { qids: [qid] });
  expect((await walking).fid?.state).toBe('live');
  expect(client.stats).toMatchObject({ tags: 1, reserveTags: 1 });
  server.reply(flush.tag, 'Rflush', {});
  await expectIdle(client, 2);
});

test('Tflush of Tflush, of own tag, of unknown tag: the server answers all of them', async () => {
  const served = serveAny(faultsTree());
  const raw = await served.connect();
  const fid = await raw.open('hang', 2);
  const hung = raw.send('Tread', { fid, offset: 0, count: 10 });
  const flush = raw.send('Tflush', { oldtag: hung });
  const ofFlush = raw.send('Tflush', { oldtag: flush });
  const own = raw.tag();
  raw.send('Tflush', { oldtag: own }, own);
  const unknown = raw.send('Tflush', { oldtag: 0x4321 });
  for (const tag of [flush, ofFlush, own, unknown]) expect((await raw.reply(tag)).type).toBe('Rflush');
  // one for a Tflush comes behind that one's own answer
  expect(raw.log.indexOf(`Rflush ${flush}`)).toBeLessThan(raw.log.indexOf(`Rflush ${ofFlush}`));
  await raw.clunk(fid);
  await served.end();
});

test('Tflush of Tflush, of own tag, of unknown tag: the client sends none of them', async () => {
  const { call, tag, flush } = await flushing();
  const others = [await flushing(), await flushing()];
  const tags = [tag, ...others.map((other) => other.tag)];
  const flushes = [flush, ...others.map((other) => other.flush)];
  expect(new Set([...tags, ...flushes]).size).toBe(6);
  const sent = server.received.flatMap((message) => (message.type === 'Tflush' ? [message.oldtag] : []));
  expect(sent).toEqual(tags);
  for (const each of flushes) server.reply(each, 'Rflush', {});
  for (const each of [call, ...others.map((other) => other.call)]) await expectCancelled(each);
  await expectIdle(client, 1);
});

describe('Rflush may be delayed for ever', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  });

  test('Rflush may be delayed for ever: the caller is let go at the deadline, the tag is kept and counted', async () => {
    const { call, flush } = await flushing();
    call.catch(() => undefined);
    vi.advanceTimersByTime(10_000);
    await expectCancelled(call);
    expect(client.stats).toMatchObject({ tags: 1, reserveTags: 1, quarantine: 1 });
    const next = calls.getattr(root, 1);
    const asked = await server.next('Tgetattr');
    server.reply(asked.tag, 'Rgetattr', getattr);
    await next;
    server.reply(flush, 'Rflush', {});
    await expectIdle(client, 1);
  });

  test('Rflush may be delayed for ever: the connection is given up when that happens too often', async () => {
    client.close();
    ({ client, server, calls, root } = await attached({ requests: { maxQuarantine: 3 } }));
    for (let i = 0; i < 4; i++) {
      const { call } = await flushing();
      call.catch(() => undefined);
      vi.advanceTimersByTime(10_000);
      await turn();
    }
    expect(client.error?.message).toBe('the server left 4 flushes unanswered');
  });
});

test.each([
  ['before', 'is the answer', 0],
  ['behind', 'is dropped and counted', 1],
])('Rflush vs Rread ordering: in one piece, a reply that stands %s Rflush %s', async (where, _what, late) => {
  const { call, tag, flush } = await flushing();
  if (where === 'before') {
    together(['Rgetattr', tag, getattr], ['Rflush', flush, {}]);
    expect(await call).toMatchObject({ size: getattr.size });
  } else {
    together(['Rflush', flush, {}], ['Rgetattr', tag, getattr]);
    await expectCancelled(call);
  }
  await turn();
  expect(client.stats.lateReplies).toBe(late);
  await expectIdle(client, 1);
});

test('Rflush vs Rread ordering: the memory of a read is its own until both have come', async () => {
  const abort = new Abort();
  const reading = read(calls, root, 0, 4096, { whole: false, signal: abort });
  const asked = await server.next('Tread');
  abort.abort();
  const flush = await server.next('Tflush');
  expect(client.stats.pool.inUse).toBeGreaterThan(0);
  server.reply(asked.tag, 'Rread', { data: Buffer.from('late') });
  server.reply(flush.tag, 'Rflush', {});
  const { data, release } = await reading;
  expect(Buffer.from(data).toString()).toBe('late');
  release();
  await expectIdle(client, 1);
});

test.each([
  ['that was never used', (tag: number) => [tag + 100]],
  ['twice', (tag: number) => [tag, tag]],
])(
  'Duplicate/unknown tag in a reply: a tag %s ends the connection, and what is in flight with it',
  async (_what, tags) => {
    const calling = calls.getattr(root, 1);
    const other = calls.statfs(root);
    other.catch(() => undefined);
    calling.catch(() => undefined);
    const { tag } = await server.next('Tgetattr');
    for (const each of tags(tag)) server.reply(each, 'Rgetattr', getattr);
    await expectEnded(client, ProtocolError);
    await expect(other).rejects.toBe(client.error);
  },
);

test('Half-sent frame on cancel: it is sent to its end, and then the Tflush', async () => {
  client.close();
  ({ client, server, calls, root } = await attached({ cut: [{ chunks: [7] }, {}] }));
  const abort = new Abort();
  const data = Buffer.alloc(400, 'x');
  const writing = calls.write(root, 0, data, undefined, abort);
  // the server has pieces of it at the most
  const whole = server.received.some(({ type }) => type === 'Twrite');
  abort.abort();
  const written = await server.next('Twrite');
  expect(whole).toBe(false);
  expect(Buffer.from(written.data).equals(data)).toBe(true);
  const flush = await server.next('Tflush');
  expect(flush.oldtag).toBe(written.tag);
  server.reply(flush.tag, 'Rflush', {});
  await expectCancelled(writing);
  await expectIdle(client, 1);
});

test('Tversion aborts everything: what runs has no answer, every fid is gone, and the session is a new one', async () => {
  const served = serveAny(faultsTree());
  const raw = await served.connect();
  const fid = await raw.open('hang', 2);
  const hung = raw.send('Tread', { fid, offset: 0, count: 10 });
  await raw.settle();
  await raw.version();
  expect(raw.log.filter((line) => line.endsWith(` ${hung}`))).toEqual([]);
  expect(served.server.stats.connections).toMatchObject([{ tags: 0, fids: 0 }]);
  await raw.attach(0, 0);
  expect(await raw.errno('Tgetattr', { fid, mask: 1 })).toBe(errno.EBADF);
  await served.end();
});

test('Hang-up cleanup (server): what waits is given up and every fid is let go', async () => {
  const served = serveAny(faultsTree());
  const raw = await served.connect();
  const fid = await raw.open('hang', 2);
  for (let i = 0; i < 3; i++) raw.send('Tread', { fid, offset: 0, count: 10 });
  await raw.settle();
  expect(served.server.stats.connections).toMatchObject([{ tags: 3, fids: 2 }]);
  raw.transport.close();
  // no request may outlive its connection: this waits for the last of them
  await served.server.close();
  expect(served.server.stats).toMatchObject({ connections: [], places: 0 });
});
