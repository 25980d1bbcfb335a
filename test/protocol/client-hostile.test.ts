// Replies that no server may send, and connections that end in the middle of things: one error, for everybody, once.

import { describe, expect, test, vi } from 'vitest';
import { negotiate } from '../../src/client/connection.ts';
import { DotLCalls } from '../../src/client/dialects/dotl-calls.ts';
import { read, write } from '../../src/client/io.ts';
import { Abort } from '../../src/common/abort.ts';
import { ConnectionError, ProtocolError } from '../../src/common/errors.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { attachedForEach, begin, calls, client, root, server } from '../support/attachedstage.ts';
import { expectCancelled, expectEnded, expectIdle } from '../support/leaks.ts';
import { getattr, qid, Scripted, turn } from '../support/scripted.ts';

attachedForEach();

describe('the connection ends with ProtocolError at', () => {
  const hostile: [string, (tag: number) => void][] = [
    ['a tag that is not outstanding', (tag) => server.reply(tag + 100, 'Rgetattr', getattr)],
    ['a reply of another type', (tag) => server.reply(tag, 'Rclunk', {})],
    ['a payload in answer to something else', (tag) => server.reply(tag, 'Rread', { data: Buffer.alloc(9) })],
    ['a T-message', (tag) => server.reply(tag, 'Tclunk', { fid: 1 })],
    ['a frame of six bytes', () => server.raw(Buffer.from([6, 0, 0, 0, 25, 0]))],
    ['a frame longer than msize', () => server.raw(Buffer.from([0, 0, 0, 1, 25, 0, 0]))],
    ['an unknown type', (tag) => server.raw(Buffer.from([7, 0, 0, 0, 255, tag, 0]))],
  ];
  test.each(hostile)('%s', async (_what, say) => {
    const call = calls.getattr(root, 1);
    const other = calls.getattr(root, 2);
    call.catch(() => undefined);
    other.catch(() => undefined);
    const { tag } = await server.next('Tgetattr');
    say(tag);
    await expect(call).rejects.toBeInstanceOf(ProtocolError);
    await expect(other).rejects.toBe(client.error);
    await expectEnded(client, ProtocolError);
  });

  test('a second reply to a request whose flush is not answered yet', async () => {
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    const { tag } = await server.next('Tgetattr');
    abort.abort();
    await server.next('Tflush');
    server.reply(tag, 'Rgetattr', getattr);
    await call;
    server.reply(tag, 'Rgetattr', getattr);
    await expectEnded(client, ProtocolError);
  });

  test('more bytes than were asked for', async () => {
    const call = read(calls, root, 0, 100, { whole: false });
    call.catch(() => undefined);
    const { tag } = await server.next('Tread');
    server.reply(tag, 'Rread', { data: Buffer.alloc(101) });
    await expect(call).rejects.toBeInstanceOf(ProtocolError);
    await expectEnded(client, ProtocolError);
  });
});

test.each([0, 4096, 2 ** 31, 2 ** 32 - 1])(
  'errno %i is EPROTO for its call, and nobody else is told',
  async (ecode) => {
    const call = calls.getattr(root, 1);
    const other = calls.getattr(root, 2);
    const { tag } = await server.next('Tgetattr');
    server.reply(tag, 'Rlerror', { ecode });
    await expect(call).rejects.toMatchObject({ name: 'ErrnoError', code: 'EPROTO' });
    server.reply((await server.next('Tgetattr')).tag, 'Rgetattr', getattr);
    await other;
    await expectIdle(client, 1);
  },
);

test('a hang-up settles what is queued, sent, flushing and abandoned, each once', async () => {
  await begin({ requests: { maxInFlight: 2 } });
  const abort = new AbortController();
  const calling = [calls.getattr(root, 1, abort.signal), calls.getattr(root, 2), calls.getattr(root, 3)];
  const all = Promise.allSettled(calling);
  await server.next('Tgetattr');
  abort.abort();
  await server.next('Tgetattr');
  await server.next('Tflush');
  server.hangUp();
  for (const settled of await all) expect(settled).toMatchObject({ status: 'rejected', reason: client.error });
  expect(client.stats).toMatchObject({ tags: 0, reserveTags: 0, queued: 0, quarantine: 0 });
});

