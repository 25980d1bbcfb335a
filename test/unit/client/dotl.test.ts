// What the .L dialect makes of a file operation: which messages, in which steps, and what instead where a server has none
// of it.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Dialect, ListedDirent } from '../../../src/client/dialects/dialect.ts';
import { DotL } from '../../../src/client/dialects/dotl.ts';
import { Abort } from '../../../src/common/abort.ts';
import { errno } from '../../../src/common/errno.ts';
import { ProtocolError } from '../../../src/common/errors.ts';
import { Writer } from '../../../src/common/writer.ts';
import { OPEN, QT, SETATTR } from '../../../src/wire/p9/constants.ts';
import { writeDirent } from '../../../src/wire/p9/types.ts';
import { expectCancelled, expectEnded, expectIdle, expectNothingAfterEnd } from '../../support/leaks.ts';
import { keepingLogger } from '../../support/notes.ts';
import { type Attached, attached, getattr, qid, type ScriptedOptions } from '../../support/scripted.ts';

let { client, server, root } = {} as Attached;
let dialect: Dialect;

async function begin(options: ScriptedOptions = {}): Promise<void> {
  client?.close();
  const made = await attached(options);
  ({ client, server, root } = made);
  dialect = new DotL(made.calls);
}

beforeEach(() => begin());
afterEach(() => expectNothingAfterEnd(client));

const qidsOf = (names: readonly string[]) => names.map((_name, i) => ({ ...qid, path: BigInt(i) }));
const numbered = (count: number, name = 'd') => Array.from({ length: count }, (_, i) => `${name}${i}`);

describe('walk', () => {
  test('goes sixteen names at a time: the first step makes the fid, the others move it', async () => {
    const names = numbered(40);
    const walking = dialect.walk(root, names);
    const first = await server.next('Twalk');
    server.reply(first.tag, 'Rwalk', { qids: qidsOf(first.names) });
    expect(first.names).toEqual(names.slice(0, 16));
    for (const part of [names.slice(16, 32), names.slice(32)]) {
      const { fid, newfid, names: asked } = await server.serve('Twalk', 'Rwalk', { qids: qidsOf(part) });
      expect({ fid, newfid, asked }).toEqual({ fid: first.newfid, newfid: first.newfid, asked: part });
    }
    const fid = await walking;
    expect(fid).toMatchObject({ number: first.newfid, qid: { path: 7n } });
    await expectIdle(client, 2);
  });

  test('counts the bytes that names have on the wire, where they are not UTF-8 too', async () => {
    // sixteen names of 253 bytes and their lengths fit, behind 17 bytes of head
    await begin({ msize: 17 + 16 * (2 + 253) });
    const names = numbered(16, '\udcff'.repeat(251)).map((name) => name.slice(0, 253));
    const walking = dialect.walk(root, names);
    expect((await server.serve('Twalk', 'Rwalk', { qids: qidsOf(names) })).names).toEqual(names);
    await walking;
    await expectIdle(client, 2);
  });

  test('takes fewer names where msize cannot hold sixteen', async () => {
    await begin({ msize: 4096 });
    const names = numbered(16, 'n'.repeat(253));
    const walking = dialect.walk(root, names);
    const got: string[] = [];
    while (got.length < names.length) {
      const { tag, names: part } = await server.next('Twalk');
      got.push(...part);
      server.reply(tag, 'Rwalk', { qids: qidsOf(part) });
    }
    expect(got).toEqual(names);
    await walking;
    await expectIdle(client, 2);
  });

  test('of no names is a clone', async () => {
    const walking = dialect.walk(root, []);
    expect((await server.serve('Twalk', 'Rwalk', { qids: [] })).names).toEqual([]);
    expect((await walking).qid).toEqual(root.qid);
    await expectIdle(client, 2);
  });

  test.each([1, 2])('that ends in step %i before its last name is ENOENT and leaves no fid', async (steps) => {
    const names = numbered(16 * steps);
    const walking = dialect.walk(root, names);
    if (steps === 2) await server.serve('Twalk', 'Rwalk', { qids: qidsOf(names.slice(0, 16)) });
    await server.serve('Twalk', 'Rwalk', { qids: qidsOf(names.slice(0, 3)) });
    await expect(walking).rejects.toMatchObject({ code: 'ENOENT' });
    await server.serve('Tclunk', 'Rclunk', {});
    await expectIdle(client, 1);
  });

  test('that is refused in a later step leaves no fid', async () => {
    const walking = dialect.walk(root, numbered(20));
    await server.serve('Twalk', 'Rwalk', { qids: qidsOf(numbered(16)) });
    await server.serve('Twalk', 'Rlerror', { ecode: errno.EACCES });
    await expect(walking).rejects.toMatchObject({ code: 'EACCES' });
    await server.serve('Tclunk', 'Rclunk', {});
    await expectIdle(client, 1);
  });

  test('that is aborted in a later step leaves no fid', async () => {
    const abort = new Abort();
    const walking = dialect.walk(root, numbered(20), abort);
    await server.serve('Twalk', 'Rwalk', { qids: qidsOf(numbered(16)) });
    await server.next('Twalk');
    abort.abort();
    await server.serve('Tflush', 'Rflush', {});
    await expectCancelled(walking);
    await server.serve('Tclunk', 'Rclunk', {});
    await expectIdle(client, 1);
  });

  test('is tried once more after a shortage of fids, where some can be given up', async () => {
    const spare = dialect.walk(root, []);
    await server.serve('Twalk', 'Rwalk', { qids: [] });
    const fid = await spare;
    client.fids.onShortage = () => {
      client.fids.close(fid);
      return true;
    };
    const walking = dialect.walk(root, ['a']);
    await server.serve('Twalk', 'Rlerror', { ecode: errno.ERANGE });
    await server.serve('Tclunk', 'Rclunk', {});
    await server.serve('Twalk', 'Rlerror', { ecode: errno.ERANGE });
    await expect(walking).rejects.toMatchObject({ code: 'ERANGE' });
    await expectIdle(client, 1);
  });
});

