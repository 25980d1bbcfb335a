// The life of one request, row by row of the table at the head of src/client/request.ts, against a server that says
// what each row needs: everything but its deadlines and its hostile replies.

import { describe, expect, test, vi } from 'vitest';
import type { Fid } from '../../src/client/fids.ts';
import { read } from '../../src/client/io.ts';
import { Abort } from '../../src/common/abort.ts';
import { errno } from '../../src/common/errno.ts';
import { ErrnoError } from '../../src/common/errors.ts';
import { attachedForEach, begin, calls, client, root, server } from '../support/attachedstage.ts';
import { expectCancelled, expectIdle } from '../support/leaks.ts';
import { getattr } from '../support/scripted.ts';

attachedForEach();

describe('a request that is aborted', () => {
  test('before it is sent leaves no message', async () => {
    await begin({ requests: { maxInFlight: 1 } });
    const first = calls.getattr(root, 1);
    const abort = new AbortController();
    const second = calls.getattr(root, 2, abort.signal);
    const { tag } = await server.next('Tgetattr');
    abort.abort();
    await expectCancelled(second);
    server.reply(tag, 'Rgetattr', getattr);
    await first;
    await server.quiet();
    await expectIdle(client, 1);
  });

  test('before it is made is not made', async () => {
    await expectCancelled(calls.getattr(root, 1, AbortSignal.abort()));
    await server.quiet();
    await expectIdle(client, 1);
  });

  test('on the wire sends one Tflush, and ends with Rflush', async () => {
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    const { tag } = await server.next('Tgetattr');
    abort.abort();
    const flush = await server.next('Tflush');
    expect(flush.oldtag).toBe(tag);
    expect(flush.tag).not.toBe(tag);
    const settled = vi.fn();
    call.catch(settled);
    await server.quiet();
    expect(settled).not.toHaveBeenCalled();
    server.reply(flush.tag, 'Rflush', {});
    await expectCancelled(call);
    await expectIdle(client, 1);
  });

  test('and answered before Rflush is answered, and its tag stays taken until Rflush', async () => {
    await begin({ requests: { tagWindow: 2, maxInFlight: 2 } });
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    const { tag } = await server.next('Tgetattr');
    abort.abort();
    const flush = await server.next('Tflush');
    server.reply(tag, 'Rgetattr', getattr);
    expect((await call).size).toBe(5);
    expect(client.stats.tags).toBe(1);
    for (let i = 0; i < 3; i++) {
      const other = calls.getattr(root, 1);
      const asked = await server.next('Tgetattr');
      expect(asked.tag).not.toBe(tag);
      server.reply(asked.tag, 'Rgetattr', getattr);
      await other;
    }
    server.reply(flush.tag, 'Rflush', {});
    await expectIdle(client, 1);
  });

  test('and failed by the server before Rflush has the server’s error', async () => {
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    const { tag } = await server.next('Tgetattr');
    abort.abort();
    const flush = await server.next('Tflush');
    server.reply(tag, 'Rlerror', { ecode: errno.EACCES });
    server.reply(flush.tag, 'Rflush', {});
    await expect(call).rejects.toMatchObject({ name: 'ErrnoError', code: 'EACCES' });
    await expectIdle(client, 1);
  });

  test('takes an error in answer to its Tflush for Rflush', async () => {
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    await server.next('Tgetattr');
    abort.abort();
    server.reply((await server.next('Tflush')).tag, 'Rlerror', { ecode: errno.EINVAL });
    await expectCancelled(call);
    await expectIdle(client, 1);
  });

  test('and answered after Rflush has the late reply dropped and counted', async () => {
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    const { tag } = await server.next('Tgetattr');
    abort.abort();
    server.reply((await server.next('Tflush')).tag, 'Rflush', {});
    await expectCancelled(call);
    server.reply(tag, 'Rgetattr', getattr);
    await server.quiet();
    expect(client.stats.lateReplies).toBe(1);
    await expectIdle(client, 1);
  });

  test('is flushed though every ordinary tag is taken and the queue is full', async () => {
    await begin({ requests: { tagWindow: 4, maxInFlight: 4 } });
    const abort = new AbortController();
    const all = Array.from({ length: 10 }, () => calls.getattr(root, 1, abort.signal));
    const settled = Promise.allSettled(all);
    for (let i = 0; i < 4; i++) await server.next('Tgetattr');
    abort.abort();
    for (let i = 0; i < 4; i++) server.reply((await server.next('Tflush')).tag, 'Rflush', {});
    for (const { status } of await settled) expect(status).toBe('rejected');
    await server.quiet();
    await expectIdle(client, 1);
  });
});

