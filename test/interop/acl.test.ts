// ACLs and flock(2) at other people's servers: diod keeps both kinds of ACL, nfs-ganesha the access ACL only; both lock.

import { existsSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/transport/address.ts';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import { Locker } from '../support/locker.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import type { TestServer } from '../support/serverprocess.ts';
import { output, shell } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

const ANN = 61001;
const peers = [
  { name: 'diod', program: 'diod', start: (dir: string) => startDiod(dir), defaults: true, parts: true },
  // with one range that an owner gives up it takes all that he has of the file
  {
    name: 'nfs-ganesha',
    program: 'ganesha.nfsd',
    start: (dir: string) => startGanesha(dir),
    defaults: false,
    parts: false,
  },
];

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each(peers)(
  '$name',
  ({ program, start, defaults, parts }) => {
    const missing = missingPrograms(program, 'setfacl');
    if (missing !== null) {
      it.skip(missing, () => undefined);
      return;
    }
    let dir: string;
    let server: TestServer;
    let mounts: Mounted[];

    beforeAll(async () => {
      dir = await makeTempDir('acl');
      await chmod(dir, 0o755);
      await mkdir(join(dir, 'export'));
      await chmod(join(dir, 'export'), 0o755);
      server = await start(join(dir, 'export'));
      mounts = [];
      for (const name of ['a', 'b']) {
        mounts.push(
          await mounted(join(dir, name), {
            address: parseAddress(server.address),
            aname: server.aname,
            access: 'client',
            allowOther: true,
            posixAcl: true,
            flock: 'remote',
          }),
        );
      }
    });
    afterAll(async () => {
      try {
        for (const mount of mounts) await mount.end();
      } finally {
        await server.stop();
        await removeTempDir(dir);
      }
    });

    const at = (mount: 0 | 1) => mounts[mount]?.mountpoint ?? '';

    it('an ACL is the same on both sides, and the kernel goes by it', async () => {
      await output(`cd ${at(0)} && echo text > file && chmod 600 file && setfacl -m u:${ANN}:r file`);
      expect(await output(`getfacl -cnp ${at(0)}/file`)).toBe(await output(`getfacl -cnp ${server.dir}/file`));
      expect(await output(`cat ${at(0)}/file`, { uid: ANN, gid: ANN })).toBe('text\n');
      expect((await shell(`cat ${at(0)}/file`, { uid: ANN + 1, gid: ANN + 1 })).code).not.toBe(0);
    });

    it(`a default ACL ${defaults ? 'takes the place of the umask' : 'is refused'}`, async () => {
      const { code } = await shell(`cd ${at(0)} && mkdir dir && setfacl -d -m u:${ANN}:rwx,g::rx,o::r dir`);
      expect(code).toBe(defaults ? 0 : 1);
      await output(`cd ${at(0)} && umask 077 && touch dir/file`);
      expect(await output(`stat -c %a ${at(0)}/dir/file`)).toBe(defaults ? '664\n' : '600\n');
    });

    it.skipIf(!parts)('record locks on two mounts: one range that is given up leaves the other', async () => {
      const [one, other] = [new Locker(join(at(0), 'ranges')), new Locker(join(at(1), 'ranges'))];
      try {
        expect(await one.do('lock 0 10')).toBe('ok');
        expect(await one.do('lock 20 10')).toBe('ok');
        expect(await one.do('unlock 0 10')).toBe('ok');
        expect(await other.do('lock 20 10')).toBe('EAGAIN');
        expect(await one.do('unlock 20 10')).toBe('ok');
        expect(await other.do('lock 20 10')).toBe('ok');
      } finally {
        for (const locker of [one, other]) await locker.end('SIGKILL');
      }
    });

    it('flock(2) on two mounts: they exclude each other', async () => {
      const [one, other] = [new Locker(join(at(0), 'locked')), new Locker(join(at(1), 'locked'))];
      try {
        expect(await one.do('flock')).toBe('ok');
        expect(await other.do('flock')).toBe('EAGAIN');
        expect(await one.do('flockoff')).toBe('ok');
        expect(await other.do('flockread')).toBe('ok');
        expect(await one.do('flock')).toBe('EAGAIN');
      } finally {
        for (const locker of [one, other]) await locker.end('SIGKILL');
      }
    });
  },
);