describe('stat and change', () => {
  test('nanoseconds of a second or more are brought into range', async () => {
    const asking = dialect.stat(root);
    await server.serve('Tgetattr', 'Rgetattr', { ...getattr, mtime: 5, mtimeNsec: 1_000_000_007, size: 99 });
    expect(await asking).toMatchObject({ mtime: 5, mtimeNsec: 7, size: 99 });
    await expectIdle(client, 1);
  });

  test('only what is to change is marked, and a time that is now has no value', async () => {
    const changing = dialect.change(root, { size: 10, atime: 'now', mtime: { sec: 3, nsec: 4 } });
    const message = await server.serve('Tsetattr', 'Rsetattr', {});
    await changing;
    expect(message).toMatchObject({
      valid: SETATTR.SIZE | SETATTR.ATIME | SETATTR.MTIME | SETATTR.MTIME_SET,
      size: 10,
      atime: 0,
      mtime: 3,
      mtimeNsec: 4,
    });
    await expectIdle(client, 1);
  });
});

describe('open', () => {
  test('passes the flags that mean something to a server', async () => {
    const opening = dialect.open(
      root,
      OPEN.RDWR | OPEN.APPEND | OPEN.NONBLOCK | OPEN.CLOEXEC | OPEN.DIRECT | OPEN.CREATE,
    );
    const { flags } = await server.serve('Tlopen', 'Rlopen', { qid, iounit: 0 });
    await opening;
    expect(flags).toBe(OPEN.RDWR | OPEN.APPEND | OPEN.NONBLOCK);
    await expectIdle(client, 1);
  });

  test('truncates itself where the server has been seen not to', async () => {
    const opening = dialect.open(root, OPEN.WRONLY | OPEN.TRUNC);
    await server.serve('Tgetattr', 'Rgetattr', getattr);
    await server.serve('Tlopen', 'Rlopen', { qid, iounit: 0 });
    await server.serve('Tgetattr', 'Rgetattr', getattr);
    expect(await server.serve('Tsetattr', 'Rsetattr', {})).toMatchObject({ valid: SETATTR.SIZE, size: 0 });
    await opening;
    const again = dialect.open(root, OPEN.WRONLY | OPEN.TRUNC);
    await server.serve('Tlopen', 'Rlopen', { qid, iounit: 0 });
    await server.serve('Tsetattr', 'Rsetattr', {});
    await again;
    await expectIdle(client, 1);
  });

  test('looks no more where the server has been seen to truncate', async () => {
    const opening = dialect.open(root, OPEN.WRONLY | OPEN.TRUNC);
    await server.serve('Tgetattr', 'Rgetattr', getattr);
    await server.serve('Tlopen', 'Rlopen', { qid, iounit: 0 });
    await server.serve('Tgetattr', 'Rgetattr', { ...getattr, size: 0 });
    await opening;
    const again = dialect.open(root, OPEN.WRONLY | OPEN.TRUNC);
    await server.serve('Tlopen', 'Rlopen', { qid, iounit: 0 });
    await again;
    await expectIdle(client, 1);
  });
});