describe('a second answer', () => {
  test('to a request that was answered and whose flush was too ends the connection', async () => {
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    const { tag } = await server.next('Tgetattr');
    abort.abort();
    const flush = await server.next('Tflush');
    server.reply(tag, 'Rgetattr', getattr);
    server.reply(flush.tag, 'Rflush', {});
    await call;
    server.reply(tag, 'Rgetattr', getattr);
    await expectEnded(client, ProtocolError);
  });

  test('to a request ends the connection', async () => {
    const call = calls.getattr(root, 1);
    const { tag } = await server.next('Tgetattr');
    server.reply(tag, 'Rgetattr', getattr);
    server.reply(tag, 'Rgetattr', getattr);
    await call;
    await expectEnded(client, ProtocolError);
  });

  test('to a Tflush ends the connection', async () => {
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    await server.next('Tgetattr');
    abort.abort();
    const { tag } = await server.next('Tflush');
    server.reply(tag, 'Rflush', {});
    server.reply(tag, 'Rflush', {});
    await expectCancelled(call);
    await expectEnded(client, ProtocolError);
  });

  test('too late after Rflush is dropped once; the next ends the connection', async () => {
    const abort = new AbortController();
    const call = read(calls, root, 0, 100, { whole: false, signal: abort.signal });
    const { tag } = await server.next('Tread');
    abort.abort();
    server.reply((await server.next('Tflush')).tag, 'Rflush', {});
    await expectCancelled(call);
    server.reply(tag, 'Rread', { data: Buffer.alloc(100) });
    await server.quiet();
    expect(client.stats.lateReplies).toBe(1);
    await expectIdle(client, 1);
    server.reply(tag, 'Rread', { data: Buffer.alloc(100) });
    await expectEnded(client, ProtocolError);
  });
});

test('a tag that was flushed is forgotten when it is used again: a stray reply to it is one', async () => {
  await begin({ requests: { tagWindow: 1, maxInFlight: 1 } });
  const abort = new AbortController();
  const call = calls.getattr(root, 1, abort.signal);
  await server.next('Tgetattr');
  abort.abort();
  await server.serve('Tflush', 'Rflush', {});
  await expectCancelled(call);
  const again = calls.getattr(root, 1);
  const { tag } = await server.serve('Tgetattr', 'Rgetattr', getattr);
  await again;
  server.reply(tag, 'Rgetattr', getattr);
  await expectEnded(client, ProtocolError);
  expect(client.stats.lateReplies).toBe(0);
});

describe('an answer of the wrong kind', () => {
  test('to a Tflush ends the connection', async () => {
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    call.catch(() => undefined);
    await server.next('Tgetattr');
    abort.abort();
    server.reply((await server.next('Tflush')).tag, 'Rgetattr', getattr);
    await expect(call).rejects.toBeInstanceOf(ProtocolError);
    await expectEnded(client, ProtocolError);
  });

  test('with more qids than names ends the connection', async () => {
    const call = calls.walk(root, ['a']);
    call.catch(() => undefined);
    server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [qid, qid] });
    await expect(call).rejects.toBeInstanceOf(ProtocolError);
    await expectEnded(client, ProtocolError);
  });

  test('with more bytes taken than were written ends the connection', async () => {
    const call = calls.write(root, 0, Buffer.alloc(5));
    call.catch(() => undefined);
    server.reply((await server.next('Twrite')).tag, 'Rwrite', { count: 6 });
    await expect(call).rejects.toBeInstanceOf(ProtocolError);
    await expectEnded(client, ProtocolError);
  });
});

