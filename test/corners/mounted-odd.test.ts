// Corners of the protocol: mounts of trees and of dialects that are odd. The faults tree, where the server does what servers
// do; 9P2000 and 9P2000.u, whose directories are read like files; a path that no message can hold.

import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { faultsTree, hostTree, memoryTree } from '../../src/server/server.ts';
import { OMODE, OPEN, QT } from '../../src/wire/p9/constants.ts';
import { python } from '../support/posix.ts';
import { type Talk, type Tapped, tapped } from '../support/wiretap.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;

describe.skipIf(!able)('the faults tree', () => {
  let at: Tapped;
  beforeAll(async () => {
    at = await tapped('odd', { tree: faultsTree() });
  });
  afterAll(() => at?.end());

  test('Short reads/writes: cat and cp see whole files, and a server that takes nothing is EIO', async () => {
    const { stdout } = await at.during('cat short | wc -c; dd if=/dev/zero of=short bs=10000 count=1 2>&1 | tail -1');
    expect(stdout).toMatch(/^65536\n10000 bytes/);
    const { code, stderr } = await at.during('dd if=/dev/zero of=zero bs=100 count=1');
    expect(code).not.toBe(0);
    expect(stderr).toContain('Input/output error');
  });

  test('Length 0 synthetic files: what has no length is read all the same, each time anew', async () => {
    const { stdout, talk } = await at.during('stat -c %s counters/tags; cat counters/tags; cat counters/tags');
    expect(stdout).toMatch(/^0\n\d+\n\d+\n$/);
    expect(talk.all('Tread').length).toBeGreaterThanOrEqual(2);
  });

  test('Length 0 synthetic files: a shell that writes to one cuts it in its open, and changes no attributes', async () => {
    const { code, talk } = await at.during('echo word > synth/write');
    expect(code).toBe(0);
    expect(talk.all('Tlopen').map(({ flags }) => flags & OPEN.TRUNC)).toEqual([OPEN.TRUNC]);
    expect(talk.all('Tsetattr')).toEqual([]);
    expect(talk.all('Twrite').map(({ data }) => Buffer.from(data).toString())).toEqual(['word\n']);
  });

  test('names from server: what no directory can hold is left out, what is only odd is shown', async () => {
    const { stdout } = await at.during(`${python} -c "import os
for name in sorted(os.listdir('names')): print(ascii(name) if len(name) < 50 else len(name))"`);
    const names = stdout.trim().split('\n');
    expect(names).toHaveLength(7);
    expect(names).toEqual(expect.arrayContaining(["' '", "'-rf'", "'good'", "'new\\nline'", '255']));
  });

  test('qid.path uniqueness: two files of one qid have each their bytes and their number, also both at once', async () => {
    const { stdout } = await at.during(`cd collide && cat one two one && exec 3<one 4<two && cat <&4 && cat <&3 &&
      test "$(stat -c %i one)" != "$(stat -c %i two)" && ls -i one two | awk '{ print $1 }' | sort -u | wc -l`);
    expect(stdout).toBe('one\ntwo!\none\ntwo!\none\n2\n');
  });
});

/** Where directories were read that may not be read there (read(9P)): from 0, or from where the last read ended. */
function wrongOffsets(talk: Talk): string[] {
  const wrong: string[] = [];
  const places = new Map<number, number>();
  const reads = new Map<number, { fid: number; offset: number }>();
  const directories = new Set<number>();
  const opens = new Map<number, number>();
  for (const { message } of talk.heard) {
    if (message.type === 'Topen') opens.set(message.tag, message.fid);
    if (message.type === 'Ropen') {
      const fid = opens.get(message.tag) ?? -1;
      if ((message.qid.type & QT.DIR) !== 0) directories.add(fid);
      else directories.delete(fid);
      places.set(fid, 0);
    }
    if (message.type === 'Tread' && directories.has(message.fid)) {
      reads.set(message.tag, message);
      const place = places.get(message.fid);
      if (message.offset !== 0 && message.offset !== place) wrong.push(`${message.offset} instead of ${place}`);
    }
    if (message.type === 'Rread') {
      const read = reads.get(message.tag);
      reads.delete(message.tag);
      if (read !== undefined) places.set(read.fid, read.offset + message.data.length);
    }
  }
  if (directories.size === 0) wrong.push('no directory was read');
  return wrong;
}

