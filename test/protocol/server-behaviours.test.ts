// What the server does when it is told to append, to commit and to change attributes as others do, alone and together.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { ConfigError } from '../../src/common/errors.ts';
import { type BehaviourOptions, memoryTree, Server } from '../../src/server/server.ts';
import { DM, OMODE, OPEN, QT } from '../../src/wire/p9/constants.ts';
import { create, get, list, mkdir, open, put, stat, wstat, wstatErrno } from '../support/plan9.ts';
import type { Raw9p } from '../support/raw9p.ts';
import { type Served, serveTree, type TreeKind } from '../support/served.ts';

const TREES: readonly TreeKind[] = ['memory', 'delayed memory', 'host'];
const APPENDING = OPEN.RDWR | OPEN.APPEND;

let served: Served | undefined;

async function begin(tree: TreeKind, behaviour: BehaviourOptions, version?: '9P2000.u' | '9P2000'): Promise<Raw9p> {
  served = await serveTree(tree, behaviour);
  return served.connect(version === undefined ? {} : { version });
}

afterEach(async () => {
  await served?.end();
  served = undefined;
});

/** Two writes at offset 0 of a file of five bytes, and what the file says then. */
async function twice(raw: Raw9p, fid: number): Promise<string> {
  const refused = [];
  for (const text of ['x', 'y']) {
    refused.push(await raw.errno('Twrite', { fid, offset: 0, data: Buffer.from(text) }));
  }
  return refused.some((number) => number !== 0) ? refused.join() : (await raw.read(fid)).toString();
}

describe.each(TREES)('%s tree', (tree) => {
  describe.each([
    ['end', 'startxy'],
    ['offset', 'ytart'],
    ['refuse', `${errno.EIO},${errno.EIO}`],
  ] as const)('append=%s', (append, expected) => {
    test('a file that was opened to append', async () => {
      const raw = await begin(tree, { append });
      await raw.write(await raw.create(0, 'f'), 'start');
      expect(await twice(raw, await raw.open('f', APPENDING))).toBe(expected);
      // the others are as ever
      expect(await twice(raw, await raw.open('f', OPEN.RDWR))).toMatch(/^ytart/);
    });

    test('a file that was created to append', async () => {
      const raw = await begin(tree, { append });
      const fid = await raw.create(0, 'f', { flags: APPENDING });
      await raw.write(await raw.open('f', OPEN.RDWR), 'start');
      expect(await twice(raw, fid)).toBe(expected);
    });

    test('.u: OAPPEND of Topen and Tcreate', async () => {
      const raw = await begin(tree, { append }, '9P2000.u');
      const mode = OMODE.RDWR | OMODE.APPEND;
      const created = await create(raw, 'f', { mode });
      await raw.write(await open(raw, 'f', OMODE.RDWR), 'start');
      expect(await twice(raw, created)).toBe(expected);
      await put(raw, 'g', 'start');
      expect(await twice(raw, await open(raw, 'g', mode))).toBe(expected);
    });

    test('with fids that are paths', async () => {
      const raw = await begin(tree, { append, fids: 'path' });
      await raw.write(await raw.create(0, 'a'), 'other');
      await raw.write(await raw.create(0, 'f'), 'start');
      const fid = await raw.open('a', APPENDING);
      // now the path has another file, which is opened for each request
      await raw.call('Tremove', { fid: await raw.walk('a') });
      await raw.call('Trename', { fid: await raw.walk('f'), dfid: 0, name: 'a' });
      expect(await twice(raw, fid)).toBe(expected);
    });
  });

  /** The errno of a Tfsync. */
  const fsync = (raw: Raw9p, fid: number) => raw.errno('Tfsync', { fid, datasync: 0 });

  describe('fsync', () => {
    test.each([
      ['file', 'file', 0, 0],
      ['file', 'path', 0, errno.ENOENT],
      ['path', 'file', errno.ENOENT, errno.ENOENT],
      ['path-io', 'file', 0, 0],
      ['path-io', 'path', errno.ENOENT, errno.ENOENT],
      ['path-unopened', 'path', errno.ENOENT, errno.ENOENT],
    ] as const)('fids=%s, fsync=%s', async (fids, how, renamed, removed) => {
      const raw = await begin(tree, { fids, fsync: how });
      await raw.write(await raw.create(0, 'f'), 'text');
      const [fid, dir] = [await raw.open('f', OPEN.RDWR), await raw.open('')];
      for (const each of [fid, dir]) expect(await fsync(raw, each)).toBe(0);
      await raw.call('Trename', { fid: await raw.walk('f'), dfid: 0, name: 'g' });
      expect(await fsync(raw, fid)).toBe(renamed);
      await raw.call('Trename', { fid: await raw.walk('g'), dfid: 0, name: 'f' });
      expect(await fsync(raw, fid)).toBe(0);
      await raw.call('Tremove', { fid: await raw.walk('f') });
      expect(await fsync(raw, fid)).toBe(removed);
      // what is read and written is another question
      expect(await raw.errno('Tread', { fid, offset: 0, count: 9 })).toBe(fids === 'path' ? errno.ENOENT : 0);
      await raw.create(0, 'f');
      expect(await fsync(raw, fid)).toBe(how === 'path' && fids === 'file' ? errno.ENOENT : 0);
    });

    test('eisdir: of a directory, not of a file', async () => {
      const raw = await begin(tree, { fsync: 'eisdir' });
      await raw.call('Tmkdir', { dfid: 0, name: 'd', mode: 0o755, gid: 0 });
      expect(await fsync(raw, await raw.open('d'))).toBe(errno.EISDIR);
      expect(await fsync(raw, await raw.create(0, 'f'))).toBe(0);
    });

    test.each([
      ['path', errno.ENOENT],
      ['file', 0],
    ] as const)('%s: the Twstat that asks for nothing', async (how, expected) => {
      const raw = await begin(tree, { fids: 'path-io', fsync: how }, '9P2000');
      await put(raw, 'f', 'text');
      const fids = [await raw.walk('f'), await open(raw, 'f', OMODE.RDWR)];
      for (const fid of fids) await wstat(raw, fid, {});
      await raw.call('Tremove', { fid: await raw.walk('f') });
      for (const fid of fids) expect(await wstatErrno(raw, fid, {})).toBe(expected);
    });
  });
});

