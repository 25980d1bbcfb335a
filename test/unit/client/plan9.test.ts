// What the dialects 9P2000.u and 9P2000 make of a file operation: which messages, in which steps, and what a stat means.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Accounts } from '../../../src/client/accounts.ts';
import type { Connection } from '../../../src/client/connection.ts';
import type { Dialect } from '../../../src/client/dialects/dialect.ts';
import type { Version } from '../../../src/client/dialects/versions.ts';
import type { Fid } from '../../../src/client/fids.ts';
import { Session } from '../../../src/client/session.ts';
import { Abort } from '../../../src/common/abort.ts';
import { errno } from '../../../src/common/errno.ts';
import { DM, NONUNAME, OMODE, OPEN, QT } from '../../../src/wire/p9/constants.ts';
import { type Stat, UNTOUCHED } from '../../../src/wire/p9/stat.ts';
import { expectCancelled, expectIdle, expectNothingAfterEnd } from '../../support/leaks.ts';
import { qid, type Scripted, scripted } from '../../support/scripted.ts';

const folder = mkdtempSync(join(tmpdir(), 'ninefs-accounts-'));
const files = { passwd: join(folder, 'passwd'), group: join(folder, 'group') };
writeFileSync(files.passwd, 'glenda:x:1001:100::/:/bin/rc\nbootes:x:1002:100::/:/bin/rc\n');
writeFileSync(files.group, 'sys:x:200:glenda\n');
afterAll(() => rmSync(folder, { recursive: true }));

let client: Connection;
let server: Scripted;
let dialect: Dialect;
let root: Fid;

/** A session whose first Twstat has shown what it is to show (plan9-wstat.test.ts). */
async function begin(version: Version): Promise<void> {
  ({ client, server } = await scripted({ version }));
  ({ dialect } = new Session(client, new Accounts(files)));
  const attaching = dialect.attach('glenda', '', 1001);
  const { tag } = await server.next('Tattach');
  server.reply(tag, 'Rattach', { qid: directory });
  root = await attaching;
  const cloning = dialect.walk(root, []);
  await clones();
  const fid = await cloning;
  const syncing = dialect.fsync(fid, false);
  await shows({});
  await wstats();
  await shows({});
  await syncing;
  client.fids.close(fid);
  await clunks();
}

const directory = { type: QT.DIR, version: 0, path: 1n };
const file: Stat = {
  type: 0,
  dev: 0,
  qid,
  mode: 0o640,
  atime: 10,
  mtime: 20,
  length: 700,
  name: 'f',
  uid: 'glenda',
  gid: 'sys',
  muid: '',
  extension: '',
  nUid: NONUNAME,
  nGid: NONUNAME,
  nMuid: NONUNAME,
};

afterEach(async () => {
  vi.useRealTimers();
  await expectNothingAfterEnd(client);
});

/** The server's answer to the next Tstat. */
const shows = (stat: Partial<Stat>) => server.serve('Tstat', 'Rstat', { stat: { ...file, ...stat } });
const refuses = (ename: string, ecode = 0) => ({ ename, ecode });
/** How a call ends: the code of its error, or 'done'. */
const endOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'done',
    (error: { code: string }) => error.code,
  );
const walks = (type = 0) => server.serve('Twalk', 'Rwalk', { qids: [{ ...qid, type }] });
const clones = () => server.serve('Twalk', 'Rwalk', { qids: [] });
const clunks = () => server.serve('Tclunk', 'Rclunk', {});
const creates = (type = 0) => server.serve('Tcreate', 'Rcreate', { qid: { ...qid, type }, iounit: 0 });
const wstats = () => server.serve('Twstat', 'Rwstat', {});

