// Numbers and texts of a server's that programs would take at their word: a block size is the size of their buffers, a link's
// target has to fit in the kernel's page.

import { expect, test } from 'vitest';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
import { getattr } from '../support/scripted.ts';

const stage = bridgeStage();

test.each([
  [0, 4096],
  [1, 4096],
  [512, 512],
  [131_072, 131_072],
  [16 * 1024 * 1024, 16 * 1024 * 1024],
  [16 * 1024 * 1024 + 1, 4096],
  [2 ** 31, 4096],
  [Number.MAX_SAFE_INTEGER, 4096],
])('a block size of %i is shown as %i', async (said, shown) => {
  stage.answer({
    Tgetattr: (message) =>
      stage.at.files.say(message, { ...getattr, qid: { type: 0, version: 0, path: 2n }, blksize: said }),
  });
  const file = await stage.lookup('file');
  expect((await stage.at.ops.getattr(caller(), file, undefined, true)).attr.blksize).toBe(shown);
});

test.each([
  ['x'.repeat(4095), undefined],
  ['x'.repeat(4096), 'ENAMETOOLONG'],
  ['ö'.repeat(2048), 'ENAMETOOLONG'],
  ['x'.repeat(8000), 'ENAMETOOLONG'],
])('a target is read whole, or not at all where the kernel has no room for it', async (target, code) => {
  stage.answer({ Treadlink: (message) => stage.at.files.say(message, { target }) });
  const reading = Promise.resolve(stage.at.ops.readlink(caller(), await stage.lookup('link')));
  if (code === undefined) expect(await reading).toBe(target);
  else await expect(reading).rejects.toMatchObject({ code });
});
