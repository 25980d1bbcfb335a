// noatime on real mounts: reading through them leaves the access times at the server alone, where the server's user may ask
// for that, and is not refused where it may not.

import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hostTree } from '../../src/server/server.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import { embeddedPeer } from '../support/exported.ts';
import { mounted } from '../support/mounted.ts';
import { as, quote } from '../support/namespace.ts';
import { python } from '../support/posix.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

/** daemon: servers that look users up refuse a number that nobody has. */
const USER = 1;
/** Older than the mtime, so that relatime would move it. */
const READ = new Date(Date.UTC(2001, 1, 3));
const WRITTEN = new Date(Date.UTC(2002, 1, 3));

const embedded = (dir: string) => embeddedPeer(hostTree(dir, {}));

const peers = [
  { name: 'the embedded server', programs: [], start: embedded, heeds: true },
  { name: 'diod', programs: ['diod'], start: startDiod, heeds: true },
  // it drops the flag, and nobody is told
  { name: 'nfs-ganesha', programs: ['ganesha.nfsd'], start: (dir: string) => startGanesha(dir), heeds: false },
];
const able = existsSync('/dev/fuse') && process.getuid?.() === 0;

describe.skipIf(!able).each(peers)('$name', ({ programs, start, heeds }) => {
  const missing = missingPrograms(...programs);
  if (missing !== null) {
    it.skip(missing, () => undefined);
    return;
  }

  /** What is read by whom, and which of it has another access time in the end. */
  async function moved(noatime: boolean): Promise<string[]> {
    const dir = await makeTempDir('noatime');
    const directory = join(dir, 'export');
    const files = { root: 0, user: USER };
    await chmod(dir, 0o755);
    await mkdir(directory);
    for (const [name, owner] of Object.entries(files)) {
      await mkdir(join(directory, name));
      await writeFile(join(directory, name, 'file'), 'text');
      for (const each of [join(directory, name, 'file'), join(directory, name)]) {
        await chown(each, owner, owner);
        await utimes(each, READ, WRITTEN);
      }
    }
    const server = await start(directory);
    try {
      const live = await mounted(dir, {
        address: parseAddress(server.address),
        aname: server.aname,
        // every read is the server's
        cache: 'none',
        allowOther: true,
        noatime,
      });
      try {
        // the user owns one of both, and may read the other; what is made is read by the descriptor that made it
        const made = `import os; fd = os.open("user/made", os.O_CREAT | os.O_RDWR); os.write(fd, b"text")
os.utime("user/made", (${READ.getTime() / 1000}, ${WRITTEN.getTime() / 1000})); print(os.pread(fd, 9, 0))`;
        const script = `ls user root; cat user/file root/file; ${python} -c '${made.replaceAll('\n', '; ')}'`;
        expect(await output(`cd ${live.mountpoint} && ${as(USER)} sh -ec ${quote(script)}`)).toBe(
          "root:\nfile\n\nuser:\nfile\ntexttextb'text'\n",
        );
      } finally {
        await live.end();
      }
      const found: string[] = [];
      for (const name of ['root', 'root/file', 'user', 'user/file', 'user/made']) {
        if ((await stat(join(directory, name))).atime.getTime() !== READ.getTime()) found.push(name);
      }
      return found;
    } finally {
      await server.stop();
      await removeTempDir(dir);
    }
  }

  it('moves access times without noatime', async () => {
    expect(await moved(false)).toEqual(['root', 'root/file', 'user', 'user/file', 'user/made']);
  });

  it('with noatime moves those of files alone that belong to others than the reader', async () => {
    const own = heeds ? [] : ['user', 'user/file', 'user/made'];
    expect(await moved(true)).toEqual(['root', 'root/file', ...own]);
  });
});
