// Setting an attribute in two round trips: what leaves together, on which servers, and what is told when one of both fails. The
// server is played by hand, so that it can answer in any order; a real one's round trips are counted at the end.

import { describe, expect, test } from 'vitest';
import { DotL } from '../../../src/client/dialects/dotl.ts';
import { openSession } from '../../../src/client/session.ts';
import { Abort } from '../../../src/common/abort.ts';
import { errno } from '../../../src/common/errno.ts';
import { memoryTree, Server } from '../../../src/server/server.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import type { Transport } from '../../../src/transport/transport.ts';
import { attachedForEach, begin, calls, client, root, server } from '../../support/attachedstage.ts';
import { expectCancelled, expectIdle } from '../../support/leaks.ts';
import { qid, turn } from '../../support/scripted.ts';

attachedForEach();

const VALUE = Buffer.from('value');

function set(name = 'user.a', value: Uint8Array = VALUE, signal?: Abort): Promise<void> {
  const setting = dialect().setxattr(root, name, value, 0, signal);
  setting.catch(() => undefined); // the test looks at it later
  return setting;
}

/** Its facts go with the calls. */
const dialect = () => new DotL(calls);

/** The clone and the Txattrcreate, which are both there before either is answered. */
async function clone(answer: (tag: number) => void = (tag) => server.reply(tag, 'Rxattrcreate', {})) {
  const walk = await server.next('Twalk');
  const create = await server.next('Txattrcreate');
  expect(create.fid).toBe(walk.newfid);
  server.reply(walk.tag, 'Rwalk', { qids: [] });
  answer(create.tag);
  return create;
}

const refuse = (ecode: number) => (tag: number) => server.reply(tag, 'Rlerror', { ecode });

/** The value, and the clunk when that was taken. */
async function fill(): Promise<void> {
  await server.serve('Twrite', 'Rwrite', { count: VALUE.length });
  await server.serve('Tclunk', 'Rclunk', {});
}

/** Two attributes are set; beside the second it is asked whether short values are refused, and answered so. */
async function taught(clunk: (tag: number) => void, then = async () => {}): Promise<void> {
  const first = set();
  await clone();
  await fill();
  await first;
  await server.quiet();
  const second = set();
  await clone();
  // the question, and the value
  const asked = await clone();
  expect(asked).toMatchObject({ size: 1, flags: 0 });
  expect(asked.name).not.toContain('.');
  const write = await server.next('Twrite');
  const unsent = await server.next('Tclunk');
  expect(unsent.fid).toBe(asked.fid);
  clunk(unsent.tag);
  await then();
  server.reply(write.tag, 'Rwrite', { count: VALUE.length });
  await server.serve('Tclunk', 'Rclunk', {});
  await second;
}

/** The Twrite and the Tclunk, which are both there before either is answered. */
async function both() {
  const write = await server.next('Twrite');
  const clunk = await server.next('Tclunk');
  expect(clunk.fid).toBe(write.fid);
  return { write, clunk };
}

/** The clunk does not leave before the value is taken. */
async function expectInTurn(): Promise<void> {
  const setting = set();
  await clone();
  const { tag } = await server.next('Twrite');
  await server.quiet();
  server.reply(tag, 'Rwrite', { count: VALUE.length });
  await server.serve('Tclunk', 'Rclunk', {});
  await setting;
  await expectIdle(client, 1);
}

test('the clone and the Txattrcreate leave together; the value and the clunk one after the other', async () => {
  const setting = set();
  expect(await clone()).toMatchObject({ name: 'user.a', size: VALUE.length });
  await server.next('Twrite').then(async ({ tag, data }) => {
    expect(Buffer.from(data).toString()).toBe('value');
    await server.quiet();
    server.reply(tag, 'Rwrite', { count: VALUE.length });
  });
  await server.serve('Tclunk', 'Rclunk', {});
  await setting;
  // nothing is asked for the sake of one value
  await server.quiet();
  await expectIdle(client, 1);
});

test('removal: the clone and the Txattrcreate leave together, and the clunk behind them', async () => {
  const removing = dialect().removexattr(root, 'user.a');
  expect(await clone()).toMatchObject({ size: 0, flags: 2 });
  await server.serve('Tclunk', 'Rclunk', {});
  await removing;
  await expectIdle(client, 1);
});

