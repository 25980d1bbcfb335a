// Names and numbers of users and groups, from files that others write.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { Accounts } from '../../../src/client/accounts.ts';
import { withTempDir } from '../../support/tempdir.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('the first line of a name or a number counts, and lines that are none do not', () =>
  withTempDir(async (dir) => {
    const files = { passwd: join(dir, 'passwd'), group: join(dir, 'group') };
    await writeFile(files.passwd, 'a:x:1:1\nb:x:1:1\na:x:2:2\n\n# no\n:x:3\nc:x:four\nd:x:-5\ne:x\nf:x:6:::::');
    const accounts = new Accounts(files);
    expect(['a', 'b', 'c', 'd', 'e', 'f', '', '77'].map((name) => accounts.uidOf(name))).toEqual([
      1,
      1,
      undefined,
      undefined,
      undefined,
      6,
      undefined,
      77,
    ]);
    expect([1, 2, 6, 9].map((uid) => accounts.userOf(uid))).toEqual(['a', 'a', 'f', '9'].with(1, '2'));
    expect(accounts.gidOf('a')).toBeUndefined();
    expect(accounts.groupOf(5)).toBe('5');
  }));

test('changes are seen, a second later at the latest', () =>
  withTempDir(async (dir) => {
    const files = { passwd: join(dir, 'passwd'), group: join(dir, 'group') };
    const accounts = new Accounts(files);
    let now = 1e6;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    expect(accounts.gidOf('staff')).toBeUndefined();
    await writeFile(files.group, 'staff:x:50:\n');
    expect(accounts.gidOf('staff')).toBeUndefined();
    now += 1000;
    expect(accounts.gidOf('staff')).toBe(50);
    expect(accounts.groupOf(50)).toBe('staff');
  }));

test('somebody who has another name at the server', async () => {
  await withTempDir(async (dir) => {
    const files = { passwd: join(dir, 'passwd'), group: join(dir, 'group') };
    await writeFile(files.passwd, 'ann:x:1000:100:::\nglenda:x:7:7:::\n');
    await writeFile(files.group, 'users:x:100:\n');
    const accounts = new Accounts(files, { name: 'glenda', uid: 1000, gid: 100 });
    expect([accounts.uidOf('glenda'), accounts.gidOf('glenda')]).toEqual([1000, 100]);
    expect([accounts.userOf(1000), accounts.groupOf(100)]).toEqual(['glenda', 'glenda']);
    expect([accounts.uidOf('ann'), accounts.userOf(7), accounts.gidOf('users')]).toEqual([1000, 'glenda', 100]);
  });
});
