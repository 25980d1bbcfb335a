// diod through `ninefs trace`: it answers the same, and the trace finds nothing wrong with either side of a healthy session.

import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ninefs, start } from '../support/cli.ts';
import { missingPrograms, startDiod } from '../support/debian.ts';
import { shell } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';

const missing = missingPrograms('diod', 'setpriv');

test.skipIf(missing !== null || !existsSync('/dev/fuse'))('diod', () =>
  withTempDir(async (dir) => {
    const [exported, mountpoint] = [join(dir, 'export'), join(dir, 'mnt')];
    await mkdir(exported);
    await mkdir(mountpoint);
    const diod = await startDiod(exported);
    const trace = start(['trace', diod.address, '--listen', 'tcp!127.0.0.1!0']);
    try {
      const [, address = ''] = await trace.output(/^listening on (.*)\n/m);
      expect(await ninefs(['mount', address, mountpoint, '-o', `aname=${exported}`])).toMatchObject({ code: 0 });
      const script = `cd ${mountpoint} && mkdir d && seq 1 20000 > d/f && mv d/f d/g && ls -l d && wc -l < d/g`;
      expect((await shell(script)).stdout).toMatch(/ g\n20000\n$/);
      expect(await ninefs(['umount', mountpoint])).toMatchObject({ code: 0 });
      expect((await readFile(join(exported, 'd/g'), 'utf8')).split('\n').length).toBe(20001);
      const { stdout } = await trace.stop('SIGINT');
      expect(stdout).toMatch(/ 0 held, 0 dropped, 0 wrong/);
      expect(stdout).toMatch(/Rlerror .* errno=EOPNOTSUPP \| of=T(unlinkat|renameat) /);
    } finally {
      await ninefs(['umount', '-l', mountpoint]);
      await trace.kill();
      await diod.stop();
    }
  }),
);
