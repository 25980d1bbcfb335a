// Corners of the protocol: the negotiation, sizes, errors, numbers that mean none, and the forms of single messages.

import { afterEach, describe, expect, test } from 'vitest';
import { negotiate } from '../../src/client/connection.ts';
import type { Session } from '../../src/client/session.ts';
import { clampErrno, errno } from '../../src/common/errno.ts';
import { ConfigError, ErrnoError, ProtocolError } from '../../src/common/errors.ts';
import { memoryTree } from '../../src/server/server.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { dotlCodec } from '../../src/wire/p9/codec.ts';
import { DEFAULT_MSIZE, DM, IOHDR, NOFID, NONUNAME, NOTAG, OPEN } from '../../src/wire/p9/constants.ts';
import { FrameReader } from '../../src/wire/p9/framing.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { UNTOUCHED } from '../../src/wire/p9/stat.ts';
import { eachTree } from '../support/eachtree.ts';
import { expectIdle } from '../support/leaks.ts';
import { serveAny } from '../support/served.ts';
import { type Answer, spoken, stat } from '../support/spoken.ts';

const sessions: Session[] = [];
const speaking: typeof spoken = async (...args) => {
  const made = await spoken(...args);
  sessions.push(made.session);
  return made;
};
afterEach(() => {
  for (const session of sessions.splice(0)) session.close();
});

/** The outcome of a negotiation with a server that answers the n-th Tversion so; undefined: it hangs up. */
async function negotiated(...answers: (Answer | undefined)[]) {
  const [ours, theirs] = memoryPair();
  const asked: Message<'Tversion'>[] = [];
  theirs.start(
    new FrameReader(DEFAULT_MSIZE, {
      frame(bytes, start, end) {
        asked.push(dotlCodec.decode(bytes, start, end) as Message<'Tversion'>);
        const answer = answers[asked.length - 1];
        if (answer === undefined) theirs.close();
        else theirs.send(dotlCodec.encode(answer[0], NOTAG, answer[1] as never).head);
      },
    }),
  );
  const outcome = await negotiate(ours).catch((error: Error) => error);
  if (!(outcome instanceof Error)) outcome.close();
  return { outcome, asked };
}

const rversion = (version: string, msize = 65536): Answer => ['Rversion', { msize, version }];

describe('Version negotiation', () => {
  test.each<[string, Answer]>([
    ['"unknown"', rversion('unknown')],
    ['Rlerror', ['Rlerror', { ecode: errno.EPROTONOSUPPORT }]],
    ['Rerror', ['Rerror', { ename: '', ecode: errno.EIO }]],
  ])(
    'Version negotiation: %s in answer to .L has the next one asked for on the same connection',
    async (_how, answer) => {
      const { outcome, asked } = await negotiated(answer, rversion('9P2000.u'));
      expect(asked.map(({ version }) => version)).toEqual(['9P2000.L', '9P2000.u']);
      expect(outcome).toMatchObject({ version: '9P2000.u' });
    },
  );

  test('Version negotiation: a lower version in the answer is taken', async () => {
    const { outcome, asked } = await negotiated(rversion('9P2000.u'));
    expect(asked).toHaveLength(1);
    expect(outcome).toMatchObject({ version: '9P2000.u' });
  });

  test('Version negotiation: the server compares up to the period', async () => {
    const served = serveAny(memoryTree());
    for (const [version, spokenThen] of [
      ['9P2000.L', '9P2000.L'],
      ['9P2000.nobody', '9P2000'],
      ['9P1999', 'unknown'],
    ] as const) {
      const raw = served.dial();
      expect(await raw.version(8192, version)).toMatchObject({ version: spokenThen });
    }
    await served.end();
  });
});

