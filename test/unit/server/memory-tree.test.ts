// What only the memory tree promises: its capacity, that everything removed gives its memory back, and the cookies of its
// directories.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { type MemoryTree, memoryTree } from '../../../src/server/trees/memory.ts';
import { AT_REMOVEDIR, SETATTR } from '../../../src/wire/p9/constants.ts';
import { type Dirent, readDirents } from '../../../src/wire/p9/types.ts';
import type { Raw9p } from '../../support/raw9p.ts';
import { serveAny } from '../../support/served.ts';

const MIB = 1024 * 1024;
let tree: MemoryTree;
let served: ReturnType<typeof serveAny>;
let raw: Raw9p;
let empty: number;

beforeEach(async () => {
  tree = memoryTree({ capacity: 4 * MIB });
  empty = tree.used;
  served = serveAny(tree);
  raw = await served.connect({ msize: MIB + 24 });
});

afterEach(async () => {
  await served.end();
  expect(tree.root.refs).toBe(1);
});

const unlink = (name: string, flags = 0, dirfid = 0) => raw.call('Tunlinkat', { dirfid, name, flags });

describe('capacity', () => {
  test('what is removed gives all of its memory back, whatever it was', async () => {
    const fid = await raw.create(0, 'f');
    await raw.write(fid, Buffer.alloc(700_000));
    await raw.clunk(fid);
    await raw.call('Tmkdir', { dfid: 0, name: 'd', mode: 0o755, gid: 0 });
    await raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'x', gid: 0 });
    await raw.call('Tmknod', { dfid: 0, name: 'p', mode: 0o010600, major: 0, minor: 0, gid: 0 });
    await raw.call('Tlink', { dfid: 0, fid: await raw.walk('f'), name: 'g' });
    const dir = await raw.walk('d');
    await raw.clunk(await raw.create(dir, 'x'));
    await raw.clunk(await raw.create(dir, 'y'));
    await raw.call('Trenameat', { olddirfid: dir, oldname: 'x', newdirfid: dir, newname: 'y' });
    await raw.call('Trenameat', { olddirfid: dir, oldname: 'y', newdirfid: 0, newname: 'a-longer-name' });
    const set = await raw.walk('f');
    await raw.call('Txattrcreate', { fid: set, name: 'user.a', size: 1000, flags: 0 });
    await raw.write(set, Buffer.alloc(1000));
    await raw.clunk(set);
    expect(tree.used).toBeGreaterThan(700_000);
    for (const name of ['f', 'g', 'l', 'p', 'a-longer-name']) await unlink(name);
    await unlink('d', AT_REMOVEDIR);
    await raw.version();
    expect(tree.used).toBe(empty);
    await raw.attach(0, 0);
  });

  test('an unlinked file gives its memory back when the last fid goes', async () => {
    const fid = await raw.create(0, 'f');
    await raw.write(fid, Buffer.alloc(MIB));
    await unlink('f');
    expect(tree.used).toBeGreaterThan(MIB);
    await raw.clunk(fid);
    expect(tree.used).toBe(empty);
  });

  test('a full tree refuses, says so in statfs, and goes on when there is room', async () => {
    const { blocks, bfree } = await raw.call('Tstatfs', { fid: 0 });
    expect(blocks).toBe(1024);
    const fid = await raw.create(0, 'f');
    let at = 0;
    for (let count = 1; count > 0; at += count) {
      const reply = await raw.reply(raw.send('Twrite', { fid, offset: at, data: Buffer.alloc(MIB, 1) }));
      count = reply.type === 'Rwrite' ? reply.count : 0;
      if (reply.type === 'Rlerror') expect(reply.ecode).toBe(errno.ENOSPC);
    }
    expect((await raw.getattr(fid)).size).toBe(at);
    expect(at).toBeGreaterThan(3 * MIB);
    const full = await raw.call('Tstatfs', { fid: 0 });
    expect(full.bfree).toBeLessThan(bfree / 4);
    let made = 0;
    for (let refused = 0; refused === 0; made++) {
      refused = await raw.errno('Tmkdir', { dfid: 0, name: `d${made}`, mode: 0o755, gid: 0 });
      if (refused !== 0) expect(refused).toBe(errno.ENOSPC);
    }
    await raw.setattr(fid, { valid: SETATTR.SIZE, size: 0 });
    expect(await raw.errno('Tmkdir', { dfid: 0, name: 'more', mode: 0o755, gid: 0 })).toBe(0);
    expect(tree.used).toBeLessThan(4 * MIB);
  });

  test('a file that cannot be entered for want of room leaves nothing behind', async () => {
    const small = memoryTree({ capacity: 3000 });
    const before = small.used;
    const root = { uid: 0, gid: 0, groups: [0], uname: 'root', newGroup: 'any' } as const;
    expect(() => small.root.mkdir('n'.repeat(255), 0o755, 0, root)).not.toThrow();
    const used = small.used;
    expect(() => small.root.mkdir('m'.repeat(255), 0o755, 0, root)).toThrow(
      expect.objectContaining({ errno: errno.ENOSPC }),
    );
    expect(small.used).toBe(used);
    expect(used).toBeGreaterThan(before);
  });
});

test('what is removed and made again behind the point where a listing stands is passed once', async () => {
  const names = Array.from({ length: 40 }, (_, i) => `f${i}`);
  for (const name of names) await raw.clunk(await raw.create(0, name));
  const fid = await raw.open('');
  const page = async (offset: bigint) => {
    const { data } = await raw.call('Treaddir', { fid, offset, count: 300 });
    return readDirents(data).entries as Dirent[];
  };
  const first = await page(0n);
  const seen = first.map(({ name }) => name);
  for (const name of names.filter((each) => !seen.includes(each))) {
    await unlink(name);
    await raw.clunk(await raw.create(0, name));
  }
  for (let entries = first; entries.length > 0; ) {
    entries = await page(entries.at(-1)!.offset);
    seen.push(...entries.map(({ name }) => name));
  }
  expect(seen.sort()).toEqual(['.', '..', ...names].sort());
});
