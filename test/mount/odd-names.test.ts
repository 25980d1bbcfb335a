// A listing full of names that no directory can hold: they are left out, the odd ones beside them are shown and can be used.

import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { faultsTree, serve } from '../../src/server/server.ts';
import { mounted } from '../support/mounted.ts';
import { output } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';

test.skipIf(!existsSync('/dev/fuse'))('names', () =>
  withTempDir(async (dir) => {
    const serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree: faultsTree() });
    const live = await mounted(dir, { address: serving.address });
    try {
      // once by READDIR with READDIRPLUS, which looks them up, and once by names alone
      for (const list of ['stat --printf "%n\\\\0" -- * .*', 'find . -mindepth 1 -maxdepth 1 -printf "%f\\\\0"']) {
        const names = (await output(`cd ${live.mountpoint}/names && ${list}`))
          .split('\0')
          .filter((name) => !/^\.{0,2}$/.test(name));
        expect(names.sort()).toEqual(
          ['good', ' ', 'new\nline', '-rf', '\u202eevil', '\x1b[31mred', 'y'.repeat(255)].sort(),
        );
      }
    } finally {
      await live.end();
      await serving.close();
    }
  }),
);
