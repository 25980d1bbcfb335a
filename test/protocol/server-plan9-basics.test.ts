// The embedded server in 9P2000.u and 9P2000: versions, attaching, walking, files, errors and flushing, by the manual pages.

import { describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { NOFID, NONUNAME, NOTAG, OMODE, QT } from '../../src/wire/p9/constants.ts';
import { create, eachPlan9, get, mkdir, open, put, stat } from '../support/plan9.ts';
import { Refused } from '../support/raw9p.ts';

eachPlan9((t) => {
  describe('errors', () => {
    test('have a text, and a number in .u only', async () => {
      const reply = await t.raw.reply(t.raw.send('Twalk', { fid: 0, newfid: 7, names: ['nothing'] }));
      expect(reply).toMatchObject(
        t.extended
          ? { type: 'Rerror', ename: 'No such file or directory', ecode: errno.ENOENT }
          : { type: 'Rerror', ename: 'file does not exist' },
      );
    });

    test('of a fid that is none', async () => {
      expect(await t.raw.errno('Tstat', { fid: 99 })).toBe(errno.EBADF);
      expect(await t.raw.errno('Topen', { fid: 99, mode: 0 })).toBe(errno.EBADF);
      expect(await t.raw.errno('Tclunk', { fid: 99 })).toBe(errno.EBADF);
    });

    test('messages of .L are refused, with a number where there is one', async () => {
      t.raw.bytes(Buffer.from('13000000180100000000000000000000000000', 'hex'));
      expect(await t.raw.reply(1)).toMatchObject({ type: 'Rerror', ecode: t.extended ? errno.EOPNOTSUPP : 0 });
    });
  });

  describe('attach', () => {
    test('by a name that nobody has is refused', async () => {
      await expect(t.raw.attach(5, NONUNAME, '', 'nobody at all')).rejects.toBeInstanceOf(Refused);
    });

    test('without authentication there is nothing to authenticate', async () => {
      expect(await t.raw.errno('Tauth', { afid: 5, uname: 'root', aname: '', nUname: NONUNAME })).not.toBe(0);
      expect(await t.raw.errno('Tattach', { fid: 5, afid: 6, uname: 'root', aname: '', nUname: NONUNAME })).not.toBe(0);
    });

    test('onto a fid in use is refused', async () => {
      await expect(t.raw.attach(0, 0)).rejects.toBeInstanceOf(Refused);
    });
  });

  describe('walk', () => {
    test('moves a fid, clones it, and answers the qids it came by', async () => {
      await t.raw.clunk(await mkdir(t.raw, 'd'));
      const dir = await t.raw.walk('d');
      await put(t.raw, 'f', 'text', { dir });
      const { qids } = await t.raw.call('Twalk', { fid: 0, newfid: 7, names: ['d', 'f'] });
      expect(qids.map(({ type }) => type)).toEqual([QT.DIR, QT.FILE]);
      expect(qids[1]).toEqual((await stat(t.raw, 7)).qid);
      expect((await t.raw.call('Twalk', { fid: 7, newfid: 8, names: [] })).qids).toEqual([]);
      expect((await stat(t.raw, 8)).qid).toEqual(qids[1]);
    });

    test('.. of the root is the root', async () => {
      const { qids } = await t.raw.call('Twalk', { fid: 0, newfid: 7, names: ['..', '..'] });
      expect(qids).toEqual([(await stat(t.raw, 0)).qid, (await stat(t.raw, 0)).qid]);
    });

    test('a later name missing leaves newfid unused', async () => {
      await t.raw.clunk(await mkdir(t.raw, 'd'));
      const { qids } = await t.raw.call('Twalk', { fid: 0, newfid: 7, names: ['d', 'nothing'] });
      expect(qids.length).toBe(1);
      expect(await t.raw.errno('Tstat', { fid: 7 })).toBe(errno.EBADF);
    });

    test('sixteen names, and no more', async () => {
      const names = Array.from({ length: 17 }, () => '..');
      const { qids } = await t.raw.call('Twalk', { fid: 0, newfid: 7, names: names.slice(1) });
      expect(qids).toHaveLength(16);
      t.raw.send('Twalk', { fid: 0, newfid: 8, names });
      await t.raw.closed; // hangs where it is not
    });

    test('a file has no entries, but can be cloned', async () => {
      await put(t.raw, 'f', '');
      const fid = await t.raw.walk('f');
      expect(await t.raw.errno('Twalk', { fid, newfid: 7, names: ['x'] })).toBe(errno.ENOTDIR);
      expect(await t.raw.errno('Twalk', { fid, newfid: 7, names: [] })).toBe(0);
    });

    test('onto a fid in use is refused; onto itself it moves, if every name is found', async () => {
      await t.raw.clunk(await mkdir(t.raw, 'd'));
      const [fid, other] = [await t.raw.walk(''), await t.raw.walk('d')];
      expect(await t.raw.errno('Twalk', { fid, newfid: other, names: [] })).toBe(errno.EINVAL);
      await t.raw.call('Twalk', { fid, newfid: fid, names: ['d', 'nothing'] });
      expect((await stat(t.raw, fid)).name).toBe('/');
      await t.raw.call('Twalk', { fid, newfid: fid, names: ['d'] });
      expect((await stat(t.raw, fid)).name).toBe('d');
    });

    test('from an open fid: refused in 9P2000, and not in .u, as Linux has it', async () => {
      await t.raw.clunk(await mkdir(t.raw, 'd'));
      const fid = await open(t.raw, '');
      expect(await t.raw.errno('Twalk', { fid, newfid: 7, names: ['d'] })).toBe(t.extended ? 0 : errno.EINVAL);
      expect(await t.raw.errno('Twalk', { fid, newfid: fid, names: ['d'] })).toBe(errno.EINVAL);
    });
  });

  describe('read and write', () => {
    test('what was written, at an offset, to the end and behind it', async () => {
      const fid = await create(t.raw, 'f');
      expect(await t.raw.write(fid, 'hello world')).toBe(11);
      expect(await t.raw.write(fid, 'W', 6)).toBe(1);
      expect((await t.raw.read(fid, 6)).toString()).toBe('World');
      expect(await t.raw.read(fid, 11)).toHaveLength(0);
      expect(await t.raw.read(fid, 1_000_000)).toHaveLength(0);
      expect((await t.raw.read(fid, 0, 0)).length).toBe(0);
      await t.raw.clunk(fid);
      expect(await get(t.raw, 'f')).toBe('hello World');
    });

    test('a fid that is not open, or not for that', async () => {
      await put(t.raw, 'f', 'x');
      const fid = await t.raw.walk('f');
      expect(await t.raw.errno('Tread', { fid, offset: 0, count: 1 })).toBe(errno.EBADF);
      await t.raw.call('Topen', { fid, mode: OMODE.WRITE });
      expect(await t.raw.errno('Tread', { fid, offset: 0, count: 1 })).toBe(errno.EBADF);
      const reader = await open(t.raw, 'f');
      expect(await t.raw.errno('Twrite', { fid: reader, offset: 0, data: Buffer.from('x') })).toBe(errno.EBADF);
    });

    test('a count beyond msize is cut to what fits', async () => {
      const raw = await t.served.connect({ version: t.version, msize: 8192 });
      const fid = await create(raw, 'f');
      for (let at = 0; at < 20_000; at += 5000) await raw.write(fid, Buffer.alloc(5000, 'x'), at);
      expect((await raw.read(fid, 0, 0xffffffff)).length).toBe(8192 - 24);
    });
  });

  describe('flush', () => {
    test('of nothing, of itself, of a flush, of what has ended', async () => {
      await t.raw.call('Tflush', { oldtag: 0x7777 });
      expect((await t.raw.reply(t.raw.send('Tflush', { oldtag: 9 }, 9))).type).toBe('Rflush');
      const tag = t.raw.send('Tstat', { fid: 0 });
      await t.raw.reply(tag);
      expect((await t.raw.call('Tflush', { oldtag: tag })).type).toBe('Rflush');
    });

    test('in one burst with what it flushes: the reply first, then the Rflush', async () => {
      const tag = t.raw.send('Tstat', { fid: 0 });
      const flush = t.raw.send('Tflush', { oldtag: tag });
      await t.raw.reply(flush);
      expect(t.raw.log.slice(-2)).toEqual([`Rstat ${tag}`, `Rflush ${flush}`]);
    });
  });

  describe('version', () => {
    test('again: everything is gone, and another dialect may come', async () => {
      const fid = await open(t.raw, '');
      expect(await t.raw.version(8192, '9P2000.L')).toMatchObject({ version: '9P2000.L' });
      expect(await t.raw.errno('Tgetattr', { fid, mask: 0 })).toBe(errno.EBADF);
      expect(await t.raw.version(8192, t.version)).toMatchObject({ version: t.version, msize: 8192 });
      expect(await t.raw.errno('Tstat', { fid })).toBe(errno.EBADF);
    });

    test.each(['', '.x', '.x.y'])('what stands before a period names it: %s', async (more) => {
      expect(await t.raw.version(8192, `${t.version}${more}`)).toMatchObject({ version: t.version });
    });

    test('an unknown suffix is 9P2000, another name is unknown', async () => {
      expect(await t.raw.version(8192, '9P2000.X')).toMatchObject({ version: '9P2000' });
      expect(await t.raw.version(8192, '9P2001.u')).toMatchObject({ version: 'unknown' });
      t.raw.send('Tstat', { fid: 0 });
      await t.raw.closed; // hangs where it is not
    });

    test('an msize in which nothing can be said', async () => {
      t.raw.send('Tversion', { msize: 100, version: t.version }, NOTAG);
      expect(await t.raw.reply(NOTAG)).toMatchObject({ type: 'Rerror', ename: 'Invalid argument' });
      t.raw.send('Tattach', { fid: 0, afid: NOFID, uname: '', aname: '', nUname: 0 });
      await t.raw.closed; // hangs where it is not
    });
  });
});
