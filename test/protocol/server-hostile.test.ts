// Peers that break the protocol, by accident or on purpose: their own connection is closed, and nothing else happens. A
// second client of the same tree works on throughout, and afterwards nothing is left over.

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { dotlCodec } from '../../src/wire/p9/codec.ts';
import { NOFID, NOTAG } from '../../src/wire/p9/constants.ts';
import type { Body, MessageName } from '../../src/wire/p9/messages.ts';
import type { Raw9p } from '../support/raw9p.ts';
import { type Served, serveTree, type TreeKind } from '../support/served.ts';

function frame<N extends MessageName>(name: N, tag: number, body: Body<N>): Buffer {
  const { head, payload } = dotlCodec.encode(name, tag, body);
  return payload === undefined ? head : Buffer.concat([head, payload]);
}

const version = frame('Tversion', NOTAG, { msize: 8192, version: '9P2000.L' });
const attach = frame('Tattach', 1, { fid: 0, afid: NOFID, uname: 'root', aname: '', nUname: 0 });

/** A frame of any size field, type and body. */
function odd(size: number, type: number, body: Uint8Array = Buffer.alloc(0), tag = 3): Buffer {
  const head = Buffer.alloc(7);
  head.writeUInt32LE(size >>> 0, 0);
  head.writeUInt8(type, 4);
  head.writeUInt16LE(tag, 5);
  return Buffer.concat([head, body]);
}

