// Each fault of the faults tree, as it shows on the wire: what is answered, in which order, and that nothing of it is left.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { faultsTree } from '../../src/server/server.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import type { Raw9p } from '../support/raw9p.ts';
import { serveAny } from '../support/served.ts';
import { until } from '../support/until.ts';

let served: ReturnType<typeof serveAny>;
let raw: Raw9p;

beforeEach(async () => {
  served = serveAny(faultsTree());
  raw = await served.connect();
});
afterEach(() => served.end());

/** Reads of a file that misbehaves: the request's tag. */
async function reading(path: string, count = 100): Promise<number> {
  const fid = await raw.open(path);
  return raw.send('Tread', { fid, offset: 0, count });
}

function flush(oldtag: number): number {
  return raw.send('Tflush', { oldtag });
}

/** What came for these tags, in order, when both flush and everything before it have been read. */
async function order(...tags: number[]): Promise<string[]> {
  await raw.settle();
  return raw.arrived.filter(({ tag }) => tags.includes(tag)).map(({ type }) => type);
}

/** The Rflush comes, and no reply before it. */
async function expectCancelled(tag: number): Promise<void> {
  await raw.reply(flush(tag));
  expect(await order(tag)).toEqual([]);
}

describe('a request that is flushed', () => {
  it('hang: waits, and ends without a reply', async () => {
    const tag = await reading('hang');
    expect(await order(tag)).toEqual([]);
    await expectCancelled(tag);
  });

  it('late: is carried out when the Tflush comes, and answered before the Rflush', async () => {
    const tag = await reading('late');
    expect(await order(tag)).toEqual([]);
    const flushTag = flush(tag);
    await raw.reply(flushTag);
    expect(raw.log.slice(-2)).toEqual([`Rread ${tag}`, `Rflush ${flushTag}`]);
  });

  it('eintr: is answered with EINTR, and then the Rflush', async () => {
    const tag = await reading('eintr');
    const flushTag = flush(tag);
    await raw.reply(flushTag);
    expect(raw.log.slice(-2)).toEqual([`Rlerror ${tag}`, `Rflush ${flushTag}`]);
    expect(await raw.reply(tag)).toMatchObject({ ecode: 4 });
  });

  it('mute: is never answered, nor is its Tflush', async () => {
    const tag = await reading('mute');
    const flushTag = flush(tag);
    expect(await order(tag, flushTag)).toEqual([]);
    // the end of the session is what ends it, also where another version begins
    await raw.version();
    expect(served.server.stats.connections).toMatchObject([{ tags: 0, fids: 0 }]);
  });

  it('after: the reply comes after the Rflush', async () => {
    const tag = await reading('after');
    const flushTag = flush(tag);
    await raw.reply(tag);
    expect(raw.log.slice(-2)).toEqual([`Rflush ${flushTag}`, `Rread ${tag}`]);
  });

  it('slow: has no effect', async () => {
    const tag = await reading('slow/60000');
    await expectCancelled(tag);
  });
});

