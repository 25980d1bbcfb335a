// What becomes of requests whose flush the server does not answer in time, and of those that it does not answer at all.
// Time is faked, the event loop is not.

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { read } from '../../src/client/io.ts';
import { Abort } from '../../src/common/abort.ts';
import { CancelledError, ProtocolError } from '../../src/common/errors.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import { attachedForEach, begin, calls, client, root, server } from '../support/attachedstage.ts';
import { expectCancelled, expectEnded, expectIdle } from '../support/leaks.ts';
import { getattr, qid, turn } from '../support/scripted.ts';

attachedForEach();

describe('a Tflush that is not answered in time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  });

  async function abandoned(signalReason?: unknown, after = 10_000) {
    const abort = new AbortController();
    const call = calls.walk(root, ['a'], abort.signal);
    call.catch(() => undefined);
    const walk = await server.next('Twalk');
    abort.abort(signalReason);
    const flush = await server.next('Tflush');
    const settled = vi.fn();
    call.catch(settled);
    vi.advanceTimersByTime(after - 1);
    await turn();
    expect(settled).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    await expectCancelled(call);
    expect(client.stats).toMatchObject({ tags: 1, reserveTags: 1, quarantine: 1, fids: { live: 1, quarantine: 1 } });
    return { walk, flush };
  }

  test('releases the caller of what has no side effects, and keeps tag and fid until Rflush', async () => {
    const { flush } = await abandoned();
    server.reply(flush.tag, 'Rflush', {});
    server.reply((await server.next('Tclunk')).tag, 'Rclunk', {});
    await expectIdle(client, 1);
  });

  test('and whose reply comes late: what that made is clunked, the tag waits for Rflush', async () => {
    const { walk, flush } = await abandoned();
    server.reply(walk.tag, 'Rwalk', { qids: [qid] });
    const clunk = await server.next('Tclunk');
    expect(clunk.fid).toBe(walk.newfid);
    server.reply(clunk.tag, 'Rclunk', {});
    await turn();
    expect(client.stats).toMatchObject({ tags: 1, quarantine: 1, fids: { quarantine: 0 }, lateReplies: 1 });
    server.reply(flush.tag, 'Rflush', {});
    await expectIdle(client, 1);
  });

  test('releases a dying caller after a second', async () => {
    const { flush } = await abandoned({ dying: true }, 1000);
    server.reply(flush.tag, 'Rflush', {});
    server.reply((await server.next('Tclunk')).tag, 'Rclunk', {});
    await expectIdle(client, 1);
  });

  test('ends the connection where the request has side effects, also for a dying caller', async () => {
    const abort = new AbortController();
    const call = calls.mkdir(root, 'd', 0o755, 0, abort.signal);
    call.catch(() => undefined);
    await server.next('Tmkdir');
    abort.abort({ dying: true });
    await server.next('Tflush');
    vi.advanceTimersByTime(10_000);
    await expect(call).rejects.toBeInstanceOf(ProtocolError);
    await expectEnded(client, ProtocolError);
  });

  test.each([
    ['an open that truncates', OPEN.TRUNC, true],
    ['an open that does not', OPEN.RDONLY, false],
  ])('counts %s rightly', async (_what, flags, ends) => {
    const abort = new AbortController();
    const call = calls.lopen(root, flags, abort.signal);
    call.catch(() => undefined);
    await server.next('Tlopen');
    abort.abort();
    await server.next('Tflush');
    vi.advanceTimersByTime(10_000);
    await expect(call).rejects.toBeInstanceOf(ends ? ProtocolError : CancelledError);
    expect(client.error === undefined).toBe(!ends);
  });

  test('more often than quarantine allows ends the connection', async () => {
    await begin({ requests: { maxQuarantine: 3 } });
    const abort = new AbortController();
    const all = Promise.allSettled(Array.from({ length: 4 }, () => calls.getattr(root, 1, abort.signal)));
    for (let i = 0; i < 4; i++) await server.next('Tgetattr');
    abort.abort();
    for (let i = 0; i < 4; i++) await server.next('Tflush');
    vi.advanceTimersByTime(10_000);
    await all;
    await expectEnded(client, ProtocolError);
  });

  test('keeps the receive buffer of a read until the reply, and gives it back once', async () => {
    const abort = new AbortController();
    const call = read(calls, root, 0, 4096, { whole: false, signal: abort.signal });
    call.catch(() => undefined);
    const { tag } = await server.next('Tread');
    abort.abort();
    const flush = await server.next('Tflush');
    vi.advanceTimersByTime(10_000);
    await expectCancelled(call);
    expect(client.stats.pool.inUse).toBe(4096);
    server.reply(tag, 'Rread', { data: Buffer.alloc(4096, 1) });
    await turn();
    expect(client.stats.pool.inUse).toBe(0);
    server.reply(flush.tag, 'Rflush', {});
    await expectIdle(client, 1);
  });
});

