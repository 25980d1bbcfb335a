// Corners of the protocol: what a file system call becomes on the wire, and what is made of answers that are odd. The file
// system's own operations, without a kernel, over a server that answers as the test says.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ROOT } from '../../src/bridge/nodes.ts';
import { Abort } from '../../src/common/abort.ts';
import type { FileHandle, NodeId } from '../../src/common/brand.ts';
import { errno } from '../../src/common/errno.ts';
import { LOCK_STATUS, LOCK_TYPE } from '../../src/common/locktable.ts';
import { Writer } from '../../src/common/writer.ts';
import { GETATTR, OPEN, QT, SETATTR } from '../../src/wire/p9/constants.ts';
import type { Body, Message } from '../../src/wire/p9/messages.ts';
import { writeDirent } from '../../src/wire/p9/types.ts';
import { type Bridged, bridged, caller } from '../support/bridged.ts';
import { expectIdle, expectNothingAfterEnd } from '../support/leaks.ts';
import { getattr, turn } from '../support/scripted.ts';

const LOCK_EOF = 0x7fff_ffff_ffff_ffffn;

let at: Bridged;
const opened: [NodeId, FileHandle][] = [];

beforeEach(async () => {
  at = await bridged();
});
afterEach(async () => {
  vi.useRealTimers();
  if (at.client.error === undefined) {
    for (const [node, fh] of opened.splice(0)) at.ops.release(caller(), node, fh);
    for (let id = 2; id < 30; id++) at.ops.forget(id as NodeId, 1000);
    await turn();
    await expectIdle(at.client, 1);
  }
  opened.length = 0;
  await expectNothingAfterEnd(at.client);
});

async function lookup(name: string, parent: NodeId = ROOT): Promise<NodeId> {
  return (await at.ops.lookup(caller(), parent, name)).nodeid as NodeId;
}

async function open(node: NodeId, flags: number = OPEN.RDWR): Promise<FileHandle> {
  const { fh } = await at.ops.open(caller(), node, flags, false);
  opened.push([node, fh]);
  return fh;
}

type Answers = { [N in Message['type']]?: (message: Extract<Message, { type: N }>) => unknown };

/** Answers by type; what returns undefined is answered as usual. */
function answer(answers: Answers): void {
  at.files.before = (message) => {
    const rule = answers[message.type] as ((message: Message) => unknown) | undefined;
    return rule?.(message) === true;
  };
}

const refuse = (ecode: number) => (message: Message) => {
  at.files.refuse(message, ecode);
  return true;
};

function got<N extends Message['type']>(...types: N[]): Extract<Message, { type: N }>[] {
  return at.files.received.filter(({ type }) => types.some((each) => each === type)) as never;
}

// ---- bytes

describe('iounit 0', () => {
  test.each([
    [0, 8192 - 24],
    [1000, 1000],
    [1_000_000, 8192 - 24],
  ])('iounit 0: where the server says %i, reads and writes are of %i bytes at the most', async (iounit, most) => {
    answer({ Tlopen: (message) => at.files.say(message, { qid: { type: 0, version: 0, path: 2n }, iounit }) });
    const file = await lookup('file');
    const fh = await open(file);
    const { release } = await at.ops.read(caller(), file, fh, 0, 20_000, 0);
    release?.();
    const flags = { fromCache: false, killSuidGid: false, openFlags: OPEN.RDWR, lockOwner: 0n };
    expect(await at.ops.write(caller(), file, fh, 0, Buffer.alloc(20_000), flags)).toBe(20_000);
    expect(Math.max(...got('Tread').map(({ count }) => count))).toBe(most);
    expect(Math.max(...got('Twrite').map(({ data }) => data.length))).toBe(most);
  });
});

