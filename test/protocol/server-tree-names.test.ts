// The conformance suite of the server's trees, through the protocol and in the same words for every tree: what names do: walking, listing, linking, removing and renaming.

import { describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { AT_REMOVEDIR, GETATTR, OPEN, QT, SETATTR } from '../../src/wire/p9/constants.ts';
import { readDirents } from '../../src/wire/p9/types.ts';
import { asRoot, eachTree } from '../support/eachtree.ts';

eachTree((t) => {
  describe('walk', () => {
    test('no names clone the fid, to the same file', async () => {
      const clone = await t.raw.walk('');
      expect((await t.raw.getattr(clone)).qid.path).toBe((await t.raw.getattr(0)).qid.path);
    });

    test('sixteen names', async () => {
      const path = Array.from({ length: 16 }, (_, i) => `d${i}`);
      let dir = 0;
      for (const name of path) dir = await t.mkdir(name, { dir });
      const { qids } = await t.raw.call('Twalk', { fid: 0, newfid: 7, names: path });
      expect(qids.length).toBe(16);
      expect(qids.at(-1)).toEqual((await t.raw.getattr(dir)).qid);
      expect(qids.every(({ type }) => type === QT.DIR)).toBe(true);
    });

    test('the first name missing is an error, and makes no fid', async () => {
      expect(await t.raw.errno('Twalk', { fid: 0, newfid: 7, names: ['nothing'] })).toBe(errno.ENOENT);
      expect(await t.raw.errno('Tgetattr', { fid: 7, mask: GETATTR.ALL })).toBe(errno.EBADF);
    });

    test('a later name missing answers the qids so far, and makes no fid', async () => {
      const dir = await t.mkdir('d');
      const { qids } = await t.raw.call('Twalk', { fid: 0, newfid: 7, names: ['d', 'nothing', 'd'] });
      expect(qids).toEqual([(await t.raw.getattr(dir)).qid]);
      expect(await t.raw.errno('Tgetattr', { fid: 7, mask: GETATTR.ALL })).toBe(errno.EBADF);
      expect(await t.raw.errno('Twalk', { fid: 0, newfid: 7, names: ['d'] })).toBe(0);
    });

    test('a file is no directory to walk in', async () => {
      await t.put('f', '');
      expect(await t.raw.errno('Twalk', { fid: await t.raw.walk('f'), newfid: 7, names: ['x'] })).toBe(errno.ENOTDIR);
    });

    test('.. of the root is the root, .. elsewhere is the parent', async () => {
      const root = (await t.raw.getattr(0)).qid;
      const dir = await t.mkdir('d');
      const sub = await t.mkdir('e', { dir });
      const up = await t.raw.call('Twalk', { fid: sub, newfid: 7, names: ['..', '..', '..', '..'] });
      expect(up.qids.map(({ path }) => path)).toEqual([
        (await t.raw.getattr(dir)).qid.path,
        root.path,
        root.path,
        root.path,
      ]);
    });

    test.each(['', 'a/b', '/', ' /', './a'])('the name %j is found nowhere', async (name) => {
      await t.mkdir('a');
      expect(await t.raw.errno('Twalk', { fid: 0, newfid: 7, names: [name] })).toBe(errno.ENOENT);
    });

    test('. is the directory itself, and no file', async () => {
      const dir = await t.mkdir('d');
      const { path } = (await t.raw.getattr(dir)).qid;
      const { qids } = await t.raw.call('Twalk', { fid: 0, newfid: 7, names: ['.', 'd', '.'] });
      expect(qids.map((qid) => qid.path)).toEqual([(await t.raw.getattr(0)).qid.path, path, path]);
      await t.raw.call('Trename', { fid: 7, dfid: 0, name: 'e' });
      await t.put('f', '');
      expect(await t.raw.errno('Twalk', { fid: await t.raw.walk('f'), newfid: 8, names: ['.'] })).toBe(errno.ENOTDIR);
    });

    test('a fid in use is not given out again', async () => {
      await t.raw.walk('');
      expect(await t.raw.errno('Twalk', { fid: 0, newfid: 0, names: [] })).toBe(0);
      const other = await t.raw.walk('');
      expect(await t.raw.errno('Twalk', { fid: 0, newfid: other, names: [] })).toBe(errno.EINVAL);
    });

    test('newfid that is fid moves it, but only when every name is found', async () => {
      const dir = await t.mkdir('d');
      const fid = await t.raw.walk('');
      await t.raw.call('Twalk', { fid, newfid: fid, names: ['d', 'nothing'] });
      expect((await t.raw.getattr(fid)).qid.path).toBe((await t.raw.getattr(0)).qid.path);
      await t.raw.call('Twalk', { fid, newfid: fid, names: ['d'] });
      expect((await t.raw.getattr(fid)).qid.path).toBe((await t.raw.getattr(dir)).qid.path);
    });

    test('from an open fid, but not onto it', async () => {
      await t.mkdir('d');
      const open = await t.raw.open('');
      expect(await t.raw.errno('Twalk', { fid: open, newfid: 7, names: ['d'] })).toBe(0);
      expect(await t.raw.errno('Twalk', { fid: open, newfid: open, names: ['d'] })).toBe(errno.EINVAL);
    });

    test('a name of 255 bytes is found, one of 256 is too long', async () => {
      const long = 'ü'.repeat(127);
      await t.put(`${long}x`, 'text');
      expect(await t.get(`${long}x`)).toBe('text');
      expect(await t.raw.errno('Twalk', { fid: 0, newfid: 7, names: [`${long}xy`] })).toBe(errno.ENAMETOOLONG);
      expect(await t.raw.errno('Tmkdir', { dfid: 0, name: `${long}ü`, mode: 0, gid: 0 })).toBe(errno.ENAMETOOLONG);
    });
  });

  describe('readdir', () => {
    const many = Array.from({ length: 200 }, (_, i) => `entry-${String(i).padStart(3, '0')}`);
    const all = ['.', '..', ...many].sort();

    async function fill(): Promise<number> {
      const dir = await t.mkdir('d');
      for (const name of many) await t.raw.clunk(await t.raw.create(dir, name));
      return dir;
    }

    test.each([128, 256, 512, 4096, 65536])('every entry exactly once in calls of %i bytes', async (count) => {
      await fill();
      const listed = await t.raw.list(await t.raw.open('d'), count);
      expect(listed.map(({ name }) => name).sort()).toEqual(all);
      const byName = new Map(listed.map((entry) => [entry.name, entry]));
      expect(byName.get('.')).toMatchObject({ type: 4, qid: { type: QT.DIR } });
      expect(byName.get('entry-000')).toMatchObject({ type: 8, qid: { type: QT.FILE } });
      const file = await t.raw.getattr(await t.raw.walk('d/entry-123'));
      expect(byName.get('entry-123')?.qid.path).toBe(file.qid.path);
    });

    test('a count too small for the next entry is an error, not the end', async () => {
      await fill();
      const fid = await t.raw.open('d');
      expect(await t.raw.errno('Treaddir', { fid, offset: 0n, count: 20 })).toBe(errno.EINVAL);
      expect(await t.raw.errno('Treaddir', { fid, offset: 0n, count: 0 })).toBe(errno.EINVAL);
    });

    test('from the beginning again, and from any cookie again', async () => {
      await fill();
      const fid = await t.raw.open('d');
      const first = await t.raw.list(fid, 512);
      expect((await t.raw.list(fid, 300)).map(({ name }) => name)).toEqual(first.map(({ name }) => name));
      const middle = first[100]!;
      const { data } = await t.raw.call('Treaddir', { fid, offset: middle.offset, count: 4096 });
      expect(Buffer.from(data).toString('latin1')).toContain(first[101]!.name);
      expect(Buffer.from(data).toString('latin1')).not.toContain(middle.name);
    });

    test('removing what was listed loses nothing of the rest', async () => {
      const dir = await fill();
      const fid = await t.raw.open('d');
      const seen: string[] = [];
      for (let offset = 0n; ; ) {
        const { data } = await t.raw.call('Treaddir', { fid, offset, count: 400 });
        if (data.length === 0) break;
        for (const { name = '', offset: next } of readDirents(data).entries) {
          offset = next;
          seen.push(name);
          if (!name.startsWith('.')) expect(await t.unlink(name, 0, dir)).toBe(0);
        }
      }
      expect(seen.sort()).toEqual(all);
      expect(await t.unlink('d', AT_REMOVEDIR)).toBe(0);
    });

    test('an entry that comes during a listing does not disturb it', async () => {
      const dir = await fill();
      const fid = await t.raw.open('d');
      const { data } = await t.raw.call('Treaddir', { fid, offset: 0n, count: 400 });
      const { entries } = readDirents(data);
      await t.raw.clunk(await t.raw.create(dir, 'newcomer'));
      await t.raw.call('Trenameat', { olddirfid: dir, oldname: 'newcomer', newdirfid: dir, newname: 'renamed' });
      const rest: string[] = [];
      for (let offset = entries.at(-1)!.offset; ; ) {
        const more = readDirents((await t.raw.call('Treaddir', { fid, offset, count: 400 })).data).entries;
        if (more.length === 0) break;
        for (const { name = '' } of more) rest.push(name);
        offset = more.at(-1)!.offset;
      }
      const found = [...entries.map(({ name = '' }) => name), ...rest].filter((name) => name !== 'renamed');
      expect(found.sort()).toEqual(all);
    });

    test('what comes after the end was seen is found by a new call', async () => {
      const fid = await t.raw.open('');
      const last = (await t.raw.list(fid)).at(-1)!;
      await t.put('late', '');
      const { data } = await t.raw.call('Treaddir', { fid, offset: 0n, count: 4096 });
      expect(Buffer.from(data).toString('latin1')).toContain('late');
      expect(last.name).toBeDefined();
    });
  });

  describe('links and special files', () => {
    test('hard links share everything and count', async () => {
      await t.put('f', 'text');
      const fid = await t.raw.walk('f');
      await t.raw.call('Tlink', { dfid: 0, fid, name: 'g' });
      expect((await t.raw.getattr(await t.raw.walk('g'))).qid.path).toBe((await t.raw.getattr(fid)).qid.path);
      expect((await t.raw.getattr(fid)).nlink).toBe(2);
      expect(await t.unlink('f')).toBe(0);
      expect((await t.raw.getattr(fid)).nlink).toBe(1);
      expect(await t.get('g')).toBe('text');
      expect(await t.raw.errno('Tlink', { dfid: 0, fid, name: 'g' })).toBe(errno.EEXIST);
      expect(await t.unlink('g')).toBe(0);
      expect(await t.raw.errno('Tlink', { dfid: 0, fid, name: 'h' })).toBe(errno.ENOENT);
    });

    test('directories have no hard links, and count their subdirectories', async () => {
      const dir = await t.mkdir('d');
      expect(await t.raw.errno('Tlink', { dfid: 0, fid: dir, name: 'e' })).toBe(errno.EPERM);
      await t.mkdir('x', { dir });
      await t.mkdir('y', { dir });
      const { nlink } = await t.raw.getattr(dir);
      expect([1, 4]).toContain(nlink);
    });

    test('symbolic links hold their text and are not followed', async () => {
      const target = '../ä/%d\n'.repeat(20);
      const { qid } = await t.raw.call('Tsymlink', { dfid: 0, name: 'l', target, gid: 0 });
      expect(qid.type).toBe(QT.SYMLINK);
      const fid = await t.raw.walk('l');
      expect((await t.raw.call('Treadlink', { fid })).target).toBe(target);
      expect(await t.raw.getattr(fid)).toMatchObject({ mode: 0o120777, size: Buffer.byteLength(target) });
      expect(await t.raw.errno('Treadlink', { fid: 0 })).toBe(errno.EINVAL);
      expect(await t.raw.errno('Twalk', { fid, newfid: 7, names: ['x'] })).toBe(errno.ENOTDIR);
      expect(await t.raw.errno('Tsymlink', { dfid: 0, name: 'm', target: '', gid: 0 })).toBe(errno.ENOENT);
      expect(await t.raw.errno('Tsymlink', { dfid: 0, name: 'm', target: 'x'.repeat(4096), gid: 0 })).toBe(
        errno.ENAMETOOLONG,
      );
      await t.raw.call('Tlink', { dfid: 0, fid, name: 'm' });
      expect((await t.raw.call('Treadlink', { fid: await t.raw.walk('m') })).target).toBe(target);
    });

    test.runIf(asRoot || t.kind === 'memory')('devices, FIFOs and sockets keep type and number', async () => {
      for (const [name, mode, major, minor, rdev] of [
        ['c', 0o020600, 1, 3, 0x103],
        ['b', 0o060600, 259, 300, 0x11032c],
        ['p', 0o010600, 0, 0, 0],
        ['s', 0o140600, 0, 0, 0],
        ['f', 0o100600, 0, 0, 0],
      ] as const) {
        await t.raw.call('Tmknod', { dfid: 0, name, mode, major, minor, gid: 0 });
        expect(await t.raw.getattr(await t.raw.walk(name))).toMatchObject({ mode, rdev });
      }
      expect(await t.raw.errno('Tmknod', { dfid: 0, name: 'd', mode: 0o040700, major: 0, minor: 0, gid: 0 })).toBe(
        errno.EINVAL,
      );
    });
  });

  describe('unlink and rename', () => {
    test('what may not be removed so', async () => {
      const dir = await t.mkdir('d');
      await t.put('f', '', dir);
      expect(await t.unlink('d', AT_REMOVEDIR)).toBe(errno.ENOTEMPTY);
      expect(await t.unlink('d')).toBe(errno.EISDIR);
      expect(await t.unlink('f', AT_REMOVEDIR, dir)).toBe(errno.ENOTDIR);
      expect(await t.unlink('nothing')).toBe(errno.ENOENT);
      expect(await t.unlink('.', AT_REMOVEDIR)).toBe(errno.EINVAL);
      expect(await t.unlink('..', AT_REMOVEDIR)).toBe(errno.ENOTEMPTY);
      expect(await t.unlink('f', 0x1000, dir)).toBe(errno.EINVAL);
      expect(await t.unlink('f', 0, dir)).toBe(0);
      expect(await t.unlink('d', AT_REMOVEDIR)).toBe(0);
      expect(await t.raw.errno('Tmkdir', { dfid: dir, name: 'x', mode: 0o700, gid: 0 })).toBe(errno.ENOENT);
      expect((await t.raw.getattr(dir)).nlink).toBe(0);
    });

    test('an open file lives on without a name', async () => {
      const fid = await t.raw.create(0, 'f');
      await t.raw.write(fid, 'text');
      const other = await t.raw.walk('f');
      expect(await t.unlink('f')).toBe(0);
      expect(await t.raw.getattr(fid)).toMatchObject({ nlink: 0, size: 4 });
      expect((await t.raw.read(fid)).toString()).toBe('text');
      await t.raw.write(fid, 'more', 4);
      await t.raw.setattr(fid, { valid: SETATTR.SIZE, size: 6 });
      await t.raw.setattr(other, { valid: SETATTR.MODE, mode: 0o600 });
      expect(await t.raw.getattr(other)).toMatchObject({ size: 6, mode: 0o100600 });
      expect(await t.raw.errno('Tlopen', { fid: other, flags: OPEN.RDONLY })).toBe(0);
      expect((await t.raw.read(other)).toString()).toBe('textmo');
    });

    test('rename moves, and replaces what may be replaced', async () => {
      const a = await t.mkdir('a');
      const b = await t.mkdir('b');
      await t.put('f', 'one', a);
      await t.put('g', 'two', b);
      const move = (olddirfid: number, oldname: string, newdirfid: number, newname: string) =>
        t.raw.errno('Trenameat', { olddirfid, oldname, newdirfid, newname });
      const old = await t.raw.open('b/g');
      expect(await move(a, 'f', b, 'g')).toBe(0);
      expect(await t.get('b/g')).toBe('one');
      expect((await t.raw.read(old)).toString()).toBe('two');
      expect((await t.raw.getattr(old)).nlink).toBe(0);
      expect(await move(a, 'f', b, 'x')).toBe(errno.ENOENT);
      expect(await move(0, 'a', b, 'g')).toBe(errno.ENOTDIR);
      expect(await move(b, 'g', 0, 'a')).toBe(errno.EISDIR);
      expect(await move(0, 'a', 0, 'b')).toBe(errno.ENOTEMPTY);
      expect(await move(0, 'b', a, 'into')).toBe(0);
      expect(await move(0, 'a', b, 'loop')).toBe(errno.EINVAL);
      expect(await move(0, '.', b, 'x')).toBe(errno.EBUSY);
      expect(await move(0, 'a', b, '..')).toBe(errno.EBUSY);
      expect(await t.get('a/into/g')).toBe('one');
      const up = await t.raw.call('Twalk', { fid: b, newfid: 7, names: ['..'] });
      expect(up.qids[0]?.path).toBe((await t.raw.getattr(a)).qid.path);
      await t.mkdir('empty');
      expect(await move(0, 'a', 0, 'empty')).toBe(0);
      expect(await t.get('empty/into/g')).toBe('one');
    });

    test('renaming between two names of one file does nothing', async () => {
      await t.put('f', 'x');
      await t.raw.call('Tlink', { dfid: 0, fid: await t.raw.walk('f'), name: 'g' });
      await t.raw.call('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'g' });
      expect(await t.names(await t.raw.open(''))).toEqual(['.', '..', 'f', 'g']);
      await t.raw.call('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'f' });
      expect(await t.get('f')).toBe('x');
    });

    test('Trename follows the fid, wherever it was moved before', async () => {
      const a = await t.mkdir('a');
      const fid = await t.raw.create(0, 'f');
      const sub = await t.raw.walk('f');
      await t.raw.call('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: a, newname: 'g' });
      await t.raw.call('Trename', { fid, dfid: 0, name: 'h' });
      await t.raw.call('Trename', { fid: sub, dfid: a, name: 'i' });
      expect(await t.names(await t.raw.open('a'))).toEqual(['.', '..', 'i']);
      expect(await t.raw.errno('Trename', { fid: 0, dfid: a, name: 'x' })).toBe(errno.EBUSY);
      expect(await t.unlink('i', 0, a)).toBe(0);
      await t.put('i', 'another', a);
      expect(await t.raw.errno('Trename', { fid, dfid: 0, name: 'x' })).toBe(errno.ENOENT);
    });

    test('Trename follows the fid over another that stood there and is clunked later', async () => {
      await t.put('f', 'one');
      await t.put('g', 'two');
      const fid = await t.raw.walk('f');
      const replaced = await t.raw.walk('g');
      await t.raw.call('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'g' });
      expect(await t.raw.errno('Trename', { fid: replaced, dfid: 0, name: 'x' })).toBe(errno.ENOENT);
      await t.raw.clunk(replaced);
      await t.raw.call('Trenameat', { olddirfid: 0, oldname: 'g', newdirfid: 0, newname: 'h' });
      await t.raw.call('Trename', { fid, dfid: 0, name: 'i' });
      expect(await t.get('i')).toBe('one');
    });

    test('Trename of a directory carries what lies below', async () => {
      const a = await t.mkdir('a');
      const deep = await t.mkdir('b', { dir: a });
      await t.put('f', 'x', deep);
      const fid = await t.raw.walk('a/b/f');
      await t.raw.call('Trename', { fid: a, dfid: 0, name: 'z' });
      await t.raw.call('Trename', { fid, dfid: 0, name: 'out' });
      expect(await t.get('out')).toBe('x');
    });

    test('Tremove removes files and directories, and clunks in any case', async () => {
      const dir = await t.mkdir('d');
      await t.put('f', '', dir);
      expect(await t.raw.errno('Tremove', { fid: await t.raw.walk('d') })).toBe(errno.ENOTEMPTY);
      const fid = await t.raw.walk('d');
      await t.raw.errno('Tremove', { fid });
      expect(await t.raw.errno('Tgetattr', { fid, mask: GETATTR.ALL })).toBe(errno.EBADF);
      expect(await t.raw.errno('Tremove', { fid: await t.raw.walk('d/f') })).toBe(0);
      expect(await t.raw.errno('Tremove', { fid: dir })).toBe(0);
      const clone = await t.raw.walk('');
      expect(await t.raw.errno('Tremove', { fid: clone })).toBe(errno.EBUSY);
      expect(await t.raw.errno('Tclunk', { fid: clone })).toBe(errno.EBADF);
    });
  });
});
