// What errors in words, and with numbers that are not to be trusted, come to.

import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errnoOfBoth, errnoOfNumber, errnoOfText, errnoOfWords } from '../../../src/client/dialects/errors.ts';
import { type ErrnoName, errno, errnoName } from '../../../src/common/errno.ts';
import { errorWords } from '../../../src/common/strerror.ts';

const said: [text: string, name: ErrnoName][] = [
  // Plan 9's kernel and its file servers
  ['file does not exist', 'ENOENT'],
  ["'/usr/glenda/x' file does not exist", 'ENOENT'],
  ['directory entry not found', 'ENOENT'],
  ['permission denied', 'EACCES'],
  ['access permission denied', 'EACCES'],
  ['file already exists', 'EEXIST'],
  ['create -- file exists', 'EEXIST'],
  ['not a directory', 'ENOTDIR'],
  ['walk in non-directory', 'ENOTDIR'],
  ['file is a directory', 'EISDIR'],
  ['directory is not empty', 'ENOTEMPTY'],
  ['remove -- directory not empty', 'ENOTEMPTY'],
  ['wstat -- not owner', 'EPERM'],
  ['wstat prohibited', 'EPERM'],
  ['mounted directory forbids creation', 'EPERM'],
  ['device or object already in use', 'EBUSY'],
  ['exclusive use file already open', 'EBUSY'],
  ['file system read only', 'EROFS'],
  ['file system full', 'ENOSPC'],
  ['i/o error', 'EIO'],
  ['i/o count too small', 'EINVAL'],
  ['unknown fid', 'EBADF'],
  ['bad offset in directory read', 'EINVAL'],
  ['interrupted', 'EINTR'],
  ['protocol botch', 'EPROTO'],
  ['file too big', 'EFBIG'],
  ['file system is full', 'ENOSPC'],
  ['only support truncation to zero length', 'EPERM'],
  ['directory entry is not allocated', 'ENOENT'],
  // plan9port's servers and its lib9p
  ['no free ram resources', 'ENOSPC'],
  ['write too big', 'EFBIG'],
  ['remove d: has children', 'ENOTEMPTY'],
  ['cannot clone open fid', 'EBADF'],
  ['write on fid with open mode 0x0', 'EBADF'],
  ['bad directory in wstat', 'EINVAL'],
  ['duplicate tag', 'EPROTO'],
  // u9fs
  ["wstat can't convert between files and directories", 'EPERM'],
  ['not a member of proposed group', 'EPERM'],
  ['no access to special file', 'EPERM'],
  ['already attached without access to special files', 'EPERM'],
  ['bogus wstat buffer', 'EINVAL'],
  // Inferno
  ['unknown user or group id', 'EINVAL'],
  ['read or write too small', 'EINVAL'],
  ['negative i/o offset', 'EINVAL'],
  ['malformed stat buffer', 'EINVAL'],
  ['wrong #args in control message', 'EINVAL'],
  ['message is too big for protocol', 'EMSGSIZE'],
  ['mount/attach disallowed', 'EPERM'],
  ['no free environment resources', 'ENOMEM'],
  // Linux's words, and those of others that pass on what their system says
  ['No such file or directory', 'ENOENT'],
  ['Operation not permitted', 'EPERM'],
  ['Invalid cross-device link', 'EXDEV'],
  ['Read-only file system', 'EROFS'],
  ['No space left on device', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
  ['File name too long', 'ENAMETOOLONG'],
  ['Directory not empty', 'ENOTEMPTY'],
  // Go
  ['open /tmp/x: no such file or directory', 'ENOENT'],
  ['open /tmp/permission denied: no such file or directory', 'ENOENT'],
  ['rename /a /b: file exists', 'EEXIST'],
  ['too small read size for dir entry', 'EINVAL'],
  ['remove d: directory not empty.', 'ENOTEMPTY'],
  ['No such path', 'ENOENT'],
  ['Cannot write to directory.', 'EISDIR'],
  ['Cannot delete files.', 'EPERM'],
  ['Fid already open.', 'EBADF'],
  ['fid already opened', 'EBADF'],
  ['Read size too large.', 'EMSGSIZE'],
  ['cannot convert between files and directories', 'EPERM'],
];

describe('words', () => {
  test.each(said)('%j is %s', (text, name) => {
    expect(errnoName(errnoOfText(text) ?? 0)).toBe(name);
  });

  test.each([...errorWords])('strerror(%i) is understood, however it is written', (number, text) => {
    expect(errnoOfText(text)).toBe(number);
    expect(errnoOfText(` ${text.toUpperCase()} `)).toBe(number);
    expect(errnoOfText(`open x: ${text}`)).toBe(number);
  });

  test('that nobody knows are EIO', () => {
    expect(errnoOfText('der Teller ist kaputt')).toBeUndefined();
    expect(errnoOfWords({ type: 'Rerror', tag: 1, ename: 'der Teller ist kaputt', ecode: 0 })).toBe(errno.EIO);
    expect(errnoOfWords({ type: 'Rerror', tag: 1, ename: '', ecode: 0 })).toBe(errno.EIO);
  });

  test('of any length and kind give an errno or nothing, the same each time', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 2000 }), (text) => {
        const number = errnoOfText(text);
        expect(errnoOfText(text)).toBe(number);
        if (number !== undefined) expect(errnoName(number)).toMatch(/^E/);
      }),
    );
  });

  test('are forgotten where they are as long as a server likes', async () => {
    const module = JSON.stringify(resolve(import.meta.dirname, '../../../src/client/dialects/errors.ts'));
    const script = `import { errnoOfText } from ${module};
      gc();
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < 250; i++) errnoOfText(Buffer.alloc(60_000, 'x').toString('latin1') + ' no such thing ' + i);
      gc();
      console.log(process.memoryUsage().heapUsed - before);`;
    const hooks = resolve(import.meta.dirname, '../../support/ts.mjs');
    const args = ['--expose-gc', '--import', hooks, '--input-type=module', '-e', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
    expect(Number(stdout)).toBeLessThan(3_000_000);
  });
});

describe('a number and words', () => {
  test.each<[number, string, ErrnoName]>([
    [errno.ENOENT, 'permission denied', 'ENOENT'],
    [errno.EACCES, '', 'EACCES'],
    [errno.EIO, 'no such file or directory', 'ENOENT'],
    [errno.EINVAL, 'file already exists', 'EEXIST'],
    [0, 'permission denied', 'EACCES'],
    [0, 'what?', 'EIO'],
    [errno.EIO, 'what?', 'EIO'],
    [errno.EINVAL, 'what?', 'EINVAL'],
    [526, 'what?', 'EIO'],
    [526, 'not a directory', 'ENOTDIR'],
    [0xffffffff, 'i/o error', 'EIO'],
  ])('%i with %j is %s', (ecode, ename, name) => {
    expect(errnoName(errnoOfBoth({ type: 'Rerror', tag: 1, ename, ecode }))).toBe(name);
  });

  test('.L has the number alone', () => {
    expect(errnoOfNumber({ type: 'Rlerror', tag: 1, ecode: 4095 })).toBe(4095);
    expect(errnoOfNumber({ type: 'Rerror', tag: 1, ename: '', ecode: 13 })).toBe(13);
  });
});