describe('Short reads/writes', () => {
  test('Short reads/writes: a read goes on to the end, a write until all is written', async () => {
    const short = 1000;
    answer({
      Tread: (message) =>
        message.count > short &&
        at.files.say(message, { data: Buffer.alloc(message.offset < 100_000 ? short : 0, 'x') }),
      Twrite: (message) => message.data.length > short && at.files.say(message, { count: short }),
    });
    const file = await lookup('file');
    const fh = await open(file);
    const { data, release } = await at.ops.read(caller(), file, fh, 0, 20_000, 0);
    expect(Buffer.concat([data].flat()).length).toBe(20_000);
    release?.();
    const flags = { fromCache: false, killSuidGid: false, openFlags: OPEN.RDWR, lockOwner: 0n };
    expect(await at.ops.write(caller(), file, fh, 0, Buffer.alloc(20_000), flags)).toBe(20_000);
  });

  test('Short reads/writes: what a stream has is the answer', async () => {
    answer({
      Tgetattr: (message) => at.files.say(message, { ...getattr, qid: { type: 0, version: 0, path: 2n }, size: 0 }),
      Tread: (message) => at.files.say(message, { data: Buffer.from('a line\n') }),
    });
    const file = await lookup('stream');
    const fh = await open(file, OPEN.RDONLY);
    const { data, release } = await at.ops.read(caller(), file, fh, 0, 4096, 0);
    expect(Buffer.concat([data].flat()).toString()).toBe('a line\n');
    release?.();
    expect(got('Tread')).toHaveLength(1);
  });

  test('Short reads/writes: more than was asked for, or taken than was sent, ends the connection', async () => {
    answer({ Twrite: (message) => at.files.say(message, { count: message.data.length + 1 }) });
    const file = await lookup('file');
    const fh = await open(file);
    const flags = { fromCache: false, killSuidGid: false, openFlags: OPEN.RDWR, lockOwner: 0n };
    await expect(at.ops.write(caller(), file, fh, 0, Buffer.alloc(10), flags)).rejects.toThrow('Rwrite of 11 bytes');
    expect(at.client.error?.message).toContain('Rwrite');
  });
});

// ---- listings

describe('Readdir .L', () => {
  /** A listing whose cookies are in no order and use all 64 bits; `few`: entries a reply. */
  async function list(few: number, names: readonly string[]) {
    const cookies = names.map((_name, i) => BigInt.asUintN(64, BigInt(i + 1) * 0x9e37_79b9_7f4a_7c15n) | 1n);
    const asked: bigint[] = [];
    answer({
      Treaddir: (message) => {
        asked.push(message.offset);
        const from = message.offset === 0n ? 0 : cookies.indexOf(message.offset) + 1;
        if (message.offset !== 0n && from === 0) return refuse(errno.EINVAL)(message);
        const out = Writer.sized(message.count);
        for (let i = from; i < Math.min(names.length, from + few); i++) {
          const qid = { type: 0, version: 0, path: BigInt(i + 10) };
          writeDirent(out, { qid, offset: cookies[i] ?? 0n, type: 8, name: names[i] ?? '' });
        }
        return at.files.say(message, { data: out.bytes.subarray(0, out.at) });
      },
    });
    const dir = await lookup('dir');
    const { fh } = await at.ops.opendir(caller(), dir, 0);
    const seen: [name: string, next: bigint][] = [];
    for (let offset = 0n; ; ) {
      const before = seen.length;
      const add = (name: string, _ino: bigint, _type: number, next: bigint) => {
        if (seen.length - before === 3) return false;
        seen.push([name, next]);
        return true;
      };
      await at.ops.readdir(caller(), dir, fh, offset, 4096, { add });
      if (seen.length === before) break;
      offset = seen.at(-1)?.[1] ?? 0n;
    }
    return {
      seen,
      asked,
      cookies,
      async from(offset: bigint) {
        const names: string[] = [];
        await at.ops.readdir(caller(), dir, fh, offset, 4096, { add: (name) => names.push(name) > 0 });
        return names;
      },
      end: () => at.ops.releasedir(caller(), dir, fh),
    };
  }
  const names = ['.', '..', ...Array.from({ length: 50 }, (_, i) => `name${i}`)];

  test.each([1, 7, 1000])('Readdir .L: cookies are passed on as they are, beyond 2^53 too, %i a reply', async (few) => {
    const { seen, cookies, asked, end } = await list(few, names);
    expect(seen.map(([name]) => name)).toEqual(names);
    expect(seen.map(([, next]) => next)).toEqual(cookies);
    // nobody asks for a place that the server has not named
    expect(asked.filter((offset) => offset !== 0n && !cookies.includes(offset))).toEqual([]);
    end();
  });

  test('Readdir .L: a place is the same whenever it is asked for', async () => {
    const { cookies, from, end } = await list(5, names);
    for (const i of [40, 3, 17, 0, 50]) expect((await from(cookies[i] ?? 0n))[0]).toBe(names[i + 1]);
    expect(await from(cookies[51] ?? 0n)).toEqual([]);
    expect((await from(0n))[0]).toBe('.');
    end();
  });

  test('Readdir .L: no count is so small that nothing fits, whatever the kernel asks for', async () => {
    const dir = await lookup('dir');
    const { fh } = await at.ops.opendir(caller(), dir, 0);
    await at.ops.readdir(caller(), dir, fh, 0n, 32, { add: () => false });
    // qid[13] offset[8] type[1] name[s], with a name of 255 bytes
    for (const { count } of got('Treaddir')) expect(count).toBeGreaterThanOrEqual(13 + 8 + 1 + 2 + 255);
    at.ops.releasedir(caller(), dir, fh);
  });

  test('Readdir .L: a server that gives the same place again and again is not asked for ever', async () => {
    answer({
      Treaddir: (message) => {
        const out = Writer.sized(message.count);
        writeDirent(out, { qid: { type: 0, version: 0, path: 9n }, offset: 5n, type: 8, name: 'again' });
        return at.files.say(message, { data: out.bytes.subarray(0, out.at) });
      },
    });
    const dir = await lookup('dir');
    const { fh } = await at.ops.opendir(caller(), dir, 0);
    await at.ops.readdir(caller(), dir, fh, 0n, 4096, { add: () => true });
    await expect(
      Promise.resolve(at.ops.readdir(caller(), dir, fh, 5n, 4096, { add: () => true })),
    ).rejects.toMatchObject({ code: 'EIO' });
    at.ops.releasedir(caller(), dir, fh);
  });
});

