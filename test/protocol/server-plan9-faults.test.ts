// The faults tree in 9P2000.u and 9P2000: the same places, with these dialects' messages and their errors.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { faultsTree } from '../../src/server/server.ts';
import { OMODE } from '../../src/wire/p9/constants.ts';
import { create, list, open, type Plan9Version, put, stat } from '../support/plan9.ts';
import type { Raw9p } from '../support/raw9p.ts';
import { serveAny } from '../support/served.ts';

describe.each<Plan9Version>(['9P2000.u', '9P2000'])('%s', (version) => {
  let served: ReturnType<typeof serveAny>;
  let raw: Raw9p;

  beforeEach(async () => {
    served = serveAny(faultsTree());
    raw = await served.connect({ version });
  });
  afterEach(() => served.end());

  async function reading(path: string): Promise<number> {
    return raw.send('Tread', { fid: await open(raw, path), offset: 0, count: 100 });
  }

  /** The Rflush comes, and no reply before it. */
  async function expectCancelled(tag: number): Promise<void> {
    const flush = raw.send('Tflush', { oldtag: tag });
    expect((await raw.reply(flush)).type).toBe('Rflush');
    expect(raw.arrived.filter((message) => message.tag === tag)).toEqual([]);
  }

  test('hang: waits for its flush, and has no reply', async () => {
    await expectCancelled(await reading('hang'));
  });

  test('several flushes of one request are answered in their order', async () => {
    const tag = await reading('hang');
    const flushes = [raw.send('Tflush', { oldtag: tag }), raw.send('Tflush', { oldtag: tag })];
    await Promise.all(flushes.map((flush) => raw.reply(flush)));
    expect(raw.log.slice(-2)).toEqual(flushes.map((flush) => `Rflush ${flush}`));
  });

  test('a flush of a flush, and of itself, while the request runs', async () => {
    const tag = await reading('slow/60000');
    const own = raw.tag();
    expect((await raw.reply(raw.send('Tflush', { oldtag: own }, own))).type).toBe('Rflush');
    await expectCancelled(tag);
  });

  test('late: the reply comes before the Rflush', async () => {
    const tag = await reading('late');
    const flush = raw.send('Tflush', { oldtag: tag });
    await raw.reply(flush);
    expect(raw.log.slice(-2)).toEqual([`Rread ${tag}`, `Rflush ${flush}`]);
  });

  test('eintr: an Rerror, and then the Rflush', async () => {
    const tag = await reading('eintr');
    const flush = raw.send('Tflush', { oldtag: tag });
    await raw.reply(flush);
    expect(raw.log.slice(-2)).toEqual([`Rerror ${tag}`, `Rflush ${flush}`]);
    expect(await raw.reply(tag)).toMatchObject({ ename: 'Interrupted system call' });
  });

  test('wrongtype: a reply that the dialect has', async () => {
    expect((await raw.reply(await reading('wrongtype'))).type).toBe('Rremove');
  });

  test('errno: an Rerror of that number', async () => {
    const reply = await raw.reply(await reading('errno/28'));
    expect(reply).toMatchObject(
      version === '9P2000.u' ? { ename: 'No space left on device', ecode: 28 } : { ename: 'file system is full' },
    );
  });

  test.each(['Topen', 'Tcreate', 'Tstat', 'Twstat', 'Twalk', 'Tread', 'Twrite', 'Tclunk', 'Tremove'])(
    'there is a place for %s',
    async (message) => {
      await raw.clunk(await open(raw, `ops/slow,1/${message}`));
      const dir = await raw.walk(`ops/slow,1/${message}`);
      expect((await list(raw, await open(raw, `ops/slow,1/${message}`), version)).map(({ name }) => name)).toEqual([
        ...['file', 'link', 'dir'],
      ]);
      await put(raw, 'made', 'text', { dir });
      const fid = await open(raw, `ops/slow,1/${message}/made`, OMODE.RDWR);
      expect((await raw.read(fid)).toString()).toBe('text');
      await raw.clunk(fid);
      await raw.call('Tremove', { fid: await raw.walk(`ops/slow,1/${message}/made`) });
    },
  );

  test('hang at a Tstat, a Topen and a Tcreate: flushed, they have done nothing', async () => {
    const file = await raw.walk('ops/hang/Tstat/file');
    await expectCancelled(raw.send('Tstat', { fid: file }));
    const unopened = await raw.walk('ops/hang/Topen/file');
    await expectCancelled(raw.send('Topen', { fid: unopened, mode: OMODE.READ }));
    expect(await raw.errno('Tread', { fid: unopened, offset: 0, count: 1 })).toBe(errno.EBADF);
    const dir = await raw.walk('ops/hang/Tcreate');
    const fields = { name: 'new', perm: 0o644, mode: OMODE.READ, extension: '' };
    await expectCancelled(raw.send('Tcreate', { fid: dir, ...fields }));
    expect((await stat(raw, dir)).name).toBe('Tcreate');
    const names = await list(raw, await open(raw, 'ops/hang/Tcreate'), version);
    expect(names.map(({ name }) => name)).not.toContain('new');
  });

  test('listing: a few entries at a time, each once', async () => {
    const names = (await list(raw, await open(raw, 'listing'), version)).map(({ name }) => name);
    expect(names).toHaveLength(200);
    expect(new Set(names).size).toBe(200);
  });

  test('names: the hostile ones are listed, and no dots', async () => {
    const entries = await list(raw, await open(raw, 'names'), version);
    const names = entries.map(({ name }) => name);
    expect(names).toContain('good');
    expect(names.filter((name) => name === '.' || name === '..')).toEqual([]);
    // empty, with slashes or NUL: the reader marks them
    expect(names.filter((name) => name === undefined).length).toBeGreaterThanOrEqual(5);
  });

  test('the root lists, and every text in it reads', async () => {
    const entries = await list(raw, await open(raw, ''), version);
    for (const { name } of entries) {
      if (name?.endsWith('.txt')) expect((await raw.read(await open(raw, name))).length).toBeGreaterThan(20);
    }
    await create(raw, 'x').then(
      () => expect.unreachable('nothing is made in the root'),
      (error) => expect(error).toMatchObject({ ecode: errno.EPERM }),
    );
  });
});