describe('what is never flushed:', () => {
  test.each(['Tclunk', 'Tremove'] as const)('%s, whatever its caller says', async (name) => {
    const abort = new Abort();
    const call = client.requests.call(name, { fid: 99 }, { signal: abort });
    const { tag } = await server.next(name);
    abort.abort();
    await server.quiet();
    server.reply(tag, name === 'Tclunk' ? 'Rclunk' : 'Rremove', {});
    await call;
    await expectIdle(client, 1);
  });

  test('Tremove', async () => {
    const removing = calls.remove(root);
    const { tag } = await server.next('Tremove');
    server.reply(tag, 'Rremove', {});
    await removing;
    expect(client.stats.fids).toEqual({ live: 0, quarantine: 0 });
  });

  test('Tclunk, whose fid number comes back only with Rclunk', async () => {
    const walking = calls.walk(root, []);
    const walk = await server.next('Twalk');
    server.reply(walk.tag, 'Rwalk', { qids: [] });
    const { fid } = await walking;
    calls.clunk(fid as Fid);
    const clunk = await server.next('Tclunk');
    expect(clunk.fid).toBe(walk.newfid);
    expect(client.stats.fids).toEqual({ live: 1, quarantine: 1 });
    const again = calls.walk(root, []);
    const second = await server.next('Twalk');
    expect(second.newfid).not.toBe(walk.newfid);
    server.reply(clunk.tag, 'Rlerror', { ecode: errno.EIO });
    server.reply(second.tag, 'Rlerror', { ecode: errno.ENOENT });
    await expect(again).rejects.toBeInstanceOf(ErrnoError);
    await expectIdle(client, 1);
  });
});

describe('a request that the transport cannot take yet', () => {
  const big = () => Buffer.alloc(900_000);

  test('waits in the queue, from which an abort takes it without a message', async () => {
    await begin({ msize: 1024 * 1024 });
    server.pause();
    const taken = [calls.write(root, 0, big()), calls.write(root, 1, big())];
    const abort = new AbortController();
    const waiting = calls.write(root, 2, big(), undefined, abort.signal);
    const last = calls.getattr(root, 1);
    expect(client.stats).toMatchObject({ tags: 2, queued: 2 });
    abort.abort();
    await expectCancelled(waiting);
    server.resume();
    for (let i = 0; i < 2; i++) {
      const { tag, data } = await server.next('Twrite');
      server.reply(tag, 'Rwrite', { count: data.length });
    }
    server.reply((await server.next('Tgetattr')).tag, 'Rgetattr', getattr);
    await Promise.all([...taken, last]);
    await server.quiet();
    await expectIdle(client, 1);
  });

  test('does not hold up Tflush and Tclunk', async () => {
    await begin({ msize: 1024 * 1024 });
    const walking = calls.walk(root, []);
    server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
    const fid = (await walking).fid as Fid;
    server.pause();
    const abort = new AbortController();
    const write = calls.write(root, 0, big(), undefined, abort.signal);
    const second = calls.write(root, 0, big());
    const queued = calls.getattr(root, 1);
    abort.abort();
    calls.clunk(fid);
    server.resume();
    const oldtag = (await server.next('Twrite')).tag;
    const other = await server.next('Twrite');
    const flush = await server.next('Tflush');
    expect(flush.oldtag).toBe(oldtag);
    server.reply((await server.next('Tclunk')).tag, 'Rclunk', {});
    server.reply(flush.tag, 'Rflush', {});
    server.reply(other.tag, 'Rwrite', { count: other.data.length });
    await expectCancelled(write);
    await second;
    server.reply((await server.next('Tgetattr')).tag, 'Rgetattr', getattr);
    await queued;
    await expectIdle(client, 1);
  });
});

test('Tflush and Tclunk go out when every tag is taken, the queue is full and the pool empty', async () => {
  await begin({ rxPool: 8192, requests: { tagWindow: 2, maxInFlight: 2 } });
  const walking = calls.walk(root, []);
  server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
  const fid = (await walking).fid as Fid;
  const abort = new Abort();
  const readers = Array.from({ length: 20 }, () => read(calls, root, 0, 4096, { whole: true, signal: abort }));
  const settled = Promise.allSettled(readers);
  const asked = [await server.next('Tread'), await server.next('Tread')];
  const queued = calls.getattr(root, 1, abort);
  queued.catch(() => undefined);
  expect(client.stats).toMatchObject({ tags: 2, queued: 1, pool: { inUse: 8192, waiting: 18 } });
  calls.clunk(fid);
  server.reply((await server.next('Tclunk')).tag, 'Rclunk', {});
  abort.abort();
  for (const { tag } of asked) {
    const flush = await server.next('Tflush');
    expect(flush.oldtag).toBe(tag);
    server.reply(flush.tag, 'Rflush', {});
  }
  for (const each of await settled) expect(each).toMatchObject({ status: 'rejected', reason: { code: 'EINTR' } });
  await expectCancelled(queued);
  await server.quiet();
  await expectIdle(client, 1);
});

