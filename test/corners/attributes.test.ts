// Corners of the protocol: attributes, what is asked for, what is believed, and what is made of numbers out of range.

import { describe, expect, test } from 'vitest';
import { ROOT } from '../../src/bridge/nodes/node.ts';
import { errno } from '../../src/common/errno.ts';
import { GETATTR, QT, SETATTR } from '../../src/wire/p9/constants.ts';
import type { Body } from '../../src/wire/p9/messages.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
import { getattr } from '../support/scripted.ts';

const stage = bridgeStage();
const { answer, got, lookup, open, refuse } = stage;

describe('getattr mask', () => {
  test('getattr mask: what stat(2) shows is asked for, and no more', async () => {
    await lookup('file');
    for (const { mask } of got('Tgetattr')) expect(mask).toBe(GETATTR.BASIC);
  });

  test('getattr mask: of the answer only that is believed for which it vouches', async () => {
    const junk: Body<'Rgetattr'> = {
      ...{
        ...getattr,
        qid: { type: QT.DIR, version: 0, path: 9n },
        mode: 0o100000,
        nlink: 77,
        uid: 7,
        gid: 7,
        rdev: 7,
      },
      ...{ size: 1025, blksize: 7, blocks: 7, atime: 7, atimeNsec: 7, mtime: 5, mtimeNsec: 6, ctime: 7, ctimeNsec: 7 },
    };
    answer({ Tgetattr: (message) => stage.at.files.say(message, { ...junk, valid: GETATTR.SIZE | GETATTR.MTIME }) });
    const { attr } = (await stage.at.ops.lookup(caller(), ROOT, 'dir')) as { attr: object };
    expect(attr).toMatchObject({
      nlink: 1,
      uid: 0,
      gid: 0,
      rdev: 0,
      size: 1025,
      blocks: 3,
      mtime: 5,
      mtimeNsec: 6,
    });
    expect(attr).toMatchObject({ mode: 0o040777, atime: 5, atimeNsec: 6, ctime: 5, ctimeNsec: 6 });
  });

  test('getattr mask: a kind that nobody vouches for is that of the qid, and times are as old as the file', async () => {
    const qid = { type: QT.SYMLINK, version: 0, path: 9n };
    answer({ Tgetattr: (message) => stage.at.files.say(message, { ...getattr, qid, valid: 0, mtime: 99, size: 99 }) });
    const { attr } = (await stage.at.ops.lookup(caller(), ROOT, 'link')) as { attr: object };
    expect(attr).toMatchObject({ mode: 0o120777, size: 0, blocks: 0, mtime: 0, atime: 0, ctime: 0 });
  });
});

test('setattr time bits: a time that is now has no value, one that is given has its bit beside', async () => {
  const file = await lookup('file');
  await stage.at.ops.setattr(caller(), file, { atime: 'now', mtime: 'now' });
  await stage.at.ops.setattr(caller(), file, { atime: { sec: -1, nsec: 5 } });
  await stage.at.ops.setattr(caller(), file, { atime: 'now', mtime: { sec: 2 ** 33, nsec: 6 } });
  const { ATIME, MTIME, ATIME_SET, MTIME_SET } = SETATTR;
  expect(got('Tsetattr')).toMatchObject([
    { valid: ATIME | MTIME },
    { valid: ATIME | ATIME_SET, atime: -1, atimeNsec: 5 },
    { valid: ATIME | MTIME | MTIME_SET, mtime: 2 ** 33, mtimeNsec: 6 },
  ]);
});

