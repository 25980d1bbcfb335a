// One file by several names, several files by one number: what a mount takes for the same file is the same file, and only that.

import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { faultsTree, hostTree, memoryTree, type Serving, serve, type Tree } from '../../src/server/server.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { python } from '../support/posix.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;

describe.skipIf(!able)('one file or two', () => {
  let dir: string;
  let serving: Serving | undefined;
  let live: Mounted | undefined;

  beforeEach(async () => {
    dir = await makeTempDir('sameness');
    await mkdir(join(dir, 'export'));
  });
  afterEach(async () => {
    await live?.end();
    await serving?.close();
    [live, serving] = [undefined, undefined];
    await removeTempDir(dir);
  });

  async function mountOf(tree: Tree): Promise<string> {
    serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree });
    live = await mounted(dir, { address: serving.address, allowOther: true });
    return live.mountpoint;
  }

  // open, so that the kernel knows both at once: the leak check of any other test on this machine has it forget what is not
  const both = 'exec 3<one 4<two';

  const inos = async (script: string) => (await output(script)).trim().split(/\s+/);

  test.each(['ls -l', 'cat one two >/dev/null; ls -l'])('two files of one qid are two, after %s', async (first) => {
    const mnt = await mountOf(faultsTree());
    await output(`cd ${mnt}/collide && ${first}`);
    expect(await output(`cd ${mnt}/collide && cat one two; exec 3<one 4<two; cat <&4; cat <&3`)).toBe(
      'one\ntwo!\ntwo!\none\n',
    );
    const [one, two] = await inos(`cd ${mnt}/collide && stat -c %i one two`);
    expect(one).not.toBe(two);
  });

  test('and keep their numbers, in whatever order they are found again', async () => {
    const mnt = await mountOf(faultsTree());
    const before = await inos(`cd ${mnt}/collide && ${both} && stat -c %i one two`);
    await live?.checkLeaks(); // which has the kernel forget all files
    // as a listing shows them, before anybody has looked at them
    const listed = `cd ${mnt}/collide && ${python} -c "import os
print(*(e.inode() for e in sorted(os.scandir('.'), key=lambda e: e.name) if e.name in ('one', 'two')))"`;
    expect(await inos(listed)).toEqual(before);
    await live?.checkLeaks();
    expect(await inos(`cd ${mnt}/collide && stat -c %i two one`)).toEqual([...before].reverse());
    expect(await output(`cd ${mnt}/collide && cat one two`)).toBe('one\ntwo!\n');
  });

  test('hard links are one file, also while it is written to', async () => {
    const mnt = await mountOf(memoryTree());
    await output(`cd ${mnt} && mkdir sub && echo 1 > one && ln one sub/two`);
    await output(`cd ${mnt} && (for i in $(seq 200); do echo $i >> one; done) & cd ${mnt}; for i in $(seq 50); do
      stat -c %i sub/two one | uniq | wc -l | grep -qx 1 || exit 1; done; wait`);
    await live?.checkLeaks();
    const [a, b] = await inos(`cd ${mnt} && stat -c %i sub/two one`);
    expect(a).toBe(b);
  });

  test('links made by others are one file, also when the first name was known before there were two', async () => {
    const mnt = await mountOf(hostTree(join(dir, 'export'), {}));
    await output(`cd ${mnt} && echo text > one && stat one`);
    await output(`cd ${dir}/export && ln one two && echo more >> two`);
    const [two, one] = await inos(`cd ${mnt} && stat -c %i two one`);
    expect(two).toBe(one);
  });

  test('a file that another has moved is the same still', async () => {
    const mnt = await mountOf(hostTree(join(dir, 'export'), {}));
    await writeFile(join(dir, 'export', 'one'), 'text');
    const [before] = await inos(`stat -c %i ${mnt}/one`);
    await rename(join(dir, 'export', 'one'), join(dir, 'export', 'two'));
    const [after] = await inos(`stat -c %i ${mnt}/two`);
    expect(after).toBe(before);
    // the root and it, unless the kernel has forgotten it meanwhile
    expect(live?.mount.stats().nodes).toBeLessThanOrEqual(2);
  });

  test('a number that the server uses again is that of the new file', async () => {
    const mnt = await mountOf(hostTree(join(dir, 'export'), {}));
    await output(`cd ${dir}/export && mkdir sub && echo one > sub/one && cat ${mnt}/sub/one`);
    // ext4 gives the number to the next file of the directory
    await output(`cd ${dir}/export && rm sub/one && echo other > sub/two`);
    expect(await output(`cat ${mnt}/sub/two; stat -c %i ${mnt}/sub/two`)).toBe(
      `other\n${await output(`stat -c %i ${dir}/export/sub/two`)}`,
    );
  });

  test('directories that collide, with what is in them, are kept apart', async () => {
    const mnt = await mountOf(faultsTree());
    const all = "find . -mindepth 1 -exec stat -c '%i %n' {} + | sort -k2";
    const before = await output(
      `cd ${mnt}/collide && ${both} && exec 5<left 6<right 7<left/file 8<right/file && ${all}`,
    );
    expect(before.trim().split('\n')).toHaveLength(6);
    expect(new Set(before.split('\n').map((line) => line.split(' ')[0])).size).toBe(7);
    expect(await output(`cd ${mnt}/collide && cat */file; cd left; cat file ../right/file; ls -i ../left`)).toMatch(
      /^left\nright\nleft\nright\n\d+ file\n$/,
    );
    await live?.checkLeaks();
    expect(await output(`cd ${mnt}/collide && cat right/file left/file two one; ${all}`)).toBe(
      `right\nleft\ntwo!\none\n${before}`,
    );
  });
});
