// O_APPEND from several writers: every write is at the server's end of the file, whoever wrote last.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exported } from '../support/exported.ts';
import { output } from '../support/shell.ts';

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
  test('from two processes on each of two mounts loses and breaks no line', async () => {
    const at = await exported('append', kind);
    try {
      for (let i = 0; i < 2; i++) await at.mount({ cache });
      const files = at.mounts.map(({ mountpoint }) => join(mountpoint, 'log'));
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
      await at.end();
    }
  });
});