describe('a request that is not flushed', () => {
  it('slow: is answered in its time', async () => {
    const tag = await reading('slow/10');
    expect(await order(tag)).toEqual([]);
    expect(await raw.reply(tag)).toMatchObject({ type: 'Rread' });
  });

  it('double: is answered twice', async () => {
    const tag = await reading('double');
    expect(await order(tag)).toEqual(['Rread', 'Rread']);
  });

  it('reorder: two are answered the second first, one alone all the same', async () => {
    const first = await reading('reorder');
    const second = await reading('reorder');
    await raw.reply(first);
    expect(raw.log.filter((line) => line.startsWith('Rread'))).toEqual([`Rread ${second}`, `Rread ${first}`]);
    expect(await raw.reply(await reading('reorder'))).toMatchObject({ type: 'Rread' });
  });

  it('wrongtag: the reply bears another tag', async () => {
    const tag = await reading('wrongtag');
    await until('a reply', () => raw.arrived.length > 0);
    expect(raw.arrived).toMatchObject([{ type: 'Rread', tag: tag ^ 0x4000 }]);
  });

  it('wrongtype: the reply is of another type', async () => {
    const tag = await reading('wrongtype');
    expect(await raw.reply(tag)).toMatchObject({ type: 'Rremove' });
  });

  it('short: reads and writes do half', async () => {
    const fid = await raw.open('short', 2);
    expect(await raw.read(fid, 0, 100)).toHaveLength(50);
    expect(await raw.write(fid, 'x'.repeat(101))).toBe(51);
    expect(await raw.write(fid, 'x')).toBe(1);
  });

  it('zero: writes nothing', async () => {
    const fid = await raw.open('zero', 2);
    expect(await raw.write(fid, 'text')).toBe(0);
    expect(await raw.read(fid, 0, 100)).toHaveLength(100);
  });

  it('bigcount: a byte too many', async () => {
    const fid = await raw.open('bigcount', 2);
    expect(await raw.read(fid, 0, 100)).toHaveLength(101);
    expect(await raw.write(fid, 'text')).toBe(5);
  });

  it.each([0, 1, 38, 511, 512, 4095, 4096, 4_294_967_295])('errno/%i: that number', async (n) => {
    expect(await raw.reply(await reading(`errno/${n}`))).toMatchObject({ type: 'Rlerror', ecode: n });
  });

  it.each(['errno/x', 'errno/-1', 'errno/4294967296', 'slow/', 'cut/99999999999', 'ops/slow', 'ops/slow,x'])(
    '%s is no file',
    async (path) => {
      const walked = await raw.reply(raw.send('Twalk', { fid: 0, newfid: raw.fid(), names: path.split('/') }));
      if (walked.type === 'Rwalk') expect(walked.qids.length).toBeLessThan(path.split('/').length);
      else expect(walked).toMatchObject({ type: 'Rlerror' });
    },
  );

  it.each([0, 1, 7, 10, 1000])('cut/%i: so many bytes, and the end', async (bytes) => {
    const other = await served.connect();
    const fid = await other.open(`cut/${bytes}`);
    other.send('Tread', { fid, offset: 0, count: 100 });
    await other.closed;
    // a whole Rread of 100 bytes has 111
    expect(other.arrived.length).toBe(bytes >= 111 ? 1 : 0);
  });
});

describe('ops: one message misbehaves and nothing else', () => {
  const messages: [string, (dir: number, file: number, opened: number) => number][] = [
    ['Twalk', (fid) => raw.send('Twalk', { fid, newfid: raw.fid(), names: ['file'] })],
    ['Tgetattr', (_dir, fid) => raw.send('Tgetattr', { fid, mask: 0x7ff })],
    ['Tlopen', (_dir, fid) => raw.send('Tlopen', { fid, flags: 0 })],
    ['Tread', (_dir, _file, fid) => raw.send('Tread', { fid, offset: 0, count: 10 })],
    ['Twrite', (_dir, _file, fid) => raw.send('Twrite', { fid, offset: 0, data: Buffer.from('x') })],
    ['Tfsync', (_dir, _file, fid) => raw.send('Tfsync', { fid, datasync: 0 })],
    ['Tlcreate', (fid) => raw.send('Tlcreate', { fid, name: 'new', flags: 2, mode: 0o644, gid: 0 })],
    ['Tmkdir', (dfid) => raw.send('Tmkdir', { dfid, name: 'newdir', mode: 0o755, gid: 0 })],
    ['Tunlinkat', (dirfid) => raw.send('Tunlinkat', { dirfid, name: 'file', flags: 0 })],
    [
      'Trenameat',
      (dir) => raw.send('Trenameat', { olddirfid: dir, oldname: 'file', newdirfid: dir, newname: 'moved' }),
    ],
    ['Txattrwalk', (_dir, fid) => raw.send('Txattrwalk', { fid, newfid: raw.fid(), name: 'user.ninefs' })],
    [
      'Tlock',
      (_dir, _file, fid) =>
        raw.send('Tlock', { fid, kind: 1, flags: 0, start: 0n, length: 0n, procId: 1, clientId: 'c' }),
    ],
  ];
  async function place(path: string): Promise<[dir: number, file: number, opened: number]> {
    const dir = await raw.walk(path);
    if (path.endsWith('Twalk') || path.endsWith('Tlopen')) return [dir, await elsewhere(), await elsewhere(true)];
    return [dir, await raw.walk('file', dir), await raw.open('file', 2, dir)];
    // what the message keeps us from having there is had from a place where nothing misbehaves
    async function elsewhere(open = false): Promise<number> {
      const good = path.replace(/T\w+$/, path.endsWith('Twalk') ? 'Tmknod' : 'Twalk');
      if (path.endsWith('Tlopen') && !open) return raw.walk('file', dir);
      return open ? raw.open('file', 2, await raw.walk(good.replace('Twalk', 'Tmknod'))) : raw.walk(`${good}/file`);
    }
  }

  it.each(messages)('%s hangs until it is flushed, and has no effect', async (message, ask) => {
    const [dir, file, opened] = await place(`ops/hang/${message}`);
    const tag = ask(dir, file, opened);
    expect(await order(tag)).toEqual([]);
    await expectCancelled(tag);
    if (message !== 'Twalk') expect(await raw.walk('file', dir)).toBeTypeOf('number');
  });

  it.each(messages)('%s is late', async (message, ask) => {
    const [dir, file, opened] = await place(`ops/late/${message}`);
    const tag = ask(dir, file, opened);
    expect(await order(tag)).toEqual([]);
    const flushTag = flush(tag);
    await raw.reply(flushTag);
    expect(raw.log.slice(-2)).toEqual([`R${message.slice(1)} ${tag}`, `Rflush ${flushTag}`]);
  });
});