describe.each([errno.EOPNOTSUPP, errno.ENOSYS])('on a server that answers errno %i', (ecode) => {
  test('unlink becomes Tremove, from then on at once', async () => {
    const first = dialect.unlink(root, 'a', false);
    await server.serve('Tunlinkat', 'Rlerror', { ecode });
    const { newfid } = await server.serve('Twalk', 'Rwalk', { qids: [qid] });
    expect((await server.serve('Tremove', 'Rremove', {})).fid).toBe(newfid);
    await first;
    const second = dialect.unlink(root, 'd', true);
    await server.serve('Twalk', 'Rwalk', { qids: [{ ...qid, type: QT.DIR }] });
    await server.serve('Tremove', 'Rlerror', { ecode: errno.ENOTEMPTY });
    await expect(second).rejects.toMatchObject({ code: 'ENOTEMPTY' });
    await server.serve('Tclunk', 'Rlerror', { ecode: errno.EBADF });
    await expectIdle(client, 1);
  });

  test.each([
    ['a directory', QT.DIR, false, 'EISDIR'],
    ['a file', QT.FILE, true, 'ENOTDIR'],
  ])('unlink does not take %s for the other', async (_what, type, directory, code) => {
    const removing = dialect.unlink(root, 'a', directory);
    await server.serve('Tunlinkat', 'Rlerror', { ecode });
    await server.serve('Twalk', 'Rwalk', { qids: [{ ...qid, type }] });
    await expect(removing).rejects.toMatchObject({ code });
    await server.serve('Tclunk', 'Rclunk', {});
    await expectIdle(client, 1);
  });

  test('rename becomes Trename of a fid that is walked to only then', async () => {
    const first = dialect.rename(root, 'a', root, 'b');
    await server.serve('Trenameat', 'Rrenameat', {});
    await first;
    const second = dialect.rename(root, 'a', root, 'b');
    await server.serve('Trenameat', 'Rlerror', { ecode });
    const { newfid } = await server.serve('Twalk', 'Rwalk', { qids: [qid] });
    expect(await server.serve('Trename', 'Rrename', {})).toMatchObject({ fid: newfid, dfid: root.number, name: 'b' });
    await second;
    await server.serve('Tclunk', 'Rclunk', {});
    await expectIdle(client, 1);
  });
});

test('other errors of unlink and rename are the answer', async () => {
  const removing = dialect.unlink(root, 'a', false);
  await server.serve('Tunlinkat', 'Rlerror', { ecode: errno.EPERM });
  await expect(removing).rejects.toMatchObject({ code: 'EPERM' });
  const renaming = dialect.rename(root, 'a', root, 'b');
  await server.serve('Trenameat', 'Rlerror', { ecode: errno.ENOENT });
  await expect(renaming).rejects.toMatchObject({ code: 'ENOENT' });
  await expectIdle(client, 1);
});

describe('mknod of a regular file where the server makes none', () => {
  test('creates it, and leaves no fid', async () => {
    const making = dialect.mknod(root, 'f', 0o100640, 0, 0, 5);
    await server.serve('Tmknod', 'Rlerror', { ecode: errno.EINVAL });
    await server.serve('Twalk', 'Rwalk', { qids: [] });
    const made = await server.serve('Tlcreate', 'Rlcreate', { qid, iounit: 0 });
    expect(made).toMatchObject({ name: 'f', mode: 0o640, gid: 5, flags: OPEN.CREATE | OPEN.EXCL | OPEN.WRONLY });
    await server.serve('Tclunk', 'Rclunk', {});
    await making;
    await expectIdle(client, 1);
  });

  test('does not do so for a special file', async () => {
    const making = dialect.mknod(root, 'p', 0o010644, 0, 0, 0);
    await server.serve('Tmknod', 'Rlerror', { ecode: errno.EINVAL });
    await expect(making).rejects.toMatchObject({ code: 'EINVAL' });
    await expectIdle(client, 1);
  });
});

