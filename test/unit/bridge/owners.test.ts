import { chmod, chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readMaps } from '../../../src/bridge/owners/owners.ts';
import { ConfigError } from '../../../src/common/errors.ts';
import { silent } from '../../../src/common/log.ts';
import { withTempDir } from '../../support/tempdir.ts';

describe('the files of idmap=file', () => {
  function withFile(prepare: (file: string) => Promise<unknown>, says: string): Promise<void> {
    return withTempDir(async (dir) => {
      const file = join(dir, 'uids');
      await prepare(file);
      const read = () => readMaps({ idmap: 'file', uidfile: file, uid: process.getuid?.() ?? 0 }, silent);
      expect(read).toThrow(ConfigError);
      expect(read).toThrow(`${file}${says}`);
    });
  }
  const write = (file: string, text = 'root:0\n') => writeFile(file, text);

  test('one that is not there', () => withFile(async () => {}, ' cannot be read: ENOENT'));
  test('one that others can write', () =>
    withFile(async (file) => {
      await write(file);
      await chmod(file, 0o664);
    }, ' can be written by others'));
  test.skipIf(process.getuid?.() !== 0)("somebody else's", () =>
    withFile(async (file) => {
      await write(file);
      await chown(file, 65534, 65534);
    }, ' belongs to uid 65534'),
  );
  test('one with a mistake', () => withFile((file) => write(file, 'root:0\nroot'), ", line 2: 'root' is not NAME:ID"));

  test('one kind alone maps that kind alone', () =>
    withTempDir(async (dir) => {
      const gidfile = join(dir, 'gids');
      await write(gidfile, 'root:77\n');
      const { uids, gids } = readMaps({ idmap: 'file', gidfile, uid: 0 }, silent);
      expect([uids.toLocal(5), gids.toLocal(77), gids.toServer(0)]).toEqual([5, 0, 77]);
      expect(() => gids.toLocal(5)).toThrow(gidfile);
    }));
});
