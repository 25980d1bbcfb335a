// Peers that break the rules of 9P2000.u and 9P2000: their own connection ends, or they get an error, and nothing is left.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { dotlCodec } from '../../src/wire/p9/codec.ts';
import { DM, NOTAG, OMODE } from '../../src/wire/p9/constants.ts';
import type { Body, RequestName } from '../../src/wire/p9/messages.ts';
import { readStats, UNTOUCHED } from '../../src/wire/p9/stat.ts';
import { create, createErrno, eachPlan9, get, list, mkdir, open, put, stat } from '../support/plan9.ts';

interface Sent {
  readonly type: RequestName;
  readonly fields: Body<RequestName>;
}

eachPlan9((t) => {
  describe('whatever the pieces in which it arrives', () => {
    test.each([1, 2, 3, 7, 11])('%i bytes at a time', async (size) => {
      const raw = await t.served.connect({ version: t.version, pair: { chunks: [size] } });
      await raw.clunk(await mkdir(raw, 'd'));
      await put(raw, 'f', 'some text', { dir: await raw.walk('d') });
      expect(await get(raw, 'd/f')).toBe('some text');
      expect((await list(raw, await open(raw, 'd'), t.version)).map(({ name }) => name)).toEqual(['f']);
      const fid = await raw.walk('d/f');
      await raw.call('Twstat', { fid, stat: { ...UNTOUCHED, name: 'g', mode: 0o600 } });
      expect(await stat(raw, fid)).toMatchObject({ name: 'g', mode: 0o600 });
    });
  });

  describe('ends the connection', () => {
    /** A Twstat of nothing, with one byte changed. */
    function twstat(at: number, value: number): Buffer {
      const { head } = t.raw.codec.encode('Twstat', 9, { fid: 0, stat: UNTOUCHED });
      head.writeUInt8(value, at);
      return head;
    }

    test.each([
      ['the outer size of a stat', 11],
      ['its inner size', 13],
      ['the size of a string in it', 54],
    ])('%s', async (_what, at) => {
      const raw = await t.as(0);
      raw.bytes(twstat(at, 200));
      await raw.closed;
    });

    test('a reply', async () => {
      const raw = await t.as(0);
      raw.bytes(raw.codec.encode('Rstat', 9, { stat: UNTOUCHED }).head);
      await raw.closed;
    });

    test('a name with NUL in a stat', async () => {
      const raw = await t.as(0);
      const { head } = raw.codec.encode('Twstat', 9, { fid: 0, stat: { ...UNTOUCHED, name: 'abc' } });
      head.writeUInt8(0, head.indexOf('abc') + 1);
      raw.bytes(head);
      await raw.closed;
    });
  });

  test.each(['Tlopen', 'Tgetattr', 'Treaddir', 'Tunlinkat'] as const)(
    '%s, which only 9P2000.L has, is refused and keeps the connection',
    async (name) => {
      const raw = await t.as(0);
      const head = Buffer.from('0b000000' + '00' + '0300' + '00000000', 'hex');
      head.writeUInt8(dotlCodec.number(name), 4);
      raw.bytes(head);
      const answer = await raw.reply(3);
      expect(answer).toMatchObject({ type: 'Rerror', ename: 'Operation not supported' });
      expect(await raw.errno('Tstat', { fid: 0 })).toBe(0);
    },
  );

  test('any bytes behind a proper beginning: answered or closed, and nothing left', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        const raw = await t.as(0);
        raw.bytes(bytes);
        raw.transport.close();
        await raw.closed;
      }),
      { numRuns: 100 },
    );
  });

  test('any requests in any order: each is answered, none by a mistake of ours', async () => {
    const fid = fc.integer({ min: 0, max: 5 });
    const u8 = fc.integer({ min: 0, max: 255 });
    const name = fc.constantFrom('f', 'g', 'd', '.', '..', '', 'a/b', 'x'.repeat(300));
    const number = <T>(wild: T, ...others: T[]) => fc.oneof(fc.constant(wild), fc.constantFrom(...others));
    const bits = fc
      .subarray([DM.DIR, DM.APPEND, DM.EXCL, DM.TMP, DM.SYMLINK, DM.LINK, DM.DEVICE, DM.NAMEDPIPE, DM.SETUID, 0o644])
      .map((chosen) => chosen.reduce((sum, bit) => (sum | bit) >>> 0, 0));
    const changes = fc.record({
      mode: fc.oneof(fc.constant(UNTOUCHED.mode), bits),
      length: number(-1, 0, 5, 2 ** 40, Number.MAX_SAFE_INTEGER),
      name: fc.oneof(fc.constant(''), name),
      mtime: number(UNTOUCHED.mtime, 0, 7),
      uid: number('', '0', '1000', 'nobody at all'),
      gid: number('', '0'),
      nUid: number(UNTOUCHED.nUid, 0, 1000),
    });
    const of = <N extends RequestName>(type: N, fields: fc.Arbitrary<Body<N>>) =>
      fields.map((values): Sent => ({ type, fields: values as Body<RequestName> }));
    const request: fc.Arbitrary<Sent> = fc.oneof(
      of('Twalk', fc.record({ fid, newfid: fid, names: fc.array(name, { maxLength: 3 }) })),
      of('Topen', fc.record({ fid, mode: fc.oneof(fc.constantFrom(OMODE.READ, OMODE.RDWR, 0x40, 0x11), u8) })),
      of(
        'Tcreate',
        fc.record({
          fid,
          name,
          perm: bits,
          mode: fc.constantFrom(0, 1, 2, 0x41),
          extension: fc.constantFrom('', 'f', '1', 'c 1 3'),
        }),
      ),
      of(
        'Tread',
        fc.record({ fid, offset: fc.integer({ min: 0, max: 200 }), count: fc.integer({ min: 0, max: 500 }) }),
      ),
      of(
        'Twrite',
        fc.record({ fid, offset: fc.integer({ min: 0, max: 200 }), data: fc.uint8Array({ maxLength: 50 }) }),
      ),
      of('Tstat', fc.record({ fid })),
      of('Twstat', fc.record({ fid, stat: changes.map((some) => ({ ...UNTOUCHED, ...some })) })),
      of('Tclunk', fc.record({ fid })),
      of('Tremove', fc.record({ fid: fc.integer({ min: 1, max: 5 }) })),
      of('Tflush', fc.record({ oldtag: fc.integer({ min: 0, max: 40 }) })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 40 }), async (requests) => {
        const raw = await t.as(0);
        const sent = requests.map(({ type, fields }) => ({ type, fields, tag: raw.send(type, fields) }));
        // what was flushed while it ran may have no reply
        const flushed = new Set(sent.map(({ fields }) => ('oldtag' in fields ? fields.oldtag : undefined)));
        for (const { type, tag } of sent) {
          if (flushed.has(tag)) continue;
          const answer = await raw.reply(tag);
          if (answer.type === 'Rerror')
            expect(`${type}: ${answer.ename}`).not.toMatch(/i\/o error|Input\/output|errno/);
          else expect(answer.type).toBe(`R${type.slice(1)}`);
        }
        raw.transport.close();
        await raw.closed;
      }),
      { numRuns: 150 },
    );
  });

  test('a request of a fid that is being opened or clunked meanwhile', async () => {
    await put(t.raw, 'f', 'text');
    const fid = await t.raw.walk('f');
    const tags = [
      t.raw.send('Topen', { fid, mode: OMODE.READ | OMODE.RCLOSE }),
      t.raw.send('Topen', { fid, mode: OMODE.READ }),
      t.raw.send('Tread', { fid, offset: 0, count: 10 }),
      t.raw.send('Tclunk', { fid }),
      t.raw.send('Tstat', { fid }),
    ];
    const replies = await Promise.all(tags.map((tag) => t.raw.reply(tag)));
    expect(replies[0]?.type).toBeOneOf(['Ropen', 'Rerror']);
    expect(replies[4]).toMatchObject({ type: 'Rerror' });
    await t.raw.settle();
    expect(await t.raw.errno('Tstat', { fid })).toBe(errno.EBADF);
  });

  test('two readers of one listing', async () => {
    for (let i = 0; i < 40; i++) await t.raw.clunk(await create(t.raw, `f${i}`));
    const fid = await open(t.raw, '');
    const tags = [0, 0, 0].map((offset) => t.raw.send('Tread', { fid, offset, count: 600 }));
    const replies = await Promise.all(tags.map((tag) => t.raw.reply(tag)));
    for (const reply of replies) {
      expect(reply.type).toBe('Rread');
      if (reply.type === 'Rread') expect(readStats(reply.data, t.extended).fault).toBeUndefined();
    }
    expect((await t.names(fid, 600)).length).toBe(40);
  });

  test('a name too long', async () => {
    expect(await createErrno(t.raw, 'x'.repeat(256))).toBe(errno.ENAMETOOLONG);
    expect(await createErrno(t.raw, 'x'.repeat(256), { perm: DM.DIR | 0o755, mode: 0 })).toBe(errno.ENAMETOOLONG);
    expect(await createErrno(t.raw, 'x'.repeat(255))).toBe(0);
  });

  test('Tversion while requests run', async () => {
    t.raw.send('Tread', { fid: await open(t.raw, ''), offset: 0, count: 1000 });
    t.raw.send('Tversion', { msize: 8192, version: t.version }, NOTAG);
    expect(await t.raw.reply(NOTAG)).toMatchObject({ type: 'Rversion', version: t.version });
  });
});
