// The embedded server in 9P2000.u and 9P2000: Topen, Tcreate, Tremove and the reading of directories, by open(9P), read(9P)
// and remove(9P).

import { describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { DM, OMODE, QT } from '../../src/wire/p9/constants.ts';
import { readStats } from '../../src/wire/p9/stat.ts';
import { asRoot } from '../support/eachtree.ts';
import { create, createErrno, eachPlan9, get, list, mkdir, open, put, stat, wstat } from '../support/plan9.ts';

const PERMISSIONS = 0o777;

eachPlan9((t) => {
  describe('open', () => {
    test('answers the qid and an iounit that fits in msize', async () => {
      await put(t.raw, 'f', 'text');
      const fid = await t.raw.walk('f');
      const reply = await t.raw.call('Topen', { fid, mode: OMODE.READ });
      expect(reply.qid).toEqual((await stat(t.raw, fid)).qid);
      expect(reply.iounit).toBe(65536);
    });

    test('twice is an error', async () => {
      const fid = await open(t.raw, '');
      expect(await t.raw.errno('Topen', { fid, mode: OMODE.READ })).toBe(errno.EINVAL);
      expect(await t.raw.errno('Tcreate', { fid, name: 'f', perm: 0o644, mode: 0, extension: '' })).toBe(errno.EINVAL);
    });

    test('OTRUNC empties the file', async () => {
      await put(t.raw, 'f', 'text');
      await t.raw.clunk(await open(t.raw, 'f', OMODE.WRITE | OMODE.TRUNC));
      expect((await stat(t.raw, await t.raw.walk('f'))).length).toBe(0);
    });

    test('bits that mean nothing are refused', async () => {
      await put(t.raw, 'f', 'text');
      const fid = await t.raw.walk('f');
      expect(await t.raw.errno('Topen', { fid, mode: 0x08 })).toBe(errno.EINVAL);
      expect(await t.raw.errno('Topen', { fid, mode: 0x80 })).toBe(t.extended ? 0 : errno.EINVAL);
    });

    test.each([
      ['written', OMODE.WRITE],
      ['read and written', OMODE.RDWR],
      ['cut', OMODE.READ | OMODE.TRUNC],
      ['removed on close', OMODE.READ | OMODE.RCLOSE],
    ])('a directory cannot be %s', async (_what, mode) => {
      await t.raw.clunk(await mkdir(t.raw, 'd'));
      expect(await t.raw.errno('Topen', { fid: await t.raw.walk('d'), mode })).toBe(errno.EISDIR);
      expect(await createErrno(t.raw, 'e', { perm: DM.DIR | 0o755, mode })).toBe(mode & OMODE.TRUNC ? 0 : errno.EISDIR);
    });

    test.runIf(asRoot)('permissions are checked, once', async () => {
      await put(t.raw, 'f', 'text', { perm: 0o600 });
      const user = await t.as(1000);
      const fid = await user.walk('f');
      expect(await user.errno('Topen', { fid, mode: OMODE.READ })).toBe(errno.EACCES);
      await wstat(t.raw, await t.raw.walk('f'), { mode: 0o604 });
      await user.call('Topen', { fid, mode: OMODE.READ });
      await wstat(t.raw, await t.raw.walk('f'), { mode: 0 });
      expect((await user.read(fid)).toString()).toBe('text');
      expect(await user.errno('Topen', { fid: await user.walk('f'), mode: OMODE.WRITE })).toBe(errno.EACCES);
    });

    test.runIf(asRoot)('OEXEC is for those who may execute, and reads', async () => {
      await put(t.raw, 'x', 'text', { perm: 0o644 });
      const user = await t.as(1000);
      expect(await user.errno('Topen', { fid: await user.walk('x'), mode: OMODE.EXEC })).toBe(errno.EACCES);
      await wstat(t.raw, await t.raw.walk('x'), { mode: 0o755 });
      const fid = await user.walk('x');
      await user.call('Topen', { fid, mode: OMODE.EXEC });
      expect((await user.read(fid)).toString()).toBe('text');
      expect(await user.errno('Twrite', { fid, offset: 0, data: Buffer.from('x') })).toBe(errno.EBADF);
      await wstat(t.raw, await t.raw.walk('x'), { mode: 0o711 });
      // a host's kernel has no such open
      expect(await user.errno('Topen', { fid: await user.walk('x'), mode: OMODE.EXEC })).toBe(
        t.kind === 'memory' ? 0 : errno.EACCES,
      );
    });
  });

  describe('ORCLOSE', () => {
    test('removes the file when the fid is clunked', async () => {
      await put(t.raw, 'f', 'text');
      const fid = await open(t.raw, 'f', OMODE.READ | OMODE.RCLOSE);
      expect((await t.raw.read(fid)).toString()).toBe('text');
      await t.raw.clunk(fid);
      expect(await t.names(await open(t.raw, ''))).toEqual([]);
    });

    test('of a file that is made', async () => {
      const fid = await create(t.raw, 'f', { mode: OMODE.RDWR | OMODE.RCLOSE });
      await t.raw.write(fid, 'x');
      await t.raw.clunk(fid);
      expect(await t.raw.errno('Twalk', { fid: 0, newfid: 7, names: ['f'] })).toBe(errno.ENOENT);
    });

    test('under the name that it has by then, and not of another file that has its name', async () => {
      await put(t.raw, 'f', 'text');
      const fid = await open(t.raw, 'f', OMODE.READ | OMODE.RCLOSE);
      await wstat(t.raw, await t.raw.walk('f'), { name: 'g' });
      await put(t.raw, 'f', 'other');
      await t.raw.clunk(fid);
      expect(await t.names(await open(t.raw, ''))).toEqual(['f']);
    });

    test('of a file that somebody else has removed is no error', async () => {
      await put(t.raw, 'f', 'text');
      const fid = await open(t.raw, 'f', OMODE.READ | OMODE.RCLOSE);
      await t.raw.call('Tremove', { fid: await t.raw.walk('f') });
      await t.raw.clunk(fid);
    });

    test('when the connection ends', async () => {
      await put(t.raw, 'f', 'text');
      const other = await t.as(0);
      await open(other, 'f', OMODE.READ | OMODE.RCLOSE);
      await other.version(8192, t.version);
      expect(await t.names(await open(t.raw, ''))).toEqual([]);
    });

    test.runIf(asRoot)('needs the right to remove it', async () => {
      await t.raw.clunk(await mkdir(t.raw, 'd'));
      await put(t.raw, 'f', 'text', { dir: await t.raw.walk('d') });
      const user = await t.as(1000);
      const fid = await user.walk('d/f');
      expect(await user.errno('Topen', { fid, mode: OMODE.READ | OMODE.RCLOSE })).toBe(errno.EACCES);
      expect(await user.errno('Topen', { fid, mode: OMODE.READ })).toBe(0);
    });

    test.runIf(asRoot)('that fails is the error of the clunk, and the fid is gone', async () => {
      await t.raw.clunk(await mkdir(t.raw, 'd', 0o777));
      const user = await t.as(1000);
      await wstat(t.raw, await t.raw.walk('d'), { mode: (DM.DIR | 0o777) >>> 0 });
      const fid = await create(user, 'f', { dir: await user.walk('d'), mode: OMODE.RDWR | OMODE.RCLOSE });
      await wstat(t.raw, await t.raw.walk('d'), { mode: (DM.DIR | 0o755) >>> 0 });
      expect(await user.errno('Tclunk', { fid })).toBe(errno.EACCES);
      expect(await user.errno('Tstat', { fid })).toBe(errno.EBADF);
      expect(await t.names(await open(t.raw, 'd'))).toEqual(['f']);
    });

    test('is refused of the root', async () => {
      expect(await t.raw.errno('Topen', { fid: await t.raw.walk(''), mode: OMODE.RCLOSE })).not.toBe(0);
    });
  });

  describe('create', () => {
    test('the fid becomes the file, opened', async () => {
      const fid = await t.raw.walk('');
      const made = await t.raw.call('Tcreate', { fid, name: 'f', perm: 0o640, mode: OMODE.RDWR, extension: '' });
      expect(made.qid.type).toBe(QT.FILE);
      await t.raw.write(fid, 'text');
      expect(await stat(t.raw, fid)).toMatchObject({ name: 'f', mode: 0o640, length: 4, qid: { path: made.qid.path } });
    });

    test('the mode is not checked against the permissions', async () => {
      const fid = await create(t.raw, 'f', { perm: 0, mode: OMODE.RDWR });
      await t.raw.write(fid, 'text');
      expect((await t.raw.read(fid)).toString()).toBe('text');
    });

    test.each(['.', '..', '', 'a/b'])('not under the name %j', async (name) => {
      expect(await createErrno(t.raw, name)).not.toBe(0);
      expect(await createErrno(t.raw, name, { perm: DM.DIR | 0o755, mode: 0 })).not.toBe(0);
    });

    test('not where the name is in use, and nothing happens to what has it', async () => {
      await put(t.raw, 'f', 'text');
      expect(await createErrno(t.raw, 'f', { mode: OMODE.WRITE | OMODE.TRUNC })).toBe(errno.EEXIST);
      expect(await createErrno(t.raw, 'f', { perm: DM.DIR | 0o755, mode: 0 })).toBe(errno.EEXIST);
      expect(await get(t.raw, 'f')).toBe('text');
    });

    test('not in a file, and the fid stays what it was', async () => {
      await put(t.raw, 'f', 'text');
      const fid = await t.raw.walk('f');
      expect(await t.raw.errno('Tcreate', { fid, name: 'x', perm: 0o644, mode: 0, extension: '' })).toBe(errno.ENOTDIR);
      await t.raw.call('Topen', { fid, mode: 0 });
      expect((await t.raw.read(fid)).toString()).toBe('text');
    });

    test('a directory, open to be read', async () => {
      const fid = await mkdir(t.raw, 'd', 0o750);
      expect(await t.raw.read(fid)).toHaveLength(0);
      expect(await stat(t.raw, fid)).toMatchObject({
        mode: (DM.DIR | 0o750) >>> 0,
        length: 0,
        name: 'd',
        qid: { type: QT.DIR },
      });
    });

    test.runIf(asRoot)('a directory that its maker may not read is open to him all the same', async () => {
      const user = await t.as(1000);
      const fid = await mkdir(user, 'd', 0o300);
      expect(await user.read(fid)).toHaveLength(0);
      expect((await stat(user, fid)).mode).toBe((DM.DIR | 0o300) >>> 0);
    });

    test.runIf(asRoot)('the owner is who attached; group and permissions are as the dialect has them', async () => {
      await t.raw.clunk(await mkdir(t.raw, 'd', 0o777));
      const chown = (nGid: number) => (t.extended ? { nGid } : { gid: `${nGid}` });
      await wstat(t.raw, await t.raw.walk('d'), { mode: (DM.DIR | 0o707) >>> 0, ...chown(77) });
      const user = await t.as(1000);
      const into = await user.walk('d');
      const unix = await t.served.connect({ version: '9P2000.u' });
      const made = async (name: string) => {
        const { nUid, nGid, mode } = await stat(unix, await unix.walk(`d/${name}`));
        return [nUid, nGid, mode & PERMISSIONS];
      };
      await create(user, 'f', { dir: into, perm: 0o666 });
      await mkdir(user, 's', 0o775, into);
      // 9P2000: what the directory does not give to a class, nothing in it does
      expect(await made('f')).toEqual([1000, 1000, t.extended ? 0o666 : 0o606]);
      expect(await made('s')).toEqual([1000, 1000, t.extended ? 0o775 : 0o705]);
    });

    test.runIf(asRoot)('a directory of a group lets nobody in who is not of it', async () => {
      await t.raw.clunk(await mkdir(t.raw, 'd', 0o777));
      const changes = t.extended ? { nGid: 77 } : { gid: '77' };
      await wstat(t.raw, await t.raw.walk('d'), { mode: (DM.DIR | 0o770) >>> 0, ...changes });
      const user = await t.as(1000);
      expect(await createErrno(user, 'f', { dir: await user.walk('d') })).toBe(errno.EACCES);
    });

    test.each([DM.AUTH, DM.MOUNT])('a bit of perm that asks for something else is refused', async (bit) => {
      expect(await createErrno(t.raw, 'f', { perm: bit | 0o644 })).toBe(errno.EOPNOTSUPP);
      expect(await t.names(await open(t.raw, ''))).toEqual([]);
    });
  });

  describe('DMAPPEND, DMEXCL and DMTMP', () => {
    test('on a tree that cannot hold them are refused, and nothing is made', async () => {
      if (t.kind === 'memory') return;
      expect(await createErrno(t.raw, 'f', { perm: DM.APPEND | 0o644 })).toBe(errno.EOPNOTSUPP);
      expect(await t.names(await open(t.raw, ''))).toEqual([]);
    });

    test('append: whatever the offset, a write goes to the end, and OTRUNC does not cut', async () => {
      if (t.kind !== 'memory') return;
      const fid = await create(t.raw, 'log', { perm: DM.APPEND | 0o644 });
      expect((await stat(t.raw, fid)).mode).toBe(DM.APPEND | 0o644);
      expect((await stat(t.raw, fid)).qid.type).toBe(QT.APPEND);
      await t.raw.write(fid, 'one ');
      await t.raw.write(fid, 'two ', 0);
      const again = await open(t.raw, 'log', OMODE.WRITE | OMODE.TRUNC);
      await t.raw.write(again, 'three', 0);
      expect((await t.raw.read(fid)).toString()).toBe('one two three');
      await wstat(t.raw, fid, { mode: 0o644 });
      await t.raw.write(again, 'ONE', 0);
      expect((await t.raw.read(fid)).toString()).toBe('ONE two three');
    });

    test('exclusive: open once at a time, for everybody', async () => {
      if (t.kind !== 'memory') return;
      const fid = await create(t.raw, 'lock', { perm: DM.EXCL | 0o666 });
      const other = await t.as(0);
      const second = await other.walk('lock');
      expect((await stat(other, second)).mode).toBe(DM.EXCL | 0o666);
      expect(await other.errno('Topen', { fid: second, mode: OMODE.READ })).toBe(errno.EAGAIN);
      await t.raw.clunk(fid);
      await other.call('Topen', { fid: second, mode: OMODE.READ });
      expect(await t.raw.errno('Topen', { fid: await t.raw.walk('lock'), mode: OMODE.READ })).toBe(errno.EAGAIN);
    });

    test('temporary: shown as it was made', async () => {
      if (t.kind !== 'memory') return;
      const fid = await create(t.raw, 'tmp', { perm: DM.TMP | 0o644 });
      expect(await stat(t.raw, fid)).toMatchObject({ mode: DM.TMP | 0o644, qid: { type: QT.TMP } });
    });
  });

  describe('remove', () => {
    test('a file, and an empty directory', async () => {
      await put(t.raw, 'f', '');
      await t.raw.clunk(await mkdir(t.raw, 'd'));
      await t.raw.call('Tremove', { fid: await t.raw.walk('f') });
      await t.raw.call('Tremove', { fid: await t.raw.walk('d') });
      expect(await t.names(await open(t.raw, ''))).toEqual([]);
    });

    test('clunks the fid also when it fails', async () => {
      const dir = await mkdir(t.raw, 'd');
      await put(t.raw, 'f', '', { dir: await t.raw.walk('d') });
      expect(await t.raw.errno('Tremove', { fid: dir })).toBe(errno.ENOTEMPTY);
      expect(await t.raw.errno('Tstat', { fid: dir })).toBe(errno.EBADF);
    });

    test('not the root', async () => {
      expect(await t.raw.errno('Tremove', { fid: await t.raw.walk('') })).not.toBe(0);
    });

    test.runIf(asRoot)('needs the right to write in the directory', async () => {
      await t.raw.clunk(await mkdir(t.raw, 'd'));
      await put(t.raw, 'f', '', { dir: await t.raw.walk('d'), perm: 0o666 });
      const user = await t.as(1000);
      expect(await user.errno('Tremove', { fid: await user.walk('d/f') })).toBe(errno.EACCES);
    });
  });

  describe('reading a directory', () => {
    const many = Array.from({ length: 150 }, (_, i) => `file-${i}`).sort();

    async function fill(): Promise<void> {
      for (const name of many) await t.raw.clunk(await create(t.raw, name));
    }

    test('is reading the stats of its entries, without dots', async () => {
      await put(t.raw, 'f', 'text', { perm: 0o640 });
      await t.raw.clunk(await mkdir(t.raw, 'd'));
      const entries = await list(t.raw, await open(t.raw, ''), t.version);
      expect(entries.map(({ name }) => name).sort()).toEqual(['d', 'f']);
      for (const entry of entries) {
        expect(entry).toEqual(await stat(t.raw, await t.raw.walk(entry.name ?? '')));
      }
    });

    test.each([400, 1000, 8192])('in reads of %i bytes, each entry once, and whole', async (count) => {
      await fill();
      expect(await t.names(await open(t.raw, ''), count)).toEqual(many);
    });

    test('only from the beginning or from where the last read ended', async () => {
      await fill();
      const fid = await open(t.raw, '');
      const first = await t.raw.read(fid, 0, 500);
      const second = await t.raw.read(fid, first.length, 500);
      for (const offset of [1, first.length, first.length + second.length + 1, 1_000_000]) {
        expect(await t.raw.errno('Tread', { fid, offset, count: 500 })).toBe(errno.ESPIPE);
      }
      // and such a read has moved nothing
      const third = await t.raw.read(fid, first.length + second.length, 500);
      expect(readStats(third, t.extended).fault).toBeUndefined();
      expect(await t.raw.read(fid, 0, 500)).toEqual(first);
      expect(await t.raw.read(fid, first.length, 500)).toEqual(second);
    });

    test('the end is told again and again, and from the beginning there is more', async () => {
      await fill();
      const fid = await open(t.raw, '');
      let offset = 0;
      for (let data = await t.raw.read(fid, 0); data.length > 0; data = await t.raw.read(fid, offset)) {
        offset += data.length;
      }
      expect(await t.raw.read(fid, offset)).toHaveLength(0);
      expect((await t.raw.read(fid, 0)).length).toBeGreaterThan(0);
    });

    test('a count too small for the next entry is an error, and no end', async () => {
      await fill();
      const fid = await open(t.raw, '');
      expect(await t.raw.errno('Tread', { fid, offset: 0, count: 30 })).toBe(errno.EINVAL);
      expect(await t.names(fid)).toEqual(many);
    });

    test('while entries come and go, those that stay are read once', async () => {
      await fill();
      const fid = await open(t.raw, '');
      const seen: string[] = [];
      for (let offset = 0, i = 0; ; i++) {
        const data = await t.raw.read(fid, offset, 700);
        if (data.length === 0) break;
        offset += data.length;
        for (const { name } of readStats(data, t.extended).entries) if (name !== undefined) seen.push(name);
        if (i < 5) {
          await t.raw.clunk(await create(t.raw, `new-${i}`));
          await t.raw.call('Tremove', { fid: await t.raw.walk(`file-${140 + i}`) });
        }
      }
      expect(new Set(seen).size).toBe(seen.length);
      const stayed = many.filter((name) => !/^file-14[0-4]$/.test(name));
      expect(stayed.filter((name) => !seen.includes(name))).toEqual([]);
    });

    test('is not writing it', async () => {
      const fid = await open(t.raw, '');
      expect(await t.raw.errno('Twrite', { fid, offset: 0, data: Buffer.from('x') })).toBe(errno.EBADF);
    });

    test.runIf(asRoot)('for somebody who may read it and not search it: names, and no more', async () => {
      const dir = await mkdir(t.raw, 'd');
      await put(t.raw, 'f', 'text', { dir: await t.raw.walk('d') });
      await wstat(t.raw, dir, { mode: (DM.DIR | 0o744) >>> 0 });
      const user = await t.as(1000);
      const entries = await list(user, await open(user, 'd'), t.version);
      expect(entries).toMatchObject([{ name: 'f', mode: 0, length: 0, uid: '' }]);
    });

    test('of a directory that was removed is empty', async () => {
      const dir = await mkdir(t.raw, 'd');
      await t.raw.call('Tremove', { fid: await t.raw.walk('d') });
      expect(await t.raw.errno('Tread', { fid: dir, offset: 0, count: 1000 })).toBeOneOf([0, errno.ENOENT]);
    });
  });
});