// ---- attributes

describe('getattr mask', () => {
  test('getattr mask: what stat(2) shows is asked for, and no more', async () => {
    await lookup('file');
    for (const { mask } of got('Tgetattr')) expect(mask).toBe(GETATTR.BASIC);
  });

  test('getattr mask: of the answer only that is believed for which it vouches', async () => {
    const junk: Body<'Rgetattr'> = {
      ...{
        ...getattr,
        qid: { type: QT.DIR, version: 0, path: 9n },
        mode: 0o100000,
        nlink: 77,
        uid: 7,
        gid: 7,
        rdev: 7,
      },
      ...{ size: 1025, blksize: 7, blocks: 7, atime: 7, atimeNsec: 7, mtime: 5, mtimeNsec: 6, ctime: 7, ctimeNsec: 7 },
    };
    answer({ Tgetattr: (message) => at.files.say(message, { ...junk, valid: GETATTR.SIZE | GETATTR.MTIME }) });
    const { attr } = (await at.ops.lookup(caller(), ROOT, 'dir')) as { attr: object };
    expect(attr).toMatchObject({
      nlink: 1,
      uid: 0,
      gid: 0,
      rdev: 0,
      size: 1025,
      blocks: 3,
      mtime: 5,
      mtimeNsec: 6,
    });
    expect(attr).toMatchObject({ mode: 0o040777, atime: 5, atimeNsec: 6, ctime: 5, ctimeNsec: 6 });
  });

  test('getattr mask: a kind that nobody vouches for is that of the qid, and times are as old as the file', async () => {
    const qid = { type: QT.SYMLINK, version: 0, path: 9n };
    answer({ Tgetattr: (message) => at.files.say(message, { ...getattr, qid, valid: 0, mtime: 99, size: 99 }) });
    const { attr } = (await at.ops.lookup(caller(), ROOT, 'link')) as { attr: object };
    expect(attr).toMatchObject({ mode: 0o120777, size: 0, blocks: 0, mtime: 0, atime: 0, ctime: 0 });
  });
});

