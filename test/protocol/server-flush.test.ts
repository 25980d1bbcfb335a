// The Tflush algorithm of the server, rule by rule and in each dialect, on a tree whose calls end when the test says so.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { DIALECT_NAMES } from '../../src/server/server.ts';
import { NOFID, NOTAG } from '../../src/wire/p9/constants.ts';
import { UNTOUCHED } from '../../src/wire/p9/stat.ts';
import { mkdir, stat } from '../support/plan9.ts';
import type { Raw9p } from '../support/raw9p.ts';
import { serveAny } from '../support/served.ts';
import { type SlowTree, slowTree } from '../support/slowtree.ts';

describe.each(DIALECT_NAMES)('%s', (version) => {
  let tree: SlowTree;
  let served: ReturnType<typeof serveAny>;
  let raw: Raw9p;
  /** Open. */
  let file: number;

  const dotl = version === '9P2000.L';
  /** The reply to look(). */
  const LOOKED = dotl ? 'Rgetattr' : 'Rstat';

  /** A request that is answered at once. */
  function look(fid: number, tag?: number): number {
    return dotl ? raw.send('Tgetattr', { fid, mask: 0x7ff }, tag) : raw.send('Tstat', { fid }, tag);
  }

  function lookErrno(fid: number): Promise<number> {
    return dotl ? raw.errno('Tgetattr', { fid, mask: 0 }) : raw.errno('Tstat', { fid });
  }

  /** Makes a file in the directory of `fid`, which it becomes. */
  async function make(fid: number, name: string): Promise<void> {
    if (dotl) await raw.call('Tlcreate', { fid, name, flags: 2, mode: 0o644, gid: 0 });
    else await raw.call('Tcreate', { fid, name, perm: 0o644, mode: 2, extension: '' });
  }

  async function makeDirectory(name: string): Promise<void> {
    if (dotl) await raw.call('Tmkdir', { dfid: 0, name, mode: 0o755, gid: 0 });
    else await raw.clunk(await mkdir(raw, name));
  }

  /** How the dialect says an errno. */
  function refusal(ecode: number): object {
    if (dotl) return { type: 'Rlerror', ecode };
    return version === '9P2000.u' ? { type: 'Rerror', ecode } : { type: 'Rerror', ename: expect.any(String) };
  }

  beforeEach(async () => {
    tree = slowTree();
    served = serveAny(tree);
    raw = await served.connect({ version });
    file = raw.fid();
    await make(await clone(file), 'f');
    raw.log.length = 0;
  });

  afterEach(async () => {
    await served.end();
    expect(tree.open).toBe(0);
    expect(tree.calls).toEqual([]);
  });

  async function clone(newfid: number): Promise<number> {
    await raw.call('Twalk', { fid: 0, newfid, names: [] });
    return newfid;
  }

  const READ = { offset: 0, count: 10 };
  const text = { data: Buffer.from('text') };

  describe('answered at once', () => {
    test('an unknown tag', async () => {
      expect((await raw.call('Tflush', { oldtag: 77 })).type).toBe('Rflush');
    });

    test('its own tag', async () => {
      raw.send('Tflush', { oldtag: 5 }, 5);
      expect((await raw.reply(5)).type).toBe('Rflush');
    });

    test('NOTAG', async () => {
      expect((await raw.call('Tflush', { oldtag: NOTAG })).type).toBe('Rflush');
    });

    test('a request that was answered', async () => {
      const tag = look(0);
      const flush = raw.send('Tflush', { oldtag: tag });
      await raw.reply(flush);
      expect(raw.log).toEqual([`${LOOKED} ${tag}`, `Rflush ${flush}`]);
    });

    test('whatever else is running', async () => {
      const tags = Array.from({ length: 50 }, () => raw.send('Tread', { fid: file, ...READ }));
      await raw.settle();
      for (const _ of tags) (await tree.next('read')).succeed(text);
      for (const tag of tags) await raw.reply(tag);
    });
  });

  describe('a running request', () => {
    test('is aborted, gets no reply, and its Rflush comes when it has ended', async () => {
      const tag = raw.send('Tread', { fid: file, ...READ });
      const call = await tree.next('read');
      expect(call.signal.aborted).toBe(false);
      const flush = raw.send('Tflush', { oldtag: tag });
      await raw.reply(flush);
      expect(call.signal.aborted).toBe(true);
      expect(raw.log).toEqual([`Rflush ${flush}`]);
      expect(served.server.stats.flushes).toMatchObject({ received: 1, aborted: 1, suppressed: 1 });
    });

    test('whose tree does not heed the abort is waited for', async () => {
      tree.heeds = false;
      const tag = raw.send('Tread', { fid: file, ...READ });
      const flush = raw.send('Tflush', { oldtag: tag });
      await raw.settle();
      expect(raw.arrived).toEqual([]);
      (await tree.next('read')).cancelled();
      await raw.reply(flush);
    });

    test('is answered ahead of the Rflush of a Tflush of its Tflush', async () => {
      tree.heeds = false;
      const tag = raw.send('Tread', { fid: file, ...READ });
      const first = raw.send('Tflush', { oldtag: tag });
      const second = raw.send('Tflush', { oldtag: first });
      const third = raw.send('Tflush', { oldtag: second });
      await raw.settle();
      (await tree.next('read')).succeed(text);
      await raw.reply(third);
      expect(raw.log.slice(-4)).toEqual([`Rread ${tag}`, ...[first, second, third].map((flush) => `Rflush ${flush}`)]);
    });

    test('that succeeds all the same is answered, ahead of the Rflush', async () => {
      tree.heeds = false;
      const tag = raw.send('Tread', { fid: file, ...READ });
      const flush = raw.send('Tflush', { oldtag: tag });
      const call = await tree.next('read');
      await raw.settle();
      raw.log.length = 0;
      call.succeed(text);
      await raw.reply(flush);
      expect(raw.log).toEqual([`Rread ${tag}`, `Rflush ${flush}`]);
    });

    test('that fails for a reason of its own says so, ahead of the Rflush', async () => {
      tree.heeds = false;
      const tag = raw.send('Twrite', { fid: file, offset: 0, data: Buffer.from('x') });
      const flush = raw.send('Tflush', { oldtag: tag });
      const call = await tree.next('write');
      await raw.settle();
      call.fail(errno.ENOSPC);
      await raw.reply(flush);
      expect(await raw.reply(tag)).toMatchObject(refusal(errno.ENOSPC));
    });

    test('that fails with EINTR without an abort says so', async () => {
      const tag = raw.send('Tread', { fid: file, ...READ });
      (await tree.next('read')).fail(errno.EINTR);
      expect(await raw.reply(tag)).toMatchObject(refusal(errno.EINTR));
    });

    test('flushed several times gets an Rflush for each, in order', async () => {
      tree.heeds = false;
      const tag = raw.send('Tread', { fid: file, ...READ });
      const flushes = [1, 2, 3].map(() => raw.send('Tflush', { oldtag: tag }));
      await raw.settle();
      raw.log.length = 0;
      (await tree.next('read')).cancelled();
      await raw.reply(flushes[2]!);
      expect(raw.log).toEqual(flushes.map((flush) => `Rflush ${flush}`));
    });

    test('does not disturb others of its fid', async () => {
      const [one, two] = [raw.send('Tread', { fid: file, ...READ }), raw.send('Tread', { fid: file, ...READ })];
      const [, other] = [await tree.next('read'), await tree.next('read')];
      await raw.reply(raw.send('Tflush', { oldtag: one }));
      expect(other.signal.aborted).toBe(false);
      other.succeed(text);
      expect(await raw.reply(two)).toMatchObject({ type: 'Rread' });
    });
  });

  describe('tags', () => {
    test('are free again with the reply, and with the Rflush', async () => {
      for (let round = 0; round < 3; round++) {
        raw.send('Tread', { fid: file, ...READ }, 9);
        await tree.next('read');
        raw.send('Tflush', { oldtag: 9 }, 10);
        expect((await raw.reply(10)).type).toBe('Rflush');
      }
      look(0, 9);
      expect((await raw.reply(9)).type).toBe(LOOKED);
    });

    test.each(['Tread', 'Tflush'] as const)('one in use ends the connection when %s brings it again', async (name) => {
      raw.send('Tread', { fid: file, ...READ }, 9);
      const call = await tree.next('read');
      if (name === 'Tread') raw.send(name, { fid: file, ...READ }, 9);
      else raw.send(name, { oldtag: 9 }, 9);
      await raw.closed;
      await expect(call.promise).rejects.toBeDefined();
    });

    test('one of a Tflush that waits is in use', async () => {
      tree.heeds = false;
      raw.send('Tread', { fid: file, ...READ }, 9);
      const call = await tree.next('read');
      raw.send('Tflush', { oldtag: 9 }, 10);
      look(0, 10);
      await raw.closed;
      call.cancelled();
    });
  });

  describe('fids', () => {
    test('a walk that was flushed leaves no fid', async () => {
      const tag = raw.send('Twalk', { fid: 0, newfid: 50, names: ['slow'] });
      await tree.next('walk');
      await raw.reply(raw.send('Tflush', { oldtag: tag }));
      expect(await lookErrno(50)).toBe(errno.EBADF);
      expect(await raw.errno('Twalk', { fid: 0, newfid: 50, names: [] })).toBe(0);
    });

    test('a walk that was flushed after its first name answers nothing either', async () => {
      await makeDirectory('d');
      const dir = await raw.walk('d');
      await make(await raw.walk('', dir), 'slow');
      const tag = raw.send('Twalk', { fid: 0, newfid: 50, names: ['d', 'slow'] });
      await tree.next('walk');
      const flush = raw.send('Tflush', { oldtag: tag });
      await raw.reply(flush);
      expect(raw.arrived).toEqual([]);
      expect(await lookErrno(50)).toBe(errno.EBADF);
    });

    test('a number that a running walk is to make is taken', async () => {
      const tag = raw.send('Twalk', { fid: 0, newfid: 50, names: ['slow'] });
      const call = await tree.next('walk');
      expect(await raw.errno('Twalk', { fid: 0, newfid: 50, names: [] })).toBe(errno.EINVAL);
      expect(await raw.errno('Tattach', { fid: 50, afid: NOFID, uname: 'root', aname: '', nUname: 0 })).toBe(
        errno.EINVAL,
      );
      call.succeed(undefined);
      expect((await raw.reply(tag)).type).toBe('Rwalk');
    });

    test('clunked while requests use it: gone at once, let go by the last of them', async () => {
      const tags = [raw.send('Tread', { fid: file, ...READ }), raw.send('Tread', { fid: file, ...READ })];
      const calls = [await tree.next('read'), await tree.next('read')];
      await raw.clunk(file);
      expect(await raw.errno('Tread', { fid: file, ...READ })).toBe(errno.EBADF);
      expect(tree.open).toBe(1);
      await clone(file);
      calls[0]!.succeed(text);
      await raw.reply(tags[0]!);
      expect(tree.open).toBe(1);
      await raw.reply(raw.send('Tflush', { oldtag: tags[1]! }));
      expect(tree.open).toBe(0);
      expect(await lookErrno(file)).toBe(0);
    });
  });

  describe.skipIf(dotl)('a Twstat that is flushed between two of its changes', () => {
    async function changing(): Promise<{ tag: number; before: object }> {
      const before = await stat(raw, file);
      tree.slowChanges = true;
      const changes = { ...UNTOUCHED, mode: 0o600, mtime: 5 };
      const tag = raw.send('Twstat', { fid: file, stat: changes });
      (await tree.next('setattr')).succeed(undefined);
      return { tag, before };
    }

    test('takes back what it has done, and then has no reply', async () => {
      const { tag, before } = await changing();
      await tree.next('setattr');
      const flush = raw.send('Tflush', { oldtag: tag });
      const undo = await tree.next('setattr');
      await raw.settle();
      expect(undo.signal.aborted).toBe(false);
      undo.succeed(undefined);
      await raw.reply(flush);
      expect(raw.arrived).toEqual([]);
      expect(await stat(raw, file)).toMatchObject({ ...before, qid: expect.anything() });
    });

    test('or completes, and says so', async () => {
      tree.heeds = false;
      const { tag } = await changing();
      const second = await tree.next('setattr');
      const flush = raw.send('Tflush', { oldtag: tag });
      await raw.settle();
      second.succeed(undefined);
      await raw.reply(flush);
      expect(raw.log.slice(-2)).toEqual([`Rwstat ${tag}`, `Rflush ${flush}`]);
      expect(await stat(raw, file)).toMatchObject({ mode: 0o600, mtime: 5 });
    });
  });

  describe('the end of a session', () => {
    test('a second Tversion aborts everything without replies, clunks all fids, and only then is answered', async () => {
      tree.heeds = false;
      raw.send('Tread', { fid: file, ...READ });
      const call = await tree.next('read');
      raw.send('Tversion', { msize: 8192, version }, NOTAG);
      await until(() => call.signal.aborted);
      expect(raw.log).toEqual([]);
      call.succeed(text);
      expect(await raw.reply(NOTAG)).toMatchObject({ type: 'Rversion', msize: 8192 });
      expect(raw.log).toEqual([`Rversion ${NOTAG}`]);
      expect(tree.open).toBe(0);
      expect(served.server.stats.connections[0]).toMatchObject({ tags: 0, fids: 0 });
      await raw.attach(0, 0);
    });

    test('a walk that ends after it leaves nothing in the new session', async () => {
      tree.heeds = false;
      raw.send('Twalk', { fid: 0, newfid: 50, names: ['slow'] });
      const call = await tree.next('walk');
      raw.send('Tversion', { msize: 8192, version }, NOTAG);
      await until(() => call.signal.aborted);
      call.succeed(undefined);
      await raw.reply(NOTAG);
      await raw.attach(0, 0);
      expect(await lookErrno(50)).toBe(errno.EBADF);
    });

    test('nothing is taken until the second Tversion is answered', async () => {
      tree.heeds = false;
      raw.send('Tread', { fid: file, ...READ });
      const call = await tree.next('read');
      raw.send('Tversion', { msize: 8192, version }, NOTAG);
      look(0);
      await raw.closed;
      call.cancelled();
    });

    test('an answer of the tree that is none ends the connection, and no other', async () => {
      const other = await served.connect({ version });
      raw.send('Tread', { fid: file, ...READ });
      (await tree.next('read')).succeed(undefined);
      await raw.closed;
      await until(() => served.server.stats.connections.length === 1);
      await other.walk('');
    });

    test.each(['a second Tversion', 'a hang-up'])(
      'what a tree throws when it is told of %s is its own affair',
      async (how) => {
        tree.heeds = false;
        const other = await served.connect({ version });
        raw.send('Tread', { fid: file, ...READ });
        const call = await tree.next('read');
        call.signal.addEventListener('abort', () => {
          throw new Error('a mistake');
        });
        const again = how !== 'a hang-up';
        if (again) raw.send('Tversion', { msize: 8192, version }, NOTAG);
        else raw.transport.close();
        await until(() => call.signal.aborted);
        call.succeed(text);
        await until(() => tree.open === 0);
        if (again) expect(await raw.reply(NOTAG)).toMatchObject({ type: 'Rversion' });
        await until(() => served.server.stats.connections.length === (again ? 2 : 1));
        await other.walk('');
      },
    );

    test('a hang-up aborts what runs and lets go of the rest when it has ended', async () => {
      tree.heeds = false;
      const other = await served.connect({ version });
      raw.send('Tread', { fid: file, ...READ });
      const call = await tree.next('read');
      raw.transport.close();
      await until(() => call.signal.aborted);
      expect(tree.open).toBe(1);
      let released = 0;
      call.succeed({ ...text, release: () => released++ });
      await until(() => tree.open === 0);
      expect(released).toBe(1);
      expect(served.server.stats.connections.length).toBe(1);
      await other.walk('');
    });
  });

  test('QEMU flush/ignored: a write that completes at once is answered, then its flush', async () => {
    tree.heeds = false;
    const tag = raw.send('Twrite', { fid: file, offset: 0, data: Buffer.of(0) });
    const call = await tree.next('write');
    call.succeed(1);
    const flush = raw.send('Tflush', { oldtag: tag });
    await raw.reply(flush);
    expect(raw.log).toEqual([`Rwrite ${tag}`, `Rflush ${flush}`]);
  });

  test('more requests than are allowed are refused, clunks and flushes are not', async () => {
    const tags = Array.from({ length: 4096 }, () => raw.send('Tread', { fid: file, ...READ }));
    expect(await lookErrno(0)).toBe(errno.ENOBUFS);
    const spare = raw.send('Tclunk', { fid: 12345 });
    expect(await raw.reply(spare)).toMatchObject(refusal(errno.EBADF));
    for (const tag of tags) await raw.reply(raw.send('Tflush', { oldtag: tag }, 60000));
    expect(await lookErrno(0)).toBe(0);
    tree.calls.length = 0;
  });
});

/** Turns of the event loop until it is so. */
async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; !isSo(); turn++) {
    if (turn === 1000) throw new Error('it never became so');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