describe('setattr via fid', () => {
  test('setattr via fid: of an open file it names the open fid', async () => {
    const file = await lookup('file');
    const fh = await open(file);
    await stage.at.ops.setattr(caller(), file, { size: 3, fh });
    expect(got('Tsetattr').map(({ fid }) => fid)).toEqual(got('Tlopen').map(({ fid }) => fid));
  });

  test('setattr via fid: while open fids may be paths, it names one that was walked to, and whose qid was compared', async () => {
    await stage.again({}, { settled: false });
    const file = await lookup('file');
    const fh = await open(file);
    await stage.at.ops.setattr(caller(), file, { size: 3, fh });
    const [set] = got('Tsetattr');
    expect(set?.fid).toBe(got('Twalk').at(-1)?.newfid);
    expect(set?.fid).not.toBe(got('Tlopen')[0]?.fid);
  });

  test('setattr via fid: a right that only the open fid has is used when that still shows the file', async () => {
    await stage.again({}, { settled: false });
    const file = await lookup('file');
    const fh = await open(file);
    const [mine] = got('Tlopen').map(({ fid }) => fid);
    answer({ Tsetattr: (message) => message.fid !== mine && refuse(errno.EACCES)(message) });
    await stage.at.ops.setattr(caller(), file, { size: 3, fh });
    expect(got('Tsetattr').map(({ fid }) => fid === mine)).toEqual([false, true]);
    const { qid } = stage.at.bridge.nodes.get(file).stat;
    answer({
      Tsetattr: (message) => message.fid !== mine && refuse(errno.EACCES)(message),
      Tgetattr: (message) =>
        message.fid === mine && stage.at.files.say(message, { ...getattr, qid: { ...qid, path: 99n } }),
    });
    await expect(stage.at.ops.setattr(caller(), file, { size: 4, fh })).rejects.toMatchObject({ code: 'EACCES' });
    expect(got('Tsetattr').filter(({ fid }) => fid === mine)).toHaveLength(1);
  });

  test('setattr via fid: a file without a name goes through one that has it open', async () => {
    const file = await lookup('file');
    await open(file);
    await stage.at.ops.unlink(caller(), ROOT, 'file');
    await stage.at.ops.setattr(caller(), file, { mode: 0o600 });
    expect(got('Tsetattr').map(({ fid }) => fid)).toEqual(got('Tlopen').map(({ fid }) => fid));
  });
});

describe('statfs', () => {
  test.each([errno.EOPNOTSUPP, errno.ENOSYS])(
    'statfs: a server that answers errno %i has room, and says so',
    async (ecode) => {
      answer({ Tstatfs: refuse(ecode) });
      const stat = await stage.at.ops.statfs(caller(), ROOT);
      for (const [name, value] of Object.entries(stat)) expect([name, value > 0]).toEqual([name, true]);
    },
  );

  test('statfs: one that answers zeros does as well', async () => {
    const none = { fsType: 0, bsize: 0, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, fsid: 0n, namelen: 0 };
    answer({ Tstatfs: (message) => stage.at.files.say(message, none) });
    const stat = await stage.at.ops.statfs(caller(), ROOT);
    for (const [name, value] of Object.entries(stat)) expect([name, value > 0]).toEqual([name, true]);
  });

  test('statfs: blocks of one byte are shown as larger ones, and a full disk as full', async () => {
    const full = {
      fsType: 1,
      bsize: 1,
      blocks: 81_920,
      bfree: 0,
      bavail: 0,
      files: 9,
      ffree: 0,
      fsid: 0n,
      namelen: 99,
    };
    answer({ Tstatfs: (message) => stage.at.files.say(message, full) });
    const shown = { bsize: 4096, frsize: 4096, blocks: 20, bavail: 0, namelen: 99 };
    expect(await stage.at.ops.statfs(caller(), ROOT)).toMatchObject(shown);
  });
});

describe('timestamps', () => {
  test('timestamps: 64 bits of a hostile server, and nanoseconds that are none, are brought into range', async () => {
    answer({
      Tgetattr: (message) =>
        stage.at.files.say(message, {
          ...getattr,
          qid: { type: 0, version: 0, path: 9n },
          atime: Number.MAX_SAFE_INTEGER,
          atimeNsec: Number.MAX_SAFE_INTEGER,
          mtime: -Number.MAX_SAFE_INTEGER,
          mtimeNsec: 1_000_000_000,
        }),
    });
    const { attr } = (await stage.at.ops.lookup(caller(), ROOT, 'file')) as {
      attr: { atimeNsec: number; atime: number; mtime: number; mtimeNsec: number };
    };
    expect(attr.atimeNsec).toBeLessThan(1_000_000_000);
    expect(attr).toMatchObject({ atime: Number.MAX_SAFE_INTEGER, mtime: -Number.MAX_SAFE_INTEGER, mtimeNsec: 0 });
  });
});