test('setattr time bits: a time that is now has no value, one that is given has its bit beside', async () => {
  const file = await lookup('file');
  await at.ops.setattr(caller(), file, { atime: 'now', mtime: 'now' });
  await at.ops.setattr(caller(), file, { atime: { sec: -1, nsec: 5 } });
  await at.ops.setattr(caller(), file, { atime: 'now', mtime: { sec: 2 ** 33, nsec: 6 } });
  const { ATIME, MTIME, ATIME_SET, MTIME_SET } = SETATTR;
  expect(got('Tsetattr')).toMatchObject([
    { valid: ATIME | MTIME },
    { valid: ATIME | ATIME_SET, atime: -1, atimeNsec: 5 },
    { valid: ATIME | MTIME | MTIME_SET, mtime: 2 ** 33, mtimeNsec: 6 },
  ]);
});

describe('setattr via fid', () => {
  test('setattr via fid: of an open file it names the open fid', async () => {
    const file = await lookup('file');
    const fh = await open(file);
    await at.ops.setattr(caller(), file, { size: 3, fh });
    expect(got('Tsetattr').map(({ fid }) => fid)).toEqual(got('Tlopen').map(({ fid }) => fid));
  });

  test('setattr via fid: where the server has lost that one, the file is asked for by its name', async () => {
    const file = await lookup('file');
    const fh = await open(file);
    const [mine] = got('Tlopen').map(({ fid }) => fid);
    answer({ Tsetattr: (message) => message.fid === mine && refuse(errno.ENOENT)(message) });
    await at.ops.setattr(caller(), file, { size: 3, fh });
    const fids = got('Tsetattr').map(({ fid }) => fid);
    expect(fids).toHaveLength(2);
    expect(fids[1]).not.toBe(mine);
  });

  test('setattr via fid: a file without a name goes through one that has it open', async () => {
    const file = await lookup('file');
    await open(file);
    await at.ops.unlink(caller(), ROOT, 'file');
    await at.ops.setattr(caller(), file, { mode: 0o600 });
    expect(got('Tsetattr').map(({ fid }) => fid)).toEqual(got('Tlopen').map(({ fid }) => fid));
  });
});

describe('statfs', () => {
  test.each([errno.EOPNOTSUPP, errno.ENOSYS])(
    'statfs: a server that answers errno %i has room, and says so',
    async (ecode) => {
      answer({ Tstatfs: refuse(ecode) });
      const stat = await at.ops.statfs(caller(), ROOT);
      for (const [name, value] of Object.entries(stat)) expect([name, value > 0]).toEqual([name, true]);
    },
  );

  test('statfs: one that answers zeros does as well', async () => {
    const none = { fsType: 0, bsize: 0, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, fsid: 0n, namelen: 0 };
    answer({ Tstatfs: (message) => at.files.say(message, none) });
    const stat = await at.ops.statfs(caller(), ROOT);
    for (const [name, value] of Object.entries(stat)) expect([name, value > 0]).toEqual([name, true]);
  });

  test('statfs: blocks of one byte are shown as larger ones, and a full disk as full', async () => {
    const full = {
      fsType: 1,
      bsize: 1,
      blocks: 81_920,
      bfree: 0,
      bavail: 0,
      files: 9,
      ffree: 0,
      fsid: 0n,
      namelen: 99,
    };
    answer({ Tstatfs: (message) => at.files.say(message, full) });
    const shown = { bsize: 4096, frsize: 4096, blocks: 20, bavail: 0, namelen: 99 };
    expect(await at.ops.statfs(caller(), ROOT)).toMatchObject(shown);
  });
});

describe('timestamps', () => {
  test('timestamps: 64 bits of a hostile server, and nanoseconds that are none, are brought into range', async () => {
    answer({
      Tgetattr: (message) =>
        at.files.say(message, {
          ...getattr,
          qid: { type: 0, version: 0, path: 9n },
          atime: Number.MAX_SAFE_INTEGER,
          atimeNsec: Number.MAX_SAFE_INTEGER,
          mtime: -Number.MAX_SAFE_INTEGER,
          mtimeNsec: 1_000_000_000,
        }),
    });
    const { attr } = (await at.ops.lookup(caller(), ROOT, 'file')) as {
      attr: { atimeNsec: number; atime: number; mtime: number; mtimeNsec: number };
    };
    expect(attr.atimeNsec).toBeLessThan(1_000_000_000);
    expect(attr).toMatchObject({ atime: Number.MAX_SAFE_INTEGER, mtime: -Number.MAX_SAFE_INTEGER, mtimeNsec: 0 });
  });
});