test('timeout= flushes what has waited too long and answers ETIMEDOUT', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  const attaching = begin({ requests: { timeout: 5000 } });
  await attaching;
  const call = calls.getattr(root, 1);
  call.catch(() => undefined);
  await server.next('Tgetattr');
  vi.advanceTimersByTime(7000);
  server.reply((await server.next('Tflush')).tag, 'Rflush', {});
  await expect(call).rejects.toMatchObject({ name: 'CancelledError', code: 'ETIMEDOUT' });
  await expectIdle(client, 1);
});

describe('a caller that dies', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  });

  /** What the kernel's side gives as the reason: it may learn later that the caller is being killed. */
  interface Reason {
    dying: boolean;
    onDying?: () => void;
  }

  const die = (reason: Reason) => {
    reason.dying = true;
    reason.onDying?.();
  };

  test('after its abort has a second from then on, in each of its requests', async () => {
    const abort = new Abort();
    const reason: Reason = { dying: false };
    const both = [calls.getattr(root, 1, abort), calls.getattr(root, 2, abort)].map(expectCancelledSoon);
    await server.next('Tgetattr');
    await server.next('Tgetattr');
    abort.abort(reason);
    const flushes = [await server.next('Tflush'), await server.next('Tflush')];
    vi.advanceTimersByTime(5000);
    die(reason);
    vi.advanceTimersByTime(999);
    await turn();
    expect(client.stats.quarantine).toBe(0);
    vi.advanceTimersByTime(1);
    await Promise.all(both);
    expect(client.stats.quarantine).toBe(2);
    for (const { tag } of flushes) server.reply(tag, 'Rflush', {});
    await expectIdle(client, 1);
  });

  test('when less than a second is left anyway gets no more of it', async () => {
    const abort = new Abort();
    const reason: Reason = { dying: false };
    const call = calls.getattr(root, 1, abort);
    call.catch(() => undefined);
    await server.next('Tgetattr');
    abort.abort(reason);
    const flush = await server.next('Tflush');
    vi.advanceTimersByTime(9500);
    die(reason);
    vi.advanceTimersByTime(500);
    await expectCancelled(call);
    server.reply(flush.tag, 'Rflush', {});
    await expectIdle(client, 1);
  });

  test('after its request was flushed by timeout= has a second too, and the request stays timed out', async () => {
    await begin({ requests: { timeout: 1000 } });
    const abort = new Abort();
    const call = calls.getattr(root, 1, abort);
    call.catch(() => undefined);
    await server.next('Tgetattr');
    vi.advanceTimersByTime(2000);
    const flush = await server.next('Tflush');
    abort.abort({ dying: true });
    vi.advanceTimersByTime(1000);
    await expectCancelled(call, 'ETIMEDOUT');
    server.reply(flush.tag, 'Rflush', {});
    await expectIdle(client, 1);
  });

  test('when its request is answered already changes nothing', async () => {
    const abort = new Abort();
    const reason: Reason = { dying: false };
    const call = calls.getattr(root, 1, abort);
    const { tag } = await server.next('Tgetattr');
    abort.abort(reason);
    const flush = await server.next('Tflush');
    server.reply(tag, 'Rgetattr', getattr);
    await call;
    die(reason);
    server.reply(flush.tag, 'Rflush', {});
    await expectIdle(client, 1);
  });

  const expectCancelledSoon = (call: Promise<unknown>) => expectCancelled(call);
});

