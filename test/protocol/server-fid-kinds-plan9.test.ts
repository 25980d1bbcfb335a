// Which file is hit by the messages that 9P2000.u and 9P2000 have and .L has not, in every kind of fids, where another
// file is at the path of the fid by now.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import type { FidKindName } from '../../src/server/server.ts';
import { DM, OMODE } from '../../src/wire/p9/constants.ts';
import { KINDS } from '../support/eachkind.ts';
import { asRoot } from '../support/eachtree.ts';
import { create, get, list, mkdir, open, type Plan9Version, put, stat, wstat, wstatErrno } from '../support/plan9.ts';
import type { Raw9p } from '../support/raw9p.ts';
import { type Served, serveTree, type TreeKind } from '../support/served.ts';

const ALICE = 54321;

interface Stage {
  served: Served;
  raw: Raw9p;
}

/** With fids of its own. */
async function rename(raw: Raw9p, path: string, name: string): Promise<void> {
  const fid = await raw.walk(path);
  await wstat(raw, fid, { name });
  await raw.clunk(fid);
}

async function remove(raw: Raw9p, path: string): Promise<void> {
  await raw.call('Tremove', { fid: await raw.walk(path) });
}

/** A new file of some length under a name that another one had; what a stat tells of it is only its own. */
async function replaced(raw: Raw9p, name: string): Promise<void> {
  await rename(raw, name, 'moved');
  await put(raw, name, 'innocent');
}

/** The errno of a Tstat. */
const looked = (raw: Raw9p, fid: number) => raw.errno('Tstat', { fid });