describe('append=offset', () => {
  test('a file that only grows grows', async () => {
    const raw = await begin('memory', { append: 'offset' }, '9P2000.u');
    const fid = await create(raw, 'f', { perm: (DM.APPEND | 0o644) >>> 0 });
    await raw.write(fid, 'start');
    expect(await twice(raw, fid)).toBe('startxy');
  });
});

describe.each(['9P2000.u', '9P2000'] as const)('wstat=all-ones, %s', (version) => {
  const ONES = 0x7fffffff;

  describe.each(TREES)('%s tree', (tree) => {
    let raw: Raw9p;
    beforeEach(async () => {
      raw = await begin(tree, { wstat: 'all-ones' }, version);
    });

    test('a Twstat that leaves the mode alone fills it, until it is given another', async () => {
      await put(raw, 'f', 'text');
      const fid = await raw.walk('f');
      const { mode } = await stat(raw, fid);
      for (const changes of [{ mtime: 1 }, { length: 2 }, { name: 'g' }, {}]) {
        await wstat(raw, fid, changes);
        expect((await stat(raw, fid)).mode).toBe(ONES);
        expect((await list(raw, await open(raw, ''), version))[0]?.mode).toBe(ONES);
        await wstat(raw, fid, { mode });
        expect((await stat(raw, fid)).mode).toBe(mode);
      }
      expect(await get(raw, 'g')).toBe('te');
    });

    test('a directory stays one', async () => {
      const fid = await mkdir(raw, 'd');
      await wstat(raw, fid, { mtime: 1 });
      expect((await stat(raw, fid)).mode).toBe(0xffffffff);
      await wstat(raw, fid, { mode: (DM.DIR | 0o755) >>> 0 });
      expect((await stat(raw, fid)).mode).toBe((DM.DIR | 0o755) >>> 0);
    });

    test('a Twstat that is refused leaves it', async () => {
      const fid = await mkdir(raw, 'd');
      const { mode } = await stat(raw, fid);
      expect(await wstatErrno(raw, fid, { length: 7 })).toBe(errno.EISDIR);
      expect((await stat(raw, fid)).mode).toBe(mode);
    });
  });

  test('the file is append-only, and open once at a time', async () => {
    const raw = await begin('memory', { wstat: 'all-ones' }, version);
    await put(raw, 'f', 'start');
    const fid = await raw.walk('f');
    await wstat(raw, fid, { mtime: 1 });
    expect((await stat(raw, fid)).qid.type).toBe(QT.APPEND | QT.EXCL | QT.TMP);
    await raw.call('Topen', { fid, mode: OMODE.RDWR });
    expect(await raw.errno('Topen', { fid: await raw.walk('f'), mode: OMODE.READ })).toBe(errno.EAGAIN);
    expect(await twice(raw, fid)).toBe('startxy');
    await wstat(raw, fid, { mode: 0o644 });
    expect((await stat(raw, fid)).qid.type).toBe(0);
    expect(await get(raw, 'f')).toBe('startxy');
  });
});

test('all of it together', async () => {
  const raw = await begin(
    'memory',
    { fids: 'path-io', append: 'offset', fsync: 'path', wstat: 'all-ones' },
    '9P2000.u',
  );
  await put(raw, 'f', 'start');
  const fid = await open(raw, 'f', OMODE.RDWR | OMODE.APPEND);
  expect(await twice(raw, fid)).toBe('ytart');
  await raw.call('Tremove', { fid: await raw.walk('f') });
  expect(await wstatErrno(raw, fid, {})).toBe(errno.ENOENT);
  expect((await raw.read(fid)).toString()).toBe('ytart');
  await put(raw, 'f', 'innocent');
  await wstat(raw, fid, { mtime: 1 });
  expect((await stat(raw, await raw.walk('f'))).mode).toBe(0x7fffffff);
});

test('by default it behaves as it does of itself', async () => {
  const raw = await begin('memory', {}, '9P2000.u');
  const fid = await create(raw, 'f', { mode: OMODE.RDWR | OMODE.APPEND });
  await raw.write(fid, 'start');
  expect(await twice(raw, fid)).toBe('startxy');
  await wstat(raw, fid, { mtime: 1 });
  expect((await stat(raw, fid)).mode).toBe(0o644);
  await raw.call('Tremove', { fid: await raw.walk('f') });
  await wstat(raw, fid, {});
});

test.each([
  [{ fids: 'inode' }, "fids: there is no 'inode'; it takes file, path, path-io or path-unopened"],
  [{ append: 'END' }, "append: there is no 'END'; it takes end, offset or refuse"],
  [{ fsync: 'no' }, "fsync: there is no 'no'; it takes file, path or eisdir"],
  [{ wstat: '' }, "wstat: there is no ''; it takes exact or all-ones"],
])('%j is refused', (options, message) => {
  const serve = () => new Server({ tree: memoryTree(), ...(options as BehaviourOptions) });
  expect(serve).toThrow(ConfigError);
  expect(serve).toThrow(message);
});