describe('msize', () => {
  test('msize: the server may lower it and not raise it, and less than 4096 is of no use', async () => {
    expect((await negotiated(rversion('9P2000.L', 4096))).outcome).toMatchObject({ msize: 4096 });
    expect((await negotiated(rversion('9P2000.L', DEFAULT_MSIZE + 1))).outcome).toBeInstanceOf(ProtocolError);
    expect((await negotiated(rversion('9P2000.L', 4095))).outcome).toBeInstanceOf(ConfigError);
  });

  test.each([23, 32, 256, 4095])(
    'msize: the embedded server survives %i, and answers nothing that is longer',
    async (msize) => {
      const served = serveAny(memoryTree());
      const raw = served.dial();
      await raw.version(msize);
      const sizes: number[] = [];
      // after what could not be said in so few bytes the server goes on
      await raw.attach(0, 0).catch(() => undefined);
      for (const name of ['a', 'b'.repeat(200)]) {
        raw.send('Tmkdir', { dfid: 0, name, mode: 0o755, gid: 0 });
        await raw.settle().catch(() => undefined);
      }
      for (const message of raw.arrived) {
        const { type, tag, ...body } = message;
        sizes.push(dotlCodec.encode(type, tag, body as never).head.length);
      }
      expect(Math.max(0, ...sizes)).toBeLessThanOrEqual(msize);
      await served.end();
    },
  );
});

test('msize vs I/O size: 24 bytes more than what the kernel asks for at once, so that it goes in one message', () => {
  expect(IOHDR).toBe(24);
  expect(DEFAULT_MSIZE - IOHDR).toBe(1024 * 1024);
});

describe('Reply size exactly msize', () => {
  eachTree((t) => {
    test('Reply size exactly msize: the server keeps below it, however much is asked for', async () => {
      const MSIZE = 8192;
      await t.put('file', 'x'.repeat(20_000));
      for (let i = 0; i < 60; i++) await t.put(`${i}-${'n'.repeat(200)}`, '');
      const raw = await t.served.connect({ msize: MSIZE });
      const fid = await raw.open('file');
      const count = (await raw.call('Tread', { fid, offset: 0, count: 0xffffffff })).data.length;
      expect(11 + count).toBeLessThan(MSIZE);
      expect(count).toBe(MSIZE - IOHDR);
      const dir = await raw.open('');
      const listed = (await raw.call('Treaddir', { fid: dir, offset: 0n, count: 0xffffffff })).data.length;
      expect(11 + listed).toBeLessThan(MSIZE);
      expect(listed).toBeGreaterThan(MSIZE / 2);
    });
  });
});

describe('Rlerror vs Rerror', () => {
  test.each<[string, '9P2000.L' | '9P2000.u' | '9P2000', Answer, string]>([
    ['.L: Rlerror', '9P2000.L', ['Rlerror', { ecode: 13 }], 'EACCES'],
    ['.L: type 107 with a number', '9P2000.L', ['Rerror', { ename: '', ecode: 13 }], 'EACCES'],
    ['.u: the number', '9P2000.u', ['Rerror', { ename: 'whatever', ecode: 13 }], 'EACCES'],
    [
      '.u: the text where the number says EIO',
      '9P2000.u',
      ['Rerror', { ename: 'no such file or directory', ecode: 5 }],
      'ENOENT',
    ],
    [
      '.u: the text where the number says EINVAL',
      '9P2000.u',
      ['Rerror', { ename: 'file already exists', ecode: 22 }],
      'EEXIST',
    ],
    [
      '.u: the text where the number is none',
      '9P2000.u',
      ['Rerror', { ename: 'permission denied', ecode: 0 }],
      'EACCES',
    ],
    [
      '.u: the text where the number is no errno',
      '9P2000.u',
      ['Rerror', { ename: 'permission denied', ecode: 512 }],
      'EACCES',
    ],
    ['.u: the number where nobody knows the text', '9P2000.u', ['Rerror', { ename: 'a sneeze', ecode: 22 }], 'EINVAL'],
    ['9P2000: the text', '9P2000', ['Rerror', { ename: 'directory is not empty', ecode: 0 }], 'ENOTEMPTY'],
    ['9P2000: a text that nobody knows', '9P2000', ['Rerror', { ename: 'a sneeze', ecode: 0 }], 'EIO'],
  ])('Rlerror vs Rerror: %s', async (_what, version, answer, code) => {
    const { session } = await speaking(version, ({ type }) => (type === 'Twalk' ? answer : undefined));
    const root = await session.dialect.attach('me', '', 0);
    await expect(session.dialect.walk(root, ['a'])).rejects.toMatchObject({ code });
    await expectIdle(session.connection, 1);
  });
});

