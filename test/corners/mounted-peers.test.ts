// Corners of the protocol: those that are other people's. Mounts of diod and nfs-ganesha with a tap on the wire: that the
// server does what is said of it, and that programs do not notice.

import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GETATTR } from '../../src/wire/p9/constants.ts';
import { readDirents } from '../../src/wire/p9/types.ts';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import { python } from '../support/posix.ts';
import { output } from '../support/shell.ts';
import { type Tapped, tapped } from '../support/wiretap.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
/** What others do to the server's files, with the shell. */
const behind = (at: Tapped, script: string) => output(`cd ${at.mountpoint}/../export && ${script}`);

async function movedByOthers(at: Tapped): Promise<void> {
  await at.during('mkdir -p dir/sub; echo text > file; echo deep > dir/sub/file; cat file dir/sub/file; ls -lR dir');
  await behind(at, 'mv file elsewhere && mv dir other');
  const { stdout, stderr } = await at.during(
    'cat elsewhere other/sub/file && echo more >> other/sub/file && ls -l other other/sub > /dev/null && cat other/sub/file && rm -r other elsewhere',
  );
  expect({ stdout, stderr }).toEqual({ stdout: 'text\ndeep\ndeep\nmore\n', stderr: '' });
}

const settings = { access: 'client', cache: 'none' } as const;

describe.skipIf(!able || missingPrograms('diod') !== null)('diod', () => {
  let at: Tapped;
  beforeAll(async () => {
    at = await tapped('diod', { ...settings, peer: startDiod });
  });
  afterAll(() => at?.end());

  test('Readdir .L: its cookies are beyond 2^53, and a listing goes on from each of them', async () => {
    const { stdout, talk } = await at.during(
      `mkdir many && cd many && seq -f 'name%.0f${'n'.repeat(200)}' 320 | xargs touch && ls -U | wc -l && ls -aU | sort -u | wc -l`,
    );
    expect(stdout).toBe('320\n322\n');
    const cookies = talk.all('Rreaddir').flatMap(({ data }) => readDirents(data).entries.map(({ offset }) => offset));
    expect(cookies.some((cookie) => cookie > BigInt(Number.MAX_SAFE_INTEGER))).toBe(true);
    expect(
      talk.all('Treaddir').filter(({ offset }) => offset > BigInt(Number.MAX_SAFE_INTEGER)).length,
    ).toBeGreaterThan(0);
  });

  test('getattr mask: it vouches for what it does not know, which nobody asks it for', async () => {
    const { talk } = await at.during('echo text > file && stat file');
    for (const { mask } of talk.all('Tgetattr')) expect(mask).toBe(GETATTR.BASIC);
    expect((await at.during('stat -c "%s %h" file')).stdout).toBe('5 1\n');
  });

  test('Partial walk: what is not there is ENOENT, and no fid is left of it', async () => {
    const { stderr, code } = await at.during('mkdir -p a/b && cat a/b/c/d');
    expect([code, stderr]).toEqual([1, 'cat: a/b/c/d: No such file or directory\n']);
  });

  test('setattr via fid: a file is cut by its descriptor also after it was renamed', async () => {
    const { stdout, stderr } = await at.during(`${python} -c "import os
fd = os.open('cut', os.O_RDWR | os.O_CREAT)
os.write(fd, b'0123456789')
os.rename('cut', 'moved')
os.ftruncate(fd, 4); os.fchmod(fd, 0o604)
print(os.stat('moved').st_size, oct(os.fstat(fd).st_mode & 0o777), os.pread(fd, 9, 0))"`);
    expect({ stdout, stderr }).toEqual({ stdout: "4 0o604 b'0123'\n", stderr: '' });
  });

  test('renameat -> rename -> wstat: what others have moved is found by its new name, with all that lies below', () =>
    movedByOthers(at));

  test('Tfsync: it takes one that says whether the data is enough', async () => {
    const { code, talk } = await at.during(
      `${python} -c "import os; fd = os.open('synced', os.O_RDWR | os.O_CREAT); os.fsync(fd); os.fdatasync(fd)"`,
    );
    expect(code).toBe(0);
    expect(talk.all('Tfsync').map(({ datasync }) => datasync)).toEqual([0, 1]);
    expect(talk.all('Rfsync')).toHaveLength(2);
  });
});

describe.skipIf(!able || missingPrograms('ganesha.nfsd') !== null)('nfs-ganesha', () => {
  let at: Tapped;
  beforeAll(async () => {
    at = await tapped('ganesha', { ...settings, peer: startGanesha });
  });
  afterAll(() => at?.end());

  test('Rlerror vs Rerror: its errors are of type 107 and hold a number, and are the errors that programs see', async () => {
    const { stderr, talk } = await at.during('cat missing; mkdir d && rmdir d/.. ; echo > full && mkdir full');
    expect(stderr).toContain('missing: No such file or directory');
    expect(stderr).toContain('File exists');
    expect(talk.all('Rlerror')).toEqual([]);
    expect(talk.all('Rerror').length).toBeGreaterThan(0);
  });

  test('statfs: its blocks are of one byte, and df is right', async () => {
    const { stdout, talk } = await at.during('stat -f -c "%S %b" .');
    const [block = 0, blocks = 0] = stdout.split(' ').map(Number);
    expect(talk.all('Rstatfs').map(({ bsize }) => bsize)).toContain(1);
    expect(block).toBeGreaterThanOrEqual(512);
    const [said] = talk.all('Rstatfs');
    expect(Math.abs(block * blocks - (said?.blocks ?? 0))).toBeLessThan(block);
  });

  test('open of O_TRUNC/O_CREAT race: it does not cut a file that is opened so, and the file is cut', async () => {
    const { stdout } = await at.during(
      'echo long text > cut; : > cut; stat -c %s cut; echo more text > cut; : > cut; stat -c %s cut',
    );
    expect(stdout).toBe('0\n0\n');
  });

  test('renameat -> rename -> wstat: what others have moved is found by its new name, with all that lies below', () =>
    movedByOthers(at));

  test('Tlock: it keeps ranges, and its locks go with the close', async () => {
    const { stdout, stderr } = await at.during(`${python} -c "import fcntl, os
a = os.open('locked', os.O_RDWR | os.O_CREAT)
fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
if os.fork() == 0:
    b = os.open('locked', os.O_RDWR)
    fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 10)
    try: fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 5); print('granted')
    except OSError as e: print(e.strerror, flush=True)
    os._exit(0)
os.wait()"`);
    expect({ stdout, stderr }).toEqual({ stdout: 'Resource temporarily unavailable\n', stderr: '' });
  });

  test('mknod majors: it makes no regular file by Tmknod, and there is one all the same', async () => {
    const { stdout, talk } = await at.during(
      `${python} -c "import os; os.mknod('made', 0o100640)" && stat -c "%F %a" made`,
    );
    expect(stdout).toBe('regular empty file 640\n');
    expect(talk.all('Tlcreate').map(({ name }) => name)).toEqual(['made']);
  });
});
