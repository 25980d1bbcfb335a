// What was made and then could not be finished is an error to the kernel, which is told of no node: the lookup that was counted
// for it on the way is taken back, or the node would be kept for as long as the mount lives.

import { afterEach, expect, test } from 'vitest';
import { ROOT } from '../../src/bridge/nodes/node.ts';
import { errno } from '../../src/common/errno.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';

const stage = bridgeStage();
const other = () => caller(undefined, 7);

afterEach(() => {
  expect(stage.at.bridge.nodes.size).toBe(1);
  expect(stage.at.bridge.handles.size).toBe(0);
});

test('a directory that cannot be given to its maker', async () => {
  stage.answer({ Tsetattr: stage.refuse(errno.EIO) });
  await expect(stage.at.ops.mkdir(other(), ROOT, 'd', 0o755, 0)).rejects.toMatchObject({ code: 'EIO' });
});

test('a file that cannot be opened again for what is mapped of it', async () => {
  stage.answer({ Tlopen: stage.refuse(errno.EIO) });
  const flags = OPEN.RDWR | OPEN.APPEND;
  await expect(stage.at.ops.create(caller(), ROOT, 'new', flags, 0o644, 0, false)).rejects.toMatchObject({
    code: 'EIO',
  });
});
