// Waits that an interrupt ends although they are no request's own: for answers that several callers wait for, whoever gives up
// is let go at once, and the question goes on for the others; for the rest of a change, in bounded time.

import { expect, test, vi } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import { errno } from '../../src/common/errno.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
import { turn } from '../support/scripted.ts';
import { until } from '../support/until.ts';

const stage = bridgeStage();

test('whether the server has extended attributes at all', async () => {
  const node = await stage.lookup('file');
  const lists: Message[] = [];
  stage.answer({
    Txattrwalk: (message) => (message.name === '' ? lists.push(message) > 0 : stage.refuse(errno.EOPNOTSUPP)(message)),
  });
  const abort = new Abort();
  const killed = Promise.resolve(stage.at.ops.getxattr(caller(abort), node, 'user.a'));
  await until('the list is asked for', () => lists.length === 1);
  const other = Promise.resolve(stage.at.ops.getxattr(caller(), node, 'user.b'));
  await until('so is the other attribute', () => stage.got('Txattrwalk').length === 3);

  abort.abort({ dying: true });
  await expect(killed).rejects.toMatchObject({ code: 'EINTR' });
  for (const message of lists) stage.refuse(errno.EOPNOTSUPP)(message);
  await until('the root is asked', () => lists.length === 2);
  stage.refuse(errno.EOPNOTSUPP)(lists[1]!);
  await expect(other).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
  await expect(Promise.resolve().then(() => stage.at.ops.listxattr(caller(), node))).rejects.toMatchObject({
    code: 'EOPNOTSUPP',
  });
  expect(stage.got('Txattrwalk')).toHaveLength(4);
});

test('the rest of what gives an attribute an empty value, when the old one is gone', async () => {
  const node = await stage.lookup('file');
  const empty = (signal = new Abort()) =>
    Promise.resolve(stage.at.ops.setxattr(caller(signal), node, 'user.a', Buffer.alloc(0), 0));
  await empty(); // the server is known to hold such values
  const abort = new Abort();
  let creates = 0;
  stage.answer({
    Txattrcreate: () => {
      creates++;
      if (creates === 2) abort.abort({ dying: false });
      return creates === 2;
    },
  });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const ended = expect(empty(abort)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  await vi.advanceTimersByTimeAsync(0);
  for (let i = 0; i < 20; i++) await turn();
  expect(creates).toBe(2);
  await vi.advanceTimersByTimeAsync(stage.at.client.flushTimeout);
  await ended;
  vi.useRealTimers();
  expect(stage.got('Tflush')).toHaveLength(1);
});
