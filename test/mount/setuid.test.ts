// Setuid and setgid bits on real mounts where they mean something: what an unprivileged user writes never runs with the rights
// of what was there before, whoever takes the bits away and whatever the kernel has cached; and what a user makes has the bits
// that were asked for.

import { existsSync } from 'node:fs';
import { chmod, chown, copyFile, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AccessMode, CacheMode } from '../../src/bridge/settings.ts';
import { Users } from '../../src/server/users.ts';
import { writeAccounts } from '../support/accounts.ts';
import { type Exported, exported } from '../support/exported.ts';
import { as, quote } from '../support/namespace.ts';
import { likeLocal, python } from '../support/posix.ts';
import { output, shell } from '../support/shell.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
const USER = 61001;
const PROGRAM = '/usr/bin/id';
/** Of writeAccounts(): a group, and somebody who is in it beside a group of his own. */
const TEAM = 64000;
const MEMBER = 64001;

const modes = (['user', 'client'] as const).flatMap((access) =>
  (['none', 'auto', 'loose'] as const).map((cache) => ({ access, cache })),
);

describe.skipIf(!able).each(modes)('access=$access, cache=$cache', ({ access, cache }) => {
  let at: Exported;
  let mnt: string;

  beforeEach(async () => {
    at = await exported('setuid', 'host', { users: async (dir) => new Users(await writeAccounts(dir)) });
    await chmod(at.directory, 0o777);
    await copyFile(PROGRAM, join(at.directory, 'program'));
    await chmod(join(at.directory, 'program'), 0o6777);
    mnt = (await at.mount({ access, cache, ...likeLocal } satisfies { access: AccessMode; cache: CacheMode }))
      .mountpoint;
  });
  afterEach(() => at.end());

  const asUser = (script: string) => output(`cd ${mnt} && ${as(USER)} sh -ec ${quote(script)}`);
  const modeThere = async (name: string) => ((await stat(join(at.directory, name))).mode & 0o7777).toString(8);

  test('a program of root that everybody may write is set-user-id at first', async () => {
    expect(await asUser('stat -c %a program && ./program')).toMatch(/^6777\nuid=61001 .*euid=0/);
  });

  test.each([
    ['overwritten', 'O_WRONLY', 'os.write(fd, text)'],
    ['cut when it is opened, and written', 'O_WRONLY | os.O_TRUNC', 'os.write(fd, text)'],
    ['cut by ftruncate, and written', 'O_WRONLY', 'os.ftruncate(fd, 0); os.write(fd, text)'],
    ['cut a little', 'O_WRONLY', 'os.ftruncate(fd, len(text) - 1)'],
    ['written behind its end', 'O_WRONLY | os.O_APPEND', 'os.write(fd, b"more")'],
    ['written behind its end, by a descriptor that does not append', 'O_WRONLY', 'os.pwrite(fd, b"more", len(text))'],
    ['written synchronously', 'O_WRONLY | os.O_SYNC', 'os.write(fd, text)'],
  ])('%s by a user, it has no rights of root any more', async (_how, flags, change) => {
    const code = `import os; text = open("${PROGRAM}", "rb").read(); fd = os.open("program", os.${flags}); ${change}`;
    const script = `stat -c %a program && ${python} -c '${code}' && ./program && stat -c %a program`;
    expect(await asUser(script)).toMatch(/^6777\nuid=61001(?!.*(?:euid|egid)).*\n777\n$/);
    expect(await modeThere('program')).toBe('777');
  });

  /** Makes one of each kind with each mode, in a directory, and says which modes they have. */
  const making = `import os, stat
os.umask(0)
def creat(name, mode): os.close(os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, mode))
def excl(name, mode): os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode))
def node(name, mode): os.mknod(name, mode | stat.S_IFREG)
for make in creat, excl, node, os.mkdir:
    for mode in 0o4755, 0o2755, 0o6711, 0o2644, 0o644:
        make(make.__name__ + oct(mode), mode)
        print(make.__name__, oct(mode), oct(os.stat(make.__name__ + oct(mode)).st_mode))`;

  test.each([
    ['a user, in a directory of everybody', 0, 0o777, `--reuid=${USER} --regid=${USER} --clear-groups`],
    ['a user, in a setgid directory of another group', TEAM, 0o2777, `--reuid=${USER} --regid=${USER} --clear-groups`],
    [
      'a member, in the setgid directory of his group',
      TEAM,
      0o2777,
      `--reuid=${MEMBER} --regid=${MEMBER} --groups=${TEAM}`,
    ],
    ['root', 0, 0o777, '--reuid=0 --regid=0 --clear-groups'],
  ])('what is made has the bits that were asked for, as on a local disk: by %s', async (_who, group, mode, who) => {
    const modes: string[] = [];
    for (const where of [at.dir, at.directory]) {
      const dir = join(where, 'in');
      await mkdir(dir);
      await chown(dir, 0, group);
      await chmod(dir, mode);
      const seen = where === at.dir ? dir : join(mnt, 'in');
      modes.push(await output(`cd ${seen} && setpriv ${who} ${python} -c '${making}'`));
    }
    expect(modes[1]).toBe(modes[0]);
    expect(modes[0]).toMatch(/^creat 0o4755 0o104755$/m);
  });

  test('a file that another client has made meanwhile is not given to who creates it', async () => {
    await output(`cd ${mnt} && ! test -e secret`); // cache=loose keeps that in mind
    await writeFile(join(at.directory, 'secret'), 'secret');
    await chmod(join(at.directory, 'secret'), 0o600);
    const { code, stderr } = await shell(`cd ${mnt} && ${as(USER)} sh -c 'echo mine >> secret; cat secret'`);
    expect(stderr).toMatch(/cannot create secret: Permission denied\ncat: secret: /);
    expect(code).not.toBe(0);
    expect(await stat(join(at.directory, 'secret'))).toMatchObject({ uid: 0, gid: 0, size: 6 });
  });
});
