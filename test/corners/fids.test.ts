// Corners of the protocol: walks, and the lives of fids. What a client sends to a server that does as it likes, and what the
// embedded server answers.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Dialect } from '../../src/client/dialects/dialect.ts';
import { DotL } from '../../src/client/dialects/dotl.ts';
import { Abort } from '../../src/common/abort.ts';
import { errno } from '../../src/common/errno.ts';
import { eachTree } from '../support/eachtree.ts';
import { expectCancelled, expectIdle, expectNothingAfterEnd } from '../support/leaks.ts';
import { type Attached, attached, qid } from '../support/scripted.ts';

let { client, server, calls, root } = {} as Attached;
let dialect: Dialect;

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `d${i}`);
const qidsOf = (names: readonly string[]) => names.map((_name, i) => ({ ...qid, path: BigInt(i) }));

beforeEach(async () => {
  ({ client, server, calls, root } = await attached());
  dialect = new DotL(calls);
});
afterEach(() => expectNothingAfterEnd(client));

test.each([
  [16, [16]],
  [17, [16, 1]],
  [33, [16, 16, 1]],
])(
  'Walk > 16 names: %i names go as %j, the first from the old fid, the others from the new one',
  async (count, parts) => {
    const walking = dialect.walk(root, numbered(count));
    let fid = root.number as number;
    let made: number | undefined;
    for (const part of parts) {
      const message = await server.next('Twalk');
      expect(message).toMatchObject({ fid, newfid: made ?? message.newfid });
      expect(message.names).toHaveLength(part);
      fid = message.newfid;
      made = fid;
      server.reply(message.tag, 'Rwalk', { qids: qidsOf(message.names) });
    }
    expect((await walking).number).toBe(made);
    await expectIdle(client, 2);
  },
);

test.each([
  ['refuses', (tag: number) => server.reply(tag, 'Rlerror', { ecode: errno.EACCES }), 'EACCES'],
  ['knows a part of', (tag: number) => server.reply(tag, 'Rwalk', { qids: [qid] }), 'ENOENT'],
  ['knows none of', (tag: number) => server.reply(tag, 'Rwalk', { qids: [] }), 'ENOENT'],
])(
  'Failure in a later chunk: what the server %s leaves the fid of the first, which is clunked',
  async (_how, answer, code) => {
    const walking = dialect.walk(root, numbered(20));
    const first = await server.next('Twalk');
    server.reply(first.tag, 'Rwalk', { qids: qidsOf(first.names) });
    answer((await server.next('Twalk')).tag);
    await expect(walking).rejects.toMatchObject({ code });
    expect((await server.serve('Tclunk', 'Rclunk', {})).fid).toBe(first.newfid);
    await expectIdle(client, 1);
  },
);

test('Partial walk: newfid may exist all the same, is clunked, and its number waits for the answer to that', async () => {
  const walking = dialect.walk(root, ['a', 'b']);
  const { newfid } = await server.serve('Twalk', 'Rwalk', { qids: [qid] });
  await expect(walking).rejects.toMatchObject({ code: 'ENOENT' });
  const clunk = await server.next('Tclunk');
  expect(clunk.fid).toBe(newfid);
  const next = dialect.walk(root, []);
  expect((await server.serve('Twalk', 'Rwalk', { qids: [] })).newfid).not.toBe(newfid);
  await next;
  server.reply(clunk.tag, 'Rlerror', { ecode: errno.EBADF });
  await expectIdle(client, 2);
  const later = dialect.walk(root, []);
  expect((await server.serve('Twalk', 'Rwalk', { qids: [] })).newfid).toBe(newfid);
  await later;
  await expectIdle(client, 3);
});