describe.each<Version>(['9P2000.u', '9P2000'])('%s', (version) => {
  beforeEach(() => begin(version));

  test('a file has the attributes that its stat has, and blocks for its length', async () => {
    const looking = dialect.stat(root);
    await shows({});
    expect(await looking).toMatchObject({
      mode: 0o100640,
      size: 700,
      blocks: 2,
      nlink: 1,
      uid: 1001,
      gid: 200,
      atime: 10,
      mtime: 20,
      ctime: 20,
    });
  });

  test.each([
    ['4321', 4321],
    ['nobody-here', NONUNAME],
    ['', NONUNAME],
    ['4294967295', NONUNAME],
    ['12345678901', NONUNAME],
  ])('an owner called %j is %i', async (uid, number) => {
    const looking = dialect.stat(root);
    await shows({ uid, gid: uid });
    expect(await looking).toMatchObject({ uid: number, gid: number });
  });

  test('a length of -1 is none', async () => {
    const looking = dialect.stat(root);
    await shows({ length: -1 });
    expect(await looking).toMatchObject({ size: 0, blocks: 0 });
  });

  test('chmod keeps what the file is, and asks for it where it is not known', async () => {
    const changing = dialect.change(root, { mode: 0o600 });
    await shows({ mode: DM.DIR + DM.APPEND + DM.EXCL + DM.TMP + 0o755 });
    const { stat } = await wstats();
    await changing;
    expect(stat).toEqual({ ...UNTOUCHED, mode: DM.DIR + DM.APPEND + DM.EXCL + DM.TMP + 0o600 });
    const again = dialect.change(root, { mode: 0o644 });
    expect((await wstats()).stat.mode).toBe(DM.DIR + DM.APPEND + DM.EXCL + DM.TMP + 0o644);
    await again;
    await expectIdle(client, 1);
  });

  test('what is not to be changed is left alone, and times are whole seconds of the range there is', async () => {
    const changing = dialect.change(root, { size: 5, atime: { sec: -7, nsec: 9 }, mtime: { sec: 2 ** 33, nsec: 0 } });
    const { stat } = await wstats();
    await changing;
    expect(stat).toEqual({ ...UNTOUCHED, length: 5, atime: 0, mtime: 0xfffffffe });
  });

  test('fsync is a Twstat that changes nothing', async () => {
    const syncing = dialect.fsync(root, false);
    expect((await wstats()).stat).toEqual(UNTOUCHED);
    await syncing;
  });

  test.each([
    [OPEN.RDONLY, OMODE.READ],
    [OPEN.WRONLY | OPEN.TRUNC, OMODE.WRITE | OMODE.TRUNC],
    [OPEN.RDWR | OPEN.NONBLOCK | OPEN.LARGEFILE, OMODE.RDWR],
    [OPEN.ACCMODE, OMODE.RDWR],
  ])('open(2) with 0%o is Topen with %i', async (flags, mode) => {
    const opening = dialect.open(root, flags);
    expect((await server.serve('Topen', 'Ropen', { qid, iounit: 4096 })).mode).toBe(mode);
    await opening;
    expect(root.iounit).toBe(4096);
  });

  test('what may only be executed is opened to be executed', async () => {
    const opening = dialect.open(root, 0o40);
    await server.serve('Topen', 'Rerror', refuses('permission denied', errno.EACCES));
    expect((await server.serve('Topen', 'Ropen', { qid, iounit: 0 })).mode).toBe(OMODE.EXEC);
    await opening;
  });

  test('a file that turns up while it is created is opened, unless it was to be new', async () => {
    const clone = dialect.walk(root, []);
    await clones();
    const fid = await clone;
    const creating = dialect.create(fid, 'f', OPEN.RDWR | OPEN.TRUNC, 0o644, 0);
    const asked = await server.serve('Tcreate', 'Rerror', refuses('file already exists', errno.EEXIST));
    expect(asked).toMatchObject({ name: 'f', perm: 0o644, mode: OMODE.RDWR, extension: '' });
    const { fid: from, newfid } = await walks();
    expect(newfid).toBe(from);
    expect((await server.serve('Topen', 'Ropen', { qid, iounit: 0 })).mode).toBe(OMODE.RDWR | OMODE.TRUNC);
    await creating;

    const exclusive = endOf(dialect.create(fid, 'f', OPEN.RDWR | OPEN.EXCL, 0o644, 0));
    await server.serve('Tcreate', 'Rerror', refuses('file already exists', errno.EEXIST));
    expect(await exclusive).toBe('EEXIST');
  });

  test('mkdir goes through a clone, which is clunked whatever comes', async () => {
    const making = dialect.mkdir(root, 'd', 0o750, 0);
    await clones();
    expect(await creates(QT.DIR)).toMatchObject({ perm: DM.DIR + 0o750, mode: OMODE.READ });
    await clunks();
    await making;
    const failing = endOf(dialect.mkdir(root, 'd', 0o750, 0));
    await clones();
    await server.serve('Tcreate', 'Rerror', refuses('file exists', errno.EEXIST));
    await clunks();
    expect(await failing).toBe('EEXIST');
    await expectIdle(client, 1);
  });

  test.each([
    [true, 0, 'ENOTDIR'],
    [false, QT.DIR, 'EISDIR'],
  ])('unlink with directory %s of the other kind is refused here', async (asDirectory, type, code) => {
    const removing = endOf(dialect.unlink(root, 'x', asDirectory));
    await walks(type);
    await clunks();
    expect(await removing).toBe(code);
    await expectIdle(client, 1);
  });

  test('rename is a Twstat of the name, within a directory', async () => {
    const renaming = dialect.rename(root, 'a', root, 'b');
    await walks();
    expect((await wstats()).stat).toEqual({ ...UNTOUCHED, name: 'b' });
    await clunks();
    await renaming;
    const clone = dialect.walk(root, []);
    await clones();
    await expect(dialect.rename(root, 'a', await clone, 'b')).rejects.toMatchObject({ code: 'EXDEV' });
  });

  describe('rename over a file, which the server refuses to replace', () => {
    const named = (path: bigint, type = 0) => server.serve('Twalk', 'Rwalk', { qids: [{ ...qid, path, type }] });

    async function begun(type = 0, target = type, signal?: Abort): Promise<{ end: Promise<string> }> {
      const end = endOf(dialect.rename(root, 'a', root, 'b', signal));
      await named(10n, type);
      await server.serve('Twstat', 'Rerror', refuses('file already exists', errno.EEXIST));
      await named(11n, target);
      return { end };
    }

    test('moves it aside, and removes it when the other has its name', async () => {
      const { end } = await begun();
      const aside = await server.serve('Twstat', 'Rwstat', {});
      expect(aside.stat.name).toMatch(/^\.ninefs-/);
      expect((await wstats()).stat.name).toBe('b');
      const removed = await server.serve('Tremove', 'Rremove', {});
      expect(removed.fid).toBe(aside.fid);
      await clunks();
      expect(await end).toBe('done');
      await expectIdle(client, 1);
    });

    test('puts it back when the rename fails all the same', async () => {
      const { end } = await begun();
      const aside = await wstats();
      await server.serve('Twstat', 'Rerror', refuses('permission denied', errno.EACCES));
      const back = await wstats();
      expect({ fid: back.fid, name: back.stat.name }).toEqual({ fid: aside.fid, name: 'b' });
      await clunks();
      await clunks();
      expect(await end).toBe('EACCES');
      await expectIdle(client, 1);
    });

    test('is not aborted in the middle, but given up in the end, and then puts it back as well', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
      const abort = new Abort();
      const { end } = await begun(0, 0, abort);
      const aside = await wstats();
      const { tag } = await server.next('Twstat');
      abort.abort({ dying: false });
      vi.advanceTimersByTime(client.flushTimeout - 1);
      await server.quiet();
      vi.advanceTimersByTime(1);
      expect((await server.serve('Tflush', 'Rflush', {})).oldtag).toBe(tag);
      const back = await wstats();
      expect({ fid: back.fid, name: back.stat.name }).toEqual({ fid: aside.fid, name: 'b' });
      await clunks();
      await clunks();
      // as if it had never begun
      expect(await end).toBe('EINTR');
      await expectIdle(client, 1);
    });

    test.each([
      [QT.DIR, 0, 'ENOTDIR'],
      [0, QT.DIR, 'EISDIR'],
    ])('refuses kinds that differ (%i over %i)', async (type, target, code) => {
      const { end } = await begun(type, target);
      await clunks();
      await clunks();
      expect(await end).toBe(code);
      await expectIdle(client, 1);
    });

    test('removes an empty directory first, and leaves one that is not', async () => {
      const { end } = await begun(QT.DIR);
      await named(11n, QT.DIR);
      await server.serve('Tremove', 'Rerror', refuses('directory not empty', errno.ENOTEMPTY));
      await clunks();
      await clunks();
      await clunks();
      expect(await end).toBe('ENOTEMPTY');
      await expectIdle(client, 1);
    });
  });

  test('there is no statfs, there are no locks and no extended attributes', async () => {
    const lock = { kind: 0, start: 0n, end: 1n, procId: 1, clientId: 'c' };
    await expect(dialect.statfs(root)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
    await expect(dialect.lock(root, lock)).rejects.toMatchObject({ code: 'ENOLCK' });
    await expect(dialect.getlock(root, lock)).rejects.toMatchObject({ code: 'ENOLCK' });
    await expect(dialect.getxattr(root, 'user.a')).rejects.toMatchObject({ code: 'ENOSYS' });
    await expect(dialect.setxattr(root, 'user.a', new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'ENOSYS' });
    await expect(dialect.removexattr(root, 'user.a')).rejects.toMatchObject({ code: 'ENOSYS' });
    await server.quiet();
  });

  test('an aborted step is flushed, and leaves no fid', async () => {
    const abort = new Abort();
    const making = dialect.mkdir(root, 'd', 0o755, 0, abort);
    await clones();
    await server.next('Tcreate');
    abort.abort();
    await server.serve('Tflush', 'Rflush', {});
    await expectCancelled(making);
    await clunks();
    await expectIdle(client, 1);
  });
});

