import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fstabWords, parseFstab } from '../../../src/cli/fstab.ts';
import { withTempDir } from '../../support/tempdir.ts';

const TEXT = `# comment
tcp!h!564  /nowhere/a\\040b  fuse.ninefs  rw,suid,nofail,aname=/x,dev  0 0

  tcp!h!564\t/nowhere/c\tninefs\tdefaults,users
tcp!h!564 /nowhere/d 9p suid
tcp!h!564 /nowhere/e
`;

test('lines, escapes, fields that are left out', () => {
  const lines = parseFstab(TEXT);
  expect(lines.map(({ mountpoint }) => mountpoint)).toEqual(['/nowhere/a b', '/nowhere/c', '/nowhere/d', '/nowhere/e']);
  expect(lines[0]).toEqual({
    source: 'tcp!h!564',
    mountpoint: '/nowhere/a b',
    type: 'fuse.ninefs',
    options: ['rw', 'suid', 'nofail', 'aname=/x', 'dev'],
  });
});

test('the words of the line of one mount, and of no other', () =>
  withTempDir(async (dir) => {
    const file = join(dir, 'fstab');
    await writeFile(file, TEXT);
    expect(await fstabWords('tcp!h!564', '/nowhere/a b', file)).toEqual(['suid', 'nofail', 'dev']);
    expect(await fstabWords('tcp!h!564', '/nowhere/../nowhere/c/', file)).toEqual(['users']);
    expect(await fstabWords('tcp!other!564', '/nowhere/c', file)).toEqual([]);
    expect(await fstabWords('tcp!h!564', '/nowhere/d', file)).toEqual([]);
    expect(await fstabWords('tcp!h!564', '/nowhere/e', file)).toEqual([]);
    expect(await fstabWords('tcp!h!564', '/nowhere/c', join(dir, 'none'))).toEqual([]);
  }));