test('a request that goes into quarantine leaves its place to the next in the queue', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await begin({ requests: { tagWindow: 4, maxInFlight: 1 } });
  const abort = new AbortController();
  const first = calls.getattr(root, 1, abort.signal);
  first.catch(() => undefined);
  const second = calls.getattr(root, 2);
  await server.next('Tgetattr');
  abort.abort();
  const flush = await server.next('Tflush');
  await server.quiet();
  vi.advanceTimersByTime(10_000);
  await server.serve('Tgetattr', 'Rgetattr', getattr);
  await second;
  server.reply(flush.tag, 'Rflush', {});
  await expectIdle(client, 1);
});

describe('an answer whose Rflush is overdue', () => {
  test('keeps the tag in quarantine until Rflush', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    const { tag } = await server.next('Tgetattr');
    abort.abort();
    const flush = await server.next('Tflush');
    server.reply(tag, 'Rgetattr', getattr);
    await call;
    expect(client.stats.quarantine).toBe(0);
    vi.advanceTimersByTime(10_000);
    expect(client.stats).toMatchObject({ tags: 1, quarantine: 1 });
    server.reply(flush.tag, 'Rflush', {});
    await expectIdle(client, 1);
  });
});

describe('receive memory in quarantine', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });

  test('is counted by the slab: one chunk that nobody answers keeps all of it from the pool', async () => {
    // a read of four chunks takes a slab of 32 KiB; three of them are answered
    await begin({ rxPool: 128 * 1024 });
    const stuck = async () => {
      const abort = new AbortController();
      const call = read(calls, root, 0, 4 * client.chunk, { whole: true, signal: abort.signal });
      call.catch(() => undefined);
      const asked = [];
      for (let i = 0; i < 4; i++) asked.push(await server.next('Tread'));
      for (const { tag, count } of asked.slice(1)) server.reply(tag, 'Rread', { data: Buffer.alloc(count) });
      await turn();
      abort.abort();
      await server.next('Tflush');
      vi.advanceTimersByTime(10_000);
      await turn();
    };
    await stuck();
    await stuck();
    expect(client.error).toBeUndefined();
    expect(client.stats).toMatchObject({ quarantine: 2, pool: { inUse: 64 * 1024 } });
    await stuck();
    await expectEnded(client, ProtocolError);
  });

  test('is counted once for all requests that share a slab', async () => {
    await begin({ rxPool: 128 * 1024 });
    const abort = new AbortController();
    const call = read(calls, root, 0, 4 * client.chunk, { whole: true, signal: abort.signal });
    call.catch(() => undefined);
    for (let i = 0; i < 4; i++) await server.next('Tread');
    abort.abort();
    const flushes = [];
    for (let i = 0; i < 4; i++) flushes.push(await server.next('Tflush'));
    vi.advanceTimersByTime(10_000);
    await expectCancelled(call);
    expect(client.stats).toMatchObject({ quarantine: 4, pool: { inUse: 32 * 1024 } });
    for (const { tag } of flushes) server.reply(tag, 'Rflush', {});
    await expectIdle(client, 1);
  });
});

test('timeout= ends the connection where the request cannot be flushed', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  await begin({ requests: { timeout: 1000 } });
  const call = calls.remove(root);
  call.catch(() => undefined);
  await server.next('Tremove');
  vi.advanceTimersByTime(2000);
  await expect(call).rejects.toBeInstanceOf(ProtocolError);
  await expectEnded(client, ProtocolError);
});