describe('Walk error on first name', () => {
  test('Walk error on first name: ENOENT, and no fid to clunk', async () => {
    const walking = dialect.walk(root, ['a', 'b']);
    await server.serve('Twalk', 'Rlerror', { ecode: errno.ENOENT });
    await expect(walking).rejects.toMatchObject({ code: 'ENOENT' });
    await server.quiet();
    await expectIdle(client, 1);
  });

  test('Walk error on first name: a server that answers no qids instead of an error has found nothing either', async () => {
    const walking = dialect.walk(root, ['a']);
    const { newfid } = await server.serve('Twalk', 'Rwalk', { qids: [] });
    await expect(walking).rejects.toMatchObject({ code: 'ENOENT' });
    expect((await server.serve('Tclunk', 'Rlerror', { ecode: errno.EBADF })).fid).toBe(newfid);
    await expectIdle(client, 1);
  });

  eachTree((t) => {
    test('Walk error on first name: the server refuses it, tells how far a later one was reached, and clones without names', async () => {
      await t.mkdir('d');
      expect(await t.raw.errno('Twalk', { fid: 0, newfid: 77, names: ['missing', 'd'] })).toBe(errno.ENOENT);
      expect((await t.raw.call('Twalk', { fid: 0, newfid: 77, names: ['d', 'missing'] })).qids).toHaveLength(1);
      // neither has made the fid
      expect(await t.raw.errno('Tclunk', { fid: 77 })).toBe(errno.EBADF);
      expect((await t.raw.call('Twalk', { fid: 0, newfid: 77, names: [] })).qids).toEqual([]);
      await t.raw.clunk(77);
    });
  });
});

test('Tremove always clunks, even on error: what a server keeps all the same is clunked, whatever it says to that', async () => {
  const removing = dialect.unlink(root, 'a', false);
  await server.serve('Tunlinkat', 'Rlerror', { ecode: errno.ENOSYS });
  const { newfid } = await server.serve('Twalk', 'Rwalk', { qids: [qid] });
  // the fid that is removed is one of its own, never that by which a file is known
  expect(newfid).not.toBe(root.number);
  expect((await server.serve('Tremove', 'Rlerror', { ecode: errno.EPERM })).fid).toBe(newfid);
  await expect(removing).rejects.toMatchObject({ code: 'EPERM' });
  expect((await server.serve('Tclunk', 'Rlerror', { ecode: errno.EBADF })).fid).toBe(newfid);
  await expectIdle(client, 1);
});

test.each(['Rclunk', 'an error'])(
  'Tclunk errors: the fid is gone, and its number free, with %s and not before',
  async (answer) => {
    const walking = dialect.walk(root, []);
    await server.serve('Twalk', 'Rwalk', { qids: [] });
    const fid = await walking;
    const { number } = fid;
    calls.clunk(fid);
    const { tag } = await server.next('Tclunk');
    await expect(dialect.stat(fid)).rejects.toMatchObject({ code: 'EBADF' });
    expect(client.stats.fids).toEqual({ live: 1, quarantine: 1 });
    if (answer === 'Rclunk') server.reply(tag, 'Rclunk', {});
    else server.reply(tag, 'Rlerror', { ecode: errno.EIO });
    await expectIdle(client, 1);
    const again = dialect.walk(root, []);
    expect((await server.serve('Twalk', 'Rwalk', { qids: [] })).newfid).toBe(number);
    await again;
  },
);

test('fid number reuse races: newfid of a walk that was flushed is not used again before its clunk is answered', async () => {
  const abort = new Abort();
  const walking = dialect.walk(root, ['a'], abort);
  const { newfid } = await server.next('Twalk');
  abort.abort();
  const flush = await server.next('Tflush');
  const numbers: number[] = [];
  const walkOn = async () => {
    const next = dialect.walk(root, []);
    numbers.push((await server.serve('Twalk', 'Rwalk', { qids: [] })).newfid);
    await next;
  };
  await walkOn();
  server.reply(flush.tag, 'Rflush', {});
  await expectCancelled(walking);
  const clunk = await server.next('Tclunk');
  await walkOn();
  expect(numbers).not.toContain(newfid);
  server.reply(clunk.tag, 'Rclunk', {});
  await expectIdle(client, 3);
});

test('Async clunk: nobody waits for it, and it does not wait for its turn behind what is queued', async () => {
  client.close();
  ({ client, server, calls, root } = await attached({ requests: { maxInFlight: 1 } }));
  const walking = calls.walk(root, []);
  await server.serve('Twalk', 'Rwalk', { qids: [] });
  const { fid } = await walking;
  if (fid === undefined) throw new Error('no fid');
  const stats = [calls.statfs(root), calls.statfs(root)].map((call) => call.catch(() => 'failed'));
  await server.next('Tstatfs');
  calls.clunk(fid);
  expect((await server.next('Tclunk')).fid).toBe(fid.number);
  client.close();
  expect(await Promise.all(stats)).toEqual(['failed', 'failed']);
});
