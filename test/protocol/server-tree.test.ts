// The conformance suite of the server's trees, through the protocol: what every tree must do, in the same words for all.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { AT_REMOVEDIR, GETATTR, OPEN, QT, SETATTR } from '../../src/wire/p9/constants.ts';
import type { Raw9p } from '../support/raw9p.ts';
import { type Served, serveTree, type TreeKind } from '../support/served.ts';

const ALICE = 4001;
const BOB = 4002;
const asRoot = process.geteuid?.() === 0;

describe.each<TreeKind>(['memory', 'host'])('%s tree', (kind) => {
  let served: Served;
  let raw: Raw9p;

  beforeEach(async () => {
    served = await serveTree(kind);
    raw = await served.connect();
    await raw.setattr(0, { valid: SETATTR.MODE, mode: 0o1777 });
  });

  afterEach(async () => {
    await served.end();
  });

  async function mkdir(
    name: string,
    options: { dir?: number; mode?: number; gid?: number; as?: Raw9p } = {},
  ): Promise<number> {
    const { dir: dfid = 0, mode = 0o755, gid = 0, as = raw } = options;
    await as.call('Tmkdir', { dfid, name, mode, gid });
    return as.walk(name, dfid);
  }

  async function put(name: string, text: string, dir = 0, as = raw, mode = 0o644): Promise<void> {
    const fid = await as.create(dir, name, { mode });
    await as.write(fid, text);
    await as.clunk(fid);
  }

  async function get(path: string, as = raw): Promise<string> {
    const fid = await as.open(path);
    const text = (await as.read(fid)).toString();
    await as.clunk(fid);
    return text;
  }

  const unlink = (name: string, flags = 0, dirfid = 0, as = raw) => as.errno('Tunlinkat', { dirfid, name, flags });
  const names = async (fid: number) => (await raw.list(fid)).map(({ name }) => name).sort();

  describe('walk', () => {
    test('no names clone the fid, to the same file', async () => {
      const clone = await raw.walk('');
      expect((await raw.getattr(clone)).qid.path).toBe((await raw.getattr(0)).qid.path);
    });

    test('sixteen names', async () => {
      const path = Array.from({ length: 16 }, (_, i) => `d${i}`);
      let dir = 0;
      for (const name of path) dir = await mkdir(name, { dir });
      const { qids } = await raw.call('Twalk', { fid: 0, newfid: 7, names: path });
      expect(qids.length).toBe(16);
      expect(qids.at(-1)).toEqual((await raw.getattr(dir)).qid);
      expect(qids.every(({ type }) => type === QT.DIR)).toBe(true);
    });

    test('the first name missing is an error, and makes no fid', async () => {
      expect(await raw.errno('Twalk', { fid: 0, newfid: 7, names: ['nothing'] })).toBe(errno.ENOENT);
      expect(await raw.errno('Tgetattr', { fid: 7, mask: GETATTR.ALL })).toBe(errno.EBADF);
    });

    test('a later name missing answers the qids so far, and makes no fid', async () => {
      const dir = await mkdir('d');
      const { qids } = await raw.call('Twalk', { fid: 0, newfid: 7, names: ['d', 'nothing', 'd'] });
      expect(qids).toEqual([(await raw.getattr(dir)).qid]);
      expect(await raw.errno('Tgetattr', { fid: 7, mask: GETATTR.ALL })).toBe(errno.EBADF);
      expect(await raw.errno('Twalk', { fid: 0, newfid: 7, names: ['d'] })).toBe(0);
    });

    test('a file is no directory to walk in', async () => {
      await put('f', '');
      expect(await raw.errno('Twalk', { fid: await raw.walk('f'), newfid: 7, names: ['x'] })).toBe(errno.ENOTDIR);
    });

    test('.. of the root is the root, .. elsewhere is the parent', async () => {
      const root = (await raw.getattr(0)).qid;
      const dir = await mkdir('d');
      const sub = await mkdir('e', { dir });
      const up = await raw.call('Twalk', { fid: sub, newfid: 7, names: ['..', '..', '..', '..'] });
      expect(up.qids.map(({ path }) => path)).toEqual([
        (await raw.getattr(dir)).qid.path,
        root.path,
        root.path,
        root.path,
      ]);
    });

    test.each(['.', '', 'a/b', '/', ' /'])('the name %j is found nowhere', async (name) => {
      await mkdir('a');
      expect(await raw.errno('Twalk', { fid: 0, newfid: 7, names: [name] })).toBe(errno.ENOENT);
    });

    test('a fid in use is not given out again', async () => {
      await raw.walk('');
      expect(await raw.errno('Twalk', { fid: 0, newfid: 0, names: [] })).toBe(0);
      const other = await raw.walk('');
      expect(await raw.errno('Twalk', { fid: 0, newfid: other, names: [] })).toBe(errno.EINVAL);
    });

    test('newfid that is fid moves it, but only when every name is found', async () => {
      const dir = await mkdir('d');
      const fid = await raw.walk('');
      await raw.call('Twalk', { fid, newfid: fid, names: ['d', 'nothing'] });
      expect((await raw.getattr(fid)).qid.path).toBe((await raw.getattr(0)).qid.path);
      await raw.call('Twalk', { fid, newfid: fid, names: ['d'] });
      expect((await raw.getattr(fid)).qid.path).toBe((await raw.getattr(dir)).qid.path);
    });

    test('from an open fid, but not onto it', async () => {
      await mkdir('d');
      const open = await raw.open('');
      expect(await raw.errno('Twalk', { fid: open, newfid: 7, names: ['d'] })).toBe(0);
      expect(await raw.errno('Twalk', { fid: open, newfid: open, names: ['d'] })).toBe(errno.EINVAL);
    });

    test('a name of 255 bytes is found, one of 256 is too long', async () => {
      const long = 'ü'.repeat(127);
      await put(`${long}x`, 'text');
      expect(await get(`${long}x`)).toBe('text');
      expect(await raw.errno('Twalk', { fid: 0, newfid: 7, names: [`${long}xy`] })).toBe(errno.ENAMETOOLONG);
      expect(await raw.errno('Tmkdir', { dfid: 0, name: `${long}ü`, mode: 0, gid: 0 })).toBe(errno.ENAMETOOLONG);
    });
  });

  describe('open and create', () => {
    test('a fid is opened once', async () => {
      await put('f', 'x');
      const fid = await raw.open('f');
      expect(await raw.errno('Tlopen', { fid, flags: 0 })).toBe(errno.EINVAL);
      expect(await raw.errno('Tlcreate', { fid, name: 'g', flags: 2, mode: 0o644, gid: 0 })).toBe(errno.EINVAL);
    });

    test('create opens the new file under the same fid', async () => {
      const fid = await raw.walk('');
      const made = await raw.call('Tlcreate', { fid, name: 'f', flags: OPEN.RDWR, mode: 0o640, gid: 7 });
      expect(made.qid.type).toBe(QT.FILE);
      const attr = await raw.getattr(fid);
      expect(attr).toMatchObject({ mode: 0o100640, uid: 0, gid: 7, nlink: 1, size: 0, qid: made.qid });
      await raw.write(fid, 'abc');
      expect(await get('f')).toBe('abc');
    });

    test('the mode of a new file does not bind the one who makes it, nor does our umask bind the mode', async () => {
      const alice = await served.connect({ uid: ALICE });
      const fid = await alice.create(0, 'f', { mode: 0 });
      expect(await alice.write(fid, 'x')).toBe(1);
      await alice.create(0, 'g', { mode: 0o777 });
      expect((await raw.getattr(await raw.walk('g'))).mode).toBe(0o100777);
    });

    test('EXCL refuses what exists; without it a file is opened, and cut with TRUNC', async () => {
      await put('f', 'text');
      const fid = await raw.walk('');
      const create = (flags: number) => raw.errno('Tlcreate', { fid, name: 'f', flags, mode: 0o600, gid: 0 });
      expect(await create(OPEN.RDWR | OPEN.CREATE | OPEN.EXCL)).toBe(errno.EEXIST);
      expect(await create(OPEN.RDWR | OPEN.CREATE)).toBe(0);
      expect((await raw.read(fid)).toString()).toBe('text');
      const again = await raw.create(0, 'f', { flags: OPEN.RDWR | OPEN.TRUNC });
      expect((await raw.getattr(again)).size).toBe(0);
    });

    test('create does not follow or replace a symbolic link or a directory', async () => {
      await mkdir('d');
      await raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'f', gid: 0 });
      const create = async (name: string) =>
        raw.errno('Tlcreate', { fid: await raw.walk(''), name, flags: OPEN.RDWR, mode: 0o600, gid: 0 });
      expect(await create('l')).toBe(errno.ELOOP);
      expect(await create('d')).toBe(errno.EISDIR);
      expect(await create('.')).toBe(errno.EEXIST);
      expect(await create('..')).toBe(errno.EEXIST);
      expect(await create('x/y')).toBe(errno.EINVAL);
      expect(await create('')).toBe(errno.ENOENT);
      expect(await names(await raw.open(''))).toEqual(['.', '..', 'd', 'l']);
    });

    test('what cannot be opened', async () => {
      await mkdir('d');
      await put('f', '');
      await raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'f', gid: 0 });
      await raw.call('Tmknod', { dfid: 0, name: 'p', mode: 0o010644, major: 0, minor: 0, gid: 0 });
      const open = async (name: string, flags: number) => raw.errno('Tlopen', { fid: await raw.walk(name), flags });
      expect(await open('d', OPEN.RDWR)).toBe(errno.EISDIR);
      expect(await open('d', OPEN.RDONLY | OPEN.TRUNC)).toBe(errno.EISDIR);
      expect(await open('l', OPEN.RDONLY)).toBe(errno.ELOOP);
      expect(await open('p', OPEN.RDONLY)).toBe(errno.ENXIO);
      expect(await open('f', OPEN.RDONLY | OPEN.DIRECTORY)).toBe(errno.ENOTDIR);
      expect(await open('f', OPEN.ACCMODE)).toBe(errno.EINVAL);
      expect(await open('d', OPEN.RDONLY | OPEN.DIRECTORY)).toBe(0);
    });

    test('reads and writes need the open mode for them', async () => {
      await put('f', 'text');
      const reader = await raw.open('f', OPEN.RDONLY);
      const writer = await raw.open('f', OPEN.WRONLY);
      const unopened = await raw.walk('f');
      const data = Buffer.from('x');
      expect(await raw.errno('Twrite', { fid: reader, offset: 0, data })).toBe(errno.EBADF);
      expect(await raw.errno('Tread', { fid: writer, offset: 0, count: 1 })).toBe(errno.EBADF);
      expect(await raw.errno('Tread', { fid: unopened, offset: 0, count: 1 })).toBe(errno.EBADF);
      expect(await raw.errno('Twrite', { fid: unopened, offset: 0, data })).toBe(errno.EBADF);
      expect(await raw.errno('Treaddir', { fid: unopened, offset: 0n, count: 100 })).toBe(errno.EBADF);
      expect(await raw.errno('Treaddir', { fid: reader, offset: 0n, count: 100 })).toBe(errno.ENOTDIR);
      const dir = await raw.open('');
      expect(await raw.errno('Tread', { fid: dir, offset: 0, count: 1 })).toBe(errno.EISDIR);
    });
  });

  describe('content', () => {
    test('bytes come back as they were written, across every boundary', async () => {
      const big = await served.connect({ msize: 1024 * 1024 + 24 });
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
      await put('f', 'abc');
      const fid = await raw.open('f');
      expect((await raw.read(fid, 2)).toString()).toBe('c');
      expect((await raw.read(fid, 3)).length).toBe(0);
      expect((await raw.read(fid, 2 ** 40)).length).toBe(0);
      expect((await raw.read(fid, 0, 0)).length).toBe(0);
    });

    test('a count beyond msize is answered with what fits', async () => {
      await put('f', 'x'.repeat(5000));
      const small = await served.connect({ msize: 1024 });
      const fid = await small.open('f');
      expect((await small.read(fid, 0, 0xffffffff)).length).toBe(1000);
    });

    test('holes read as zeros and cost nothing, past 4 GiB too', async () => {
      const fid = await raw.create(0, 'f');
      const far = 5 * 2 ** 30 + 17;
      await raw.write(fid, 'end', far);
      const attr = await raw.getattr(fid);
      expect(attr.size).toBe(far + 3);
      expect(attr.blocks * 512).toBeLessThan(1024 * 1024);
      expect((await raw.read(fid, 2 ** 32, 65536)).equals(Buffer.alloc(65536))).toBe(true);
      expect((await raw.read(fid, far - 2, 10)).toString('latin1')).toBe('\0\0end');
    });

    test('truncation cuts, and grows with zeros where text was', async () => {
      const fid = await raw.create(0, 'f');
      await raw.write(fid, 'x'.repeat(300_000).slice(0, 65536));
      await raw.write(fid, 'abc', 270_000);
      await raw.setattr(fid, { valid: SETATTR.SIZE, size: 10 });
      await raw.setattr(fid, { valid: SETATTR.SIZE, size: 300_000 });
      expect((await raw.read(fid, 0, 100)).toString('latin1')).toBe(`${'x'.repeat(10)}${'\0'.repeat(90)}`);
      expect((await raw.read(fid, 269_990, 20)).equals(Buffer.alloc(20))).toBe(true);
      expect((await raw.getattr(fid)).size).toBe(300_000);
    });

    test('a file opened to append ignores the offset', async () => {
      await put('f', 'abc');
      const fid = await raw.open('f', OPEN.WRONLY | OPEN.APPEND);
      await raw.write(fid, 'def', 0);
      expect(await get('f')).toBe('abcdef');
    });

    test('a read keeps what it found, whatever is written before it has left', async () => {
      const big = await served.connect({ msize: 1024 * 1024 + 24 });
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
      const fid = await raw.create(0, 'f');
      expect(await raw.errno('Tfsync', { fid, datasync: 0 })).toBe(0);
      expect(await raw.errno('Tfsync', { fid, datasync: 1 })).toBe(0);
      expect(await raw.errno('Tfsync', { fid: await raw.open(''), datasync: 0 })).toBe(0);
      expect(await raw.errno('Tfsync', { fid: 0, datasync: 0 })).toBe(errno.EBADF);
    });
  });

  describe('readdir', () => {
    const many = Array.from({ length: 200 }, (_, i) => `entry-${String(i).padStart(3, '0')}`);
    const all = ['.', '..', ...many].sort();

    async function fill(): Promise<number> {
      const dir = await mkdir('d');
      for (const name of many) await raw.clunk(await raw.create(dir, name));
      return dir;
    }

    test.each([128, 256, 512, 4096, 65536])('every entry exactly once in calls of %i bytes', async (count) => {
      await fill();
      const listed = await raw.list(await raw.open('d'), count);
      expect(listed.map(({ name }) => name).sort()).toEqual(all);
      const byName = new Map(listed.map((entry) => [entry.name, entry]));
      expect(byName.get('.')).toMatchObject({ type: 4, qid: { type: QT.DIR } });
      expect(byName.get('entry-000')).toMatchObject({ type: 8, qid: { type: QT.FILE } });
      const file = await raw.getattr(await raw.walk('d/entry-123'));
      expect(byName.get('entry-123')?.qid.path).toBe(file.qid.path);
    });

    test('a count too small for the next entry is an error, not the end', async () => {
      await fill();
      const fid = await raw.open('d');
      expect(await raw.errno('Treaddir', { fid, offset: 0n, count: 20 })).toBe(errno.EINVAL);
      expect(await raw.errno('Treaddir', { fid, offset: 0n, count: 0 })).toBe(errno.EINVAL);
    });

    test('from the beginning again, and from any cookie again', async () => {
      await fill();
      const fid = await raw.open('d');
      const first = await raw.list(fid, 512);
      expect((await raw.list(fid, 300)).map(({ name }) => name)).toEqual(first.map(({ name }) => name));
      const middle = first[100]!;
      const { data } = await raw.call('Treaddir', { fid, offset: middle.offset, count: 4096 });
      expect(Buffer.from(data).toString('latin1')).toContain(first[101]!.name);
      expect(Buffer.from(data).toString('latin1')).not.toContain(middle.name);
    });

    test('removing what was listed loses nothing of the rest', async () => {
      const dir = await fill();
      const fid = await raw.open('d');
      const seen: string[] = [];
      for (let offset = 0n; ; ) {
        const { data } = await raw.call('Treaddir', { fid, offset, count: 400 });
        if (data.length === 0) break;
        const { readDirents } = await import('../../src/wire/p9/types.ts');
        for (const { name = '', offset: next } of readDirents(data).entries) {
          offset = next;
          seen.push(name);
          if (!name.startsWith('.')) expect(await unlink(name, 0, dir)).toBe(0);
        }
      }
      expect(seen.sort()).toEqual(all);
      expect(await unlink('d', AT_REMOVEDIR)).toBe(0);
    });

    test('an entry that comes during a listing does not disturb it', async () => {
      const dir = await fill();
      const fid = await raw.open('d');
      const { data } = await raw.call('Treaddir', { fid, offset: 0n, count: 400 });
      const { readDirents } = await import('../../src/wire/p9/types.ts');
      const { entries } = readDirents(data);
      await raw.clunk(await raw.create(dir, 'newcomer'));
      await raw.call('Trenameat', { olddirfid: dir, oldname: 'newcomer', newdirfid: dir, newname: 'renamed' });
      const rest: string[] = [];
      for (let offset = entries.at(-1)!.offset; ; ) {
        const more = readDirents((await raw.call('Treaddir', { fid, offset, count: 400 })).data).entries;
        if (more.length === 0) break;
        for (const { name = '' } of more) rest.push(name);
        offset = more.at(-1)!.offset;
      }
      const found = [...entries.map(({ name = '' }) => name), ...rest].filter((name) => name !== 'renamed');
      expect(found.sort()).toEqual(all);
    });

    test('what comes after the end was seen is found by a new call', async () => {
      const fid = await raw.open('');
      const last = (await raw.list(fid)).at(-1)!;
      await put('late', '');
      const { data } = await raw.call('Treaddir', { fid, offset: 0n, count: 4096 });
      expect(Buffer.from(data).toString('latin1')).toContain('late');
      expect(last.name).toBeDefined();
    });
  });

  describe('links and special files', () => {
    test('hard links share everything and count', async () => {
      await put('f', 'text');
      const fid = await raw.walk('f');
      await raw.call('Tlink', { dfid: 0, fid, name: 'g' });
      expect((await raw.getattr(await raw.walk('g'))).qid.path).toBe((await raw.getattr(fid)).qid.path);
      expect((await raw.getattr(fid)).nlink).toBe(2);
      expect(await unlink('f')).toBe(0);
      expect((await raw.getattr(fid)).nlink).toBe(1);
      expect(await get('g')).toBe('text');
      expect(await raw.errno('Tlink', { dfid: 0, fid, name: 'g' })).toBe(errno.EEXIST);
      expect(await unlink('g')).toBe(0);
      expect(await raw.errno('Tlink', { dfid: 0, fid, name: 'h' })).toBe(errno.ENOENT);
    });

    test('directories have no hard links, and count their subdirectories', async () => {
      const dir = await mkdir('d');
      expect(await raw.errno('Tlink', { dfid: 0, fid: dir, name: 'e' })).toBe(errno.EPERM);
      await mkdir('x', { dir });
      await mkdir('y', { dir });
      const { nlink } = await raw.getattr(dir);
      expect([1, 4]).toContain(nlink);
    });

    test('symbolic links hold their text and are not followed', async () => {
      const target = '../ä/%d\n'.repeat(20);
      const { qid } = await raw.call('Tsymlink', { dfid: 0, name: 'l', target, gid: 0 });
      expect(qid.type).toBe(QT.SYMLINK);
      const fid = await raw.walk('l');
      expect((await raw.call('Treadlink', { fid })).target).toBe(target);
      expect(await raw.getattr(fid)).toMatchObject({ mode: 0o120777, size: Buffer.byteLength(target) });
      expect(await raw.errno('Treadlink', { fid: 0 })).toBe(errno.EINVAL);
      expect(await raw.errno('Twalk', { fid, newfid: 7, names: ['x'] })).toBe(errno.ENOTDIR);
      expect(await raw.errno('Tsymlink', { dfid: 0, name: 'm', target: '', gid: 0 })).toBe(errno.ENOENT);
      expect(await raw.errno('Tsymlink', { dfid: 0, name: 'm', target: 'x'.repeat(4096), gid: 0 })).toBe(
        errno.ENAMETOOLONG,
      );
      await raw.call('Tlink', { dfid: 0, fid, name: 'm' });
      expect((await raw.call('Treadlink', { fid: await raw.walk('m') })).target).toBe(target);
    });

    test.runIf(asRoot || kind === 'memory')('devices, FIFOs and sockets keep type and number', async () => {
      for (const [name, mode, major, minor, rdev] of [
        ['c', 0o020600, 1, 3, 0x103],
        ['b', 0o060600, 259, 300, 0x11032c],
        ['p', 0o010600, 0, 0, 0],
        ['s', 0o140600, 0, 0, 0],
        ['f', 0o100600, 0, 0, 0],
      ] as const) {
        await raw.call('Tmknod', { dfid: 0, name, mode, major, minor, gid: 0 });
        expect(await raw.getattr(await raw.walk(name))).toMatchObject({ mode, rdev });
      }
      expect(await raw.errno('Tmknod', { dfid: 0, name: 'd', mode: 0o040700, major: 0, minor: 0, gid: 0 })).toBe(
        errno.EINVAL,
      );
    });
  });

  describe('unlink and rename', () => {
    test('what may not be removed so', async () => {
      const dir = await mkdir('d');
      await put('f', '', dir);
      expect(await unlink('d', AT_REMOVEDIR)).toBe(errno.ENOTEMPTY);
      expect(await unlink('d')).toBe(errno.EISDIR);
      expect(await unlink('f', AT_REMOVEDIR, dir)).toBe(errno.ENOTDIR);
      expect(await unlink('nothing')).toBe(errno.ENOENT);
      expect(await unlink('.', AT_REMOVEDIR)).toBe(errno.EINVAL);
      expect(await unlink('..', AT_REMOVEDIR)).toBe(errno.ENOTEMPTY);
      expect(await unlink('f', 0x1000, dir)).toBe(errno.EINVAL);
      expect(await unlink('f', 0, dir)).toBe(0);
      expect(await unlink('d', AT_REMOVEDIR)).toBe(0);
      expect(await raw.errno('Tmkdir', { dfid: dir, name: 'x', mode: 0o700, gid: 0 })).toBe(errno.ENOENT);
      expect((await raw.getattr(dir)).nlink).toBe(0);
    });

    test('an open file lives on without a name', async () => {
      const fid = await raw.create(0, 'f');
      await raw.write(fid, 'text');
      const other = await raw.walk('f');
      expect(await unlink('f')).toBe(0);
      expect(await raw.getattr(fid)).toMatchObject({ nlink: 0, size: 4 });
      expect((await raw.read(fid)).toString()).toBe('text');
      await raw.write(fid, 'more', 4);
      await raw.setattr(fid, { valid: SETATTR.SIZE, size: 6 });
      await raw.setattr(other, { valid: SETATTR.MODE, mode: 0o600 });
      expect(await raw.getattr(other)).toMatchObject({ size: 6, mode: 0o100600 });
      expect(await raw.errno('Tlopen', { fid: other, flags: OPEN.RDONLY })).toBe(0);
      expect((await raw.read(other)).toString()).toBe('textmo');
    });

    test('rename moves, and replaces what may be replaced', async () => {
      const a = await mkdir('a');
      const b = await mkdir('b');
      await put('f', 'one', a);
      await put('g', 'two', b);
      const move = (olddirfid: number, oldname: string, newdirfid: number, newname: string) =>
        raw.errno('Trenameat', { olddirfid, oldname, newdirfid, newname });
      const old = await raw.open('b/g');
      expect(await move(a, 'f', b, 'g')).toBe(0);
      expect(await get('b/g')).toBe('one');
      expect((await raw.read(old)).toString()).toBe('two');
      expect((await raw.getattr(old)).nlink).toBe(0);
      expect(await move(a, 'f', b, 'x')).toBe(errno.ENOENT);
      expect(await move(0, 'a', b, 'g')).toBe(errno.ENOTDIR);
      expect(await move(b, 'g', 0, 'a')).toBe(errno.EISDIR);
      expect(await move(0, 'a', 0, 'b')).toBe(errno.ENOTEMPTY);
      expect(await move(0, 'b', a, 'into')).toBe(0);
      expect(await move(0, 'a', b, 'loop')).toBe(errno.EINVAL);
      expect(await move(0, '.', b, 'x')).toBe(errno.EBUSY);
      expect(await move(0, 'a', b, '..')).toBe(errno.EBUSY);
      expect(await get('a/into/g')).toBe('one');
      const up = await raw.call('Twalk', { fid: b, newfid: 7, names: ['..'] });
      expect(up.qids[0]?.path).toBe((await raw.getattr(a)).qid.path);
      await mkdir('empty');
      expect(await move(0, 'a', 0, 'empty')).toBe(0);
      expect(await get('empty/into/g')).toBe('one');
    });

    test('renaming between two names of one file does nothing', async () => {
      await put('f', 'x');
      await raw.call('Tlink', { dfid: 0, fid: await raw.walk('f'), name: 'g' });
      await raw.call('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'g' });
      expect(await names(await raw.open(''))).toEqual(['.', '..', 'f', 'g']);
      await raw.call('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'f' });
      expect(await get('f')).toBe('x');
    });

    test('Trename follows the fid, wherever it was moved before', async () => {
      const a = await mkdir('a');
      const fid = await raw.create(0, 'f');
      const sub = await raw.walk('f');
      await raw.call('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: a, newname: 'g' });
      await raw.call('Trename', { fid, dfid: 0, name: 'h' });
      await raw.call('Trename', { fid: sub, dfid: a, name: 'i' });
      expect(await names(await raw.open('a'))).toEqual(['.', '..', 'i']);
      expect(await raw.errno('Trename', { fid: 0, dfid: a, name: 'x' })).toBe(errno.EBUSY);
      expect(await unlink('i', 0, a)).toBe(0);
      await put('i', 'another', a);
      expect(await raw.errno('Trename', { fid, dfid: 0, name: 'x' })).toBe(errno.ENOENT);
    });

    test('Trename of a directory carries what lies below', async () => {
      const a = await mkdir('a');
      const deep = await mkdir('b', { dir: a });
      await put('f', 'x', deep);
      const fid = await raw.walk('a/b/f');
      await raw.call('Trename', { fid: a, dfid: 0, name: 'z' });
      await raw.call('Trename', { fid, dfid: 0, name: 'out' });
      expect(await get('out')).toBe('x');
    });

    test('Tremove removes files and directories, and clunks in any case', async () => {
      const dir = await mkdir('d');
      await put('f', '', dir);
      expect(await raw.errno('Tremove', { fid: await raw.walk('d') })).toBe(errno.ENOTEMPTY);
      const fid = await raw.walk('d');
      await raw.errno('Tremove', { fid });
      expect(await raw.errno('Tgetattr', { fid, mask: GETATTR.ALL })).toBe(errno.EBADF);
      expect(await raw.errno('Tremove', { fid: await raw.walk('d/f') })).toBe(0);
      expect(await raw.errno('Tremove', { fid: dir })).toBe(0);
      const clone = await raw.walk('');
      expect(await raw.errno('Tremove', { fid: clone })).toBe(errno.EBUSY);
      expect(await raw.errno('Tclunk', { fid: clone })).toBe(errno.EBADF);
    });
  });

  describe('attributes', () => {
    test('times are exact to the nanosecond, before 1970 too', async () => {
      await put('f', 'x');
      const fid = await raw.walk('f');
      const valid = SETATTR.ATIME | SETATTR.ATIME_SET | SETATTR.MTIME | SETATTR.MTIME_SET;
      const times = { atime: -5, atimeNsec: 999_999_999, mtime: 1_234_567_890, mtimeNsec: 123_456_789 };
      await raw.setattr(fid, { valid, ...times });
      expect(await raw.getattr(fid)).toMatchObject(times);
      await expect(raw.setattr(fid, { valid, ...times, mtimeNsec: 1_000_000_000 })).rejects.toMatchObject({
        ecode: errno.EINVAL,
      });
    });

    test('one time is set, the other left; without a value it is the present', async () => {
      await put('f', 'x');
      const fid = await raw.walk('f');
      const valid = SETATTR.ATIME | SETATTR.ATIME_SET | SETATTR.MTIME | SETATTR.MTIME_SET;
      await raw.setattr(fid, { valid, atime: 1, atimeNsec: 2, mtime: 3, mtimeNsec: 4 });
      const before = Math.floor(Date.now() / 1000) - 1;
      await raw.setattr(fid, { valid: SETATTR.MTIME });
      const attr = await raw.getattr(fid);
      expect(attr).toMatchObject({ atime: 1, atimeNsec: 2 });
      expect(attr.mtime).toBeGreaterThanOrEqual(before);
    });

    test('of a symbolic link: owner and times, no mode', async () => {
      await raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'nowhere', gid: 0 });
      const fid = await raw.walk('l');
      await raw.setattr(fid, { valid: SETATTR.MTIME | SETATTR.MTIME_SET, mtime: 99, mtimeNsec: 1 });
      expect(await raw.getattr(fid)).toMatchObject({ mtime: 99, mtimeNsec: 1 });
      await expect(raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o600 })).rejects.toMatchObject({
        ecode: errno.EOPNOTSUPP,
      });
    });

    test.runIf(asRoot || kind === 'memory')('a new owner takes setuid away, and -1 leaves an owner alone', async () => {
      await put('f', 'x', 0, raw, 0o755);
      const fid = await raw.walk('f');
      await raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o6755 });
      await raw.setattr(fid, { valid: SETATTR.UID | SETATTR.GID, uid: 5, gid: 6 });
      expect(await raw.getattr(fid)).toMatchObject({ mode: 0o100755, uid: 5, gid: 6 });
      await raw.setattr(fid, { valid: SETATTR.UID | SETATTR.GID, uid: 0xffffffff, gid: 7 });
      expect(await raw.getattr(fid)).toMatchObject({ uid: 5, gid: 7 });
    });

    test('truncating what is no file', async () => {
      await raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'f', gid: 0 });
      await expect(raw.setattr(0, { valid: SETATTR.SIZE, size: 1 })).rejects.toMatchObject({ ecode: errno.EISDIR });
      await expect(raw.setattr(await raw.walk('l'), { valid: SETATTR.SIZE, size: 1 })).rejects.toBeDefined();
    });

    test('the version moves with content and attributes, and is the same everywhere', async () => {
      const fid = await raw.create(0, 'f');
      const versions: number[] = [];
      const look = async () => versions.push((await raw.getattr(fid)).qid.version);
      await look();
      await raw.write(fid, 'abc');
      await look();
      await raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o600 });
      await look();
      await raw.setattr(fid, { valid: SETATTR.SIZE, size: 1 });
      await look();
      await raw.call('Tlink', { dfid: 0, fid, name: 'g' });
      await look();
      expect(new Set(versions).size).toBe(kind === 'memory' ? 5 : new Set(versions).size);
      expect(versions).not.toContain(0);
      const walked = await raw.call('Twalk', { fid: 0, newfid: 7, names: ['f'] });
      const opened = await raw.call('Tlopen', { fid: 7, flags: 0 });
      expect(walked.qids[0]).toEqual((await raw.getattr(fid)).qid);
      expect(opened.qid).toEqual(walked.qids[0]);
    });

    test('statfs tells of blocks, files and names', async () => {
      const { bsize, blocks, bfree, bavail, files, namelen } = await raw.call('Tstatfs', { fid: 0 });
      expect(bsize).toBeGreaterThanOrEqual(512);
      expect(blocks).toBeGreaterThanOrEqual(bfree);
      expect(bfree).toBeGreaterThanOrEqual(bavail);
      expect(bavail).toBeGreaterThan(0);
      expect(files).toBeGreaterThan(0);
      expect(namelen).toBe(255);
    });
  });

  describe.runIf(asRoot || kind === 'memory')('permissions', () => {
    let alice: Raw9p;
    let bob: Raw9p;

    // biome-ignore lint/suspicious/noDuplicateTestHooks: it is the first one of this describe
    beforeEach(async () => {
      alice = await served.connect({ uid: ALICE });
      bob = await served.connect({ uid: BOB });
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
      await mkdir('d', { as: alice, gid: ALICE });
      await alice.call('Tsymlink', { dfid: 0, name: 'l', target: 'x', gid: ALICE });
      await alice.call('Tmknod', { dfid: 0, name: 'p', mode: 0o010600, major: 0, minor: 0, gid: ALICE });
      for (const name of ['f', 'd', 'l', 'p']) {
        expect(await raw.getattr(await raw.walk(name))).toMatchObject({ uid: ALICE, gid: ALICE });
      }
    });

    test('owner, group and others each have their bits', async () => {
      await put('f', 'x', 0, alice, 0o640);
      expect(await openAs(alice, 'f', OPEN.RDWR)).toBe(0);
      expect(await openAs(bob, 'f', OPEN.RDONLY)).toBe(errno.EACCES);
      const fid = await raw.walk('f');
      await raw.setattr(fid, { valid: SETATTR.GID, gid: BOB });
      expect(await openAs(bob, 'f', OPEN.RDONLY)).toBe(0);
      expect(await openAs(bob, 'f', OPEN.RDWR)).toBe(errno.EACCES);
      await raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o046 });
      expect(await openAs(alice, 'f', OPEN.RDONLY)).toBe(errno.EACCES);
      expect(await openAs(bob, 'f', OPEN.RDONLY)).toBe(0);
      expect(await openAs(bob, 'f', OPEN.WRONLY)).toBe(errno.EACCES);
      expect(await openAs(raw, 'f', OPEN.RDWR)).toBe(0);
    });

    test('a directory must be searched, read and written with the bits for it', async () => {
      const dir = await mkdir('d', { as: alice, mode: 0o700 });
      await put('f', 'x', dir, alice);
      expect(await openAs(bob, 'd/f', OPEN.RDONLY)).toBe(errno.EACCES);
      expect(await openAs(bob, 'd', OPEN.RDONLY)).toBe(errno.EACCES);
      await alice.setattr(dir, { valid: SETATTR.MODE, mode: 0o711 });
      expect(await openAs(bob, 'd/f', OPEN.RDONLY)).toBe(0);
      expect(await openAs(bob, 'd', OPEN.RDONLY)).toBe(errno.EACCES);
      const bobs = await bob.walk('d');
      expect(await unlink('f', 0, bobs, bob)).toBe(errno.EACCES);
      expect(await bob.errno('Tmkdir', { dfid: bobs, name: 'x', mode: 0o700, gid: BOB })).toBe(errno.EACCES);
      expect(await bob.errno('Trenameat', { olddirfid: bobs, oldname: 'f', newdirfid: bobs, newname: 'g' })).toBe(
        errno.EACCES,
      );
    });

    test('a sticky directory keeps names for their owners', async () => {
      await put('f', 'x', 0, alice);
      await put('g', 'x', 0, bob);
      expect(await unlink('f', 0, 0, bob)).toBe(errno.EPERM);
      expect(await bob.errno('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'h' })).toBe(
        errno.EPERM,
      );
      expect(await bob.errno('Trenameat', { olddirfid: 0, oldname: 'g', newdirfid: 0, newname: 'f' })).toBe(
        errno.EPERM,
      );
      expect(await unlink('f', 0, 0, alice)).toBe(0);
    });

    test('only the owner changes the mode and gives exact times; only root gives files away', async () => {
      await put('f', 'x', 0, alice, 0o666);
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
      await put('f', 'x', 0, raw, 0o777);
      const fid = await raw.walk('f');
      await raw.setattr(fid, { valid: SETATTR.MODE, mode: 0o6777 });
      const theirs = await bob.open('f', OPEN.RDWR);
      expect((await raw.getattr(fid)).mode).toBe(0o106777);
      await bob.write(theirs, 'y');
      expect((await raw.getattr(fid)).mode).toBe(0o100777);
    });

    test('a setgid directory hands its group down', async () => {
      const dir = await mkdir('d', { mode: 0o777 });
      await raw.setattr(dir, { valid: SETATTR.GID, gid: BOB });
      await raw.setattr(dir, { valid: SETATTR.MODE, mode: 0o2777 });
      const at = await alice.walk('d');
      await alice.clunk(await alice.create(at, 'f', { gid: ALICE }));
      await mkdir('e', { as: alice, dir: at, gid: ALICE });
      expect(await raw.getattr(await raw.walk('d/f'))).toMatchObject({ uid: ALICE, gid: BOB });
      expect(await raw.getattr(await raw.walk('d/e'))).toMatchObject({ mode: 0o042755, gid: BOB });
    });

    test('devices are for root', async () => {
      const mknod = (mode: number) =>
        alice.errno('Tmknod', { dfid: 0, name: 'n', mode, major: 1, minor: 3, gid: ALICE });
      expect(await mknod(0o020666)).toBe(errno.EPERM);
      expect(await mknod(0o010666)).toBe(0);
    });

    test('trusted attributes are for root', async () => {
      await put('f', 'x', 0, alice);
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
      await put('f', 'x');
      fid = await raw.walk('f');
    });

    async function set(name: string, value: string | Uint8Array, flags = 0): Promise<number> {
      const bytes = Buffer.from(value);
      const at = await raw.walk('f');
      const refused = await raw.errno('Txattrcreate', { fid: at, name, size: bytes.length, flags });
      if (refused !== 0) {
        await raw.clunk(at);
        return refused;
      }
      for (let offset = 0; offset < bytes.length; offset += 30_000) {
        await raw.write(at, bytes.subarray(offset, offset + 30_000), offset);
      }
      return raw.errno('Tclunk', { fid: at });
    }

    async function value(name: string): Promise<Buffer | number> {
      const newfid = raw.fid();
      const reply = await raw.reply(raw.send('Txattrwalk', { fid, newfid, name }));
      if (reply.type !== 'Rxattrwalk') return reply.type === 'Rlerror' ? reply.ecode : -1;
      const bytes = await raw.read(newfid);
      expect(bytes.length).toBe(reply.size);
      await raw.clunk(newfid);
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
      await raw.call('Txattrcreate', { fid, name: 'user.a', size: 10, flags: 0 });
      await raw.write(fid, 'short');
      expect(await raw.errno('Twrite', { fid, offset: 8, data: Buffer.from('x') })).toBe(errno.EINVAL);
      expect(await raw.errno('Twrite', { fid, offset: 5, data: Buffer.from('too long') })).toBe(errno.EINVAL);
      expect(await raw.errno('Twrite', { fid, offset: 2 ** 40, data: Buffer.from('x') })).toBe(errno.EINVAL);
      expect(await raw.errno('Tclunk', { fid })).toBe(errno.EINVAL);
      fid = await raw.walk('f');
      expect(await list()).toEqual([]);
    });

    test('what names, sizes and flags are refused', async () => {
      expect(await set(`user.${'x'.repeat(251)}`, 'v')).toBe(errno.ERANGE);
      expect(await set('', 'v')).toBe(errno.ERANGE);
      expect(await set('unknown.x', 'v')).toBe(errno.EOPNOTSUPP);
      expect(await set('user.a', 'v', 3)).toBe(errno.EINVAL);
      expect(await raw.errno('Txattrcreate', { fid, name: 'user.a', size: 65537, flags: 0 })).toBe(errno.E2BIG);
      await raw.call('Tsymlink', { dfid: 0, name: 'l', target: 'f', gid: 0 });
      const link = await raw.walk('l');
      await raw.call('Txattrcreate', { fid: link, name: 'user.a', size: 1, flags: 0 });
      await raw.write(link, 'v');
      expect(await raw.errno('Tclunk', { fid: link })).toBe(errno.EPERM);
    });

    test('the fids that hold values are counted, and given back', async () => {
      expect(await set('user.a', 'v')).toBe(0);
      for (let round = 0; round < 2; round++) {
        const held: number[] = [];
        let refused = 0;
        while (refused === 0) {
          const newfid = raw.fid();
          refused = await raw.errno('Txattrwalk', { fid, newfid, name: 'user.a' });
          if (refused === 0) held.push(newfid);
        }
        expect(refused).toBe(errno.ENOSPC);
        expect(held.length).toBe(256);
        for (const each of held) await raw.clunk(each);
      }
    });

    test('a connection that ends before the clunk has set nothing', async () => {
      const other = await served.connect();
      const at = await other.walk('f');
      await other.call('Txattrcreate', { fid: at, name: 'user.a', size: 1, flags: 0 });
      await other.write(at, 'v');
      await other.version();
      expect(await list()).toEqual([]);
    });
  });

  describe('record locks', () => {
    const RD = 0;
    const WR = 1;
    const UN = 2;
    let one: number;
    let two: number;

    beforeEach(async () => {
      await put('f', 'x'.repeat(100));
      one = await raw.open('f', OPEN.RDWR);
      two = await raw.open('f', OPEN.RDWR);
    });

    const lock = async (fid: number, procId: number, kind: number, start: number, length: number, flags = 0) =>
      (
        await raw.call('Tlock', {
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
      const found = await raw.call('Tgetlock', {
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
      const other = await raw.open('f', OPEN.RDWR);
      await raw.clunk(one);
      expect(await lock(other, 2, WR, 0, 10)).toBe(0);
      expect(await lock(other, 2, WR, 20, 10)).toBe(1);
      await raw.clunk(two);
      expect(await lock(other, 2, WR, 20, 10)).toBe(0);
    });

    test('locks go with the connection', async () => {
      const gone = await served.connect();
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
      expect((await raw.call('Tlock', { ...asked, clientId: 'there' })).status).toBe(1);
      expect((await raw.call('Tlock', { ...asked, clientId: 'here' })).status).toBe(0);
    });

    test('what is refused', async () => {
      const reader = await raw.open('f', OPEN.RDONLY);
      const base = { fid: one, kind: WR, flags: 0, start: 0n, length: 1n, procId: 1, clientId: 'here' };
      expect(await raw.errno('Tlock', { ...base, fid: reader })).toBe(errno.EBADF);
      expect(await raw.errno('Tlock', { ...base, fid: 0 })).toBe(errno.EBADF);
      expect(await raw.errno('Tlock', { ...base, kind: 3 })).toBe(errno.EINVAL);
      expect(await raw.errno('Tlock', { ...base, start: 2n ** 63n })).toBe(errno.EOVERFLOW);
      expect(await raw.errno('Tlock', { ...base, start: 2n ** 62n, length: 2n ** 62n + 1n })).toBe(errno.EOVERFLOW);
      expect(await raw.errno('Tlock', { ...base, start: 2n ** 62n, length: 2n ** 62n })).toBe(0);
    });

    test('a fid that was renamed or unlinked keeps its locks', async () => {
      expect(await lock(one, 1, WR, 0, 1)).toBe(0);
      await raw.call('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'g' });
      expect(await lock(two, 2, WR, 0, 1)).toBe(1);
      expect(await unlink('g')).toBe(0);
      expect(await lock(two, 2, WR, 0, 1)).toBe(1);
    });
  });
});
