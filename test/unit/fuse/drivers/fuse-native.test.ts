// The driver fuse-native over a stand-in for the addon: each callback is answered once, through the operations that it means, on
// Linux and on macOS; and when the mount ends, everything is given back.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Host } from '../../../../src/fuse/drivers/fuse-native/forms.ts';
import { type FuseNativeMount, serveFuseNative } from '../../../../src/fuse/drivers/fuse-native.ts';
import { type Answered, FakeNative } from '../../../support/fakenative.ts';
import { ToyFs } from '../../../support/toyfs.ts';

const ENOENT = -2;
const EIO = -5;
const linux: Host = { mac: false, errno: {} };
const mac: Host = { mac: true, errno: { ENOENT: 2, EIO: 5, EEXIST: 17, ERANGE: 34, ENODATA: 96 } };

let fake: FakeNative;
let toy: ToyFs;
let live: FuseNativeMount;
let vanish: () => void;
let unmounts: boolean[];

async function begin(host: Host = linux): Promise<void> {
  fake = new FakeNative();
  toy = new ToyFs({ later: true });
  unmounts = [];
  const gone = new Promise<void>((resolve) => {
    vanish = resolve;
  });
  live = await serveFuseNative({
    operations: toy,
    mount: { mountpoint: '/mnt', source: 'toy' },
    keep: { direct: false, entryTtl: 0, negativeTtl: 0 },
    binding: fake.binding,
    host,
    place: {
      mountpoint: '/mnt',
      unmount: async (lazy) => {
        unmounts.push(lazy);
        vanish();
      },
      watch: () => ({ gone, stop: () => {} }),
    },
  });
}

beforeEach(() => begin());
afterEach(async () => {
  await live.unmount();
  expect(fake.waiting).toBe(0);
  expect(toy.owed).toBe(0);
  expect(toy.seen.destroyed).toBe(1);
  expect(fake.unmounted).toBe(1);
});

const call = (name: string, ...args: unknown[]) => fake.call(name, args);
const words = ({ extras }: Answered) => extras[0] as Uint32Array;

async function create(path: string, text = ''): Promise<number> {
  const { result, extras } = await call('create', path, 0o100644);
  expect(result).toBe(0);
  const fd = extras[0] as number;
  const data = Buffer.from(text);
  if (text !== '') expect((await call('write', path, fd, data, data.length, 0, 0)).result).toBe(data.length);
  return fd;
}

async function read(path: string, fd: number, size = 100): Promise<string> {
  const room = Buffer.alloc(size);
  const { result, extras } = await call('read', path, fd, room, size, 0, 0);
  expect(extras).toEqual([result, room.buffer]);
  return room.subarray(0, result).toString();
}

test('files are made, written, read, shown and removed', async () => {
  const fd = await create('/f', 'text');
  expect(await read('/f', fd)).toBe('text');
  expect(words(await call('fgetattr', '/f', fd))[3]).toBe(4);
  expect((await call('ftruncate', '/f', fd, 2, 0)).result).toBe(0);
  const stat = words(await call('getattr', '/f'));
  expect([stat[0], stat[3]]).toEqual([0o100644, 2]);
  expect((await call('flush', '/f', fd)).result).toBe(0);
  expect((await call('release', '/f', fd)).result).toBe(0);
  expect((await call('unlink', '/f')).result).toBe(0);
  expect((await call('getattr', '/f')).result).toBe(ENOENT);
  expect((await call('read', '/f', fd, Buffer.alloc(4), 4, 0, 0)).result).toBe(-9);
});

test('directories are listed by path, whole, with types and numbers', async () => {
  expect((await call('mkdir', '/d', 0o755)).result).toBe(0);
  for (const name of ['x', 'y']) await call('release', `/d/${name}`, await create(`/d/${name}`));
  expect((await call('symlink', 'target', '/d/s')).result).toBe(0);
  const { extras } = await call('opendir', '/d');
  const list = async () => {
    const { result, extras: listed } = await call('readdir', '/d');
    expect(result).toBe(0);
    const [names, stats] = listed as [string[], Uint32Array[]];
    return names.map((name, at) => `${name} ${((stats[at]?.[0] ?? 0) & 0o170000).toString(8)}`).sort();
  };
  const whole = ['s 120000', 'x 100000', 'y 100000'];
  expect((await list()).filter((line) => !line.startsWith('.'))).toEqual(whole);
  expect((await call('releasedir', '/d', extras[0])).result).toBe(0);
  expect((await list()).filter((line) => !line.startsWith('.'))).toEqual(whole);
  expect((await call('readlink', '/d/s')).extras).toEqual(['target']);
});

test('names that are not UTF-8 are left out of listings, and such targets are EILSEQ: the addon has text only', async () => {
  const names = ['\udcff1', '\udcff2', 'plain', 'caf\udce9', 'last'];
  // one entry at a time: a piece of the listing that holds none of the others is not its end
  toy.readdir = (_ctx, _nodeid, _fh, offset, _size, sink) => {
    const name = names[Number(offset)];
    if (name !== undefined) sink.add(name, 1n, 8, offset + 1n);
  };
  expect((await call('readdir', '/')).extras[0]).toEqual(['plain', 'last']);
  toy.readlink = () => 'to\udcff';
  expect((await call('symlink', 'target', '/link')).result).toBe(0);
  expect(await call('readlink', '/link')).toEqual({ result: -84, extras: [''] });
});

test('an open file goes on when its path is moved, and a path below follows', async () => {
  await call('mkdir', '/d', 0o755);
  const fd = await create('/d/f', 'text');
  expect((await call('rename', '/d', '/e')).result).toBe(0);
  expect(await read('/e/f', fd)).toBe('text');
  expect(words(await call('getattr', '/e/f'))[3]).toBe(4);
  expect((await call('getattr', '/d/f')).result).toBe(ENOENT);
  await call('release', '/e/f', fd);
});

