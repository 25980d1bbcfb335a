// A server whose disk is full, and one that may only be read: what a program is told, when, and that the mount goes on.

import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { hostTree, memoryTree } from '../../src/server/server.ts';
import { python } from '../support/posix.ts';
import { type Tapped, tapped } from '../support/wiretap.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
const MIB = 1024 * 1024;

/** Writes 64 KiB at a time until it is told to stop, by whatever call; then what is there, read anew. */
const FILL = `
import errno, os
fd = os.open('big', os.O_RDWR | os.O_CREAT)
told = None
written = 0
try:
    for i in range(200):
        written += os.write(fd, bytes([i]) * 65536)
except OSError as e: told = 'write ' + errno.errorcode[e.errno]
if told is None:
    try: os.fsync(fd)
    except OSError as e: told = 'fsync ' + errno.errorcode[e.errno]
try: os.close(fd)
except OSError as e: told = told or 'close ' + errno.errorcode[e.errno]
print(told)
size = os.stat('big').st_size
with open('big', 'rb') as f: data = f.read()
print(len(data) == size, 0 < size)
print(all(data[i * 65536] == i for i in range(len(data) // 65536)) or 'holes')
for call in (lambda: os.mkdir('d'), lambda: os.symlink('x' * 1000, 'l'), lambda: open('more', 'w').close()):
    try: call(); print('made')
    except OSError as e: print(errno.errorcode[e.errno])
os.unlink('big')
with open('after', 'wb') as f: f.write(b'x' * 1000000)
print(os.stat('after').st_size)`;

describe.skipIf(!able)('a server', () => {
  let at: Tapped | undefined;
  afterEach(async () => {
    await at?.end();
    at = undefined;
  });

  test.each<[CacheMode, RegExp]>([
    ['none', /^write ENOSPC\nTrue True\nTrue\n/],
    ['auto', /^write ENOSPC\nTrue True\nTrue\n/],
    // what the kernel has collected is refused when it is written back
    ['loose', /^(write|fsync|close) ENOSPC\nTrue True\n/],
  ])('that is full says so, and has room again when something goes, cache=%s', async (cache, told) => {
    at = await tapped('full', { tree: memoryTree({ capacity: 4 * MIB }), cache });
    const { stdout, stderr } = await at.during(`${python} -c "${FILL}"`);
    expect(stderr).toBe('');
    expect(stdout).toMatch(told);
    expect(stdout).toMatch(/1000000\n$/);
  });

  test('that may only be read says EROFS to every change, and shows everything', async () => {
    at = await tapped('readonly', {
      tree: (dir) => hostTree(dir, { readOnly: true }),
      cache: 'none',
    });
    const exported = join(at.mountpoint, '../export');
    await mkdir(join(exported, 'd'));
    await writeFile(join(exported, 'file'), 'text');
    const script = `
import errno, os
calls = dict(
    write=lambda: os.open('file', os.O_WRONLY), append=lambda: os.open('file', os.O_RDWR | os.O_APPEND),
    truncate=lambda: os.truncate('file', 0), create=lambda: os.open('new', os.O_CREAT | os.O_WRONLY),
    mkdir=lambda: os.mkdir('new'), mknod=lambda: os.mkfifo('new'), symlink=lambda: os.symlink('x', 'new'),
    link=lambda: os.link('file', 'new'), unlink=lambda: os.unlink('file'), rmdir=lambda: os.rmdir('d'),
    rename=lambda: os.rename('file', 'new'), chmod=lambda: os.chmod('file', 0o600), chown=lambda: os.chown('file', 1, 1),
    utime=lambda: os.utime('file'), setxattr=lambda: os.setxattr('file', 'user.a', b'x'))
for name, call in calls.items():
    try: call(); print(name, 'done')
    except OSError as e:
        if e.errno != errno.EROFS: print(name, errno.errorcode[e.errno])
print(open('file').read(), sorted(os.listdir('.')))`;
    const { stdout, stderr } = await at.during(`${python} -c "${script}"`);
    expect({ stdout, stderr }).toEqual({ stdout: "text ['d', 'file']\n", stderr: '' });
  });
});
