// Users and their groups, from files of the form of /etc/passwd and /etc/group.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Users } from '../../../src/server/users.ts';
import { NONUNAME } from '../../../src/wire/p9/constants.ts';
import { withTempDir } from '../../support/tempdir.ts';

const PASSWD = `root:x:0:0:root:/root:/bin/sh
alice:x:1001:100:Alice,,,:/home/alice:/bin/sh

broken:x:not:a:number
bob:x:1002:1002::/:/bin/sh
`;
const GROUP = `root:x:0:
users:x:100:
audio:x:29:alice,bob
wheel:x:10:alice
odd:x::alice
`;

async function withFiles(body: (users: Users, files: { passwd: string; group: string }) => void): Promise<void> {
  await withTempDir(async (dir) => {
    const files = { passwd: join(dir, 'passwd'), group: join(dir, 'group') };
    writeFileSync(files.passwd, PASSWD);
    writeFileSync(files.group, GROUP);
    body(new Users(files), files);
  });
}

test('n_uname counts, uname stands in for it', () =>
  withFiles((users) => {
    const alice = { uid: 1001, gid: 100, groups: [100, 29, 10], uname: 'alice' };
    expect(users.find('', 1001)).toEqual(alice);
    expect(users.find('bob', 1001)).toEqual(alice);
    expect(users.find('alice', NONUNAME)).toEqual(alice);
    expect(users.find('1001', NONUNAME)).toEqual(alice);
  }));

test('a uid that nobody has is its own group', () =>
  withFiles((users) => {
    expect(users.find('carol', 5000)).toEqual({ uid: 5000, gid: 5000, groups: [5000], uname: 'carol' });
  }));

test('a name that nobody has is nobody', () =>
  withFiles((users) => {
    for (const name of ['carol', '', 'broken', '-1', '4294967295', '1e3'])
      expect(users.find(name, NONUNAME)).toBeUndefined();
  }));

test('the files are read again when they have changed, and may go', () =>
  withFiles((users, files) => {
    expect(users.find('carol', NONUNAME)).toBeUndefined();
    writeFileSync(files.passwd, `${PASSWD}carol:x:1003:1003::/:/bin/sh\n`);
    expect(users.find('carol', NONUNAME)?.uid).toBe(1003);
    rmSync(files.passwd);
    rmSync(files.group);
    expect(users.find('', 1001)).toEqual({ uid: 1001, gid: 1001, groups: [1001], uname: '' });
  }));

test('names of numbers and numbers of names, and numbers that stand for themselves', () =>
  withFiles(({ names }) => {
    expect([names.user(1001), names.user(0), names.user(7), names.group(29), names.group(7)]).toEqual([
      ...['alice', 'root', '7', 'audio', '7'],
    ]);
    expect([names.uid('bob'), names.uid('7'), names.gid('wheel'), names.gid('100')]).toEqual([1002, 7, 10, 100]);
    for (const none of ['', 'nobody at all', '-1', '4294967295', '99999999999', 'odd']) {
      expect([names.uid(none), names.gid(none)]).toEqual([undefined, undefined]);
    }
  }));
