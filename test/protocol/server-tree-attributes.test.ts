// The conformance suite of the server's trees, through the protocol and in the same words for every tree: attributes, who may do what, and extended attributes.

import { beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { OPEN, SETATTR } from '../../src/wire/p9/constants.ts';
import { asRoot, eachTree } from '../support/eachtree.ts';
import type { Raw9p } from '../support/raw9p.ts';

const ALICE = 4001;
const BOB = 4002;

eachTree((t) => {
  describe('attributes', () => {
    test('times are exact to the nanosecond, before 1970 too', async () => {
      await t.put('f', 'x');
      const fid = await t.raw.walk('f');
      const valid = SETATTR.ATIME | SETATTR.ATIME_SET | SETATTR.MTIME | SETATTR.MTIME_SET;
      const times = { atime: -5, atimeNsec: 999_999_999, mtime: 1_234_567_890, mtimeNsec: 123_456_789 };
      await t.raw.setattr(fid, { valid, ...times });
      expect(await t.raw.getattr(fid)).toMatchObject(times);
      await expect(t.raw.setattr(fid, { valid, ...times, mtimeNsec: 1_000_000_000 })).rejects.toMatchObject({
        ecode: errno.EINVAL,
      });
    });

    test('one time is set, the other left; without a value it is the present', async () => {
      await t.put('f', 'x');
      const fid = await t.raw.walk('f');
      const valid = SETATTR.ATIME | SETATTR.ATIME_SET | SETATTR.MTIME | SETATTR.MTIME_SET;
      await t.raw.setattr(fid, { valid, atime: 1, atimeNsec: 2, mtime: 3, mtimeNsec: 4 });
      const before = Math.floor(Date.now() / 1000) - 1;
      await t.raw.setattr(fid, { valid: SETATTR.MTIME });
      const attr = await t.raw.getattr(fid);
      expect(attr).toMatchObject({ atime: 1, atimeNsec: 2 });
      expect(attr.mtime).toBeGreaterThanOrEqual(before);
    });

    test.runIf(asRoot || t.kind === 'memory')(
      'reading moves the access time, but not what was opened with O_NOATIME, which is for the owner and root',
      async () => {
        await t.mkdir('d');
        await t.put('f', 'x');
        const { ATIME, ATIME_SET, MTIME, MTIME_SET, UID } = SETATTR;
        const old = { valid: ATIME | ATIME_SET | MTIME | MTIME_SET | UID, atime: 1, mtime: 2, uid: ALICE };
        const [alice, bob] = [await t.served.connect({ uid: ALICE }), await t.served.connect({ uid: BOB })];
        for (const [name, flags] of [
          ['f', OPEN.RDONLY],
          ['f', OPEN.RDWR],
          ['d', OPEN.RDONLY],
        ] as const) {
          const asked = await t.raw.walk(name);
          await t.raw.setattr(asked, old);
          const read = async (by: Raw9p, how: number) => {
            const fid = await by.open(name, how);
            if (name === 'f') await by.read(fid);
            else await by.list(fid);
            await by.clunk(fid);
          };
          for (const by of [alice, t.raw]) await read(by, flags | OPEN.NOATIME);
          await expect(read(bob, OPEN.RDONLY | OPEN.NOATIME)).rejects.toMatchObject({ ecode: errno.EPERM });
          expect(await t.raw.getattr(asked)).toMatchObject({ atime: 1 });
          await read(bob, OPEN.RDONLY);
          expect((await t.raw.getattr(asked)).atime).not.toBe(1);
          await t.raw.clunk(asked);
        }
      },
    );

    test('of a symbolic link: owner and times, no mode', async () => {
      await t.raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'nowhere', gid: 0 });
      const fid = await t.raw.walk('l');
      await t.raw.setattr(fid, { valid: SETATTR.MTIME | SETATTR.MTIME_SET, mtime: 99, mtimeNsec: 1 });
      expect(await t.raw.getattr(fid)).toMatchObject({ mtime: 99, mtimeNsec: 1 });
      await expect(t.raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o600 })).rejects.toMatchObject({
        ecode: errno.EOPNOTSUPP,
      });
    });

    test.runIf(asRoot || t.kind === 'memory')(
      'a new owner takes setuid away, and -1 leaves an owner alone',
      async () => {
        await t.put('f', 'x', 0, t.raw, 0o755);
        const fid = await t.raw.walk('f');
        await t.raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o6755 });
        await t.raw.setattr(fid, { valid: SETATTR.UID | SETATTR.GID, uid: 5, gid: 6 });
        expect(await t.raw.getattr(fid)).toMatchObject({ mode: 0o100755, uid: 5, gid: 6 });
        await t.raw.setattr(fid, { valid: SETATTR.UID | SETATTR.GID, uid: 0xffffffff, gid: 7 });
        expect(await t.raw.getattr(fid)).toMatchObject({ uid: 5, gid: 7 });
      },
    );

    test('truncating what is no file', async () => {
      await t.raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'f', gid: 0 });
      await expect(t.raw.setattr(0, { valid: SETATTR.SIZE, size: 1 })).rejects.toMatchObject({ ecode: errno.EISDIR });
      await expect(t.raw.setattr(await t.raw.walk('l'), { valid: SETATTR.SIZE, size: 1 })).rejects.toBeDefined();
    });

    test('the version moves with content and attributes, and is the same everywhere', async () => {
      const fid = await t.raw.create(0, 'f');
      const versions: number[] = [];
      const look = async () => versions.push((await t.raw.getattr(fid)).qid.version);
      await look();
      await t.raw.write(fid, 'abc');
      await look();
      await t.raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o600 });
      await look();
      await t.raw.setattr(fid, { valid: SETATTR.SIZE, size: 1 });
      await look();
      await t.raw.call('Tlink', { dfid: 0, fid, name: 'g' });
      await look();
      expect(new Set(versions).size).toBe(t.kind === 'memory' ? 5 : new Set(versions).size);
      expect(versions).not.toContain(0);
      const walked = await t.raw.call('Twalk', { fid: 0, newfid: 7, names: ['f'] });
      const opened = await t.raw.call('Tlopen', { fid: 7, flags: 0 });
      expect(walked.qids[0]).toEqual((await t.raw.getattr(fid)).qid);
      expect(opened.qid).toEqual(walked.qids[0]);
    });

    test('statfs tells of blocks, files and names', async () => {
      const { bsize, blocks, bfree, bavail, files, namelen } = await t.raw.call('Tstatfs', { fid: 0 });
      expect(bsize).toBeGreaterThanOrEqual(512);
      expect(blocks).toBeGreaterThanOrEqual(bfree);
      expect(bfree).toBeGreaterThanOrEqual(bavail);
      expect(bavail).toBeGreaterThan(0);
      expect(files).toBeGreaterThan(0);
      expect(namelen).toBe(255);
    });
  });

  describe.runIf(asRoot || t.kind === 'memory')('permissions', () => {
    let alice: Raw9p;
    let bob: Raw9p;

    beforeEach(async () => {
      alice = await t.served.connect({ uid: ALICE });
      bob = await t.served.connect({ uid: BOB });
    });

    const openAs = async (as: Raw9p, path: string, flags: number) => {
      const fid = as.fid();
      const names = path.split('/');
      const reply = await as.reply(as.send('Twalk', { fid: 0, newfid: fid, names }));
      if (reply.type === 'Rlerror') return reply.ecode;
      if (reply.type !== 'Rwalk' || reply.qids.length < names.length) return errno.EACCES;
      return as.errno('Tlopen', { fid, flags });
    };

    test('files belong to who makes them', async () => {
      await alice.clunk(await alice.create(0, 'f', { gid: ALICE }));
      await t.mkdir('d', { as: alice, gid: ALICE });
      await alice.call('Tsymlink', { dfid: 0, name: 'l', target: 'x', gid: ALICE });
      await alice.call('Tmknod', { dfid: 0, name: 'p', mode: 0o010600, major: 0, minor: 0, gid: ALICE });
      for (const name of ['f', 'd', 'l', 'p']) {
        expect(await t.raw.getattr(await t.raw.walk(name))).toMatchObject({ uid: ALICE, gid: ALICE });
      }
    });

    test('owner, group and others each have their bits', async () => {
      await t.put('f', 'x', 0, alice, 0o640);
      expect(await openAs(alice, 'f', OPEN.RDWR)).toBe(0);
      expect(await openAs(bob, 'f', OPEN.RDONLY)).toBe(errno.EACCES);
      const fid = await t.raw.walk('f');
      await t.raw.setattr(fid, { valid: SETATTR.GID, gid: BOB });
      expect(await openAs(bob, 'f', OPEN.RDONLY)).toBe(0);
      expect(await openAs(bob, 'f', OPEN.RDWR)).toBe(errno.EACCES);
      await t.raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o046 });
      expect(await openAs(alice, 'f', OPEN.RDONLY)).toBe(errno.EACCES);
      expect(await openAs(bob, 'f', OPEN.RDONLY)).toBe(0);
      expect(await openAs(bob, 'f', OPEN.WRONLY)).toBe(errno.EACCES);
      expect(await openAs(t.raw, 'f', OPEN.RDWR)).toBe(0);
    });

    test('a directory must be searched, read and written with the bits for it', async () => {
      const dir = await t.mkdir('d', { as: alice, mode: 0o700 });
      await t.put('f', 'x', dir, alice);
      expect(await openAs(bob, 'd/f', OPEN.RDONLY)).toBe(errno.EACCES);
      expect(await openAs(bob, 'd', OPEN.RDONLY)).toBe(errno.EACCES);
      await alice.setattr(dir, { valid: SETATTR.MODE, mode: 0o711 });
      expect(await openAs(bob, 'd/f', OPEN.RDONLY)).toBe(0);
      expect(await openAs(bob, 'd', OPEN.RDONLY)).toBe(errno.EACCES);
      const bobs = await bob.walk('d');
      expect(await t.unlink('f', 0, bobs, bob)).toBe(errno.EACCES);
      expect(await bob.errno('Tmkdir', { dfid: bobs, name: 'x', mode: 0o700, gid: BOB })).toBe(errno.EACCES);
      expect(await bob.errno('Trenameat', { olddirfid: bobs, oldname: 'f', newdirfid: bobs, newname: 'g' })).toBe(
        errno.EACCES,
      );
    });

    test('a sticky directory keeps names for their owners', async () => {
      await t.put('f', 'x', 0, alice);
      await t.put('g', 'x', 0, bob);
      expect(await t.unlink('f', 0, 0, bob)).toBe(errno.EPERM);
      expect(await bob.errno('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'h' })).toBe(
        errno.EPERM,
      );
      expect(await bob.errno('Trenameat', { olddirfid: 0, oldname: 'g', newdirfid: 0, newname: 'f' })).toBe(
        errno.EPERM,
      );
      expect(await t.unlink('f', 0, 0, alice)).toBe(0);
    });

    test('only the owner changes the mode and gives exact times; only root gives files away', async () => {
      await t.put('f', 'x', 0, alice, 0o666);
      const mine = await alice.walk('f');
      const theirs = await bob.walk('f');
      const setattr = async (as: Raw9p, fid: number, changes: Parameters<Raw9p['setattr']>[1]) =>
        as.setattr(fid, changes).then(
          () => 0,
          (error) => error.ecode as number,
        );
      const exact = { valid: SETATTR.MTIME | SETATTR.MTIME_SET, mtime: 5 };
      const now = { valid: SETATTR.ATIME | SETATTR.MTIME };
      expect(await setattr(bob, theirs, { valid: SETATTR.MODE, mode: 0o600 })).toBe(errno.EPERM);
      expect(await setattr(bob, theirs, exact)).toBe(errno.EPERM);
      expect(await setattr(bob, theirs, now)).toBe(0);
      expect(await setattr(bob, theirs, { valid: SETATTR.SIZE, size: 0 })).toBe(0);
      expect(await setattr(alice, mine, exact)).toBe(0);
      expect(await setattr(alice, mine, { valid: SETATTR.UID, uid: BOB })).toBe(errno.EPERM);
      expect(await setattr(alice, mine, { valid: SETATTR.GID, gid: BOB })).toBe(errno.EPERM);
      expect(await setattr(alice, mine, { valid: SETATTR.GID, gid: ALICE })).toBe(0);
      expect(await setattr(alice, mine, { valid: SETATTR.MODE, mode: 0o600 })).toBe(0);
      expect(await setattr(bob, theirs, now)).toBe(errno.EACCES);
      expect(await setattr(bob, theirs, { valid: SETATTR.SIZE, size: 0 })).toBe(errno.EACCES);
    });

    test('what was opened stays open, whatever becomes of the mode', async () => {
      const fid = await alice.create(0, 'f', { mode: 0o600 });
      await alice.setattr(fid, { valid: SETATTR.MODE, mode: 0 });
      expect(await alice.write(fid, 'text')).toBe(4);
      await alice.setattr(fid, { valid: SETATTR.SIZE, size: 2 });
      expect((await alice.read(fid)).toString()).toBe('te');
    });

    test('a write by another takes setuid and setgid away', async () => {
      await t.put('f', 'x', 0, t.raw, 0o777);
      const fid = await t.raw.walk('f');
      await t.raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o6777 });
      const theirs = await bob.open('f', OPEN.RDWR);
      expect((await t.raw.getattr(fid)).mode).toBe(0o106777);
      await bob.write(theirs, 'y');
      expect((await t.raw.getattr(fid)).mode).toBe(0o100777);
    });

    test('a setgid directory hands its group down', async () => {
      const dir = await t.mkdir('d', { mode: 0o777 });
      await t.raw.setattr(dir, { valid: SETATTR.GID, gid: BOB });
      await t.raw.setattr(dir, { valid: SETATTR.MODE, mode: 0o2777 });
      const at = await alice.walk('d');
      await alice.clunk(await alice.create(at, 'f', { gid: ALICE }));
      await t.mkdir('e', { as: alice, dir: at, gid: ALICE });
      expect(await t.raw.getattr(await t.raw.walk('d/f'))).toMatchObject({ uid: ALICE, gid: BOB });
      expect(await t.raw.getattr(await t.raw.walk('d/e'))).toMatchObject({ mode: 0o042755, gid: BOB });
    });

    test('devices are for root', async () => {
      const mknod = (mode: number) =>
        alice.errno('Tmknod', { dfid: 0, name: 'n', mode, major: 1, minor: 3, gid: ALICE });
      expect(await mknod(0o020666)).toBe(errno.EPERM);
      expect(await mknod(0o010666)).toBe(0);
    });

    test('trusted attributes are for root', async () => {
      await t.put('f', 'x', 0, alice);
      const set = await alice.walk('f');
      await alice.call('Txattrcreate', { fid: set, name: 'trusted.x', size: 1, flags: 0 });
      await alice.write(set, 'v');
      expect(await alice.errno('Tclunk', { fid: set })).toBe(errno.EPERM);
      const fid = await alice.walk('f');
      expect(await alice.errno('Txattrwalk', { fid, newfid: 7, name: 'trusted.x' })).toBe(errno.ENODATA);
    });
  });

  describe('extended attributes', () => {
    let fid: number;

    beforeEach(async () => {
      await t.put('f', 'x');
      fid = await t.raw.walk('f');
    });

    async function set(name: string, value: string | Uint8Array, flags = 0): Promise<number> {
      const bytes = Buffer.from(value);
      const at = await t.raw.walk('f');
      const refused = await t.raw.errno('Txattrcreate', { fid: at, name, size: bytes.length, flags });
      if (refused !== 0) {
        await t.raw.clunk(at);
        return refused;
      }
      for (let offset = 0; offset < bytes.length; offset += 30_000) {
        await t.raw.write(at, bytes.subarray(offset, offset + 30_000), offset);
      }
      return t.raw.errno('Tclunk', { fid: at });
    }

    async function value(name: string): Promise<Buffer | number> {
      const newfid = t.raw.fid();
      const reply = await t.raw.reply(t.raw.send('Txattrwalk', { fid, newfid, name }));
      if (reply.type !== 'Rxattrwalk') return reply.type === 'Rlerror' ? reply.ecode : -1;
      const bytes = await t.raw.read(newfid);
      expect(bytes.length).toBe(reply.size);
      await t.raw.clunk(newfid);
      return bytes;
    }

    const list = async () =>
      ((await value('')) as Buffer)
        .toString()
        .split('\0')
        .filter((name) => name.startsWith('user.'))
        .sort();

    test('set, get, list, replace and remove', async () => {
      expect(await list()).toEqual([]);
      expect(await value('user.a')).toBe(errno.ENODATA);
      expect(await set('user.a', 'one')).toBe(0);
      expect(await set('user.b', Buffer.from([0, 255, 10]))).toBe(0);
      expect(String(await value('user.a'))).toBe('one');
      expect(await value('user.b')).toEqual(Buffer.from([0, 255, 10]));
      expect(await list()).toEqual(['user.a', 'user.b']);
      expect(await set('user.a', 'two', 1)).toBe(errno.EEXIST);
      expect(await set('user.a', 'two', 2)).toBe(0);
      expect(await set('user.c', 'x', 2)).toBe(errno.ENODATA);
      expect(await set('user.a', '', 2)).toBe(0);
      expect(await list()).toEqual(['user.b']);
      expect(await set('user.a', '')).toBe(errno.ENODATA);
      expect(await set('user.empty', '', 1)).toBe(0);
      expect(await value('user.empty')).toEqual(Buffer.alloc(0));
    });

    test('a value comes whole or not at all', async () => {
      await t.raw.call('Txattrcreate', { fid, name: 'user.a', size: 10, flags: 0 });
      await t.raw.write(fid, 'short');
      expect(await t.raw.errno('Twrite', { fid, offset: 8, data: Buffer.from('x') })).toBe(errno.EINVAL);
      expect(await t.raw.errno('Twrite', { fid, offset: 5, data: Buffer.from('too long') })).toBe(errno.EINVAL);
      expect(await t.raw.errno('Twrite', { fid, offset: 2 ** 40, data: Buffer.from('x') })).toBe(errno.EINVAL);
      expect(await t.raw.errno('Tclunk', { fid })).toBe(errno.EINVAL);
      fid = await t.raw.walk('f');
      expect(await list()).toEqual([]);
    });

    test('what names, sizes and flags are refused', async () => {
      expect(await set(`user.${'x'.repeat(251)}`, 'v')).toBe(errno.ERANGE);
      expect(await set('', 'v')).toBe(errno.ERANGE);
      expect(await set('unknown.x', 'v')).toBe(errno.EOPNOTSUPP);
      expect(await set('user.a', 'v', 3)).toBe(errno.EINVAL);
      expect(await t.raw.errno('Txattrcreate', { fid, name: 'user.a', size: 65537, flags: 0 })).toBe(errno.E2BIG);
      await t.raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'f', gid: 0 });
      const link = await t.raw.walk('l');
      await t.raw.call('Txattrcreate', { fid: link, name: 'user.a', size: 1, flags: 0 });
      await t.raw.write(link, 'v');
      expect(await t.raw.errno('Tclunk', { fid: link })).toBe(errno.EPERM);
    });

    test('the fids that hold values are counted, and given back', async () => {
      expect(await set('user.a', 'v')).toBe(0);
      for (let round = 0; round < 2; round++) {
        const held: number[] = [];
        let refused = 0;
        while (refused === 0) {
          const newfid = t.raw.fid();
          refused = await t.raw.errno('Txattrwalk', { fid, newfid, name: 'user.a' });
          if (refused === 0) held.push(newfid);
        }
        expect(refused).toBe(errno.ENOSPC);
        expect(held.length).toBe(256);
        for (const each of held) await t.raw.clunk(each);
      }
    });

    test('a connection that ends before the clunk has set nothing', async () => {
      const other = await t.served.connect();
      const at = await other.walk('f');
      await other.call('Txattrcreate', { fid: at, name: 'user.a', size: 1, flags: 0 });
      await other.write(at, 'v');
      await other.version();
      expect(await list()).toEqual([]);
    });
  });
});