test('a signal bears no listener once its request is over, however that came about', async () => {
  const abort = new Abort();
  const listeners = new Set<() => void>();
  vi.spyOn(abort, 'addEventListener').mockImplementation((_type, listener) => void listeners.add(listener));
  vi.spyOn(abort, 'removeEventListener').mockImplementation((_type, listener) => void listeners.delete(listener));
  const answered = calls.getattr(root, 1, abort);
  expect(listeners.size).toBe(1);
  await server.serve('Tgetattr', 'Rgetattr', getattr);
  await answered;
  expect(listeners.size).toBe(0);
  const refused = calls.getattr(root, 1, abort);
  await server.serve('Tgetattr', 'Rlerror', { ecode: errno.EACCES });
  await expect(refused).rejects.toMatchObject({ code: 'EACCES' });
  expect(listeners.size).toBe(0);
  const cut = calls.getattr(root, 1, abort);
  cut.catch(() => undefined);
  await server.next('Tgetattr');
  client.close();
  await expect(cut).rejects.toBe(client.error);
  expect(listeners.size).toBe(0);
});

describe('a message that cannot be sent is its caller’s fault alone:', () => {
  test('a name longer than the format allows', async () => {
    await expect(calls.walk(root, ['x'.repeat(70_000)])).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
    await expectIdle(client, 1);
  });

  test('a name longer than msize allows', async () => {
    await expect(calls.symlink(root, 'a', 'x'.repeat(9000), 0)).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
    await server.quiet();
    await expectIdle(client, 1);
  });

  test('a name for which there are no bytes', async () => {
    for (const name of ['a\ud800', '\udc7f']) {
      await expect(calls.walk(root, [name])).rejects.toMatchObject({ code: 'EILSEQ' });
      await expect(calls.symlink(root, 'a', name, 0)).rejects.toMatchObject({ code: 'EILSEQ' });
    }
    await server.quiet();
    await expectIdle(client, 1);
  });

  test('a payload longer than msize allows', async () => {
    const taken = vi.fn();
    await expect(calls.write(root, 0, Buffer.alloc(9000), taken)).rejects.toMatchObject({ code: 'EMSGSIZE' });
    expect(taken).toHaveBeenCalledOnce();
    await expectIdle(client, 1);
  });

  test('a number that its field cannot hold', async () => {
    await expect(calls.mkdir(root, 'd', -1, 0)).rejects.toMatchObject({ code: 'EINVAL' });
    await server.quiet();
    await expectIdle(client, 1);
  });
});

test('tags are handed out in a circle, so that one in a log names one request', async () => {
  await begin({ requests: { tagWindow: 8, maxInFlight: 4 } });
  const tags: number[] = [];
  for (let i = 0; i < 16; i++) {
    const call = calls.getattr(root, 1);
    const { tag } = await server.next('Tgetattr');
    tags.push(tag);
    server.reply(tag, 'Rgetattr', getattr);
    await call;
  }
  expect(new Set(tags.slice(0, 8)).size).toBe(8);
  expect(tags.slice(8)).toEqual(tags.slice(0, 8));
  await expectIdle(client, 1);
});

test('ten thousand calls that wait to be sent and are given up together are gone together, and nothing of them is sent', async () => {
  await begin({ requests: { maxInFlight: 1 } });
  const first = calls.getattr(root, 1);
  const { tag } = await server.next('Tgetattr');
  const abort = new Abort();
  const waiting = Array.from({ length: 10_000 }, () => calls.getattr(root, 1, abort));
  const last = calls.getattr(root, 2);
  expect(client.stats).toMatchObject({ tags: 1, queued: 10_001 });
  abort.abort();
  expect(client.stats).toMatchObject({ tags: 1, queued: 1, cancelled: 10_000 });
  for (const settled of await Promise.allSettled(waiting)) {
    // without a stack each, which is most of what an error costs
    expect(settled).toMatchObject({
      status: 'rejected',
      reason: { code: 'EINTR', stack: 'CancelledError: Tgetattr: EINTR' },
    });
  }
  server.reply(tag, 'Rgetattr', getattr);
  await first;
  expect((await server.serve('Tgetattr', 'Rgetattr', getattr)).mask).toBe(2);
  await last;
  await expectIdle(client, 1);
});
