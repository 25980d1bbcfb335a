// Large directories, and such that change while they are read: what is there from beginning to end is listed once, in whatever
// pieces the server gives it.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { memoryTree, type Tree } from '../../src/server/server.ts';
import type { User } from '../../src/server/tree.ts';
import { direntSize } from '../../src/wire/p9/types.ts';
import { python } from '../support/posix.ts';
import { type TapOptions, type Tapped, tapped } from '../support/wiretap.ts';

const ROOT: User = { uid: 0, gid: 0, groups: [0], uname: 'root', newGroup: 'any' };
const NO_DEVICE = { major: 0, minor: 0 };
const able = existsSync('/dev/fuse') && process.getuid?.() === 0;

/** A directory of the server's own, which is changed behind the mount's back. */
function directory(names: Iterable<string>) {
  const tree = memoryTree();
  const { root } = tree;
  root.mkdir('many', 0o755, 0, ROOT);
  const many = root.walk('many', ROOT);
  const make = (name: string) => many.mknod(name, 0o100644, NO_DEVICE, 0, ROOT);
  for (const name of names) make(name);
  return {
    tree: tree as Tree,
    make,
    remove: (name: string) => many.unlink(name, false, ROOT),
    end: () => many.release(),
  };
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `entry${String(i).padStart(6, '0')}`);

/** Reads a directory a part at a time: `read N` prints so many names, `rest` all that are left, `back` begins again. */
const READER = `
import os, sys
it = os.scandir(sys.argv[1])
for line in sys.stdin:
    word, *number = line.split()
    if word == 'back': it = os.scandir(sys.argv[1]); print(); continue
    names = []
    for entry in it:
        names.append(entry.name)
        if number and len(names) == int(number[0]): break
    print(' '.join(names), flush=True)`;

class Reader {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(directory: string) {
    this.#child = spawn(python, ['-c', READER, directory], { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async names(command: string): Promise<string[]> {
    this.#child.stdin.write(`${command}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the reader has ended');
    return value.split(' ').filter((name) => name !== '');
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin.end();
    await ended;
  }
}

describe.skipIf(!able)('a directory', () => {
  let at: Tapped | undefined;
  let dir: ReturnType<typeof directory>;
  afterEach(async () => {
    dir.end();
    await at?.end();
    at = undefined;
  });

  async function begin(names: Iterable<string>, options: TapOptions = {}): Promise<Tapped> {
    dir = directory(names);
    at = await tapped('listing', { tree: dir.tree, ...options });
    return at;
  }

  test('of 100,000 entries is listed whole, and read on from any place in it', async () => {
    const live = await begin(numbered(100_000));
    const { stdout } = await live.during('ls -U many | wc -l; ls -U many | sort -u | wc -l');
    expect(stdout).toBe('100000\n100000\n');
    const script = `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
libc.telldir.argtypes = libc.readdir.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
d = libc.opendir(b'many')
name = lambda entry: ctypes.string_at(entry + 19) if entry else None
places = {}
n = 0
while True:
    at = libc.telldir(d)
    entry = libc.readdir(d)
    if not entry: break
    if n % 9999 == 0: places[at] = name(entry)
    n += 1
assert n == 100002, n
for at, there in reversed(places.items()):
    libc.seekdir(d, at)
    got = name(libc.readdir(d))
    assert got == there, (at, there, got)`;
    expect(await live.during(`${python} -c "${script}"`)).toMatchObject({ code: 0, stderr: '' });
  });

  test('that comes one entry a reply is listed whole', async () => {
    const names = numbered(300);
    const count = direntSize(names[0] ?? '') + 1;
    const live = await begin(names, {
      meddle: (message) => (message.type === 'Treaddir' ? { ...message, count } : message),
    });
    const { stdout, talk } = await live.during('ls -U many');
    expect(stdout.trim().split('\n').sort()).toEqual(names);
    const replies = talk.all('Rreaddir').map(({ data }) => data.length);
    expect(Math.max(...replies)).toBeLessThanOrEqual(count);
    expect(replies.length).toBeGreaterThan(300);
    const long = await live.during(`ls -la many | tail -n +2 | awk '{ print $9 }'`);
    expect(long.stdout.trim().split('\n').sort()).toEqual(['.', '..', ...names]);
  });

  test.each(['none', 'auto', 'loose'] as const)(
    'that others change while it is read: what stays is listed once, what comes or goes once at the most, cache=%s',
    async (cache) => {
      const names = numbered(3000);
      const live = await begin(names, { cache });
      const reader = new Reader(`${live.mountpoint}/many`);
      const seen = await reader.names('read 500');
      const gone = names.filter((_name, i) => i % 3 === 0);
      const come = numbered(6000).slice(3000);
      for (const [i, name] of gone.entries()) {
        dir.remove(name);
        const made = come[i];
        if (made !== undefined) dir.make(made);
        if (i % 100 === 0) seen.push(...(await reader.names('read 150')));
      }
      seen.push(...(await reader.names('rest')));
      expect(new Set(seen).size).toBe(seen.length);
      const stay = names.filter((_name, i) => i % 3 !== 0);
      const set = new Set(seen);
      expect(stay.filter((name) => !set.has(name))).toEqual([]);
      const known = new Set([...names, ...come]);
      expect(seen.filter((name) => !known.has(name))).toEqual([]);
      if (cache !== 'loose') {
        await reader.names('back');
        const now = await reader.names('rest');
        expect(now.sort()).toEqual([...stay, ...come.slice(0, gone.length)].sort());
      }
      await reader.end();
    },
  );
});