// ---- names

describe.each([errno.EOPNOTSUPP, errno.ENOSYS])('on a server that answers errno %i', (ecode) => {
  test('unlinkat -> remove fallback: the kind is looked at first, and the server is not asked twice', async () => {
    answer({ Tunlinkat: refuse(ecode) });
    await expect(at.ops.unlink(caller(), ROOT, 'dir')).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(at.ops.rmdir(caller(), ROOT, 'file')).rejects.toMatchObject({ code: 'ENOTDIR' });
    expect(got('Tremove')).toEqual([]);
    await at.ops.unlink(caller(), ROOT, 'file');
    await at.ops.rmdir(caller(), ROOT, 'dir');
    expect(got('Tremove')).toHaveLength(2);
    expect(got('Tunlinkat')).toHaveLength(1);
  });

  test('renameat -> rename -> wstat: a Trename by a fid of the file, and the server is not asked twice', async () => {
    answer({ Trenameat: refuse(ecode) });
    const dir = await lookup('dir');
    await at.ops.rename(caller(), ROOT, 'a', dir, 'b', 0);
    await at.ops.rename(caller(), dir, 'b', ROOT, 'c', 0);
    expect(got('Trenameat')).toHaveLength(1);
    expect(got('Trename').map(({ name }) => name)).toEqual(['b', 'c']);
  });

  test('renameat -> rename -> wstat: without that there is EXDEV, for which mv copies', async () => {
    answer({ Trenameat: refuse(ecode), Trename: refuse(ecode) });
    const renaming = Promise.resolve(at.ops.rename(caller(), ROOT, 'a', ROOT, 'b', 0));
    await expect(renaming).rejects.toMatchObject({ code: 'EXDEV' });
  });
});

test.each([1, 2, 4])('No RENAME_NOREPLACE/EXCHANGE in .L: flags %i are EINVAL, and nothing is sent', async (flags) => {
  const before = at.files.received.length;
  const renaming = Promise.resolve().then(() => at.ops.rename(caller(), ROOT, 'a', ROOT, 'b', flags));
  await expect(renaming).rejects.toMatchObject({ code: 'EINVAL' });
  expect(at.files.received).toHaveLength(before);
});

describe('qid.version as cache validator', () => {
  const KEEP_CACHE = 2;

  /** Whether the second open of a file may keep its pages. */
  async function keeps(first: object, second: object): Promise<boolean> {
    let stat: Body<'Rgetattr'> = { ...getattr, qid: { type: 0, version: 0, path: 9n }, size: 5, mtime: 5, ctime: 5 };
    answer({ Tgetattr: (message) => at.files.say(message, stat) });
    stat = merged(stat, first);
    const file = await lookup('file');
    await open(file, OPEN.RDONLY);
    stat = merged(stat, second);
    const { fh, flags } = await at.ops.open(caller(), file, OPEN.RDONLY, false);
    opened.push([file, fh]);
    return (flags & KEEP_CACHE) !== 0;
  }

  function merged(stat: Body<'Rgetattr'>, { version, ...rest }: { version?: number }): Body<'Rgetattr'> {
    return { ...stat, ...rest, qid: { ...stat.qid, version: version ?? stat.qid.version } };
  }

  test.each([
    ['nothing has changed', {}, {}, true],
    ['the version has moved and nothing else', { version: 1 }, { version: 2 }, false],
    ['the version is always the same and the size is another', { version: 7 }, { version: 7, size: 6 }, false],
    ['a version is 0 once, which is none', { version: 3 }, { version: 0 }, true],
    ['the version is 0 and the mtime is another', {}, { mtimeNsec: 1 }, false],
    ['the version is 0 and only the ctime is another', {}, { ctimeNsec: 1 }, false],
  ])('qid.version as cache validator: where %s', async (_what, first, second, kept) => {
    expect(await keeps(first, second)).toBe(kept);
  });
});