describe('a server that carries out requests in another order', () => {
  test.each(['EBADF', 'EIO', 'EINVAL', 'ERANGE', 'ENOENT'] as const)(
    '%s: the Txattrcreate is sent again, and from then on behind its clone',
    async (code) => {
      const setting = set();
      const walk = await server.next('Twalk');
      const early = await server.next('Txattrcreate');
      server.reply(early.tag, 'Rlerror', { ecode: errno[code] });
      server.reply(walk.tag, 'Rwalk', { qids: [] });
      expect(await server.serve('Txattrcreate', 'Rxattrcreate', {})).toMatchObject({
        ...early,
        tag: expect.any(Number),
      });
      await fill();
      await setting;
      for (let i = 0; i < 3; i++) {
        const next = set();
        const alone = await server.next('Twalk');
        await server.quiet();
        server.reply(alone.tag, 'Rwalk', { qids: [] });
        await server.serve('Txattrcreate', 'Rxattrcreate', {});
        await fill();
        await next;
      }
      await expectIdle(client, 1);
    },
  );

  test('what is refused twice was refused: it says nothing of the order', async () => {
    for (let i = 0; i < 2; i++) {
      const setting = set();
      await clone(refuse(errno.EIO));
      await server.serve('Txattrcreate', 'Rlerror', { ecode: errno.EIO });
      await server.serve('Tclunk', 'Rclunk', {});
      await expect(setting).rejects.toMatchObject({ code: 'EIO' });
    }
    await expectIdle(client, 1);
  });

  test('another error is the result at once', async () => {
    const setting = set();
    await clone(refuse(errno.EEXIST));
    await server.serve('Tclunk', 'Rclunk', {});
    await expect(setting).rejects.toMatchObject({ code: 'EEXIST' });
    await expectIdle(client, 1);
  });
});

test('a clone that is refused: its number is not used again while the Txattrcreate names it', async () => {
  const setting = set();
  const walk = await server.next('Twalk');
  const create = await server.next('Txattrcreate');
  server.reply(walk.tag, 'Rlerror', { ecode: errno.EMFILE });
  await turn();
  await turn();
  const other = calls.walk(root, ['b']);
  const { newfid } = await server.serve('Twalk', 'Rwalk', { qids: [qid] });
  expect(newfid).not.toBe(walk.newfid);
  server.reply(create.tag, 'Rlerror', { ecode: errno.EBADF });
  await expect(setting).rejects.toMatchObject({ code: 'EMFILE' });
  const again = calls.walk(root, ['c']);
  expect((await server.serve('Twalk', 'Rwalk', { qids: [qid] })).newfid).toBe(walk.newfid);
  await Promise.all([other, again]);
  await expectIdle(client, 3);
});

test('a number that the server may have for an old file is named by nothing before the clone is answered', async () => {
  const walking = calls.walk(root, ['a']);
  const { newfid } = await server.serve('Twalk', 'Rwalk', { qids: [qid] });
  calls.clunk((await walking).fid!);
  await server.serve('Tclunk', 'Rlerror', { ecode: errno.EIO });
  await expectIdle(client, 1);
  const setting = set();
  const walk = await server.next('Twalk');
  expect(walk.newfid).toBe(newfid);
  await server.quiet();
  server.reply(walk.tag, 'Rlerror', { ecode: errno.EBADF });
  // another number, and nothing beside that either
  server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
  await server.serve('Txattrcreate', 'Rxattrcreate', {});
  await fill();
  await setting;
  await expectIdle(client, 1);
});