describe('odd directories', () => {
  it('names: hostile entries are listed as they are', async () => {
    const names = (await raw.list(await raw.open('names', 0o200000))).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['good', 'new\nline']));
  });

  it('listing: comes in small pieces, complete', async () => {
    const entries = await raw.list(await raw.open('listing', 0o200000));
    expect(new Set(entries.map(({ name }) => name)).size).toBe(202);
  });

  it('collide: two files, one qid', async () => {
    const [one, two] = [await raw.open('collide/one'), await raw.open('collide/two')];
    const paths = [await raw.getattr(one), await raw.getattr(two)].map(({ qid }: Message<'Rgetattr'>) => qid.path);
    expect(paths[0]).toBe(paths[1]);
    expect([`${await raw.read(one)}`, `${await raw.read(two)}`]).toEqual(['one\n', 'two!\n']);
  });
});

describe('counters', () => {
  const read = async (name: string) => (await raw.read(await raw.open(`counters/${name}`))).toString();

  it('show tags, fids, flushes and what happened at a fault', async () => {
    const before = Number(await read('fids'));
    const tag = await reading('hang');
    expect(Number(await read('fids'))).toBe(before + 2);
    expect(Number(await read('tags'))).toBe(2);
    expect(await read('faults')).toContain('hang requests 1 flushed 0 performed 0\n');
    const flushTag = flush(tag);
    await raw.reply(flushTag);
    expect(Number(await read('tags'))).toBe(1);
    expect(await read('faults')).toContain('hang requests 1 flushed 1 performed 0\n');
    expect(await read('flushes')).toBe('received 1\ndropped 0\naborted 1\nsuppressed 1\n');
  });

  it.each(['hangs up', 'begins again'] as const)('show that nothing is left of a client that %s', async (how) => {
    const count = async (name: string) => {
      const fid = await raw.open(`counters/${name}`);
      const number = Number(await raw.read(fid));
      await raw.clunk(fid);
      return number;
    };
    const now = async () => [await count('fids'), await count('tags')];
    const before = await now();
    const other = await served.connect();
    for (const path of ['hang', 'mute', 'late', 'eintr', 'after', 'slow/60000', 'reorder']) {
      other.send('Tread', { fid: await other.open(path), offset: 0, count: 100 });
      other.send('Tread', { fid: await other.open(path), offset: 0, count: 100 });
    }
    other.send('Tflush', { oldtag: other.send('Tread', { fid: await other.open('mute'), offset: 0, count: 100 }) });
    await other.settle();
    // its root and what it opened, and at the least what waits for a Tflush
    const [held = 0, waiting = 0] = await now();
    expect(held).toBe((before[0] ?? 0) + 16);
    expect(waiting).toBeGreaterThanOrEqual((before[1] ?? 0) + 12);
    if (how === 'hangs up') {
      other.transport.close();
      await until('everything to be let go', async () => String(await now()) === String(before));
    } else {
      await other.version();
      expect(await now()).toEqual(before);
      expect(await other.errno('Tread', { fid: 0, offset: 0, count: 1 })).toBe(9);
    }
  });
});

