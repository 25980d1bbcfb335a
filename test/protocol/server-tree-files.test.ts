// The conformance suite of the server's trees, through the protocol and in the same words for every tree: what files do: opening, creating, reading, writing and locking.

import { beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { OPEN, QT, SETATTR } from '../../src/wire/p9/constants.ts';
import { eachTree } from '../support/eachtree.ts';

const ALICE = 4001;

eachTree((t) => {
  describe('open and create', () => {
    test('a fid is opened once', async () => {
      await t.put('f', 'x');
      const fid = await t.raw.open('f');
      expect(await t.raw.errno('Tlopen', { fid, flags: 0 })).toBe(errno.EINVAL);
      expect(await t.raw.errno('Tlcreate', { fid, name: 'g', flags: 2, mode: 0o644, gid: 0 })).toBe(errno.EINVAL);
    });

    test('create opens the new file under the same fid', async () => {
      const fid = await t.raw.walk('');
      const made = await t.raw.call('Tlcreate', { fid, name: 'f', flags: OPEN.RDWR, mode: 0o640, gid: 7 });
      expect(made.qid.type).toBe(QT.FILE);
      const attr = await t.raw.getattr(fid);
      expect(attr).toMatchObject({ mode: 0o100640, uid: 0, gid: 7, nlink: 1, size: 0, qid: made.qid });
      await t.raw.write(fid, 'abc');
      expect(await t.get('f')).toBe('abc');
    });

    test('the mode of a new file does not bind the one who makes it, nor does our umask bind the mode', async () => {
      const alice = await t.served.connect({ uid: ALICE });
      const fid = await alice.create(0, 'f', { mode: 0 });
      expect(await alice.write(fid, 'x')).toBe(1);
      await alice.create(0, 'g', { mode: 0o777 });
      expect((await t.raw.getattr(await t.raw.walk('g'))).mode).toBe(0o100777);
    });

    test('EXCL refuses what exists; without it a file is opened, and cut with TRUNC', async () => {
      await t.put('f', 'text');
      const fid = await t.raw.walk('');
      const create = (flags: number) => t.raw.errno('Tlcreate', { fid, name: 'f', flags, mode: 0o600, gid: 0 });
      expect(await create(OPEN.RDWR | OPEN.CREATE | OPEN.EXCL)).toBe(errno.EEXIST);
      expect(await create(OPEN.RDWR | OPEN.CREATE)).toBe(0);
      expect((await t.raw.read(fid)).toString()).toBe('text');
      const again = await t.raw.create(0, 'f', { flags: OPEN.RDWR | OPEN.TRUNC });
      expect((await t.raw.getattr(again)).size).toBe(0);
    });

    test('create does not follow or replace a symbolic link or a directory', async () => {
      await t.mkdir('d');
      await t.raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'f', gid: 0 });
      const create = async (name: string) =>
        t.raw.errno('Tlcreate', { fid: await t.raw.walk(''), name, flags: OPEN.RDWR, mode: 0o600, gid: 0 });
      expect(await create('l')).toBe(errno.ELOOP);
      expect(await create('d')).toBe(errno.EISDIR);
      expect(await create('.')).toBe(errno.EEXIST);
      expect(await create('..')).toBe(errno.EEXIST);
      expect(await create('x/y')).toBe(errno.EINVAL);
      expect(await create('')).toBe(errno.ENOENT);
      expect(await t.names(await t.raw.open(''))).toEqual(['.', '..', 'd', 'l']);
    });

    test('what cannot be opened', async () => {
      await t.mkdir('d');
      await t.put('f', '');
      await t.raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'f', gid: 0 });
      await t.raw.call('Tmknod', { dfid: 0, name: 'p', mode: 0o010644, major: 0, minor: 0, gid: 0 });
      const open = async (name: string, flags: number) => t.raw.errno('Tlopen', { fid: await t.raw.walk(name), flags });
      expect(await open('d', OPEN.RDWR)).toBe(errno.EISDIR);
      expect(await open('d', OPEN.RDONLY | OPEN.TRUNC)).toBe(errno.EISDIR);
      expect(await open('l', OPEN.RDONLY)).toBe(errno.ELOOP);
      expect(await open('p', OPEN.RDONLY)).toBe(errno.ENXIO);
      expect(await open('f', OPEN.RDONLY | OPEN.DIRECTORY)).toBe(errno.ENOTDIR);
      expect(await open('f', OPEN.ACCMODE)).toBe(errno.EINVAL);
      expect(await open('d', OPEN.RDONLY | OPEN.DIRECTORY)).toBe(0);
    });

    test('reads and writes need the open mode for them', async () => {
      await t.put('f', 'text');
      const reader = await t.raw.open('f', OPEN.RDONLY);
      const writer = await t.raw.open('f', OPEN.WRONLY);
      const unopened = await t.raw.walk('f');
      const data = Buffer.from('x');
      expect(await t.raw.errno('Twrite', { fid: reader, offset: 0, data })).toBe(errno.EBADF);
      expect(await t.raw.errno('Tread', { fid: writer, offset: 0, count: 1 })).toBe(errno.EBADF);
      expect(await t.raw.errno('Tread', { fid: unopened, offset: 0, count: 1 })).toBe(errno.EBADF);
      expect(await t.raw.errno('Twrite', { fid: unopened, offset: 0, data })).toBe(errno.EBADF);
      expect(await t.raw.errno('Treaddir', { fid: unopened, offset: 0n, count: 100 })).toBe(errno.EBADF);
      expect(await t.raw.errno('Treaddir', { fid: reader, offset: 0n, count: 100 })).toBe(errno.ENOTDIR);
      const dir = await t.raw.open('');
      expect(await t.raw.errno('Tread', { fid: dir, offset: 0, count: 1 })).toBe(errno.EISDIR);
    });
  });

  describe('content', () => {
    test('bytes come back as they were written, across every boundary', async () => {
      const big = await t.served.connect({ msize: 1024 * 1024 + 24 });
      const fid = await big.create(0, 'f');
      const data = Buffer.alloc(3_000_001);
      for (let i = 0; i < data.length; i++) data[i] = (i * 31 + (i >> 8) * 7) & 0xff;
      for (let at = 0; at < data.length; at += 700_001) await big.write(fid, data.subarray(at, at + 700_001), at);
      expect((await big.getattr(fid)).size).toBe(data.length);
      for (const [offset, count] of [
        [0, 1_048_576],
        [262_143, 2],
        [262_000, 300_000],
        [999_999, 1_048_576],
        [2_999_999, 100],
      ] as const) {
        expect((await big.read(fid, offset, count)).equals(data.subarray(offset, offset + count))).toBe(true);
      }
    });

    test('a read at or past the end is empty', async () => {
      await t.put('f', 'abc');
      const fid = await t.raw.open('f');
      expect((await t.raw.read(fid, 2)).toString()).toBe('c');
      expect((await t.raw.read(fid, 3)).length).toBe(0);
      expect((await t.raw.read(fid, 2 ** 40)).length).toBe(0);
      expect((await t.raw.read(fid, 0, 0)).length).toBe(0);
    });

    test('a count beyond msize is answered with what fits', async () => {
      await t.put('f', 'x'.repeat(5000));
      const small = await t.served.connect({ msize: 1024 });
      const fid = await small.open('f');
      expect((await small.read(fid, 0, 0xffffffff)).length).toBe(1000);
    });

    test('holes read as zeros and cost nothing, past 4 GiB too', async () => {
      const fid = await t.raw.create(0, 'f');
      const far = 5 * 2 ** 30 + 17;
      await t.raw.write(fid, 'end', far);
      const attr = await t.raw.getattr(fid);
      expect(attr.size).toBe(far + 3);
      expect(attr.blocks * 512).toBeLessThan(1024 * 1024);
      expect((await t.raw.read(fid, 2 ** 32, 65536)).equals(Buffer.alloc(65536))).toBe(true);
      expect((await t.raw.read(fid, far - 2, 10)).toString('latin1')).toBe('\0\0end');
    });

    test('truncation cuts, and grows with zeros where text was', async () => {
      const fid = await t.raw.create(0, 'f');
      await t.raw.write(fid, 'x'.repeat(300_000).slice(0, 65536));
      await t.raw.write(fid, 'abc', 270_000);
      await t.raw.setattr(fid, { valid: SETATTR.SIZE, size: 10 });
      await t.raw.setattr(fid, { valid: SETATTR.SIZE, size: 300_000 });
      expect((await t.raw.read(fid, 0, 100)).toString('latin1')).toBe(`${'x'.repeat(10)}${'\0'.repeat(90)}`);
      expect((await t.raw.read(fid, 269_990, 20)).equals(Buffer.alloc(20))).toBe(true);
      expect((await t.raw.getattr(fid)).size).toBe(300_000);
    });

    test('a file opened to append ignores the offset', async () => {
      await t.put('f', 'abc');
      const fid = await t.raw.open('f', OPEN.WRONLY | OPEN.APPEND);
      await t.raw.write(fid, 'def', 0);
      expect(await t.get('f')).toBe('abcdef');
    });

    test('a read keeps what it found, whatever is written before it has left', async () => {
      const big = await t.served.connect({ msize: 1024 * 1024 + 24 });
      const fid = await big.create(0, 'f');
      await big.write(fid, Buffer.alloc(100_000, 'a'));
      const read = big.send('Tread', { fid, offset: 0, count: 100_000 });
      big.send('Twrite', { fid, offset: 50_000, data: Buffer.alloc(10, 'b') });
      big.send('Tsetattr', {
        fid,
        valid: SETATTR.SIZE,
        size: 20,
        mode: 0,
        uid: 0,
        gid: 0,
        atime: 0,
        atimeNsec: 0,
        mtime: 0,
        mtimeNsec: 0,
      });
      const reply = await big.reply(read);
      expect(reply.type === 'Rread' && Buffer.from(reply.data).equals(Buffer.alloc(100_000, 'a'))).toBe(true);
      await big.settle();
      expect((await big.getattr(fid)).size).toBe(20);
    });

    test('fsync of a file and of a directory', async () => {
      const fid = await t.raw.create(0, 'f');
      expect(await t.raw.errno('Tfsync', { fid, datasync: 0 })).toBe(0);
      expect(await t.raw.errno('Tfsync', { fid, datasync: 1 })).toBe(0);
      expect(await t.raw.errno('Tfsync', { fid: await t.raw.open(''), datasync: 0 })).toBe(0);
      expect(await t.raw.errno('Tfsync', { fid: 0, datasync: 0 })).toBe(errno.EBADF);
    });
  });

  describe('record locks', () => {
    const RD = 0;
    const WR = 1;
    const UN = 2;
    let one: number;
    let two: number;

    beforeEach(async () => {
      await t.put('f', 'x'.repeat(100));
      one = await t.raw.open('f', OPEN.RDWR);
      two = await t.raw.open('f', OPEN.RDWR);
    });

    const lock = async (fid: number, procId: number, kind: number, start: number, length: number, flags = 0) =>
      (
        await t.raw.call('Tlock', {
          fid,
          kind,
          flags,
          start: BigInt(start),
          length: BigInt(length),
          procId,
          clientId: 'here',
        })
      ).status;
    const probe = async (fid: number, procId: number, kind: number, start: number, length: number) => {
      const found = await t.raw.call('Tgetlock', {
        fid,
        kind,
        start: BigInt(start),
        length: BigInt(length),
        procId,
        clientId: 'here',
      });
      return found.kind === UN
        ? 'free'
        : `${found.kind === RD ? 'read' : 'write'} ${found.start}+${found.length} by ${found.procId}`;
    };

    test('readers share, a writer is alone', async () => {
      expect(await lock(one, 1, RD, 0, 10)).toBe(0);
      expect(await lock(two, 2, RD, 5, 10)).toBe(0);
      expect(await lock(two, 2, WR, 0, 10)).toBe(1);
      expect(await lock(two, 2, WR, 0, 10, 1)).toBe(1);
      expect(await lock(two, 2, WR, 10, 0)).toBe(0);
      expect(await lock(one, 1, RD, 50, 1)).toBe(1);
      expect(await probe(one, 1, WR, 12, 5)).toBe('write 10+0 by 2');
      expect(await probe(two, 2, WR, 0, 0)).toBe('read 0+10 by 1');
      expect(await probe(two, 2, RD, 0, 0)).toBe('free');
    });

    test('one owner converts, splits and merges its own ranges', async () => {
      expect(await lock(one, 1, WR, 0, 100)).toBe(0);
      expect(await lock(one, 1, RD, 40, 10)).toBe(0);
      expect(await lock(two, 2, RD, 40, 10)).toBe(0);
      expect(await lock(two, 2, RD, 39, 1)).toBe(1);
      expect(await lock(one, 1, UN, 20, 10)).toBe(0);
      expect(await lock(two, 2, WR, 20, 10)).toBe(0);
      expect(await probe(two, 2, RD, 0, 20)).toBe('write 0+20 by 1');
      expect(await probe(two, 2, RD, 30, 10)).toBe('write 30+10 by 1');
      expect(await probe(two, 2, RD, 50, 50)).toBe('write 50+50 by 1');
      expect(await lock(two, 2, UN, 0, 0)).toBe(0);
      expect(await lock(one, 1, WR, 20, 30)).toBe(0);
      expect(await probe(two, 2, RD, 0, 0)).toBe('write 0+100 by 1');
      expect(await lock(one, 1, UN, 0, 0)).toBe(0);
      expect(await probe(two, 2, WR, 0, 0)).toBe('free');
    });

    test('locks go with the fid through which they were taken', async () => {
      expect(await lock(one, 1, WR, 0, 10)).toBe(0);
      expect(await lock(two, 1, WR, 20, 10)).toBe(0);
      const other = await t.raw.open('f', OPEN.RDWR);
      await t.raw.clunk(one);
      expect(await lock(other, 2, WR, 0, 10)).toBe(0);
      expect(await lock(other, 2, WR, 20, 10)).toBe(1);
      await t.raw.clunk(two);
      expect(await lock(other, 2, WR, 20, 10)).toBe(0);
    });

    test('locks go with the connection', async () => {
      const gone = await t.served.connect();
      const fid = await gone.open('f', OPEN.RDWR);
      const asked = { fid, kind: WR, flags: 0, start: 0n, length: 0n, procId: 9, clientId: 'there' };
      expect((await gone.call('Tlock', asked)).status).toBe(0);
      expect(await lock(one, 1, WR, 0, 1)).toBe(1);
      expect(await probe(one, 1, WR, 0, 1)).toBe('write 0+0 by 9');
      await gone.version();
      expect(await lock(one, 1, WR, 0, 1)).toBe(0);
    });

    test('owners are told apart by client and by process', async () => {
      expect(await lock(one, 1, WR, 0, 1)).toBe(0);
      const asked = { fid: two, kind: WR, flags: 0, start: 0n, length: 1n, procId: 1 };
      expect((await t.raw.call('Tlock', { ...asked, clientId: 'there' })).status).toBe(1);
      expect((await t.raw.call('Tlock', { ...asked, clientId: 'here' })).status).toBe(0);
    });

    test('what is refused', async () => {
      const reader = await t.raw.open('f', OPEN.RDONLY);
      const base = { fid: one, kind: WR, flags: 0, start: 0n, length: 1n, procId: 1, clientId: 'here' };
      expect(await t.raw.errno('Tlock', { ...base, fid: reader })).toBe(errno.EBADF);
      expect(await t.raw.errno('Tlock', { ...base, fid: 0 })).toBe(errno.EBADF);
      expect(await t.raw.errno('Tlock', { ...base, kind: 3 })).toBe(errno.EINVAL);
      expect(await t.raw.errno('Tlock', { ...base, start: 2n ** 63n })).toBe(errno.EOVERFLOW);
      expect(await t.raw.errno('Tlock', { ...base, start: 2n ** 62n, length: 2n ** 62n + 1n })).toBe(errno.EOVERFLOW);
      expect(await t.raw.errno('Tlock', { ...base, start: 2n ** 62n, length: 2n ** 62n })).toBe(0);
    });

    test('a fid that was renamed or unlinked keeps its locks', async () => {
      expect(await lock(one, 1, WR, 0, 1)).toBe(0);
      await t.raw.call('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'g' });
      expect(await lock(two, 2, WR, 0, 1)).toBe(1);
      expect(await t.unlink('g')).toBe(0);
      expect(await lock(two, 2, WR, 0, 1)).toBe(1);
    });
  });
});
