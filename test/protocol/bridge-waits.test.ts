// Answers that several callers wait for: whoever gives up is let go at once, and the question goes on for the others.

import { expect, test } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import { errno } from '../../src/common/errno.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
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
