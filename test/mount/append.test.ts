// O_APPEND from several writers: every write is at the server's end of the file, whoever wrote last.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hostTree, memoryTree, serve } from '../../src/server/server.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { output } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';

const LINES = 200;
/** Each line is one write, and fits into one message. */
const writer = (name: string) => `import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
for i in range(${LINES}):
    line = b'${name} %d ' % i + b'x' * (i * 7) + b'\\n'
    assert os.write(fd, line) == len(line)
os.close(fd)`;

describe.skipIf(!existsSync('/dev/fuse')).each([
  ['memory', 'auto'],
  ['memory', 'none'],
  ['host', 'auto'],
] as const)('appending to the %s tree, cache=%s', (kind, cache) => {
  test('from two processes on each of two mounts loses and breaks no line', () =>
    withTempDir(async (dir) => {
      await mkdir(join(dir, 'export'));
      const tree = kind === 'memory' ? memoryTree() : hostTree(join(dir, 'export'), {});
      const serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree });
      const mounts: Mounted[] = [];
      try {
        for (const name of ['a', 'b']) mounts.push(await mounted(join(dir, name), { address: serving.address, cache }));
        const files = mounts.map(({ mountpoint }) => join(mountpoint, 'log'));
        await Promise.all(
          files.flatMap((file, mount) =>
            ['one', 'two'].map((who) => output(`python3 -c "${writer(`${mount}-${who}`)}" ${file}`)),
          ),
        );
        for (const file of files) {
          const lines = (await output(`cat ${file}`)).trimEnd().split('\n');
          const wanted = ['0-one', '0-two', '1-one', '1-two'].flatMap((name) =>
            Array.from({ length: LINES }, (_, i) => `${name} ${i} ${'x'.repeat(i * 7)}`),
          );
          // told by what is wrong, not by a page of letters
          const counted = new Set(lines);
          expect({
            lines: lines.length,
            missing: wanted.filter((line) => !counted.has(line)).map((line) => line.slice(0, 12)),
          }).toEqual({ lines: wanted.length, missing: [] });
        }
      } finally {
        for (const mount of mounts) await mount.end();
        await serving.close();
      }
    }));
});
