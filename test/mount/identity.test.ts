// Whose files they are: idmap=, uid=, umask= and chown= on real mounts of a directory served by root, where the numbers that
// arrive at the server can be looked at.

import { existsSync } from 'node:fs';
import { chmod, chown, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { GivenSettings } from '../../src/bridge/settings.ts';
import { Accounts } from '../../src/client/accounts.ts';
import { Users } from '../../src/server/users.ts';
import { type Exported, exported } from '../support/exported.ts';
import { output, shell } from '../support/shell.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
/** Ann and Bob, here and at the server. */
const [ANN, BOB] = [61001, 61002];
const [ANN_THERE, BOB_THERE] = [62001, 62002];
const STAFF = 61100;
const STAFF_THERE = 62100;

describe.skipIf(!able)('whose files they are', () => {
  let at: Exported;
  let accounts: Accounts;

  beforeEach(async () => {
    at = await exported('identity', 'host');
    await chmod(at.directory, 0o777);
    const files = { passwd: join(at.dir, 'passwd'), group: join(at.dir, 'group') };
    await writeFile(files.passwd, `root:x:0:0:::\nann:x:${ANN}:${STAFF}:::\nbob:x:${BOB}:${STAFF}:::\n`);
    await writeFile(files.group, `root:x:0:\nstaff:x:${STAFF}:\n`);
    accounts = new Accounts(files);
  });
  afterEach(() => at.end());

  /** Mounts it, and returns where. */
  async function mountedWith(settings: Partial<GivenSettings>): Promise<string> {
    return (await at.mount({ allowOther: true, accounts, ...settings })).mountpoint;
  }

  async function idFiles(uids: string, gids: string): Promise<Partial<GivenSettings>> {
    const [uidfile, gidfile] = [join(at.dir, 'uids'), join(at.dir, 'gids')];
    await writeFile(uidfile, uids);
    await writeFile(gidfile, gids);
    return { idmap: 'file', uidfile, gidfile };
  }

  const all = () => idFiles(`root:0\nann:${ANN_THERE}\nbob:${BOB_THERE}\n`, `root:0\nstaff:${STAFF_THERE}\n`);

  async function there(name: string): Promise<string> {
    const { uid, gid } = await stat(join(at.directory, name));
    return `${uid}:${gid}`;
  }

  const as = (uid: number, gid = STAFF) => ({ uid, gid });

  test('idmap=file: what a user makes is that user, there as here', async () => {
    const mnt = await mountedWith(await all());
    await output(`cd ${mnt} && echo mine > file && mkdir dir && ln -s file link && mkfifo pipe`, as(ANN));
    for (const name of ['file', 'dir', 'pipe']) expect(await there(name)).toBe(`${ANN_THERE}:${STAFF_THERE}`);
    expect(await output(`cd ${mnt} && stat -c %u:%g file dir link pipe`)).toBe(`${ANN}:${STAFF}\n`.repeat(4));
    // the server has let nobody in as the other
    expect((await shell(`chmod 600 ${mnt}/file`, as(BOB))).code).not.toBe(0);
    expect((await shell(`chmod 600 ${mnt}/file`, as(ANN))).code).toBe(0);
  });

  test('idmap=file: chown goes by the names here', async () => {
    const mnt = await mountedWith(await all());
    await output(`cd ${mnt} && touch file && chown ${BOB}:${STAFF} file`);
    expect(await there('file')).toBe(`${BOB_THERE}:${STAFF_THERE}`);
    expect(await output(`stat -c %u:%g ${mnt}/file`)).toBe(`${BOB}:${STAFF}\n`);
  });

  test('idmap=file with access=client: the maker is told to the server', async () => {
    const mnt = await mountedWith({ ...(await all()), access: 'client' });
    await output(`cd ${mnt} && touch file && mkdir dir`, as(BOB));
    for (const name of ['file', 'dir']) expect(await there(name)).toBe(`${BOB_THERE}:${STAFF_THERE}`);
    expect(await output(`cd ${mnt} && stat -c %u:%g file dir`)).toBe(`${BOB}:${STAFF}\n`.repeat(2));
  });

  test('idmap=file: an id in no file is an error', async () => {
    await writeFile(join(at.directory, 'strange'), '');
    await chown(join(at.directory, 'strange'), 7, 7);
    const mnt = await mountedWith(await idFiles('root:0\n', 'root:0\n'));
    const said = await shell(`ls ${mnt}; stat ${mnt}/strange; touch ${mnt}/new; chown ${ANN} ${mnt}/new`);
    expect(said.stdout).toBe('strange\n');
    expect(said.stderr).toMatch(/cannot statx? '.*strange': Operation not permitted/);
    expect(said.stderr).toMatch(/changing ownership of '.*new': Operation not permitted/);
    const stranger = await shell(`touch ${mnt}/other`, as(ANN));
    expect(stranger.stderr).toContain('Operation not permitted');
    expect(await there('new')).toBe('0:0');
    expect(existsSync(join(at.directory, 'other'))).toBe(false);
  });

  test.each([
    ['who mounts', `ann:${ANN_THERE}\n`, /you: .*uids has no line for our 0: EPERM; nomap=ignore/],
    ['the owner of the tree', `root:${ANN_THERE}\n`, /the owner of the tree: .*uids has no line for the server's 0/],
  ])('idmap=file without a line for %s is refused', async (_who, uids, why) => {
    const files = await idFiles(uids, 'root:0\n');
    await expect(mountedWith(files)).rejects.toThrow(why);
  });

  test('idmap=file with nomap=ignore: such an id is itself', async () => {
    await writeFile(join(at.directory, 'strange'), '');
    await chown(join(at.directory, 'strange'), 7, 8);
    const mnt = await mountedWith({ ...(await idFiles('root:0\n', 'root:0\n')), nomap: 'ignore' });
    expect(await output(`stat -c %u:%g ${mnt}/strange; touch ${mnt}/new; chown 9:10 ${mnt}/new`)).toBe('7:8\n');
    expect(await there('new')).toBe('9:10');
  });

  test("idmap=user: the server's user is who mounts, and back", async () => {
    await chown(at.directory, ANN_THERE, STAFF_THERE);
    await writeFile(join(at.directory, 'other'), '');
    await chown(join(at.directory, 'other'), 7, 8);
    const mnt = await mountedWith({ idmap: 'user', access: ANN_THERE, uid: BOB, gid: STAFF });
    await output(`touch ${mnt}/file`, as(BOB));
    expect(await output(`stat -c %u:%g ${mnt} ${mnt}/file ${mnt}/other`)).toBe(
      `${BOB}:${STAFF}\n${BOB}:${STAFF}\n7:8\n`,
    );
    expect(await there('file')).toBe(`${ANN_THERE}:${STAFF_THERE}`);
    await output(`chown ${BOB}:${STAFF} ${mnt}/file`, as(BOB));
    expect(await there('file')).toBe(`${ANN_THERE}:${STAFF_THERE}`);
  });

  test('idmap=user takes the owner of the tree for the user', async () => {
    await chown(at.directory, ANN_THERE, STAFF_THERE);
    const mnt = await mountedWith({ idmap: 'user' });
    await output(`touch ${mnt}/file && chown 0:0 ${mnt}/file`);
    expect(await output(`stat -c %u:%g ${mnt} ${mnt}/file`)).toBe('0:0\n0:0\n');
    expect(await there('file')).toBe(`${ANN_THERE}:${STAFF_THERE}`);
  });

  test('idmap=user where owners are names: the name that the server knows you by is you', async () => {
    await at.end();
    at = await exported('identity', 'host', {
      async users(dir) {
        const files = { passwd: join(dir, 'passwd'), group: join(dir, 'group') };
        await writeFile(files.passwd, `glenda:x:${ANN_THERE}:${STAFF_THERE}:::\nother:x:7:8:::\n`);
        await writeFile(files.group, `glenda:x:${STAFF_THERE}:\nother:x:8:\n`);
        return new Users(files);
      },
    });
    await chmod(at.directory, 0o777);
    await writeFile(join(at.directory, 'other'), '');
    await chown(join(at.directory, 'other'), 7, 8);
    const settings = {
      version: '9P2000',
      idmap: 'user',
      uname: 'glenda',
      uid: BOB,
      gid: STAFF,
      access: 'any',
    } as const;
    const { mountpoint: mnt } = await at.mount({ allowOther: true, ...settings });
    await output(`touch ${mnt}/file`);
    expect(await output(`stat -c %u:%g ${mnt}/file ${mnt}/other`)).toBe(`${BOB}:${STAFF}\n65534:65534\n`);
    expect(await there('file')).toBe(`${ANN_THERE}:${STAFF_THERE}`);
  });

  test('uid= and gid= are shown, and giving a file to them changes nothing', async () => {
    const mnt = await mountedWith({ showUid: 7, showGid: 8 });
    await output(`cd ${mnt} && touch file && chown 7:8 file`);
    expect(await output(`stat -c %u:%g ${mnt}/file`)).toBe('7:8\n');
    expect(await there('file')).toBe('0:0');
    await output(`chown 9:10 ${mnt}/file`);
    expect(await there('file')).toBe('9:10');
  });

  test.each([
    [{ umask: 0o27 }, '750 750 777'],
    [{ fmask: 0o133 }, '755 644 777'],
    [{ dmask: 0o77 }, '700 600 777'],
    [{ umask: 0o27, fmask: 0o133 }, '750 644 777'],
    [{ umask: 0 }, '777 777 777'],
  ])('%j shows %s', async (masks, modes) => {
    const mnt = await mountedWith({ ...masks, defaultPermissions: true });
    await output(`cd ${mnt} && umask 022 && mkdir dir && touch file && chmod 600 file && ln -s file link`);
    expect((await output(`cd ${mnt} && stat -c %a dir file link`)).trim().replaceAll('\n', ' ')).toBe(modes);
    expect((await stat(join(at.directory, 'file'))).mode & 0o7777).toBe(0o600);
  });

  test('fmask decides who may execute', async () => {
    const mnt = await mountedWith({ fmask: 0o111 });
    await output(`cd ${mnt} && echo '#!/bin/sh' > script && chmod 755 script`);
    expect((await shell(`test -x ${mnt}/script`)).code).toBe(1);
  });

  test('chown=ignore: a chown that the server refuses is taken for done, and the rest of it is done', async () => {
    await writeFile(join(at.directory, 'file'), 'text');
    await chown(join(at.directory, 'file'), ANN_THERE, ANN_THERE);
    const mnt = await mountedWith({ access: ANN_THERE, chown: 'ignore' });
    await output(`cd ${mnt} && chown 7:8 file && cp -p file copy && tar cf archive file`);
    await output(`cd ${mnt} && mkdir new && tar xpf archive -C new --same-owner --numeric-owner --owner=7`);
    expect(await there('file')).toBe(`${ANN_THERE}:${ANN_THERE}`);
    expect(await output(`stat -c %u ${mnt}/file`)).toBe(`${ANN_THERE}\n`);
  });

  test('chown=strict: it fails', async () => {
    await writeFile(join(at.directory, 'file'), 'text');
    await chown(join(at.directory, 'file'), ANN_THERE, ANN_THERE);
    const mnt = await mountedWith({ access: ANN_THERE });
    expect((await shell(`chown 7 ${mnt}/file`)).stderr).toContain('Operation not permitted');
  });
});
