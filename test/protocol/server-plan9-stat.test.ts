// The embedded server in 9P2000.u and 9P2000: Tstat and Twstat, by stat(9P), and what .u has beside 9P2000: links, devices,
// numbers for owners.

import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { DM, OMODE, QT } from '../../src/wire/p9/constants.ts';
import { UNTOUCHED } from '../../src/wire/p9/stat.ts';
import { asRoot } from '../support/eachtree.ts';
import {
  create,
  createErrno,
  eachPlan9,
  get,
  list,
  mkdir,
  open,
  put,
  stat,
  wstat,
  wstatErrno,
} from '../support/plan9.ts';

const mode = (permissions: number, more = 0) => (more | permissions) >>> 0;

eachPlan9((t) => {
  describe('stat', () => {
    test('of a file', async () => {
      const before = Math.floor(Date.now() / 1000) - 1;
      await put(t.raw, 'f', 'text', { perm: 0o640 });
      const found = await stat(t.raw, await t.raw.walk('f'));
      expect(found).toMatchObject({
        ...{ type: 0, dev: 0, mode: 0o640, length: 4, name: 'f', uid: 'root', gid: 'root', muid: '' },
        ...(t.extended ? { nUid: 0, nGid: 0, extension: 'HARDLINKCOUNT 1' } : { nUid: 0xffffffff, extension: '' }),
      });
      expect(found.mtime).toBeGreaterThanOrEqual(before);
      expect(found.atime).toBeGreaterThanOrEqual(before);
      expect(found.qid.type).toBe(QT.FILE);
    });

    test('of the root', async () => {
      expect(await stat(t.raw, 0)).toMatchObject({ name: '/', length: 0, mode: mode(0o777, DM.DIR) });
    });

    test('the name is the one it has now', async () => {
      await put(t.raw, 'f', '');
      const fid = await t.raw.walk('f');
      await wstat(t.raw, await t.raw.walk('f'), { name: 'g' });
      expect((await stat(t.raw, fid)).name).toBe('g');
    });

    test('of an open file that has lost its name', async () => {
      const fid = await create(t.raw, 'f');
      await t.raw.write(fid, 'text');
      await t.raw.call('Tremove', { fid: await t.raw.walk('f') });
      expect(await stat(t.raw, fid)).toMatchObject({ length: 4 });
      await wstat(t.raw, fid, { length: 2 });
      expect((await t.raw.read(fid)).toString()).toBe('te');
    });

    test.runIf(asRoot)('owners that have no name are numbers', async () => {
      await put(t.raw, 'f', '');
      const fid = await t.raw.walk('f');
      await wstat(t.raw, fid, t.extended ? { nUid: 123456, nGid: 654321 } : { uid: '123456', gid: '654321' });
      expect(await stat(t.raw, fid)).toMatchObject({
        ...{ uid: '123456', gid: '654321' },
        ...(t.extended ? { nUid: 123456, nGid: 654321 } : {}),
      });
    });

    test('what does not fit in msize is an error, and never a part', async () => {
      const long = 'n'.repeat(250);
      await put(t.raw, long, '');
      const raw = await t.served.connect({ version: t.version, msize: 256 });
      expect(await raw.errno('Tstat', { fid: await raw.walk(long) })).toBe(errno.EMSGSIZE);
      const dir = await open(raw, '');
      expect(await raw.errno('Tread', { fid: dir, offset: 0, count: 8192 })).toBe(errno.EINVAL);
      expect((await stat(raw, 0)).name).toBe('/');
    });
  });

  describe('wstat', () => {
    test('of nothing commits the file, also one that is not open', async () => {
      const fid = await create(t.raw, 'f');
      await t.raw.write(fid, 'text');
      const before = await stat(t.raw, fid);
      await wstat(t.raw, fid, {});
      await wstat(t.raw, await t.raw.walk('f'), {});
      await wstat(t.raw, 0, {});
      expect(await stat(t.raw, fid)).toEqual(before);
    });

    test('the length, up and down', async () => {
      await put(t.raw, 'f', 'text');
      const fid = await t.raw.walk('f');
      await wstat(t.raw, fid, { length: 2 });
      expect(await get(t.raw, 'f')).toBe('te');
      await wstat(t.raw, fid, { length: 4 });
      expect(await get(t.raw, 'f')).toBe('te\0\0');
      await wstat(t.raw, fid, { length: 5 * 2 ** 30 });
      expect((await stat(t.raw, fid)).length).toBe(5 * 2 ** 30);
    });

    test('the length of a directory is 0 and nothing else', async () => {
      const fid = await mkdir(t.raw, 'd');
      expect(await wstatErrno(t.raw, fid, { length: 0 })).toBe(0);
      expect(await wstatErrno(t.raw, fid, { length: 1 })).toBe(errno.EISDIR);
    });

    test('the permissions; a directory stays one and a file too', async () => {
      await put(t.raw, 'f', '');
      const [file, dir] = [await t.raw.walk('f'), await mkdir(t.raw, 'd')];
      await wstat(t.raw, file, { mode: 0o604 });
      await wstat(t.raw, dir, { mode: mode(0o711, DM.DIR) });
      expect((await stat(t.raw, file)).mode).toBe(0o604);
      expect((await stat(t.raw, dir)).mode).toBe(mode(0o711, DM.DIR));
      expect(await wstatErrno(t.raw, file, { mode: mode(0o755, DM.DIR) })).toBe(errno.EPERM);
      expect(await wstatErrno(t.raw, dir, { mode: 0o755 })).toBe(errno.EPERM);
    });

    test('the times', async () => {
      await put(t.raw, 'f', '');
      const fid = await t.raw.walk('f');
      await wstat(t.raw, fid, { mtime: 1_000_000_000 });
      expect((await stat(t.raw, fid)).mtime).toBe(1_000_000_000);
      await wstat(t.raw, fid, { atime: 4_000_000_000, mtime: 0 });
      expect(await stat(t.raw, fid)).toMatchObject({ atime: 4_000_000_000, mtime: 0 });
    });

    test('a length and a time together: both are as asked for', async () => {
      await put(t.raw, 'f', 'text');
      const fid = await t.raw.walk('f');
      await wstat(t.raw, fid, { length: 1, mtime: 1_000_000_000, mode: 0o600 });
      expect(await stat(t.raw, fid)).toMatchObject({ length: 1, mtime: 1_000_000_000, mode: 0o600 });
    });

    test('the name, within the directory', async () => {
      await put(t.raw, 'f', 'text');
      const open9 = await open(t.raw, 'f');
      await wstat(t.raw, await t.raw.walk('f'), { name: 'g' });
      expect(await get(t.raw, 'g')).toBe('text');
      expect((await t.raw.read(open9)).toString()).toBe('text');
      expect(await t.raw.errno('Twalk', { fid: 0, newfid: 7, names: ['f'] })).toBe(errno.ENOENT);
      await wstat(t.raw, open9, { name: 'g' });
      for (const name of ['.', '..', 'a/b']) expect(await wstatErrno(t.raw, open9, { name })).not.toBe(0);
    });

    test('a name that is in use: an error in 9P2000, taken over in .u, as rename(2) does', async () => {
      await put(t.raw, 'f', 'one');
      await put(t.raw, 'g', 'two');
      expect(await wstatErrno(t.raw, await t.raw.walk('f'), { name: 'g' })).toBe(t.extended ? 0 : errno.EEXIST);
      expect(await get(t.raw, 'g')).toBe(t.extended ? 'one' : 'two');
    });

    test('the root has no name to change', async () => {
      expect(await wstatErrno(t.raw, 0, { name: 'x' })).not.toBe(0);
    });

    test.each([
      ['type', { type: 5 }],
      ['dev', { dev: 5 }],
      ['qid.path', { qid: { ...UNTOUCHED.qid, path: 12345n } }],
      ['qid.version', { qid: { ...UNTOUCHED.qid, version: 12345 } }],
      ['qid.type', { qid: { ...UNTOUCHED.qid, type: QT.AUTH } }],
    ])('%s cannot be changed', async (_field, changes) => {
      await put(t.raw, 'f', 'text');
      expect(await wstatErrno(t.raw, await t.raw.walk('f'), { ...changes, length: 0 })).toBe(errno.EPERM);
      expect(await get(t.raw, 'f')).toBe('text');
    });

    test('muid is taken and means nothing, as Linux sends it with a new name', async () => {
      await put(t.raw, 'f', 'text');
      const fid = await t.raw.walk('f');
      await wstat(t.raw, fid, { name: 'g', muid: 'somebody', nMuid: 7 });
      expect(await stat(t.raw, fid)).toMatchObject({ name: 'g', muid: '' });
      await wstat(t.raw, fid, { muid: 'somebody' });
    });

    test('a whole stat sent back with one field changed', async () => {
      await put(t.raw, 'f', 'text');
      const fid = await t.raw.walk('f');
      await wstat(t.raw, fid, { ...(await stat(t.raw, fid)), mode: 0o600 });
      expect(await stat(t.raw, fid)).toMatchObject({ mode: 0o600, length: 4, name: 'f' });
    });

    test('a name that nobody has', async () => {
      await put(t.raw, 'f', '');
      expect(await wstatErrno(t.raw, await t.raw.walk('f'), { uid: 'nobody at all' })).toBe(errno.EINVAL);
      expect(await wstatErrno(t.raw, await t.raw.walk('f'), { gid: 'nobody at all' })).toBe(errno.EINVAL);
    });

    describe.runIf(asRoot)('all or nothing', () => {
      test.each([
        ['a length that may not be set', { mode: 0o644, length: 0 }, { name: 'g' }],
        ['a time that may not be set', { mode: 0o666, mtime: 5 }, { length: 0, name: 'g' }],
        ['an owner that may not be given', { mode: 0o666, uid: 'root', nUid: 0 }, { length: 0, name: 'g', mtime: 5 }],
      ])('%s', async (_what, { mode: permissions, ...refused }, others) => {
        await put(t.raw, 'f', 'text', { perm: permissions });
        await wstat(t.raw, await t.raw.walk('f'), { mode: permissions });
        const user = await t.as(1000);
        const fid = await user.walk('f');
        const before = await stat(user, fid);
        expect(await wstatErrno(user, fid, { ...refused, ...others })).toBeOneOf([errno.EPERM, errno.EACCES]);
        expect({ ...(await stat(user, fid)), qid: before.qid }).toEqual(before);
        expect(await t.names(await open(t.raw, ''))).toEqual(['f']);
      });

      test('of one who owns the file and not the directory', async () => {
        const dir = await mkdir(t.raw, 'd', 0o755);
        await put(t.raw, 'f', 'text', { dir: await t.raw.walk('d') });
        await wstat(t.raw, await t.raw.walk('d/f'), t.extended ? { nUid: 1000 } : { uid: '1000' });
        const user = await t.as(1000);
        const fid = await user.walk('d/f');
        const before = await stat(user, fid);
        expect(await wstatErrno(user, fid, { mode: 0o600, length: 0, mtime: 7, name: 'g' })).toBe(errno.EACCES);
        expect({ ...(await stat(user, fid)), qid: before.qid }).toEqual(before);
        expect(await t.names(dir)).toEqual(['f']);
      });

      test('a name in use undoes nothing, since nothing was done', async () => {
        await put(t.raw, 'f', 'text');
        await put(t.raw, 'g', 'other');
        expect(await wstatErrno(t.raw, await t.raw.walk('f'), { name: 'g', length: 0 })).toBe(errno.EEXIST);
        expect([await get(t.raw, 'f'), await get(t.raw, 'g')]).toEqual(['text', 'other']);
      });
    });

    test.runIf(asRoot)('who may: the owner, and root', async () => {
      await put(t.raw, 'f', 'text', { perm: 0o644 });
      const user = await t.as(1000);
      const fid = await user.walk('f');
      for (const changes of [{ mode: 0o777 }, { length: 0 }, { mtime: 1 }]) {
        expect(await wstatErrno(user, fid, changes)).toBeOneOf([errno.EPERM, errno.EACCES]);
      }
      await wstat(t.raw, await t.raw.walk('f'), t.extended ? { nUid: 1000 } : { uid: '1000' });
      await wstat(user, fid, { mode: 0o600, mtime: 1, length: 1 });
      expect(await stat(user, fid)).toMatchObject({ mode: 0o600, mtime: 1, length: 1 });
    });
  });

  describe('suid, sgid and sticky bits', () => {
    test('are set and shown in .u; 9P2000 leaves them alone', async () => {
      await put(t.raw, 'f', '', { perm: 0o755 });
      const fid = await t.raw.walk('f');
      const bits = DM.SETUID | DM.SETGID | DM.SETVTX;
      await wstat(t.raw, fid, { mode: mode(0o755, bits) });
      expect((await stat(t.raw, fid)).mode).toBe(t.extended ? mode(0o755, bits) : 0o755);
      const unix = await t.served.connect({ version: '9P2000.u' });
      const same = await unix.walk('f');
      await wstat(unix, same, { mode: mode(0o755, DM.SETUID) });
      await wstat(t.raw, fid, { mode: 0o711 });
      expect((await stat(unix, same)).mode).toBe(t.extended ? 0o711 : mode(0o711, DM.SETUID));
    });
  });

  describe('what Unix has and Plan 9 has not', () => {
    const special = (perm: number, extension: string) => ({ perm: perm | 0o644, mode: OMODE.READ, extension });

    test('9P2000 makes none of it', async () => {
      if (t.extended) return;
      for (const bit of [DM.SYMLINK, DM.LINK, DM.DEVICE, DM.NAMEDPIPE, DM.SOCKET]) {
        expect(await createErrno(t.raw, 'f', { perm: bit | 0o644 })).toBe(errno.EOPNOTSUPP);
      }
      expect(await t.names(await open(t.raw, ''))).toEqual([]);
    });

    test('9P2000 shows a symbolic link as a file that cannot be opened', async () => {
      if (t.extended) return;
      const unix = await t.served.connect({ version: '9P2000.u' });
      await create(unix, 'l', special(DM.SYMLINK, 'target'));
      const { qids } = await t.raw.call('Twalk', { fid: 0, newfid: 7, names: ['l'] });
      expect(qids[0]?.type).toBe(QT.FILE);
      expect(await stat(t.raw, 7)).toMatchObject({ mode: 0o777, qid: { type: QT.FILE } });
      expect((await list(t.raw, await open(t.raw, ''), t.version))[0]).toMatchObject({ qid: { type: QT.FILE } });
      expect(await t.raw.errno('Topen', { fid: 7, mode: OMODE.READ })).toBe(errno.ELOOP);
    });

    test('symbolic links', async () => {
      if (!t.extended) return;
      const fid = await create(t.raw, 'l', special(DM.SYMLINK, '../some/where'));
      const wanted = {
        name: 'l',
        mode: mode(0o777, DM.SYMLINK),
        extension: '../some/where',
        qid: { type: QT.SYMLINK },
      };
      expect(await stat(t.raw, fid)).toMatchObject(wanted);
      expect(await list(t.raw, await open(t.raw, ''), t.version)).toMatchObject([wanted]);
      expect(await t.raw.errno('Tread', { fid, offset: 0, count: 1 })).toBe(errno.EBADF);
      expect(await createErrno(t.raw, 'x', special(DM.SYMLINK, ''))).toBe(errno.ENOENT);
      expect(await createErrno(t.raw, 'l', special(DM.SYMLINK, 'y'))).toBe(errno.EEXIST);
    });

    test('hard links, by the number of a fid', async () => {
      if (!t.extended) return;
      await put(t.raw, 'f', 'text');
      const target = await t.raw.walk('f');
      const fid = await create(t.raw, 'g', special(DM.LINK, `${target}\n`));
      expect((await stat(t.raw, fid)).extension).toBe('HARDLINKCOUNT 2');
      expect((await stat(t.raw, fid)).qid).toEqual((await stat(t.raw, target)).qid);
      expect(await get(t.raw, 'g')).toBe('text');
      for (const extension of ['', 'f', '-1', '99999', '99999999999']) {
        expect(await createErrno(t.raw, 'h', special(DM.LINK, extension))).toBeOneOf([errno.EINVAL, errno.EBADF]);
      }
    });

    test.runIf(asRoot)('devices', async () => {
      if (!t.extended) return;
      for (const [name, extension] of [
        ['null', 'c 1 3'],
        ['disk', 'b 8 300'],
      ] as const) {
        const fid = await create(t.raw, name, special(DM.DEVICE, extension));
        expect(await stat(t.raw, fid)).toMatchObject({ mode: mode(0o644, DM.DEVICE), extension, length: 0 });
      }
      for (const extension of ['', 'x 1 3', 'c 1', 'c -1 3', 'c 1 3 5']) {
        expect(await createErrno(t.raw, 'bad', special(DM.DEVICE, extension))).toBe(errno.EINVAL);
      }
      if (t.served.directory !== undefined) {
        expect(lstatSync(join(t.served.directory, 'disk')).rdev).toBe((300 & 0xff) | (8 << 8) | ((300 & ~0xff) << 12));
      }
    });

    test('FIFOs and sockets', async () => {
      if (!t.extended) return;
      const fifo = await create(t.raw, 'p', special(DM.NAMEDPIPE, ''));
      const socket = await create(t.raw, 's', special(DM.SOCKET, ''));
      expect(await stat(t.raw, fifo)).toMatchObject({ mode: mode(0o644, DM.NAMEDPIPE), extension: 'HARDLINKCOUNT 1' });
      expect(await stat(t.raw, socket)).toMatchObject({ mode: mode(0o644, DM.SOCKET), extension: 'HARDLINKCOUNT 1' });
      await wstat(t.raw, fifo, { mode: mode(0o600, DM.NAMEDPIPE) });
      await wstat(t.raw, socket, { mode: 0o600 });
      expect(await wstatErrno(t.raw, fifo, { mode: mode(0o600, DM.SOCKET) })).toBe(errno.EPERM);
    });

    test.runIf(asRoot)('owners by number, which count more than names', async () => {
      if (!t.extended) return;
      await put(t.raw, 'f', '');
      const fid = await t.raw.walk('f');
      await wstat(t.raw, fid, { nUid: 1000, uid: 'root' });
      expect(await stat(t.raw, fid)).toMatchObject({ nUid: 1000, nGid: 0 });
      await wstat(t.raw, fid, { uid: 'root', gid: '1000' });
      expect(await stat(t.raw, fid)).toMatchObject({ nUid: 0, nGid: 1000 });
    });
  });
});