describe('9P2000.u', () => {
  beforeEach(() => begin('9P2000.u'));

  test('numbers count before names', async () => {
    const looking = dialect.stat(root);
    await shows({ nUid: 5, nGid: 6 });
    expect(await looking).toMatchObject({ uid: 5, gid: 6 });
  });

  test.each([
    ['a symlink, as long as its target', DM.SYMLINK + 0o777, 'tärget', { mode: 0o120777, size: 7, rdev: 0 }],
    ['a character device', DM.DEVICE + 0o600, 'c 1 3', { mode: 0o020600, rdev: 0x103 }],
    ['a block device with a large minor', DM.DEVICE + 0o600, 'b 8 300', { mode: 0o060600, rdev: 0x10082c }],
    ['a device of no known kind', DM.DEVICE + 0o600, 'what?', { mode: 0o100600, rdev: 0 }],
    ['a FIFO', DM.NAMEDPIPE + 0o644, '', { mode: 0o010644 }],
    ['a socket', DM.SOCKET + 0o644, '', { mode: 0o140644 }],
    ['a setuid program', DM.SETUID + 0o755, '', { mode: 0o104755 }],
    ['a sticky directory', DM.DIR + DM.SETVTX + DM.SETGID + 0o777, '', { mode: 0o043777 }],
    ['a file with links', 0o644, 'HARDLINKCOUNT 3', { mode: 0o100644, nlink: 3 }],
    ['a file with links, as v9fs has it', 0o644, 'HARDLINKCOUNT3', { nlink: 3 }],
  ])('%s is understood', async (_what, mode, extension, attributes) => {
    const looking = dialect.stat(root);
    await shows({ mode, extension });
    expect(await looking).toMatchObject(attributes);
  });

  test('chmod and chown are numbers and bits', async () => {
    const looking = dialect.stat(root);
    await shows({ mode: DM.SETUID + 0o755 });
    await looking;
    const changing = dialect.change(root, { mode: 0o2750, uid: 7, gid: 8 });
    expect((await wstats()).stat).toEqual({ ...UNTOUCHED, mode: DM.SETGID + 0o750, nUid: 7, nGid: 8 });
    await changing;
  });

  test.each([
    ['a symlink', () => dialect.symlink(root, 'x', 'to', 0), DM.SYMLINK + 0o777, 'to'],
    ['a FIFO', () => dialect.mknod(root, 'x', 0o010640, 0, 0, 0), DM.NAMEDPIPE + 0o640, ''],
    ['a socket', () => dialect.mknod(root, 'x', 0o140640, 0, 0, 0), DM.SOCKET + 0o640, ''],
    ['a device', () => dialect.mknod(root, 'x', 0o060640, 8, 300, 0), DM.DEVICE + 0o640, 'b 8 300'],
    ['a file', () => dialect.mknod(root, 'x', 0o4640, 0, 0, 0), DM.SETUID + 0o640, ''],
  ])('%s is made by its extension', async (_what, make, perm, extension) => {
    const making = make();
    await clones();
    expect(await creates()).toMatchObject({ name: 'x', perm, extension });
    await clunks();
    await making;
    await expectIdle(client, 1);
  });

  test('a hard link names the fid of its target, which is held meanwhile', async () => {
    const walking = dialect.walk(root, ['f']);
    await walks();
    const target = await walking;
    const linking = dialect.link(root, target, 'l');
    await clones();
    const asked = await server.next('Tcreate');
    client.fids.close(target);
    await server.quiet();
    expect(asked).toMatchObject({ perm: DM.LINK, extension: String(target.number) });
    server.reply(asked.tag, 'Rcreate', { qid, iounit: 0 });
    await clunks();
    await clunks();
    await linking;
    await expectIdle(client, 1);
  });

  test('readlink is the extension, of a symlink', async () => {
    const reading = dialect.readlink(root);
    await shows({ mode: DM.SYMLINK + 0o777, extension: '../to' });
    expect(await reading).toBe('../to');
    const failing = dialect.readlink(root);
    await shows({ extension: 'HARDLINKCOUNT 2' });
    await expect(failing).rejects.toMatchObject({ code: 'EINVAL' });
  });

  test('the words count where the number is one that stands for any error', async () => {
    const walking = endOf(dialect.walk(root, ['x']));
    await server.serve('Twalk', 'Rerror', refuses('open /tmp/x: no such file or directory', errno.EIO));
    expect(await walking).toBe('ENOENT');
    const again = endOf(dialect.walk(root, ['x']));
    await server.serve('Twalk', 'Rerror', refuses('no such file or directory', errno.ELOOP));
    expect(await again).toBe('ELOOP');
    await expectIdle(client, 1);
  });

  test('O_APPEND is said', async () => {
    const opening = dialect.open(root, OPEN.WRONLY | OPEN.APPEND);
    expect((await server.serve('Topen', 'Ropen', { qid, iounit: 0 })).mode).toBe(OMODE.WRITE | OMODE.APPEND);
    await opening;
  });
});