test.each([
  [0, 'EPROTO'],
  [4096, 'EPROTO'],
  [2 ** 31, 'EPROTO'],
  [61, 'ENODATA'],
  [39, 'ENOTEMPTY'],
  [35, 'EDEADLK'],
])(
  "Error numbers: %i of .L is Linux's %s, whatever the host is, and what is none is the server's fault",
  async (ecode, code) => {
    const { session } = await speaking('9P2000.L', ({ type }) =>
      type === 'Twalk' ? ['Rlerror', { ecode }] : undefined,
    );
    const root = await session.dialect.attach('me', '', 0);
    const error = await session.dialect.walk(root, ['a']).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ErrnoError);
    expect(error).toMatchObject({ code });
  },
);

test('Error numbers: what is an errno somewhere and none that the kernel takes is EIO to it', () => {
  expect([0, 511, 512, 4095, errno.ENOSYS].map(clampErrno)).toEqual([5, 511, 5, 5, errno.EOPNOTSUPP]);
});

test.each(['9P2000.L', '9P2000.u', '9P2000'] as const)(
  'NOTAG / NOFID / NONUNAME: in %s no request has NOTAG, an attach has no afid, and the number of the user where there is one',
  async (version) => {
    const { session, received, got } = await speaking(version);
    const root = await session.dialect.attach('somebody', '', 1234);
    await session.dialect.stat(root);
    expect(received.map(({ tag }) => tag)).not.toContain(NOTAG);
    expect(got('Tattach')).toMatchObject([
      { afid: NOFID, uname: 'somebody', nUname: version === '9P2000' ? NONUNAME : 1234 },
    ]);
    expect(got('Tattach')[0]?.fid).not.toBe(NOFID);
  },
);

test('Tgetlock: there are no flags between the type and the range', () => {
  const body = { fid: 1, kind: 1, start: 2n, length: 3n, procId: 4, clientId: 'ab' };
  const { head } = dotlCodec.encode('Tgetlock', 9, body);
  // size[4] type[1] tag[2] fid[4] type[1] start[8] length[8] proc_id[4] client_id[s]
  expect(head.length).toBe(7 + 4 + 1 + 8 + 8 + 4 + 2 + 2);
  expect(head[11]).toBe(1);
  expect(head.readBigUInt64LE(12)).toBe(2n);
});

describe('Tfsync', () => {
  test('Tfsync: the client says whether the data is enough', async () => {
    const { session, got } = await speaking('9P2000.L');
    const fid = await session.dialect.attach('me', '', 0);
    await session.dialect.fsync(fid, true);
    await session.dialect.fsync(fid, false);
    expect(got('Tfsync').map(({ datasync }) => datasync)).toEqual([1, 0]);
  });

  eachTree((t) => {
    test('Tfsync: the server takes one that ends before datasync, as old clients send it', async () => {
      const fid = await t.raw.create(0, 'file');
      const { head } = dotlCodec.encode('Tfsync', 99, { fid, datasync: 0 });
      const short = Buffer.from(head.subarray(0, head.length - 4));
      short.writeUInt32LE(short.length, 0);
      t.raw.bytes(short);
      expect((await t.raw.reply(99)).type).toBe('Rfsync');
      await t.raw.clunk(fid);
    });
  });
});

test('Tlopen flags: those of Linux in general, and none that is only the business of the client', async () => {
  const { session, got } = await speaking('9P2000.L');
  const { dialect } = session;
  const root = await dialect.attach('me', '', 0);
  const mine = OPEN.CREATE | OPEN.NOCTTY | OPEN.FASYNC | OPEN.DIRECT | OPEN.CLOEXEC | 0o40;
  const theirs = OPEN.RDWR | OPEN.DSYNC | OPEN.SYNC | OPEN.NONBLOCK | OPEN.APPEND | OPEN.NOATIME;
  await dialect.open(await dialect.walk(root, ['a']), theirs | mine);
  await dialect.create(await dialect.walk(root, []), 'b', OPEN.WRONLY | OPEN.EXCL | mine, 0o644, 0);
  expect(got('Tlopen')).toMatchObject([{ flags: theirs }]);
  expect(got('Tlcreate')).toMatchObject([{ flags: OPEN.WRONLY | OPEN.EXCL | OPEN.CREATE }]);
});