describe('qid.path uniqueness', () => {
  interface Seen {
    nodeid: NodeId;
    generation: number;
    attr: { ino: bigint; size: number };
  }
  const PATH = 4242n;

  /** Every file has the same qid.path, and its name's length as its size. */
  async function colliding(): Promise<(name: string, parent?: NodeId) => Promise<Seen>> {
    const names = new Map<number, string>();
    await lookup('dir');
    at.files.collide = PATH;
    answer({
      Twalk: (message) => {
        names.set(message.newfid, message.names.at(-1) ?? names.get(message.fid) ?? '');
        return undefined;
      },
      Tgetattr: (message) => {
        const name = names.get(message.fid) ?? '';
        if (name === '' || name.startsWith('d')) return undefined;
        const qid = { type: 0, version: 0, path: PATH };
        return at.files.say(message, { ...getattr, qid, size: name.length });
      },
    });
    return async (name, parent = ROOT) => (await at.ops.lookup(caller(), parent, name)) as Seen;
  }

  test('qid.path uniqueness: two files of one qid are two files, each with its number', async () => {
    const look = await colliding();
    const [one, three] = [await look('a'), await look('abc')];
    expect(three.nodeid).not.toBe(one.nodeid);
    expect(three.attr.ino).not.toBe(one.attr.ino);
    expect(one.attr.ino).toBe(PATH);
    expect(await look('a')).toMatchObject({ nodeid: one.nodeid, attr: { ino: one.attr.ino, size: 1 } });
    expect(await look('abc')).toMatchObject({ nodeid: three.nodeid, attr: { ino: three.attr.ino, size: 3 } });
  });

  test('qid.path uniqueness: the number stays when the kernel has forgotten the file, and when it is renamed', async () => {
    const look = await colliding();
    const [one, three] = [await look('a'), await look('abc')];
    for (const { nodeid } of [one, three]) at.ops.forget(nodeid, 1);
    // the other way round
    expect((await look('abc')).attr.ino).toBe(three.attr.ino);
    expect((await look('a')).attr.ino).toBe(one.attr.ino);
    await at.ops.rename(caller(), ROOT, 'abc', await lookup('dir'), 'xyz', 0);
    expect((await look('xyz', await lookup('dir'))).attr.ino).toBe(three.attr.ino);
  });

  test('qid.path uniqueness: a node id is never that of a second file, so that no generation is needed', async () => {
    const look = await colliding();
    const seen = new Set<NodeId>();
    for (let i = 0; i < 20; i++) {
      const { nodeid, generation } = await look(i % 2 === 0 ? 'a' : 'abc');
      expect(generation).toBe(0);
      expect(seen.has(nodeid)).toBe(false);
      seen.add(nodeid);
      at.ops.forget(nodeid, 1);
    }
  });

  test('qid.path uniqueness: what has the number of a file that was removed here is another', async () => {
    const look = await colliding();
    const one = await look('a');
    const fh = await open(one.nodeid);
    await at.ops.unlink(caller(), ROOT, 'a');
    const again = await look('a');
    expect(again.nodeid).not.toBe(one.nodeid);
    expect(fh).toBeDefined();
  });
});

// ---- locks

