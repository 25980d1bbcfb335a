// The life of one request, row by row of the table at the head of src/client/request.ts, against a server that says
// what each row needs. Every test ends with the check that nothing is left: no tag, no fid number, no buffer.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Calls } from '../../src/client/calls.ts';
import type { Connection } from '../../src/client/connection.ts';
import type { Fid } from '../../src/client/fids.ts';
import { read } from '../../src/client/io.ts';
import { errno } from '../../src/common/errno.ts';
import { CancelledError, ErrnoError, ProtocolError } from '../../src/common/errors.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import { type Scripted, scripted, turn } from '../support/scripted.ts';

const qid = { type: 0, version: 1, path: 7n };
const getattr = {
  valid: 0x7ff,
  qid,
  mode: 0o100644,
  uid: 0,
  gid: 0,
  nlink: 1,
  rdev: 0,
  size: 5,
  blksize: 4096,
  blocks: 8,
  atime: 0,
  atimeNsec: 0,
  mtime: 0,
  mtimeNsec: 0,
  ctime: 0,
  ctimeNsec: 0,
  btime: 0,
  btimeNsec: 0,
  gen: 0n,
  dataVersion: 0n,
};

let client: Connection;
let server: Scripted;
let calls: Calls;
let root: Fid;

async function begin(options: Parameters<typeof scripted>[0] = {}): Promise<void> {
  ({ client, server } = await scripted(options));
  calls = new Calls(client);
  const attaching = calls.attach('me', '', 0);
  server.reply((await server.next('Tattach')).tag, 'Rattach', { qid });
  root = await attaching;
}

/** Nothing on its way, nothing in quarantine, `live` fids beside the root. */
async function nothingLeft(live = 0): Promise<void> {
  await turn();
  expect(client.stats).toMatchObject({
    tags: 0,
    reserveTags: 0,
    queued: 0,
    quarantine: 0,
    fids: { live: 1 + live, quarantine: 0 },
    pool: { inUse: 0, waiting: 0 },
  });
}

/** Every request and fid ended with the connection. */
async function dead(error: new (...args: never[]) => Error): Promise<void> {
  expect(await client.closed).toBeInstanceOf(error);
  await turn();
  expect(client.stats).toMatchObject({ tags: 0, reserveTags: 0, queued: 0, quarantine: 0, pool: { inUse: 0 } });
  await expect(calls.getattr(root, 1)).rejects.toBe(client.error);
}

const aborted = (what: Promise<unknown>) =>
  expect(what).rejects.toMatchObject({ name: 'CancelledError', code: 'EINTR' });

beforeEach(() => begin());
afterEach(() => {
  vi.useRealTimers();
  client.close();
});

describe('a request that is aborted', () => {
  test('before it is sent leaves no message', async () => {
    await begin({ requests: { maxInFlight: 1 } });
    const first = calls.getattr(root, 1);
    const abort = new AbortController();
    const second = calls.getattr(root, 2, abort.signal);
    const { tag } = await server.next('Tgetattr');
    abort.abort();
    await aborted(second);
    server.reply(tag, 'Rgetattr', getattr);
    await first;
    await server.quiet();
    await nothingLeft();
  });

  test('before it is made is not made', async () => {
    await aborted(calls.getattr(root, 1, AbortSignal.abort()));
    await server.quiet();
    await nothingLeft();
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
    await aborted(call);
    await nothingLeft();
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
    await nothingLeft();
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
    await nothingLeft();
  });

  test('takes an error in answer to its Tflush for Rflush', async () => {
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    await server.next('Tgetattr');
    abort.abort();
    server.reply((await server.next('Tflush')).tag, 'Rlerror', { ecode: errno.EINVAL });
    await aborted(call);
    await nothingLeft();
  });

  test('and answered after Rflush has the late reply dropped and counted', async () => {
    const abort = new AbortController();
    const call = calls.getattr(root, 1, abort.signal);
    const { tag } = await server.next('Tgetattr');
    abort.abort();
    server.reply((await server.next('Tflush')).tag, 'Rflush', {});
    await aborted(call);
    server.reply(tag, 'Rgetattr', getattr);
    await server.quiet();
    expect(client.stats.lateReplies).toBe(1);
    await nothingLeft();
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
    await nothingLeft();
  });
});

describe('what is never flushed:', () => {
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
    await nothingLeft();
  });
});