describe.skipIf(!able).each(['9P2000.u', '9P2000'] as const)('%s', (version) => {
  let at: Tapped;
  beforeAll(async () => {
    at = await tapped('plan9', { tree: memoryTree(), version, msize: 8192 });
  });
  afterAll(() => at?.end());

  test('Readdir 9P2000/.u: a directory is read on from where it was, or from its start, whatever the kernel asks', async () => {
    const script = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
libc.telldir.argtypes = libc.readdir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
os.mkdir('many')
for i in range(150): os.mkdir(f'many/{i:03}' + 'n' * 100)
d = libc.opendir(b'many')
def following():
    seen = []
    while True:
        at, entry = libc.telldir(d), libc.readdir(d)
        if not entry: return seen
        seen.append((at, ctypes.string_at(entry + 19)))
first = following()
names = sorted(name for _, name in first)
assert len(names) == 152 and len(set(names)) == 152, names
# back to places in the middle, with entries before them gone
for i in (100, 3, 151, 60, 0):
    for _, gone in first[:i:7]:
        if not gone.startswith(b'.') and os.path.isdir(b'many/' + gone): os.rmdir(b'many/' + gone)
    libc.seekdir(d, first[i][0])
    left = [name for _, name in following()]
    there = [name for _, name in first[i:] if os.path.isdir(b'many/' + name)]
    assert [name for name in left if name in there] == there, (i, left, there)
libc.closedir(d)`;
    expect(await at.during(`${python} -c "${script}"`)).toMatchObject({ code: 0, stderr: '' });
    expect(wrongOffsets(at.talk)).toEqual([]);
  });

  test('open of O_TRUNC/O_CREAT race: a file is cut by its Topen', async () => {
    await at.during('echo text > full');
    const { talk } = await at.during(': > full');
    expect(talk.all('Topen').map(({ mode }) => mode & OMODE.TRUNC)).toContain(OMODE.TRUNC);
    expect(talk.all('Twstat')).toEqual([]);
  });

  test('Tlcreate/Tcreate replaces fid: a file is created through a clone', async () => {
    const { talk } = await at.during('echo text > created && cat created');
    const steps = talk.all('Twalk', 'Tcreate');
    const [made] = talk.all('Tcreate');
    const clone = steps
      .slice(
        0,
        steps.findIndex(({ type }) => type === 'Tcreate'),
      )
      .at(-1);
    expect(clone).toMatchObject({ type: 'Twalk', newfid: made?.fid, names: [] });
  });
});

describe.skipIf(!able).each(['memory', 'host'] as const)('the %s tree', (kind) => {
  let at: Tapped;
  beforeAll(async () => {
    at = await tapped('deep', { tree: (dir) => (kind === 'memory' ? memoryTree() : hostTree(dir, {})) });
  });
  afterAll(() => at?.end());

  test('max names: a path longer than any message can hold is walked, written, listed, renamed and removed', async () => {
    // by directories that are open: a path given to a system call ends at 4096 bytes
    const script = `
import os, shutil
name = 'n' * 240
for i in range(300):
    os.mkdir(name); os.chdir(name)
with open('file', 'w') as f: f.write('deep')
os.rename('file', 'moved')
assert os.listdir('.') == ['moved'] and open('moved').read() == 'deep'
os.unlink('moved')
for i in range(300):
    os.chdir('..'); os.rmdir(name)
assert os.listdir('.') == []`;
    expect(await at.during(`${python} -c "${script}"`)).toMatchObject({ code: 0, stderr: '' });
  });
});
