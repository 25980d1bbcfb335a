// Mounts of real servers that take everybody for root (access=client): a user who makes a file gets it, with the bits that were
// asked for, and no file that another client has made meanwhile; and setuid does not outlive what it was set for.

import { existsSync } from 'node:fs';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/transport/address.ts';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import type { PeerServer } from '../support/exported.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { as } from '../support/namespace.ts';
import { likeLocal, python } from '../support/posix.ts';
import { output, shell } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

const USER = 61001;

const peers = [
  { name: 'diod', program: 'diod', start: startDiod },
  // it would show what the test does behind its back a minute later
  { name: 'nfs-ganesha', program: 'ganesha.nfsd', start: (dir: string) => startGanesha(dir, { attrExpiration: 0 }) },
];

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each(peers)('$name', ({ program, start }) => {
  const missing = missingPrograms(program);
  if (missing !== null) {
    it.skip(missing, () => undefined);
    return;
  }
  let dir: string;
  let directory: string;
  let server: PeerServer;
  let live: Mounted;

  beforeAll(async () => {
    dir = await makeTempDir('makers');
    await chmod(dir, 0o755);
    directory = join(dir, 'export');
    await mkdir(directory);
    await chmod(directory, 0o777);
    server = await start(directory);
    live = await mounted(dir, {
      address: parseAddress(server.address),
      aname: server.aname,
      access: 'client',
      cache: 'loose',
      ...likeLocal,
    });
  });
  afterAll(async () => {
    try {
      await live.end();
    } finally {
      await server.stop();
      await removeTempDir(dir);
    }
  });

  const there = async (name: string) => {
    const { uid, mode, size } = await stat(join(directory, name));
    return { uid, mode: mode & 0o7777, size };
  };

  it('a file that another client has made meanwhile is not given to who creates it, nor cut', async () => {
    await output(`cd ${live.mountpoint} && ! test -e secret`); // which is kept in mind
    await writeFile(join(directory, 'secret'), 'secret');
    await chmod(join(directory, 'secret'), 0o600);
    const { code, stderr } = await shell(`cd ${live.mountpoint} && ${as(USER)} sh -c 'echo mine > secret'`);
    expect(stderr).toMatch(/cannot create secret: Permission denied/);
    expect(code).not.toBe(0);
    expect(await there('secret')).toEqual({ uid: 0, mode: 0o600, size: 6 });
  });

  it('who makes a file has it, with setuid and setgid, until a user writes into it', async () => {
    const made = `import os; os.umask(0); os.write(os.open("made", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o6777), b"text")`;
    await output(`cd ${live.mountpoint} && ${as(USER)} ${python} -c '${made}'`);
    // its maker may not keep them either
    expect(await there('made')).toEqual({ uid: USER, mode: 0o777, size: 4 });
    const empty = `import os; os.umask(0); os.open("empty", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o6777)`;
    await output(`cd ${live.mountpoint} && ${as(USER)} ${python} -c '${empty}'`);
    expect(await there('empty')).toEqual({ uid: USER, mode: 0o6777, size: 0 });
    expect(await output(`cd ${live.mountpoint} && ${as(USER + 1)} sh -c 'echo >> empty' && stat -c %a empty`)).toBe(
      '777\n',
    );
    expect(await there('empty')).toEqual({ uid: USER, mode: 0o777, size: 1 });
  });
});
