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
    expect(users.of(1001, 'own')).toEqual({
      uid: 1001,
      gid: 100,
      groups: [100, 29, 10],
      uname: 'alice',
      newGroup: 'own',
    });
    expect(users.claimed('', 1001)).toBe(1001);
    expect(users.claimed('bob', 1001)).toBe(1001);
    expect(users.claimed('alice', NONUNAME)).toBe(1001);
    expect(users.claimed('1001', NONUNAME)).toBe(1001);
  }));

test('a uid that nobody has is its own group, but in no group that there is without being believed', () =>
  withFiles((users) => {
    const carol = { uid: 5000, gid: 5000, groups: [5000], uname: '5000' };
    expect(users.of(5000, 'any')).toEqual({ ...carol, newGroup: 'any' });
    expect(users.of(5000, 'own')).toEqual({ ...carol, newGroup: 'own' });
    expect(users.of(10, 'any')).toMatchObject({ uid: 10, gid: 10, groups: [10] });
    expect(users.of(10, 'own')).toMatchObject({ uid: 10, gid: 65534, groups: [65534] });
  }));

test('a name that nobody has is nobody', () =>
  withFiles((users) => {
    for (const name of ['carol', '', 'broken', '-1', '4294967295', '1e3'])
      expect(users.claimed(name, NONUNAME)).toBeUndefined();
  }));

test('the files are read again when they have changed, and may go', () =>
  withFiles((users, files) => {
    expect(users.claimed('carol', NONUNAME)).toBeUndefined();
    writeFileSync(files.passwd, `${PASSWD}carol:x:1003:1003::/:/bin/sh\n`);
    expect(users.claimed('carol', NONUNAME)).toBe(1003);
    rmSync(files.passwd);
    rmSync(files.group);
    expect(users.of(1001, 'own')).toMatchObject({ uid: 1001, gid: 1001, groups: [1001], uname: '1001' });
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