describe.each<TreeKind>(['memory', 'host'])('%s tree', (kind) => {
  let served: Served;
  let witness: Raw9p;

  beforeEach(async () => {
    served = await serveTree(kind);
    witness = await served.connect();
    await witness.write(await witness.create(0, 'f'), 'text');
  });

  afterEach(async () => {
    const listed = (await witness.list(await witness.open('/'))).map(({ name }) => name);
    expect(listed).toContain('f');
    await settled(() => served.server.stats.connections.length === 1);
    await served.end();
  });

  /** Sends bytes behind a proper beginning; settles with what ended the connection. */
  async function closes(...bytes: Uint8Array[]): Promise<Raw9p> {
    const raw = await served.connect();
    for (const each of bytes) raw.bytes(each);
    await raw.closed;
    return raw;
  }

  describe('closes the connection', () => {
    const walk = Buffer.from('00000000' + '07000000', 'hex');
    const name = (...bytes: number[]) => Buffer.concat([walk, Buffer.from([1, 0, bytes.length, 0, ...bytes])]);
    const cases: Record<string, Buffer> = {
      'a size below the header': odd(6, 120),
      'a size of nothing': odd(0, 120),
      'a size above msize': odd(10_000_000, 110),
      'the largest size': odd(0xffffffff, 118),
      'a type that does not exist': odd(7, 200),
      'a type of nothing': odd(7, 0),
      'an answer': frame('Rclunk', 1, {}),
      'an answer with a payload': frame('Rread', 1, { data: Buffer.from('x') }),
      'an error': frame('Rlerror', 1, { ecode: 5 }),
      'a body that is too short': odd(9, 120, Buffer.from([0, 0])),
      'a body that is too long': odd(13, 120, Buffer.alloc(6)),
      'a string longer than the frame': odd(21, 110, Buffer.concat([walk, Buffer.from([1, 0, 255, 255, 65, 65])])),
      'a string with NUL': odd(22, 110, name(65, 0, 66)),
      'seventeen names': odd(
        7 + 10 + 17 * 3,
        110,
        Buffer.concat([walk, Buffer.from([17, 0]), Buffer.from('\x01\0a'.repeat(17))]),
      ),
      'sixty thousand names': odd(17, 110, Buffer.concat([walk, Buffer.from([96, 234])])),
      'a write that says more than it brings': odd(
        24,
        118,
        Buffer.concat([Buffer.alloc(12), Buffer.from([9, 0, 0, 0, 1])]),
      ),
      'a write that says less than it brings': odd(
        25,
        118,
        Buffer.concat([Buffer.alloc(12), Buffer.from([1, 0, 0, 0, 1, 2])]),
      ),
      'a write without its own fields': odd(12, 118, Buffer.alloc(5)),
    };
    test.each(Object.entries(cases))('%s', async (_what, bytes) => {
      await closes(bytes);
    });

    test('before a version was agreed: anything else', async () => {
      for (const first of [
        attach,
        frame('Tflush', 1, { oldtag: 2 }),
        frame('Twrite', 1, { fid: 0, offset: 0, data: Buffer.from('x') }),
        odd(12, 112, Buffer.alloc(5)),
      ]) {
        const raw = served.dial();
        raw.bytes(first);
        await raw.closed;
      }
    });

    test('before a version was agreed: a frame of more than 8 KiB', async () => {
      const raw = served.dial();
      raw.bytes(odd(8193, 100));
      await raw.closed;
    });
  });

  test.each([
    ['Topen', 112, Buffer.from('0000000000', 'hex')],
    ['Tcreate', 114, Buffer.from('00000000' + '0000' + 'a4010000' + '00' + '0000', 'hex')],
    ['Tstat', 124, Buffer.alloc(4)],
    ['Twstat', 126, Buffer.alloc(6)],
    ['Topen without its fields', 112, Buffer.alloc(0)],
  ])('%s, which only other dialects have, is refused and keeps the connection', async (_what, type, body) => {
    const raw = await served.connect();
    raw.bytes(odd(7 + body.length, type, body, 3));
    expect(await raw.reply(3)).toMatchObject({ type: 'Rlerror', ecode: errno.EOPNOTSUPP });
    // its tag is free again
    expect(await raw.reply(raw.send('Tgetattr', { fid: 0, mask: 0 }, 3))).toMatchObject({ type: 'Rgetattr' });
    raw.transport.close();
  });

  test('what is refused only, keeps the connection', async () => {
    const raw = await served.connect();
    expect(await raw.errno('Tgetattr', { fid: 99, mask: 0 })).toBe(errno.EBADF);
    expect(await raw.errno('Tclunk', { fid: 99 })).toBe(errno.EBADF);
    expect(await raw.errno('Twalk', { fid: 0, newfid: NOFID, names: [] })).toBe(errno.EINVAL);
    expect(await raw.errno('Tauth', { afid: 1, uname: '', aname: '', nUname: 0 })).toBe(errno.ENOENT);
    expect(await raw.errno('Tattach', { fid: 5, afid: 1, uname: '', aname: '', nUname: 0 })).toBe(errno.EINVAL);
    expect(await raw.errno('Tattach', { fid: 5, afid: NOFID, uname: '', aname: '/etc', nUname: 0 })).toBe(errno.ENOENT);
    expect(
      await raw.errno('Tattach', { fid: 5, afid: NOFID, uname: 'nobody at all', aname: '', nUname: 0xffffffff }),
    ).toBe(errno.EPERM);
    expect(await raw.errno('Tattach', { fid: 5, afid: NOFID, uname: '', aname: '/', nUname: 0 })).toBe(0);
    expect(await raw.errno('Tattach', { fid: 5, afid: NOFID, uname: '', aname: '/', nUname: 0 })).toBe(errno.EINVAL);
    const file = await raw.open('f', 2);
    expect(await raw.errno('Twrite', { fid: file, offset: Number.MAX_SAFE_INTEGER, data: Buffer.from('x') })).toBe(
      errno.EFBIG,
    );
    expect(await raw.errno('Tread', { fid: file, offset: Number.MAX_SAFE_INTEGER, count: 0xffffffff })).toBeOneOf([
      0,
      errno.EINVAL,
    ]);
    raw.transport.close();
  });

  test('versions and sizes', async () => {
    const raw = served.dial();
    expect(await raw.version(8192, '9P1999')).toMatchObject({ version: 'unknown' });
    expect(await raw.version(8192, '9P1999.L')).toMatchObject({ version: 'unknown' });
    expect(await raw.version(8192, '')).toMatchObject({ version: 'unknown' });
    expect(await raw.version(100)).toMatchObject({ type: 'Rlerror', ecode: errno.EINVAL });
    expect(await raw.version(0)).toMatchObject({ type: 'Rlerror' });
    expect(await raw.version(0xffffffff)).toMatchObject({ version: '9P2000.L', msize: 1024 * 1024 + 24 });
    expect(await raw.version(8192, '9P2000.L.extended')).toMatchObject({ version: '9P2000.L', msize: 8192 });
    raw.transport.close();
  });

  test('a small msize: what does not fit is an error, never a part', async () => {
    const raw = await served.connect({ msize: 256 });
    expect((await raw.getattr(0)).mode & 0o40000).toBe(0o40000);
    const target = 'x'.repeat(300);
    await witness.call('Tsymlink', { dfid: 0, name: 'l', target, gid: 0 });
    const long = 'n'.repeat(255);
    await witness.create(0, long);
    expect(await raw.errno('Treadlink', { fid: await raw.walk('l') })).toBe(errno.EMSGSIZE);
    const dir = await raw.open('/');
    let refused = 0;
    for (let offset = 0n; refused === 0; ) {
      const reply = await raw.reply(raw.send('Treaddir', { fid: dir, offset, count: 8192 }));
      if (reply.type === 'Rlerror') refused = reply.ecode;
      else if (reply.type === 'Rreaddir') {
        expect(reply.data.length).toBeGreaterThan(0);
        const { readDirents } = await import('../../src/wire/p9/types.ts');
        offset = readDirents(reply.data).entries.at(-1)!.offset;
      }
    }
    expect(refused).toBe(errno.EINVAL);
    raw.transport.close();
  });

  test('a conversation works in pieces of any size', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }), async (chunks) => {
        const raw = await served.connect({ pair: { chunks } });
        const fid = await raw.open('f', 2);
        expect((await raw.read(fid)).toString()).toBe('text');
        expect(await raw.write(fid, 'text', 0)).toBe(4);
        raw.transport.close();
        await raw.closed;
      }),
      { numRuns: 30 },
    );
  });

  const conversation = Buffer.concat([
    version,
    attach,
    frame('Twalk', 2, { fid: 0, newfid: 1, names: [] }),
    frame('Tlcreate', 3, { fid: 1, name: 'g', flags: 2, mode: 0o644, gid: 0 }),
    frame('Twrite', 4, { fid: 1, offset: 0, data: Buffer.alloc(100, 1) }),
    frame('Twalk', 5, { fid: 0, newfid: 2, names: ['f'] }),
    frame('Txattrcreate', 6, { fid: 2, name: 'user.a', size: 3, flags: 0 }),
    frame('Twrite', 7, { fid: 2, offset: 0, data: Buffer.from('abc') }),
    frame('Tlock', 8, { fid: 1, kind: 1, flags: 0, start: 0n, length: 0n, procId: 1, clientId: 'c' }),
    frame('Tread', 9, { fid: 1, offset: 0, count: 100 }),
    frame('Tflush', 10, { oldtag: 9 }),
  ]);

  test('a connection cut at any byte leaves nothing behind', async () => {
    for (let at = 0; at < conversation.length; at++) {
      const raw = served.dial({ cutAfter: Math.max(at, 1) });
      raw.bytes(conversation.subarray(0, at));
      raw.transport.close();
      await raw.closed;
    }
  });

  test('bytes changed anywhere in a conversation: an answer, an error or the end, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(fc.integer({ min: version.length, max: conversation.length - 1 }), fc.integer({ min: 0, max: 255 })),
          {
            minLength: 1,
            maxLength: 4,
          },
        ),
        async (changes) => {
          const raw = served.dial();
          const bytes = Buffer.from(conversation);
          for (const [at, value] of changes) bytes[at] = value;
          raw.bytes(bytes);
          await witness.settle();
          raw.transport.close();
          await raw.closed;
        },
      ),
      { numRuns: 300 },
    );
  });

  test('random frames: an answer, an error or the end, and nothing else', async () => {
    const types = fc.constantFrom(
      8,
      12,
      14,
      16,
      18,
      20,
      22,
      24,
      26,
      30,
      32,
      40,
      50,
      52,
      54,
      70,
      72,
      74,
      76,
      102,
      104,
      108,
      110,
      116,
      118,
      120,
      122,
    );
    const any = fc.record({
      type: types,
      body: fc.uint8Array({ maxLength: 60 }),
      tag: fc.integer({ min: 0, max: 0xffff }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(any, { minLength: 1, maxLength: 8 }), async (frames) => {
        const raw = served.dial();
        raw.bytes(Buffer.concat([version, attach]));
        for (const { type, body, tag } of frames) raw.bytes(odd(7 + body.length, type, body, tag));
        await witness.settle();
        raw.transport.close();
        await raw.closed;
      }),
      { numRuns: 300 },
    );
  });

  test('random bytes from the beginning', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        const raw = served.dial();
        raw.bytes(bytes);
        await witness.settle();
        raw.transport.close();
        await raw.closed;
      }),
      { numRuns: 200 },
    );
  });

  test('requests that make sense one by one, in any order and number', async () => {
    const fid = fc.integer({ min: 0, max: 4 });
    const name = fc.constantFrom('a', 'b', 'f', '..', '.', '', 'x/y', 'n'.repeat(300));
    const size = fc.constantFrom(0, 1, 100, 5000, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER);
    const tuple = <N extends MessageName>(type: N, body: fc.Arbitrary<Body<N>>) =>
      body.map((fields) => ({ type, fields }) as never);
    const request: fc.Arbitrary<{ type: MessageName; fields: Body<MessageName> }> = fc.oneof(
      tuple('Twalk', fc.record({ fid, newfid: fid, names: fc.array(name, { maxLength: 3 }) })),
      tuple('Tlopen', fc.record({ fid, flags: fc.integer({ min: 0, max: 0o7777777 }) })),
      tuple(
        'Tlcreate',
        fc.record({
          fid,
          name,
          flags: fc.integer({ min: 0, max: 0o7777 }),
          mode: fc.integer({ min: 0, max: 0o177777 }),
          gid: fid,
        }),
      ),
      tuple('Tmkdir', fc.record({ dfid: fid, name, mode: fc.integer({ min: 0, max: 0o777 }), gid: fid })),
      tuple(
        'Tmknod',
        fc.record({
          dfid: fid,
          name,
          mode: fc.constantFrom(0o010644, 0o140600, 0o100600),
          major: fid,
          minor: fid,
          gid: fid,
        }),
      ),
      tuple('Tsymlink', fc.record({ dfid: fid, name, target: fc.constantFrom('f', '/', '..', 'a/b'), gid: fid })),
      tuple('Tlink', fc.record({ dfid: fid, fid, name })),
      tuple(
        'Tunlinkat',
        fc.record({ dirfid: fid, name: name.filter((n) => n !== 'f'), flags: fc.constantFrom(0, 0x200) }),
      ),
      tuple(
        'Trenameat',
        fc.record({
          olddirfid: fid,
          oldname: name.filter((n) => n !== 'f'),
          newdirfid: fid,
          newname: name.filter((n) => n !== 'f'),
        }),
      ),
      tuple('Treadlink', fc.record({ fid })),
      tuple('Tgetattr', fc.record({ fid, mask: size })),
      tuple('Tread', fc.record({ fid, offset: size, count: fc.constantFrom(0, 10, 0xffffffff) })),
      tuple(
        'Twrite',
        fc.record({
          fid,
          offset: fc.constantFrom(0, 3, 5000, Number.MAX_SAFE_INTEGER),
          data: fc.uint8Array({ maxLength: 50 }),
        }),
      ),
      tuple(
        'Treaddir',
        fc.record({
          fid,
          offset: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          count: fc.constantFrom(0, 100, 0xffffffff),
        }),
      ),
      tuple('Tfsync', fc.record({ fid, datasync: fid })),
      tuple('Tstatfs', fc.record({ fid })),
      tuple('Txattrwalk', fc.record({ fid, newfid: fid, name: fc.constantFrom('', 'user.a', 'bad') })),
      tuple(
        'Txattrcreate',
        fc.record({
          fid,
          name: fc.constantFrom('', 'user.a', 'bad'),
          size: fc.constantFrom(0, 3, 2 ** 40),
          flags: fid,
        }),
      ),
      tuple(
        'Tlock',
        fc.record({
          fid,
          kind: fid,
          flags: fid,
          start: fc.bigInt({ min: 0n, max: 100n }),
          length: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          procId: fid,
          clientId: fc.constantFrom('', 'c'),
        }),
      ),
      tuple(
        'Tgetlock',
        fc.record({
          fid,
          kind: fid,
          start: fc.bigInt({ min: 0n, max: 100n }),
          length: fc.bigInt({ min: 0n, max: 100n }),
          procId: fid,
          clientId: fc.constant('c'),
        }),
      ),
      tuple('Tclunk', fc.record({ fid })),
      tuple('Tflush', fc.record({ oldtag: fc.integer({ min: 0, max: 40 }) })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 30 }), async (requests) => {
        const raw = await served.connect();
        const tags = requests.map(({ type, fields }) => raw.send(type, fields));
        for (const tag of tags) {
          const reply = await raw.reply(tag);
          if (reply.type === 'Rlerror') expect(reply.ecode).not.toBe(errno.EIO);
        }
        raw.transport.close();
        await raw.closed;
      }),
      { numRuns: 200 },
    );
  });
});

/** Turns of the event loop until it is so. */
async function settled(isSo: () => boolean): Promise<void> {
  for (let turn = 0; !isSo(); turn++) {
    if (turn === 10_000) throw new Error('it never became so');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