// What QEMU's tests do with its synthetic tree (tests/qtest/virtio-9p-test.c), done with this one.
describe('synth', () => {
  it('flush: a write that blocks is flushed, and only the Rflush comes', async () => {
    const fid = await raw.open('synth/flush', 1);
    const tag = raw.send('Twrite', { fid, offset: 0, data: Buffer.from([1]) });
    await expectCancelled(tag);
  });

  it('flush: a write that does not block is answered, and the flush after it', async () => {
    const fid = await raw.open('synth/flush', 1);
    const tag = raw.send('Twrite', { fid, offset: 0, data: Buffer.from([0]) });
    const flushTag = flush(tag);
    expect(await order(tag, flushTag)).toEqual(['Rwrite', 'Rflush']);
  });

  it('write: the count is what was sent', async () => {
    const fid = await raw.open('synth/write', 1);
    expect(await raw.write(fid, Buffer.alloc(4096))).toBe(4096);
  });

  it.each([128, 256, 512])('readdir: 100 entries in pieces of %i bytes', async (count) => {
    const entries = await raw.list(await raw.open('synth/readdir', 0o200000), count);
    expect(entries.map(({ name }) => name).sort()).toEqual(
      ['.', '..', ...Array.from({ length: 100 }, (_, i) => `file${i}`)].sort(),
    );
  });

  it('walk: 16 names at once, 17 never, one that is missing', async () => {
    const names = Array.from({ length: 16 }, (_, i) => String(i).padStart(2, '0'));
    const { qids } = await raw.call('Twalk', {
      fid: 0,
      newfid: raw.fid(),
      names: ['synth', 'walk', ...names.slice(0, 14)],
    });
    expect(qids).toHaveLength(16);
    expect(new Set(qids.map(({ path }) => path)).size).toBe(16);
    const missing = await raw.call('Twalk', { fid: 0, newfid: 77, names: ['synth', 'walk', '00', 'none'] });
    expect(missing.qids).toHaveLength(3);
    expect(await raw.errno('Tclunk', { fid: 77 })).toBe(9);
    expect(await raw.errno('Twalk', { fid: 0, newfid: 77, names: ['none'] })).toBe(2);
    const far = await served.connect();
    far.send('Twalk', { fid: 0, newfid: 5, names: Array(17).fill('..') });
    await far.closed;
  });

  it('walk: no name clones, and .. of the root is the root', async () => {
    expect((await raw.call('Twalk', { fid: 0, newfid: 70, names: [] })).qids).toEqual([]);
    const { qids } = await raw.call('Twalk', { fid: 0, newfid: 71, names: ['..', '..'] });
    const root = await raw.getattr(70);
    expect(qids.map(({ path }) => path)).toEqual([root.qid.path, root.qid.path]);
  });

  it('xattrs: no more than a server can hold, and room again after a clunk', async () => {
    const file = await raw.walk('ops/hang/Tread/file');
    const fids: number[] = [];
    for (;;) {
      const newfid = raw.fid();
      const ecode = await raw.errno('Txattrwalk', { fid: file, newfid, name: 'user.ninefs' });
      if (ecode !== 0) {
        expect(ecode).toBe(28);
        break;
      }
      fids.push(newfid);
      expect(fids.length).toBeLessThan(100_000);
    }
    await raw.clunk(fids[0] ?? 0);
    expect(await raw.errno('Txattrwalk', { fid: file, newfid: raw.fid(), name: 'user.ninefs' })).toBe(0);
  });
});