describe('9P2000', () => {
  beforeEach(() => begin('9P2000'));

  test('owners are changed by name, or by number where there is none', async () => {
    const changing = dialect.change(root, { uid: 1002, gid: 77 });
    expect((await wstats()).stat).toEqual({ ...UNTOUCHED, uid: 'bootes', gid: '77' });
    await changing;
  });

  test('setuid and its like are left out', async () => {
    const looking = dialect.stat(root);
    await shows({});
    await looking;
    const changing = dialect.change(root, { mode: 0o7751 });
    expect((await wstats()).stat).toEqual({ ...UNTOUCHED, mode: 0o751 });
    await changing;
  });

  test('links and special files are refused here', async () => {
    await expect(dialect.symlink(root, 's', 't', 0)).rejects.toMatchObject({ code: 'EPERM' });
    await expect(dialect.link(root, root, 'l')).rejects.toMatchObject({ code: 'EPERM' });
    await expect(dialect.mknod(root, 'p', 0o010644, 0, 0, 0)).rejects.toMatchObject({ code: 'EPERM' });
    await expect(dialect.readlink(root)).rejects.toMatchObject({ code: 'EINVAL' });
    await server.quiet();
  });

  test('what is wrong is said in words', async () => {
    const walking = dialect.walk(root, ['x']);
    await server.serve('Twalk', 'Rerror', refuses("'x' file does not exist"));
    await expect(walking).rejects.toMatchObject({
      code: 'ENOENT',
      message: 'Twalk: "\'x\' file does not exist": ENOENT',
    });
    const again = endOf(dialect.walk(root, ['x']));
    await server.serve('Twalk', 'Rerror', refuses('the cat has it'));
    expect(await again).toBe('EIO');
    await expectIdle(client, 1);
  });
});