describe('a server that refuses values that are shorter than announced', () => {
  const learned = () => taught(refuse(errno.EINVAL));

  /** Set step by step, as what was not known to be set the first time. */
  async function stepByStep(write: (tag: number) => void): Promise<void> {
    await server.serve('Twalk', 'Rwalk', { qids: [] });
    await server.serve('Txattrcreate', 'Rxattrcreate', {});
    write((await server.next('Twrite')).tag);
  }

  test('the value and the clunk leave together', async () => {
    await learned();
    for (let i = 0; i < 3; i++) {
      const setting = set();
      await clone();
      const { write, clunk } = await both();
      server.reply(write.tag, 'Rwrite', { count: VALUE.length });
      server.reply(clunk.tag, 'Rclunk', {});
      await setting;
    }
    await server.quiet();
    await expectIdle(client, 1);
  });

  test('the error of the clunk is the result', async () => {
    await learned();
    const setting = set();
    await clone();
    const { write, clunk } = await both();
    server.reply(write.tag, 'Rwrite', { count: VALUE.length });
    server.reply(clunk.tag, 'Rlerror', { ecode: errno.ENOSPC });
    await expect(setting).rejects.toMatchObject({ code: 'ENOSPC' });
    await server.quiet();
    await expectIdle(client, 1);
  });

  test('a write that fails is made again step by step: its error is the result, and nothing is set', async () => {
    await learned();
    const setting = set();
    await clone();
    const { write, clunk } = await both();
    server.reply(write.tag, 'Rlerror', { ecode: errno.ENOSPC });
    server.reply(clunk.tag, 'Rlerror', { ecode: errno.EINVAL });
    await stepByStep(refuse(errno.ENOSPC));
    // let go of, with no byte in it
    server.reply((await server.next('Tclunk')).tag, 'Rlerror', { ecode: errno.EINVAL });
    await expect(setting).rejects.toMatchObject({ code: 'ENOSPC' });
    await expectIdle(client, 1);
    // that was the value's fault, not the order's; but the number may be kept by the server, which has refused the clunk
    const next = set();
    await server.serve('Twalk', 'Rwalk', { qids: [] });
    await server.serve('Txattrcreate', 'Rxattrcreate', {});
    const more = await both();
    server.reply(more.write.tag, 'Rwrite', { count: VALUE.length });
    server.reply(more.clunk.tag, 'Rclunk', {});
    await next;
  });

  test('a clunk that overtakes the value sets nothing: step by step it does, from then on', async () => {
    await learned();
    const setting = set();
    await clone();
    const { write, clunk } = await both();
    server.reply(clunk.tag, 'Rlerror', { ecode: errno.EINVAL });
    server.reply(write.tag, 'Rlerror', { ecode: errno.EBADF });
    await stepByStep((tag) => server.reply(tag, 'Rwrite', { count: VALUE.length }));
    await server.serve('Tclunk', 'Rclunk', {});
    await setting;
    const next = set();
    await stepByStep((tag) => server.reply(tag, 'Rwrite', { count: VALUE.length }));
    await server.serve('Tclunk', 'Rclunk', {});
    await next;
    await expectIdle(client, 1);
  });

  test('the number of the fid is used again when both are answered', async () => {
    await learned();
    const setting = set();
    const { fid } = await clone();
    const { write, clunk } = await both();
    server.reply(clunk.tag, 'Rclunk', {});
    await turn();
    expect(client.stats.fids.quarantine).toBe(1);
    server.reply(write.tag, 'Rwrite', { count: VALUE.length });
    await setting;
    const walking = calls.walk(root, ['b']);
    expect((await server.serve('Twalk', 'Rwalk', { qids: [qid] })).newfid).toBe(fid);
    await walking;
    await expectIdle(client, 2);
  });

  test('of a value in several messages each is answered before the next', async () => {
    await learned();
    const long = Buffer.alloc(client.chunk + 1, 'x');
    const setting = set('user.long', long);
    await clone();
    for (const count of [client.chunk, 1]) {
      const { tag, data } = await server.next('Twrite');
      expect(data.length).toBe(count);
      await server.quiet();
      server.reply(tag, 'Rwrite', { count });
    }
    await server.serve('Tclunk', 'Rclunk', {});
    await setting;
    await expectIdle(client, 1);
  });

  test('given up while both are under way: EINTR where the clunk is refused', async () => {
    await learned();
    const abort = new Abort();
    const setting = set('user.a', VALUE, abort);
    await clone();
    const { clunk } = await both();
    abort.abort({ dying: false });
    server.reply((await server.next('Tflush')).tag, 'Rflush', {});
    server.reply(clunk.tag, 'Rlerror', { ecode: errno.EINVAL });
    await expectCancelled(setting);
    await expectIdle(client, 1);
  });

  test('given up while both are under way: done where the clunk is answered', async () => {
    await learned();
    const abort = new Abort();
    const setting = set('user.a', VALUE, abort);
    await clone();
    const { clunk } = await both();
    abort.abort({ dying: false });
    server.reply((await server.next('Tflush')).tag, 'Rflush', {});
    server.reply(clunk.tag, 'Rclunk', {});
    await setting;
    await expectIdle(client, 1);
  });

  test('given up before the value could be sent: no such clunk follows', async () => {
    await begin({ requests: { tagWindow: 3, maxInFlight: 2 } });
    await learned();
    const abort = new Abort();
    const setting = set('user.a', VALUE, abort);
    const walk = await server.next('Twalk');
    const create = await server.next('Txattrcreate');
    // both tags are taken when the value is to be sent
    const waiting = [calls.walk(root, ['x']), calls.walk(root, ['y'])];
    server.reply(walk.tag, 'Rwalk', { qids: [] });
    server.reply(create.tag, 'Rxattrcreate', {});
    const others = [await server.next('Twalk'), await server.next('Twalk')];
    await server.quiet();
    abort.abort({ dying: false });
    // the clunk that lets go of it: with no byte sent it sets nothing
    await server.serve('Tclunk', 'Rlerror', { ecode: errno.EINVAL });
    await expectCancelled(setting);
    for (const { tag } of others) server.reply(tag, 'Rwalk', { qids: [qid] });
    await Promise.all(waiting);
    await expectIdle(client, 3);
  });

  test('one that sets a value all the same is not trusted again', async () => {
    await learned();
    const setting = set();
    await clone();
    const { write, clunk } = await both();
    server.reply(write.tag, 'Rlerror', { ecode: errno.ENOSPC });
    server.reply(clunk.tag, 'Rclunk', {});
    await expect(setting).rejects.toMatchObject({ code: 'ENOSPC' });
    await expectInTurn();
  });
});