describe('Tlock', () => {
  const range = (start: bigint, end: bigint, type: number = LOCK_TYPE.WRLCK) => ({ start, end, type, pid: 42 });

  async function locked(wait: boolean, signal = new Abort(), asked = range(0n, LOCK_EOF)) {
    const file = await lookup('file');
    const fh = await open(file);
    const locking = Promise.resolve(at.ops.setlk(caller(signal), file, fh, 1n, asked, wait));
    return { file, fh, locking };
  }

  test('Tlock: it asks without BLOCK, for a length of 0 to the end, under a name that stays', async () => {
    answer({
      Tlock: (message) => at.files.say(message, { status: LOCK_STATUS.SUCCESS }),
      Tgetlock: (message) => at.files.say(message, { ...message, kind: LOCK_TYPE.UNLCK }),
    });
    const { locking, file, fh } = await locked(false);
    await locking;
    await at.ops.setlk(caller(), file, fh, 1n, range(0n, LOCK_EOF, LOCK_TYPE.UNLCK), false);
    await at.ops.setlk(caller(), file, fh, 2n, range(10n, 19n), false);
    await at.ops.closeFlush(caller(), file, fh, 2n);
    const locks = got('Tlock');
    expect(locks.map(({ kind, start, length }) => [kind, start, length])).toEqual([
      [LOCK_TYPE.WRLCK, 0n, 0n],
      [LOCK_TYPE.UNLCK, 0n, 0n],
      [LOCK_TYPE.WRLCK, 10n, 10n],
      // and the close of a descriptor gives back what its owner has
      [LOCK_TYPE.UNLCK, 0n, 0n],
    ]);
    expect(locks.map(({ flags }) => flags)).toEqual([0, 0, 0, 0]);
    expect(new Set(locks.map(({ clientId, procId }) => `${clientId} ${procId}`)).size).toBe(1);
  });

  test.each([
    ['GRACE', LOCK_STATUS.GRACE],
    ['ERROR', LOCK_STATUS.ERROR],
  ])('Tlock: %s is ENOLCK', async (_name, status) => {
    answer({ Tlock: (message) => at.files.say(message, { status }) });
    await expect((await locked(true)).locking).rejects.toMatchObject({ code: 'ENOLCK' });
  });

  test.each([errno.EOPNOTSUPP, errno.ENOSYS])('Tlock: errno %i is ENOLCK', async (ecode) => {
    answer({ Tlock: refuse(ecode) });
    await expect((await locked(false)).locking).rejects.toMatchObject({ code: 'ENOLCK' });
  });

  test('Tlock: BLOCKED is EAGAIN, or to who waits a reason to ask again, at growing intervals', async () => {
    let status: number = LOCK_STATUS.BLOCKED;
    answer({
      Tlock: (message) => at.files.say(message, { status }),
      Tgetlock: (message) => at.files.say(message, { ...message, kind: LOCK_TYPE.UNLCK }),
    });
    const first = await locked(false);
    await expect(first.locking).rejects.toMatchObject({ code: 'EAGAIN' });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { locking } = await locked(true);
    const asked: number[] = [];
    for (let ms = 0; ms <= 640; ms += 10) {
      const before = got('Tlock').length;
      if (ms > 0) vi.advanceTimersByTime(10);
      for (let i = 0; i < 10; i++) await turn();
      if (got('Tlock').length > before || ms === 0) asked.push(ms);
    }
    // pauses of 10, 20, 40, ... ms
    expect(asked).toEqual([0, 10, 30, 70, 150, 310, 630]);
    status = LOCK_STATUS.SUCCESS;
    vi.advanceTimersByTime(640);
    await locking;
  });

  test('Tlock: who waits can be interrupted, in a pause and while the server is asked', async () => {
    let hold = false;
    answer({ Tlock: (message) => hold || at.files.say(message, { status: LOCK_STATUS.BLOCKED }) });
    for (hold of [false, true]) {
      const abort = new Abort();
      const { locking } = await locked(true, abort);
      for (let i = 0; i < 10; i++) await turn();
      abort.abort();
      await expect(locking).rejects.toMatchObject({ code: 'EINTR' });
    }
  });
});

// ---- extended attributes