describe('fsync', () => {
  async function synced(type: number, ecode: number): Promise<string> {
    root.qid = { ...qid, type };
    const syncing = dialect.fsync(root, true).then(
      () => 'done',
      (error: { code: string }) => error.code,
    );
    expect(await server.serve('Tfsync', 'Rlerror', { ecode })).toMatchObject({ datasync: 1 });
    return syncing;
  }

  test('of a directory is done where the server syncs files only', async () => {
    expect(await synced(QT.DIR, errno.EISDIR)).toBe('done');
    expect(await synced(QT.DIR, errno.EIO)).toBe('EIO');
    expect(await synced(0, errno.EISDIR)).toBe('EISDIR');
    await expectIdle(client, 1);
  });
});

describe('readdir', () => {
  function listing(...names: string[]): Buffer {
    const writer = Writer.sized(8000);
    for (const [i, name] of names.entries()) writeDirent(writer, { qid, offset: BigInt(i + 1), type: 8, name });
    return writer.bytes.subarray(0, writer.at);
  }

  const namesOf = (entries: ListedDirent[]) => entries.map(({ name }) => name);

  test('gives whole entries and the memory back; names that no directory can hold have only a cookie', async () => {
    const asking = dialect.readdir(root, 3n, 4000);
    const data = listing('a', 'b/c', '', '..', 'ö');
    expect(await server.serve('Treaddir', 'Rreaddir', { data })).toMatchObject({ offset: 3n, count: 4000 });
    const entries = await asking;
    expect(namesOf(entries)).toEqual(['a', undefined, undefined, '..', 'ö']);
    expect(entries.map(({ offset }) => offset)).toEqual([1n, 2n, 3n, 4n, 5n]);
    await expectIdle(client, 1);
  });

  test('tells of such names once a reply, however many there are in it', async () => {
    const { logger, lines } = keepingLogger();
    await begin({ logger });
    const asking = dialect.readdir(root, 0n, 8000);
    await server.serve('Treaddir', 'Rreaddir', { data: listing('a', ...Array<string>(300).fill('')) });
    expect(await asking).toHaveLength(301);
    expect(lines.filter(({ level }) => level === 'warn')).toMatchObject([{ count: 300, offset: '2' }]);
    await expectIdle(client, 1);
  });

  test.each([
    [1, 512],
    [100_000, 8192 - 24],
  ])('asks for %i bytes as %i', async (size, count) => {
    const asking = dialect.readdir(root, 0n, size);
    expect((await server.serve('Treaddir', 'Rreaddir', { data: Buffer.alloc(0) })).count).toBe(count);
    expect(await asking).toEqual([]);
    await expectIdle(client, 1);
  });

  test('that is refused or aborted gives the memory back', async () => {
    const refused = dialect.readdir(root, 0n, 4000);
    await server.serve('Treaddir', 'Rlerror', { ecode: errno.ENOTDIR });
    await expect(refused).rejects.toMatchObject({ code: 'ENOTDIR' });
    const abort = new Abort();
    const aborted = dialect.readdir(root, 0n, 4000, abort);
    await server.next('Treaddir');
    abort.abort();
    await server.serve('Tflush', 'Rflush', {});
    await expectCancelled(aborted);
    await expectIdle(client, 1);
  });

  test('of half an entry ends the connection', async () => {
    const asking = dialect.readdir(root, 0n, 4000);
    asking.catch(() => undefined);
    const data = listing('abc');
    await server.serve('Treaddir', 'Rreaddir', { data: data.subarray(0, data.length - 1) });
    await expect(asking).rejects.toBeInstanceOf(ProtocolError);
    await expectEnded(client, ProtocolError);
  });
});

test.each([
  ['a symbolic link', QT.SYMLINK, 'EOPNOTSUPP'],
  ['a file', QT.FILE, 'EIO'],
])('EIO for the extended attributes of %s', async (_what, type, code) => {
  root.qid = { ...qid, type };
  const asking = dialect.getxattr(root, 'user.a');
  await server.serve('Txattrwalk', 'Rlerror', { ecode: errno.EIO });
  await expect(asking).rejects.toMatchObject({ code });
  const setting = dialect.setxattr(root, 'user.a', Buffer.from('x'), 0);
  await server.serve('Twalk', 'Rwalk', { qids: [] });
  // EIO is also what servers say to a fid that they do not know yet
  for (let i = 0; i < 2; i++) await server.serve('Txattrcreate', 'Rlerror', { ecode: errno.EIO });
  await expect(setting).rejects.toMatchObject({ code });
  await server.serve('Tclunk', 'Rclunk', {});
  await expectIdle(client, 1);
});
