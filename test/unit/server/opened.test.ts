// An open fid, where another file is at its path by now: which of the two files a Tfsync commits, and what becomes of a
// read when the file that was opened for it cannot be closed.

import { afterEach, describe, expect, test, vi } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { ErrnoError } from '../../../src/common/errors.ts';
import type { FidKindName } from '../../../src/server/server.ts';
import { MemoryFile } from '../../../src/server/trees/memory/file.ts';
import type { Inode } from '../../../src/server/trees/memory/inode.ts';
import { OPEN } from '../../../src/wire/p9/constants.ts';
import type { Raw9p } from '../../support/raw9p.ts';
import { type Served, serveTree, type TreeKind } from '../../support/served.ts';

/** Of the memory tree's files and directories. */
const OPENED = Object.getPrototypeOf(MemoryFile.prototype) as MemoryFile;

interface Staged {
  served: Served;
  raw: Raw9p;
  /** Open on the file that is `b` by now; `a` is another. */
  fid: number;
  meant: bigint;
  innocent: bigint;
}

async function staged(tree: TreeKind, fids: FidKindName): Promise<Staged> {
  const served = await serveTree(tree, { fids });
  const raw = await served.connect();
  const put = async (name: string) => {
    const fid = await raw.create(0, name);
    const { qid } = await raw.getattr(fid);
    await raw.clunk(fid);
    return qid.path;
  };
  const meant = await put('a');
  const fid = await raw.open('a', OPEN.RDWR);
  await raw.call('Trename', { fid: await raw.walk('a'), dfid: 0, name: 'b' });
  return { served, raw, fid, meant, innocent: await put('a') };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each<TreeKind>(['memory', 'delayed memory'])('%s tree', (tree) => {
  test.each([
    ['file', 'meant'],
    ['path', 'innocent'],
    ['path-io', 'meant'],
    ['path-unopened', 'meant'],
  ] as const)('fids=%s: Tfsync commits the one that is %s', async (fids, which) => {
    const { served, raw, fid, ...files } = await staged(tree, fids);
    const committed: bigint[] = [];
    vi.spyOn(OPENED, 'fsync').mockImplementation(function (this: MemoryFile) {
      committed.push((this as unknown as { inode: Inode }).inode.qid.path);
    });
    await raw.call('Tfsync', { fid, datasync: 0 });
    expect(committed).toEqual([files[which]]);
    await served.end();
  });

  test('a read is given back when its file cannot be closed', async () => {
    const { served, raw, fid } = await staged(tree, 'path');
    const release = vi.fn();
    vi.spyOn(MemoryFile.prototype, 'read').mockReturnValue({ data: Buffer.from('lost'), release });
    const { close } = MemoryFile.prototype;
    vi.spyOn(MemoryFile.prototype, 'close').mockImplementationOnce(function (this: MemoryFile) {
      close.call(this);
      throw new ErrnoError(errno.EDQUOT);
    });
    expect(await raw.errno('Tread', { fid, offset: 0, count: 10 })).toBe(errno.EDQUOT);
    expect(release).toHaveBeenCalledTimes(1);
    expect((await raw.read(fid)).toString()).toBe('lost');
    expect(release).toHaveBeenCalledTimes(2);
    await served.end();
  });
});
