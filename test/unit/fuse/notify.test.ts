import { expect, test } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { Notifier } from '../../../src/fuse/notify.ts';

const tick = () => new Promise((resolve) => setImmediate(resolve));

test('go out one after another, and what the kernel does not know is no error', async () => {
  const written: Buffer[] = [];
  const answers = [0, errno.ENOENT, errno.EINVAL];
  let running = 0;
  const notifier = new Notifier(async (bytes) => {
    expect(++running).toBe(1);
    written.push(bytes);
    await tick();
    running--;
    return answers.shift() ?? 0;
  });
  const results = await Promise.allSettled([
    notifier.invalInode(7 as never, 0, 0),
    notifier.invalEntry(1 as never, 'näme', true),
    notifier.incEpoch(),
  ]);
  expect(results).toMatchObject([{ value: true }, { value: false }, { reason: { errno: errno.EINVAL } }]);
  expect(written.map((bytes) => bytes.toString('hex'))).toEqual([
    `2800000002000000${'00'.repeat(8)}0700000000000000${'00'.repeat(16)}`,
    `2600000003000000${'00'.repeat(8)}01000000000000000500000001000000${Buffer.from('näme\0').toString('hex')}`,
    `1000000008000000${'00'.repeat(8)}`,
  ]);
  await notifier.close();
  expect(await notifier.incEpoch()).toBe(false);
});

test('a name that is not UTF-8 goes out as its bytes, and they are counted', async () => {
  const written: Buffer[] = [];
  const notifier = new Notifier(async (bytes) => {
    written.push(bytes);
    return 0;
  });
  await notifier.invalEntry(1 as never, 'a\udcff');
  await notifier.deleted(1 as never, 2 as never, '\udc80');
  expect(written.map((bytes) => bytes.subarray(16).toString('hex'))).toEqual([
    `0100000000000000${'0200000000000000'}61ff00`,
    `01000000000000000200000000000000${'0100000000000000'}8000`,
  ]);
  expect(written.map((bytes) => [bytes.readUInt32LE(0), bytes.length])).toEqual([
    [35, 35],
    [42, 42],
  ]);
  await notifier.close();
});

test('attributes are dropped while pages wait for a reader', async () => {
  const finish: (() => void)[] = [];
  const notifier = new Notifier(() => new Promise((resolve) => finish.push(() => resolve(0))));
  const pages = notifier.invalInode(7 as never);
  await tick();
  const attributes = notifier.invalInode(7 as never, -1);
  await tick();
  expect(finish).toHaveLength(2);
  finish[1]?.();
  expect(await attributes).toBe(true);
  finish[0]?.();
  expect(await pages).toBe(true);
  await notifier.close();
});

test('too many at once are refused, not hoarded', async () => {
  let release = () => {};
  const notifier = new Notifier(
    () =>
      new Promise((resolve) => {
        release = () => resolve(0);
      }),
  );
  const sent = Array.from({ length: 1024 }, () => notifier.invalInode(7 as never));
  await expect(notifier.invalInode(7 as never)).rejects.toMatchObject({ errno: errno.ENOBUFS });
  await tick();
  const closed = notifier.close();
  release();
  await closed;
  const results = await Promise.all(sent);
  expect(results.filter((told) => told)).toHaveLength(1);
});
