// POSIX ACLs: stored by the server's file system, enforced by the kernel with posixacl, plain attributes without.

import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { GivenSettings } from '../../src/bridge/settings.ts';
import { Accounts } from '../../src/client/accounts.ts';
import { missingPrograms } from '../support/debian.ts';
import { type Exported, exported } from '../support/exported.ts';
import { output, shell } from '../support/shell.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0 && missingPrograms('setfacl') === null;
const [ANN, BOB, ANN_THERE] = [61001, 61002, 62001];
const as = (uid: number) => ({ uid, gid: uid });

describe.skipIf(!able).each(['user', 'client'] as const)('ACLs of the host tree, access=%s', (access) => {
  let at: Exported;
  beforeEach(async () => {
    at = await exported('acl', 'host');
  });
  afterEach(() => at.end());

  async function mountedWith(settings: Partial<GivenSettings>): Promise<string> {
    return (await at.mount({ allowOther: true, access, ...settings })).mountpoint;
  }

  const acl = (path: string) => output(`getfacl -cnp ${path}`);

  test('are the same on both sides', async () => {
    const mnt = await mountedWith({ posixAcl: true });
    await output(`cd ${mnt} && touch file && setfacl -m u:${ANN}:rw,g:${BOB}:r file`);
    const there = await acl(join(at.directory, 'file'));
    expect(there).toContain(`user:${ANN}:rw-\n`);
    expect(await acl(`${mnt}/file`)).toBe(there);
    await output(`chmod 640 ${mnt}/file`);
    expect(await acl(`${mnt}/file`)).toContain('mask::r--\n');
    await output(`setfacl -b ${mnt}/file`);
    expect(await acl(join(at.directory, 'file'))).toBe('user::rw-\ngroup::r--\nother::---\n\n');
    expect(await acl(`${mnt}/file`)).toBe('user::rw-\ngroup::r--\nother::---\n\n');
  });

  test('let in whom they name, and keep out whom they name', async () => {
    const mnt = await mountedWith({ posixAcl: true });
    await output(`cd ${mnt} && echo secret > file && chmod 600 file && setfacl -m u:${ANN}:r file`);
    expect(await output(`cat ${mnt}/file`, as(ANN))).toBe('secret\n');
    expect((await shell(`echo x >> ${mnt}/file`, as(ANN))).code).not.toBe(0);
    expect((await shell(`cat ${mnt}/file`, as(BOB))).code).not.toBe(0);
    await output(`cd ${mnt} && echo all > open && chmod 644 open && setfacl -m u:${BOB}:- open`);
    expect((await shell(`cat ${mnt}/open`, as(BOB))).code).not.toBe(0);
    expect(await output(`cat ${mnt}/open`, as(ANN))).toBe('all\n');
  });

  test('set by an owner who is not in the group, one takes the setgid bit away', async () => {
    const mnt = await mountedWith({ posixAcl: true });
    await output(`cd ${mnt} && touch a b && chown ${ANN}:${BOB} a && chown ${ANN}:${ANN} b && chmod 2750 a b`);
    await output(`setfacl -m u:${BOB}:r ${mnt}/a ${mnt}/b`, as(ANN));
    expect(await output(`stat -c %a ${mnt}/a ${mnt}/b ${at.directory}/a`)).toBe('750\n2750\n750\n');
  });

  test("a directory's default takes the place of the umask", async () => {
    const mnt = await mountedWith({ posixAcl: true });
    const make = 'umask 077; touch file; mkdir sub; mkfifo pipe; touch sub/file';
    await output(`cd ${mnt} && mkdir dir && setfacl -d -m u:${ANN}:rwx,g::rx,o::r dir && cd dir && ${make}`);
    // the same by hand
    await output(
      `cd ${at.dir} && mkdir dir && chmod 755 dir && setfacl -d -m u:${ANN}:rwx,g::rx,o::r dir && cd dir && ${make}`,
    );
    for (const name of ['.', 'file', 'sub', 'pipe', 'sub/file'])
      expect(await acl(`${mnt}/dir/${name}`), name).toBe(await acl(`${at.dir}/dir/${name}`));
    // and the umask is back when the default is gone
    await output(`cd ${mnt} && setfacl -k dir && umask 077 && touch dir/private`);
    expect(await output(`stat -c %a ${mnt}/dir/private`)).toBe('600\n');
  });

  test('without posixacl they are kept by the server all the same', async () => {
    const mnt = await mountedWith({});
    await output(`cd ${mnt} && touch file && setfacl -m u:${ANN}:rw file`);
    expect(await acl(join(at.directory, 'file'))).toContain(`user:${ANN}:rw-\n`);
    expect(await acl(`${mnt}/file`)).toContain(`user:${ANN}:rw-\n`);
  });

  test("idmap=file: the ids in them are ours here and the server's there", async () => {
    const [uidfile, passwd] = [join(at.dir, 'uids'), join(at.dir, 'passwd')];
    await writeFile(passwd, `ann:x:${ANN}:${ANN}:::\n`);
    await writeFile(uidfile, `ann:${ANN_THERE}\n`);
    const accounts = new Accounts({ passwd, group: passwd });
    const mnt = await mountedWith({ posixAcl: true, idmap: 'file', uidfile, nomap: 'ignore', accounts });
    await output(`cd ${mnt} && echo text > file && chmod 600 file && setfacl -m u:${ANN}:r file`);
    expect(await acl(join(at.directory, 'file'))).toContain(`user:${ANN_THERE}:r--\n`);
    expect(await acl(`${mnt}/file`)).toContain(`user:${ANN}:r--\n`);
    expect(await output(`cat ${mnt}/file`, as(ANN))).toBe('text\n');
  });
});

test.skipIf(!able)('posixacl is refused where the server stores none', async () => {
  const at = await exported('acl', 'memory');
  try {
    await expect(at.mount({ posixAcl: true })).rejects.toThrow(/stores no POSIX ACLs/);
  } finally {
    await at.end();
  }
});