describe('xattr', () => {
  const value = Buffer.from('value');

  test('xattr: the list is that of an empty name, read in pieces, and its fid is let go', async () => {
    const names = Buffer.from('user.a\0'.repeat(2000));
    at.files.before = (message) => {
      if (message.type === 'Txattrwalk') return at.files.xattr(message, names.length);
      if (message.type === 'Tread') {
        return at.files.say(message, { data: names.subarray(message.offset, message.offset + message.count) });
      }
      return false;
    };
    const file = await lookup('file');
    const list = await at.ops.listxattr(caller(), file);
    expect(Buffer.from(list).equals(names)).toBe(true);
    expect(got('Txattrwalk')).toMatchObject([{ name: '' }]);
    expect(got('Tread').every(({ count }) => count <= 8192 - 24)).toBe(true);
  });

  test('xattr: it is set through a clone, and the result is that of the clunk', async () => {
    const file = await lookup('file');
    answer({
      Tclunk: (message) => got('Txattrcreate').some(({ fid }) => fid === message.fid) && refuse(errno.ENOSPC)(message),
    });
    const setting = Promise.resolve(at.ops.setxattr(caller(), file, 'user.a', value, 0));
    await expect(setting).rejects.toMatchObject({ code: 'ENOSPC' });
    const [created] = got('Txattrcreate');
    expect(got('Twalk').some(({ newfid, names }) => newfid === created?.fid && names.length === 0)).toBe(true);
    // the server of this test keeps a fid whose clunk it refuses
    at.files.forget(created?.fid ?? 0);
  });

  test('xattr: a value of which the server takes a part only is not set', async () => {
    let first = true;
    at.files.before = (message) => {
      if (message.type !== 'Twrite') return false;
      const count = first ? 2 : 0;
      first = false;
      return at.files.say(message, { count });
    };
    const file = await lookup('file');
    const setting = Promise.resolve(at.ops.setxattr(caller(), file, 'user.a', value, 0));
    await expect(setting).rejects.toMatchObject({ code: 'EIO' });
  });

  test('xattr: size 0 removes', async () => {
    const file = await lookup('file');
    await at.ops.removexattr(caller(), file, 'user.a');
    expect(got('Txattrcreate')).toMatchObject([{ name: 'user.a', size: 0, flags: 2 }]);
    expect(got('Twrite')).toEqual([]);
  });

  test('xattr: security.capability is asked for once in a while, not at every write', async () => {
    answer({ Txattrwalk: refuse(errno.ENODATA) });
    const file = await lookup('file');
    for (let i = 0; i < 5; i++) {
      const asking = Promise.resolve().then(() => at.ops.getxattr(caller(), file, 'security.capability'));
      await expect(asking).rejects.toMatchObject({ code: 'ENODATA' });
    }
    expect(got('Txattrwalk')).toHaveLength(1);
  });

  async function asks(count: number): Promise<void> {
    const file = await lookup('file');
    for (let i = 0; i < count; i++) {
      const asking = Promise.resolve().then(() => at.ops.getxattr(caller(), file, 'user.a'));
      await expect(asking).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
    }
  }

  test('xattr: a server that does not know the message is not asked again', async () => {
    answer({ Txattrwalk: refuse(errno.ENOSYS) });
    await asks(3);
    expect(got('Txattrwalk')).toHaveLength(1);
  });

  test('xattr: a server that has none, nor a list of them, is not asked again', async () => {
    answer({ Txattrwalk: refuse(errno.EOPNOTSUPP) });
    await asks(5);
    // of the file, and of the root
    expect(got('Txattrwalk').map(({ name }) => name)).toEqual(['user.a', '', '']);
  });

  test('xattr: one that has a list, or one file system of several that has them, is', async () => {
    answer({ Txattrwalk: (message) => message.name !== '' && refuse(errno.EOPNOTSUPP)(message) });
    await asks(5);
    expect(got('Txattrwalk').filter(({ name }) => name === 'user.a')).toHaveLength(5);
    expect(got('Txattrwalk').filter(({ name }) => name === '')).toHaveLength(1);
  });
});

// ---- servers that do not know a message

describe('Unknown message replies', () => {
  test('Unknown message replies: an error that says nothing of the message is the answer', async () => {
    answer({ Tunlinkat: refuse(errno.EIO) });
    for (let i = 0; i < 2; i++) {
      await expect(at.ops.unlink(caller(), ROOT, 'file')).rejects.toMatchObject({ code: 'EIO' });
    }
    expect(got('Tunlinkat')).toHaveLength(2);
    expect(got('Tremove')).toEqual([]);
  });

  test('Unknown message replies: a hang-up is EIO to all', async () => {
    answer({
      Tstatfs: () => {
        at.client.close();
        return true;
      },
    });
    await expect(Promise.resolve(at.ops.statfs(caller(), ROOT))).rejects.toMatchObject({ errno: errno.EIO });
  });

  test('Unknown message replies: silence ends with timeout=, where that is set, and costs the one call', async () => {
    await expectNothingAfterEnd(at.client);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
    at = await bridged({ requests: { timeout: 3000 } });
    answer({ Tstatfs: () => true });
    const asking = Promise.resolve(at.ops.statfs(caller(), ROOT));
    const failed = expect(asking).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    for (let i = 0; i < 10; i++) await turn();
    vi.advanceTimersByTime(4000);
    await failed;
    expect(got('Tflush')).toHaveLength(1);
    answer({});
    await lookup('file');
  });
});
