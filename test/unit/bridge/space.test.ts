import { expect, test } from 'vitest';
import { shownSpace, unknownSpace } from '../../../src/bridge/attributes/space.ts';

const stat = { bsize: 4096, blocks: 100, bfree: 50, bavail: 40, files: 10, ffree: 5, namelen: 255 };

test.each([
  ['what the server says', stat, { ...stat, frsize: 4096 }],
  ['nothing at all', { ...stat, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0 }, unknownSpace],
  ['no block size', { ...stat, bsize: 0 }, { ...stat, frsize: 4096 }],
  [
    'blocks of a byte',
    { ...stat, bsize: 1, blocks: 40960, bfree: 8191, bavail: 4096 },
    { ...stat, frsize: 4096, blocks: 10, bfree: 1, bavail: 1 },
  ],
  ['less than a block', { ...stat, bsize: 1 }, { ...stat, frsize: 4096, blocks: 1, bfree: 0, bavail: 0 }],
  ['large blocks', { ...stat, bsize: 1 << 20 }, { ...stat, bsize: 1 << 20, frsize: 1 << 20 }],
  [
    'blocks that no program should make its buffer of',
    { ...stat, bsize: 2 ** 31, blocks: 2, bfree: 1 },
    { ...stat, frsize: 4096, blocks: 2 ** 20, bfree: 2 ** 19, bavail: 40 * 2 ** 19 },
  ],
  [
    'more bytes than can be counted',
    { ...stat, bsize: 0xffffffff, blocks: Number.MAX_SAFE_INTEGER, bfree: Number.MAX_SAFE_INTEGER },
    { ...stat, frsize: 4096, blocks: 2 ** 51 - 1, bfree: 2 ** 51 - 1, bavail: Math.floor((40 * 0xffffffff) / 4096) },
  ],
  [
    'as many blocks as there can be',
    { ...stat, bsize: 512, blocks: Number.MAX_SAFE_INTEGER },
    { ...stat, bsize: 512, frsize: 512, blocks: Number.MAX_SAFE_INTEGER },
  ],
  ['a full one', { ...stat, bfree: 0, bavail: 0 }, { ...stat, frsize: 4096, bfree: 0, bavail: 0 }],
  ['files as they come', { ...stat, files: 0, ffree: 0 }, { ...stat, frsize: 4096, files: 0, ffree: 0 }],
  ['no length of names', { ...stat, namelen: 0 }, { ...stat, frsize: 4096 }],
  ['names longer than the kernel has', { ...stat, namelen: 1024 }, { ...stat, frsize: 4096 }],
])('%s', (_what, said, shown) => {
  expect(shownSpace(said)).toEqual(shown);
});