describe('mknod majors', () => {
  test('mknod majors: two numbers in .L', async () => {
    const { session, got } = await speaking('9P2000.L');
    const root = await session.dialect.attach('me', '', 0);
    await session.dialect.mknod(root, 'dev', 0o020600, 259, 70_000, 0);
    expect(got('Tmknod')).toMatchObject([{ major: 259, minor: 70_000, mode: 0o020600 }]);
  });

  test.each([
    [0o020600, 'c 259 70000'],
    [0o060600, 'b 259 70000'],
  ])('mknod majors: in .u mode 0%o has the text %s', async (mode, extension) => {
    const { session, got } = await speaking('9P2000.u');
    const root = await session.dialect.attach('me', '', 0);
    await session.dialect.mknod(root, 'dev', mode, 259, 70_000, 0);
    expect(got('Tcreate')).toMatchObject([{ extension, perm: (DM.DEVICE | 0o600) >>> 0 }]);
  });

  test('mknod majors: and of the text, the one number of stat', async () => {
    const { session } = await speaking('9P2000.u', ({ type }) =>
      type === 'Tstat'
        ? ['Rstat', { stat: { ...stat, mode: (DM.DEVICE | 0o600) >>> 0, extension: 'c 259 70000' } }]
        : undefined,
    );
    const root = await session.dialect.attach('me', '', 0);
    // new_encode_dev of include/linux/kdev_t.h
    const rdev = (70_000 & 0xff) | (259 << 8) | ((70_000 & ~0xff) << 12);
    expect(await session.dialect.stat(root)).toMatchObject({ rdev: rdev >>> 0, mode: 0o020600 });
  });
});

test.each([
  ['the target of a symlink', DM.SYMLINK, 'a/target', { mode: 0o120644, size: 8, nlink: 1 }],
  ['a device', DM.DEVICE, 'b 8 1', { mode: 0o060644, rdev: 0x801, nlink: 1 }],
  ['how many links there are', 0, 'HARDLINKCOUNT 3', { mode: 0o100644, nlink: 3, size: 5 }],
  ['nothing that anybody knows', 0, 'HARDLINKCOUNT -3', { mode: 0o100644, nlink: 1, size: 5 }],
])('.u extension string: %s', async (_what, mode, extension, shown) => {
  const { session } = await speaking('9P2000.u', ({ type }) =>
    type === 'Tstat' ? ['Rstat', { stat: { ...stat, mode: (mode | 0o644) >>> 0, extension } }] : undefined,
  );
  const root = await session.dialect.attach('me', '', 0);
  expect(await session.dialect.stat(root)).toMatchObject(shown);
});

describe('wstat "don\'t touch"', () => {
  test('wstat "don\'t touch": an fsync touches nothing, a rename the name only, a chmod the mode only', async () => {
    const { session, got } = await speaking('9P2000', ({ type }) =>
      type === 'Tstat' ? ['Rstat', { stat: { ...stat, mode: (DM.DIR | DM.APPEND | 0o755) >>> 0 } }] : undefined,
    );
    const { dialect } = session;
    const root = await dialect.attach('me', '', 0);
    await dialect.fsync(root, false);
    await dialect.rename(root, 'a', root, 'b');
    await dialect.change(root, { mode: 0o700 });
    const said = got('Twstat').map((message) => message.stat);
    // DMDIR stays, and DMAPPEND: without it the server would be asked to make a file of the directory
    const mode = (DM.DIR | DM.APPEND | 0o700) >>> 0;
    expect(said).toEqual([UNTOUCHED, { ...UNTOUCHED, name: 'b' }, { ...UNTOUCHED, mode }]);
  });

  test('wstat "don\'t touch": a rename leads to another directory never', async () => {
    const { session, got } = await speaking('9P2000.u');
    const { dialect } = session;
    const root = await dialect.attach('me', '', 0);
    const dir = await dialect.walk(root, ['d']);
    await expect(dialect.rename(root, 'a', dir, 'a')).rejects.toMatchObject({ code: 'EXDEV' });
    expect(got('Twstat')).toEqual([]);
  });
});