describe('a fid', () => {
  test('of a walk that was cancelled is clunked, and the error of that is nobody’s', async () => {
    const abort = new AbortController();
    const call = calls.walk(root, ['a'], abort.signal);
    const { newfid } = await server.next('Twalk');
    abort.abort();
    server.reply((await server.next('Tflush')).tag, 'Rflush', {});
    await aborted(call);
    const clunk = await server.next('Tclunk');
    expect(clunk.fid).toBe(newfid);
    server.reply(clunk.tag, 'Rlerror', { ecode: errno.EBADF });
    await nothingLeft();
  });

  test('of a walk whose reply came before Rflush is real', async () => {
    const abort = new AbortController();
    const call = calls.walk(root, ['a'], abort.signal);
    const { tag } = await server.next('Twalk');
    abort.abort();
    const flush = await server.next('Tflush');
    server.reply(tag, 'Rwalk', { qids: [qid] });
    server.reply(flush.tag, 'Rflush', {});
    expect((await call).fid?.state).toBe('live');
    await nothingLeft(1);
  });

  test('of a partial walk is clunked; that of a walk which found nothing is not', async () => {
    const partial = calls.walk(root, ['a', 'b']);
    server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [qid] });
    expect(await partial).toEqual({ fid: undefined, qids: [qid] });
    server.reply((await server.next('Tclunk')).tag, 'Rclunk', {});
    const none = calls.walk(root, ['a']);
    server.reply((await server.next('Twalk')).tag, 'Rlerror', { ecode: errno.ENOENT });
    await expect(none).rejects.toMatchObject({ code: 'ENOENT' });
    await server.quiet();
    await nothingLeft();
  });

  test('is clunked when the last request that names it is over, and not before', async () => {
    const walking = calls.walk(root, []);
    server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
    const fid = (await walking).fid as Fid;
    const one = calls.getattr(fid, 1);
    const two = calls.getattr(fid, 2);
    const asked = [await server.next('Tgetattr'), await server.next('Tgetattr')];
    calls.clunk(fid);
    await server.quiet();
    for (const { tag } of asked) server.reply(tag, 'Rgetattr', getattr);
    await Promise.all([one, two]);
    server.reply((await server.next('Tclunk')).tag, 'Rclunk', {});
    await nothingLeft();
  });

  test('is one of a thousand that are clunked at once, sixty-four on the wire', async () => {
    const fids: Fid[] = [];
    for (let i = 0; i < 1000; i++) {
      const walking = calls.walk(root, []);
      server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
      fids.push((await walking).fid as Fid);
    }
    for (const fid of fids) calls.clunk(fid);
    const seen = new Set<number>();
    for (let i = 0; i < 1000; i++) {
      const { tag, fid } = await server.next('Tclunk');
      seen.add(fid);
      server.reply(tag, 'Rclunk', {});
    }
    expect(seen.size).toBe(1000);
    await nothingLeft();
  });
});

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
    await aborted(call);
    expect(client.stats).toMatchObject({ tags: 1, reserveTags: 1, quarantine: 1, fids: { live: 1, quarantine: 1 } });
    return { walk, flush };
  }

  test('releases the caller of what has no side effects, and keeps tag and fid until Rflush', async () => {
    const { flush } = await abandoned();
    server.reply(flush.tag, 'Rflush', {});
    server.reply((await server.next('Tclunk')).tag, 'Rclunk', {});
    await nothingLeft();
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
    await nothingLeft();
  });

  test('releases a dying caller after a second', async () => {
    const { flush } = await abandoned({ dying: true }, 1000);
    server.reply(flush.tag, 'Rflush', {});
    server.reply((await server.next('Tclunk')).tag, 'Rclunk', {});
    await nothingLeft();
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
    await dead(ProtocolError);
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
    await dead(ProtocolError);
  });

  test('keeps the receive buffer of a read until the reply, and gives it back once', async () => {
    const abort = new AbortController();
    const call = read(calls, root, 0, 4096, { whole: false, signal: abort.signal });
    call.catch(() => undefined);
    const { tag } = await server.next('Tread');
    abort.abort();
    const flush = await server.next('Tflush');
    vi.advanceTimersByTime(10_000);
    await aborted(call);
    expect(client.stats.pool.inUse).toBe(4096);
    server.reply(tag, 'Rread', { data: Buffer.alloc(4096, 1) });
    await turn();
    expect(client.stats.pool.inUse).toBe(0);
    server.reply(flush.tag, 'Rflush', {});
    await nothingLeft();
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
  await nothingLeft();
});

describe('the connection ends with ProtocolError at', () => {
  const hostile: [string, (tag: number) => void][] = [
    ['a tag that is not outstanding', (tag) => server.reply(tag + 100, 'Rgetattr', getattr)],
    ['a reply of another type', (tag) => server.reply(tag, 'Rclunk', {})],
    ['a payload in answer to something else', (tag) => server.reply(tag, 'Rread', { data: Buffer.alloc(9) })],
    ['errno 0', (tag) => server.reply(tag, 'Rlerror', { ecode: 0 })],
    ['errno 4096', (tag) => server.reply(tag, 'Rlerror', { ecode: 4096 })],
    ['errno 2^31', (tag) => server.reply(tag, 'Rlerror', { ecode: 2 ** 31 })],
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
    await dead(ProtocolError);
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
    await dead(ProtocolError);
  });

  test('more bytes than were asked for', async () => {
    const call = read(calls, root, 0, 100, { whole: false });
    call.catch(() => undefined);
    const { tag } = await server.next('Tread');
    server.reply(tag, 'Rread', { data: Buffer.alloc(101) });
    await expect(call).rejects.toBeInstanceOf(ProtocolError);
    await dead(ProtocolError);
  });
});

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