function suite(kind: FidKindName, version: Plan9Version, t: Stage): void {
  const isPath = kind !== 'file';
  /** Attributes go by the path through open fids, too. */
  const looksByPath = kind === 'path' || kind === 'path-io';

  test('Tstat', async () => {
    const { raw } = t;
    await put(raw, 'a', 'meant');
    const [unopened, opened] = [await raw.walk('a'), await open(raw, 'a', OMODE.RDWR)];
    await replaced(raw, 'a');
    expect((await stat(raw, unopened)).length).toBe(isPath ? 8 : 5);
    expect((await stat(raw, opened)).length).toBe(looksByPath ? 8 : 5);
    expect((await stat(raw, opened)).name).toBe(isPath ? 'a' : 'moved');
    await remove(raw, 'a');
    expect(await looked(raw, unopened)).toBe(isPath ? errno.ENOENT : 0);
    expect(await looked(raw, opened)).toBe(looksByPath ? errno.ENOENT : 0);
  });

  test('Twstat of the length, the mode and the times', async () => {
    const { raw } = t;
    await put(raw, 'a', 'meant');
    const fids = { unopened: await raw.walk('a'), opened: await open(raw, 'a', OMODE.RDWR) };
    await replaced(raw, 'a');
    for (const [which, fid] of Object.entries(fids)) {
      const byPath = which === 'unopened' ? isPath : looksByPath;
      const [hit, spared] = byPath ? ['a', 'moved'] : ['moved', 'a'];
      const before = await stat(raw, await raw.walk(spared));
      const length = which === 'unopened' ? 3 : 2;
      await wstat(raw, fid, { length, mode: 0o600, mtime: 77 });
      expect(await stat(raw, await raw.walk(hit))).toMatchObject({ length, mode: 0o600, mtime: 77 });
      expect(await stat(raw, await raw.walk(spared))).toEqual(before);
    }
  });

  test('Twstat of the name moves what has the path, and the path of that fid alone', async () => {
    const { raw } = t;
    await put(raw, 'a', 'meant');
    const [named, another] = [await raw.walk('a'), await raw.walk('a')];
    await wstat(raw, named, { name: 'b' });
    expect((await stat(raw, named)).name).toBe('b');
    expect(await looked(raw, another)).toBe(isPath ? errno.ENOENT : 0);
    await put(raw, 'a', 'innocent');
    await wstat(raw, another, { name: 'c' });
    expect(await get(raw, 'c')).toBe(isPath ? 'innocent' : 'meant');
    expect((await stat(raw, another)).length).toBe(isPath ? 8 : 5);
    expect(await wstatErrno(raw, 0, { name: 'x' })).toBe(errno.EBUSY);
  });

  test.skipIf(!asRoot)('a Twstat that fails leaves the name and the path where they were', async () => {
    const { raw, served } = t;
    const alice = await served.connect({ uid: ALICE, version });
    await put(alice, 'a', 'meant');
    const fid = await alice.walk('a');
    expect(await wstatErrno(alice, fid, { name: 'b', uid: '0', nUid: 0 })).toBe(errno.EPERM);
    expect((await stat(alice, fid)).name).toBe('a');
    expect(await get(raw, 'a')).toBe('meant');
  });

  test('reading and writing', async () => {
    const { raw } = t;
    await put(raw, 'a', 'meant');
    const fid = await open(raw, 'a', OMODE.RDWR);
    await replaced(raw, 'a');
    const byPath = kind === 'path';
    expect((await raw.read(fid)).toString()).toBe(byPath ? 'innocent' : 'meant');
    await raw.write(fid, 'xx');
    expect(await get(raw, 'a')).toBe(byPath ? 'xxnocent' : 'innocent');
    expect(await get(raw, 'moved')).toBe(byPath ? 'meant' : 'xxant');
    await remove(raw, 'a');
    expect(await raw.errno('Tread', { fid, offset: 0, count: 9 })).toBe(byPath ? errno.ENOENT : 0);
  });

  test('Topen and Tcreate', async () => {
    const { raw } = t;
    await mkdir(raw, 'd');
    await put(raw, 'a', 'meant');
    const [dir, file] = [await raw.walk('d'), await raw.walk('a')];
    await replaced(raw, 'a');
    await raw.call('Topen', { fid: file, mode: OMODE.READ });
    expect((await raw.read(file)).toString()).toBe(isPath ? 'innocent' : 'meant');
    await rename(raw, 'd', 'e');
    await mkdir(raw, 'd');
    await create(raw, 'made', { dir });
    await mkdir(raw, 'sub', 0o755, dir);
    for (const name of ['made', 'sub'])
      expect(await looked(raw, await raw.walk(`${isPath ? 'd' : 'e'}/${name}`))).toBe(0);
    await put(raw, 'x', '');
    const wrong = await raw.walk('x');
    await remove(raw, 'x');
    await mkdir(raw, 'x');
    const mode = OMODE.RDWR;
    expect(await raw.errno('Topen', { fid: wrong, mode })).toBe(isPath ? errno.EISDIR : 0);
    const below = { fid: await raw.walk('a'), name: 'y', perm: 0o644, mode, extension: '' };
    expect(await raw.errno('Tcreate', below)).toBe(errno.ENOTDIR);
  });

  test.skipIf(version === '9P2000')('hard links are made to what has the path', async () => {
    const { raw } = t;
    await put(raw, 'a', 'meant');
    const fid = await raw.walk('a');
    await replaced(raw, 'a');
    await create(raw, 'linked', { perm: DM.LINK | 0o644, mode: OMODE.READ, extension: `${fid}` });
    expect(await get(raw, 'linked')).toBe(isPath ? 'innocent' : 'meant');
  });

  test('ORCLOSE removes what has the path at the clunk', async () => {
    const { raw } = t;
    await put(raw, 'a', 'meant');
    const fid = await open(raw, 'a', OMODE.READ | OMODE.RCLOSE);
    await replaced(raw, 'a');
    await raw.clunk(fid);
    expect(await get(raw, isPath ? 'moved' : 'a')).toBe(isPath ? 'meant' : 'innocent');
    expect(await raw.errno('Twalk', { fid: 0, newfid: raw.fid(), names: [isPath ? 'a' : 'moved'] })).toBe(errno.ENOENT);
  });

  test('ORCLOSE has nothing to do where nothing has the path', async () => {
    const { raw } = t;
    await put(raw, 'a', 'meant');
    const fid = await open(raw, 'a', OMODE.READ | OMODE.RCLOSE);
    await remove(raw, 'a');
    await raw.clunk(fid);
  });

  describe('the listing of an open directory that was moved', () => {
    const names = async (fid: number) => {
      return (await list(t.raw, fid, version)).map(({ name, length }) => `${name} ${length}`).sort();
    };
    async function moved(): Promise<number> {
      await mkdir(t.raw, 'd');
      const dir = await t.raw.walk('d');
      for (const name of ['both', 'first']) await put(t.raw, name, 'meant', { dir });
      const fid = await open(t.raw, 'd');
      await rename(t.raw, 'd', 'e');
      return fid;
    }

    test('and nothing is at its path', async () => {
      const fid = await moved();
      if (kind === 'path') expect(await t.raw.errno('Tread', { fid, offset: 0, count: 8192 })).toBe(errno.ENOENT);
      else expect(await names(fid)).toEqual(kind === 'path-io' ? [] : ['both 5', 'first 5']);
    });

    test('and another is at its path', async () => {
      const fid = await moved();
      const dir = await mkdir(t.raw, 'd');
      await t.raw.clunk(dir);
      const there = await t.raw.walk('d');
      for (const name of ['both', 'second']) await put(t.raw, name, 'innocent', { dir: there });
      const shown: Record<FidKindName, string[]> = {
        file: ['both 5', 'first 5'],
        path: ['both 8', 'second 8'],
        'path-io': ['both 8'],
        'path-unopened': ['both 5', 'first 5'],
      };
      expect(await names(fid)).toEqual(shown[kind]);
    });
  });
}

for (const kind of KINDS) {
  describe.each<[Plan9Version, TreeKind]>([
    ['9P2000.u', 'memory'],
    ['9P2000.u', 'delayed memory'],
    ['9P2000.u', 'host'],
    ['9P2000', 'memory'],
    ['9P2000', 'host'],
  ])(`fids=${kind}, %s, %s tree`, (version, tree) => {
    const stage = {} as Stage;
    beforeEach(async () => {
      stage.served = await serveTree(tree, { fids: kind });
      stage.raw = await stage.served.connect({ version });
      await wstat(stage.raw, 0, { mode: (DM.DIR | 0o777) >>> 0 });
    });
    afterEach(() => stage.served.end());
    suite(kind, version, stage);
  });
}