describe('a Twrite that is answered and not read', () => {
  /** A client whose transport takes no payload, and what it would call when it did. */
  async function untaken(): Promise<{
    writing: Promise<number>;
    abort: Abort;
    takeAll: () => void;
    settled: () => boolean;
  }> {
    client.close();
    const [ours, theirs] = memoryPair();
    const held: (() => void)[] = [];
    const takeAll = () => {
      for (const taken of held.splice(0)) taken();
    };
    const slow: Transport = {
      peer: ours.peer,
      closed: ours.closed,
      onDrain: undefined,
      start: (receiver) => ours.start(receiver),
      send: (head, payload, taken) => ours.send(head, payload, taken && (() => held.push(taken))),
      pause: () => ours.pause(),
      resume: () => ours.resume(),
      close: (error) => {
        ours.close(error);
        takeAll();
      },
    };
    const peer = new Scripted(theirs, 8192);
    const connection = await negotiate(slow, { msize: 8192, requests: { flushTimeout: 1000 } });
    const other = new DotLCalls(connection);
    const attaching = other.attach('me', '', 0);
    await peer.serve('Tattach', 'Rattach', { qid });
    const abort = new Abort();
    const writing = write(other, await attaching, 0, Buffer.alloc(100), { inOrder: false, signal: abort });
    let over = false;
    writing.then(
      () => {
        over = true;
      },
      () => {
        over = true;
      },
    );
    await peer.serve('Twrite', 'Rwrite', { count: 100 });
    for (let i = 0; i < 5; i++) await turn();
    return { writing, abort, takeAll, settled: () => over };
  }

  test('is over when it is, however long that takes', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { writing, takeAll, settled } = await untaken();
    vi.advanceTimersByTime(3_600_000);
    await turn();
    expect(settled()).toBe(false);
    takeAll();
    expect(await writing).toBe(100);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('keeps nobody who gives up: the connection is ended', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { writing, abort, settled } = await untaken();
    abort.abort();
    vi.advanceTimersByTime(999);
    await turn();
    expect(settled()).toBe(false);
    vi.advanceTimersByTime(1);
    expect(await writing).toBe(100);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('a connection that ends within a message says so', async () => {
  const call = calls.getattr(root, 1);
  call.catch(() => undefined);
  await server.next('Tgetattr');
  server.raw(Buffer.from([160, 0, 0, 0, 25]));
  server.hangUp();
  await expect(call).rejects.toThrow(/cut within a message/);
  await expectEnded(client, ConnectionError);
});

test('a connection that ends within a payload gives the memory back', async () => {
  const call = read(calls, root, 0, 100, { whole: false });
  call.catch(() => undefined);
  const { tag } = await server.next('Tread');
  server.raw(Buffer.from([111, 0, 0, 0, 117, tag, 0, 100, 0, 0, 0, 1, 2, 3]));
  await turn();
  expect(client.stats.pool.inUse).toBe(4096);
  server.hangUp();
  await expect(call).rejects.toThrow(/cut within a message/);
  await expectEnded(client, ConnectionError);
});

test('the end of a connection reaches requests in every state, once', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await begin({ requests: { tagWindow: 8, maxInFlight: 2 } });
  const settled: string[] = [];
  const ask = (name: string, signal?: AbortSignal) => {
    const note = (how: string) => settled.push(`${name} ${how}`);
    calls.walk(root, [name], signal).then(
      () => note('ok'),
      (error: Error) => note(error.name),
    );
    return server.next('Twalk');
  };
  const [a, b, c] = [new AbortController(), new AbortController(), new AbortController()];
  await ask('abandoned', a.signal);
  a.abort();
  await server.next('Tflush');
  vi.advanceTimersByTime(10_000);
  const answered = await ask('answered', b.signal);
  b.abort();
  await server.next('Tflush');
  server.reply(answered.tag, 'Rwalk', { qids: [qid] });
  await turn();
  await ask('flushing', c.signal);
  c.abort();
  await server.next('Tflush');
  const queued = ask('queued');
  server.hangUp();
  await expect(queued).rejects.toThrow();
  await expectEnded(client, ConnectionError);
  expect(settled.sort()).toEqual([
    'abandoned CancelledError',
    'answered ok',
    'flushing ConnectionError',
    'queued ConnectionError',
  ]);
});