test('an open file that libfuse hides is removed, and its ghost leads to it until it is closed', async () => {
  const fd = await create('/f', 'text');
  const ghost = '/.fuse_hidden0000000200000001';
  const inode = words(await call('getattr', '/f'))[7];
  expect((await call('rename', '/f', ghost)).result).toBe(0);
  expect((await call('getattr', '/f')).result).toBe(ENOENT);
  expect(words(await call('getattr', ghost))[7]).toBe(inode);
  expect((await call('readdir', '/')).extras[0]).not.toContain('.fuse_hidden0000000200000001');
  expect(await read(ghost, fd)).toBe('text');
  expect((await call('release', ghost, fd)).result).toBe(0);
  expect((await call('unlink', ghost)).result).toBe(0);
  expect((await call('getattr', ghost)).result).toBe(ENOENT);
});

test('a file that nobody has open is renamed, whatever the name', async () => {
  await call('release', '/f', await create('/f'));
  const name = '/.fuse_hidden0000000200000001';
  expect((await call('rename', '/f', name)).result).toBe(0);
  expect((await call('readdir', '/')).extras[0]).toContain('.fuse_hidden0000000200000001');
});

describe('extended attributes', () => {
  const set = (name: string, value: string, position = 0, flags = 0) =>
    call('setxattr', '/f', name, Buffer.from(value), position, flags);
  const get = async (name: string, room: number, position = 0) => {
    const buffer = Buffer.alloc(room);
    const { result } = await call('getxattr', '/f', name, buffer, position);
    return result < 0 ? result : room === 0 ? result : buffer.subarray(0, result).toString();
  };

  test('tell their length, and do not overflow the room that there is', async () => {
    await call('release', '/f', await create('/f'));
    expect((await set('user.x', 'value')).result).toBe(0);
    expect([await get('user.x', 0), await get('user.x', 5), await get('user.x', 4)]).toEqual([5, 'value', -34]);
    expect(await get('user.none', 0)).toBe(-61);
    const list = Buffer.alloc(7);
    expect((await call('listxattr', '/f', Buffer.alloc(0))).result).toBe(7);
    expect((await call('listxattr', '/f', list)).result).toBe(7);
    expect(list.toString()).toBe('user.x\0');
    expect((await call('listxattr', '/f', Buffer.alloc(3))).result).toBe(-34);
    expect((await call('removexattr', '/f', 'user.x')).result).toBe(0);
  });

  test('of macOS are written and read in parts, have no namespace, and no ENODATA but ENOATTR', async () => {
    await live.unmount();
    await begin(mac);
    await call('release', '/f', await create('/f'));
    const fork = 'com.apple.ResourceFork';
    expect((await set(fork, 'cdef', 2)).result).toBe(0);
    expect((await set(fork, 'XY', 4)).result).toBe(0);
    expect(await get(fork, 10)).toBe('\0\0cdXY');
    expect(await get(fork, 10, 4)).toBe('XY');
    const list = Buffer.alloc(100);
    const { result } = await call('listxattr', '/f', list);
    expect(list.subarray(0, result).toString()).toBe(`${fork}\0`);
    expect((await call('listxattr', '/f', Buffer.alloc(0))).result).toBe(fork.length + 1 + 128);
    expect(await get('none', 10)).toBe(-93);
  });
});

test('times are set in milliseconds, both of them', async () => {
  await call('release', '/f', await create('/f'));
  const native = Buffer.alloc(360);
  native.writeBigInt64LE(5001n, 104);
  native.writeBigInt64LE(7002n, 112);
  await fake.call('utimens', ['/f', 5001, 0, 5001, 0], native);
  const stat = words(await call('getattr', '/f'));
  expect([stat[12], stat[14]]).toEqual([5001, 7002]);
});

test('what the file system throws is one error, with what the addon wants beside it', async () => {
  const fd = await create('/f');
  toy.read = () => {
    throw new TypeError('a bug');
  };
  const room = Buffer.alloc(4);
  expect(await call('read', '/f', fd, room, 4, 0, 0)).toEqual({ result: EIO, extras: [0, room.buffer] });
  toy.statfs = () => {
    throw new TypeError('a bug');
  };
  expect((await call('statfs', '/')).result).toBe(EIO);
  expect((await call('opendir', '/none')).extras).toEqual([0]);
  expect((await call('readlink', '/none')).extras).toEqual(['']);
  expect((await call('readdir', '/none')).extras).toEqual([[], []]);
  await call('release', '/f', fd);
  expect(live.stats).toMatchObject({ inFlight: 0, errors: 5 });
});

test('the end aborts what waits, answers it, and is one', async () => {
  const { extras } = await call('open', '/hang', 0);
  const room = Buffer.alloc(4);
  const waiting = call('read', '/hang', extras[0], room, 4, 0, 0);
  vanish(); // somebody else has unmounted it
  expect(await live.done).toEqual({ how: 'unmounted' });
  expect((await waiting).result).toBe(-4);
  expect(unmounts).toEqual([]);
  await call('release', '/hang', extras[0]);
});

test('a lazy unmount ends it, and says so, also where another mount on the same place hides that it has gone', async () => {
  const detach = vanish;
  vanish = () => {};
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const ending = live.unmount({ lazy: true });
    await vi.advanceTimersByTimeAsync(1000);
    expect(await ending).toEqual({ how: 'stopped' });
    expect(await live.done).toEqual({ how: 'stopped' });
  } finally {
    vi.useRealTimers();
    detach();
  }
});