describe('a server of which that is not so', () => {
  test('its file system refuses the name of the question (diod)', async () => {
    await taught(refuse(errno.EOPNOTSUPP));
    await expectInTurn();
  });

  test('it sets what was never sent: that is removed again', async () => {
    const sets = (tag: number) => server.reply(tag, 'Rclunk', {});
    await taught(sets, async () => {
      expect(await clone()).toMatchObject({ size: 0, flags: 0 });
      await server.serve('Tclunk', 'Rclunk', {});
    });
    await expectInTurn();
  });

  test('it refuses the question itself (nfs-ganesha)', async () => {
    const first = set();
    await clone();
    await fill();
    await first;
    const second = set();
    await clone();
    await clone(refuse(errno.EOPNOTSUPP));
    const { tag } = await server.next('Twrite');
    await server.serve('Tclunk', 'Rclunk', {});
    server.reply(tag, 'Rwrite', { count: VALUE.length });
    await server.serve('Tclunk', 'Rclunk', {});
    await second;
    await expectInTurn();
  });

  test('what has begun is not given up half way', async () => {
    const abort = new Abort();
    const setting = set('user.a', VALUE, abort);
    await clone();
    const { tag } = await server.next('Twrite');
    abort.abort({ dying: false });
    await server.quiet(); // no flush
    server.reply(tag, 'Rwrite', { count: VALUE.length });
    await server.serve('Tclunk', 'Rclunk', {});
    await setting;
    await expectIdle(client, 1);
  });
});

test('on the embedded server it takes two round trips, from the third value on', async () => {
  const [ours, theirs] = memoryPair();
  const embedded = new Server({ tree: memoryTree() });
  const over = embedded.serveTransport(theirs);
  const wire = counted(ours);
  const session = await openSession(wire.transport);
  const { dialect: spoken } = session;
  const file = await spoken.attach('', '', 0);
  const trips: number[] = [];
  for (let i = 0; i < 5; i++) {
    wire.begin();
    await spoken.setxattr(file, `user.a${i}`, Buffer.from(`value ${i}`), 0);
    trips.push(wire.trips());
    await expectIdle(session.connection, 1); // the question may be answered later
  }
  expect(trips).toEqual([3, 3, 2, 2, 2]);
  for (let i = 0; i < 5; i++) {
    expect(Buffer.from(await spoken.getxattr(file, `user.a${i}`)).toString()).toBe(`value ${i}`);
  }
  const names = Buffer.from(await spoken.getxattr(file, '')).toString();
  expect(names.split('\0').filter((name) => name !== '')).toEqual([0, 1, 2, 3, 4].map((i) => `user.a${i}`));
  wire.begin();
  await spoken.removexattr(file, 'user.a0');
  expect(wire.trips()).toBe(2);
  session.close();
  await over;
  await embedded.close();
});

/** Counts round trips: how often something is sent after something was received. */
function counted(transport: Transport): { transport: Transport; begin(): void; trips(): number } {
  let trips = 0;
  let heard = true;
  const { start, send } = transport;
  transport.start = (receiver) =>
    start.call(transport, {
      window: () => receiver.window(),
      filled(count) {
        heard = true;
        receiver.filled(count);
      },
      push(chunk) {
        heard = true;
        receiver.push(chunk);
      },
    });
  transport.send = (head, payload, taken) => {
    if (heard) trips++;
    heard = false;
    return send.call(transport, head, payload, taken);
  };
  return {
    transport,
    begin() {
      trips = 0;
      heard = true;
    },
    trips: () => trips,
  };
}
