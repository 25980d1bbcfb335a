// The POSIX checks on plain directories, where all of them must pass: a check that does not is itself wrong.
// Also holds the runner to what other suites rely on: exclusions, missing needs, hanging and crashing checks.

import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IDENTITY, listPosix, NOBODY, posixSuite, runPosix } from '../support/posix.ts';
import { makeTempDir, removeTempDir, withTempDir } from '../support/tempdir.ts';

let top = '';

beforeAll(async () => {
  top = await makeTempDir('posix');
});

afterAll(() => removeTempDir(top));

posixSuite('a plain directory', () => top);

describe.runIf(process.getuid?.() === 0 && process.env['NINEFS_SCALE'] === '1')('an ordinary user', () => {
  posixSuite('a plain directory', () => ownDirectory(), { only: IDENTITY, user: NOBODY });

  async function ownDirectory(): Promise<string> {
    await chmod(top, 0o755);
    const own = join(top, 'own');
    await mkdir(own);
    await chmod(own, 0o777);
    return own;
  }
});

describe('the runner', () => {
  it('knows every check by one name and says what each is about', () => {
    const cases = listPosix();
    expect(new Set(cases.map((c) => c.name)).size).toBe(cases.length);
    expect(cases.filter((c) => c.about === '')).toEqual([]);
    expect(cases.length).toBeGreaterThan(300);
  });

  it('chooses by name, family and pattern', async () => {
    const only = ['rename.plain', 'copies', 'io.seek*'];
    const results = await runPosix(top, { only, jobs: 1 });
    expect(results.map((r) => r.name)).toEqual(listPosix(only).map((c) => c.name));
    expect(new Set(results.map((r) => r.status))).toEqual(new Set(['ok']));
  });

  it('runs an excluded check and calls the exclusion stale when it passes', () =>
    withTempDir(async (dir) => {
      const exclude = join(dir, 'exclude.txt');
      const lines = ['# a comment', '', 'rename.plain  # said not to work', '-rename.ctime  # takes the server down'];
      await writeFile(exclude, lines.join('\n'));
      const [plain, ctime] = await runPosix(dir, {
        exclude,
        only: ['rename.plain', 'rename.ctime'],
        jobs: 1,
      });
      expect(plain).toMatchObject({ status: 'fail', message: expect.stringContaining('stale exclusion') });
      expect(ctime).toMatchObject({ status: 'excluded', message: 'takes the server down' });
    }));

  it('takes either outcome of a check that may fail, and of several files goes by the first that names it', () =>
    withTempDir(async (dir) => {
      const [own, dialect] = [join(dir, 'own.txt'), join(dir, 'dialect.txt')];
      await writeFile(own, '~rename.plain  # fails on some\n-rename.ctime  # takes the server down');
      await writeFile(dialect, 'rename.plain  # said not to work\nrename.ctime  # said not to work');
      const only = ['rename.plain', 'rename.ctime'];
      const [plain, ctime] = await runPosix(dir, { exclude: [own, dialect], only, jobs: 1 });
      expect(plain).toMatchObject({ status: 'ok' });
      expect(ctime).toMatchObject({ status: 'excluded', message: 'takes the server down' });
      const [stale] = await runPosix(dir, { exclude: [dialect, own], only, jobs: 1 });
      expect(stale).toMatchObject({ status: 'fail', message: expect.stringContaining('stale exclusion') });
    }));

  it.runIf(process.getuid?.() === 0)('calls a check excluded that may fail and does', () =>
    withTempDir(async (dir) => {
      await chmod(dir, 0o755);
      const exclude = join(dir, 'exclude.txt');
      await writeFile(exclude, '~modes.chown_by_root  # fails on some\n~listing.two_thousand  # fails on some');
      const own = join(dir, 'own');
      await mkdir(own);
      await chmod(own, 0o777);
      const only = ['modes.chown_by_root'];
      const [asUser] = await runPosix(own, { exclude, only, user: { uid: 65534, gid: 65534 } });
      expect(asUser).toMatchObject({ status: 'skip' });
      // nobody makes and lists so many files in so short a time
      const [late] = await runPosix(own, { exclude, only: ['listing.two_thousand'], caseTimeout: 0.0001 });
      expect(late).toMatchObject({ status: 'excluded', message: 'fails on some' });
    }),
  );

  it('excludes by a pattern all that it matches, each for the first reason', () =>
    withTempDir(async (dir) => {
      const exclude = join(dir, 'exclude.txt');
      await writeFile(exclude, '-rename.plain # takes the server down\nrename.p* # slow\n-rename.c* # slower');
      const results = await runPosix(dir, { exclude, only: ['rename.plain', 'rename.ctime', 'rename.dots'] });
      expect(Object.fromEntries(results.map(({ name, message }) => [name, message]))).toEqual({
        'rename.plain': 'takes the server down',
        'rename.ctime': 'slower',
        'rename.dots': '',
      });
    }));

  it.each([
    ['rename.plain', 'without a reason'],
    ['rename.nonsense # a reason', 'no case named rename.nonsense'],
    ['rename.nons* # a reason', 'no case named rename.nons*'],
    ['rename.plain # once\nrename.plain # twice', 'listed twice'],
    ['rename.* # once\nrename.plain # twice', 'listed twice'],
  ])('refuses the exclusion %j', (text, message) =>
    withTempDir(async (dir) => {
      const exclude = join(dir, 'exclude.txt');
      await writeFile(exclude, text);
      await expect(runPosix(dir, { exclude })).rejects.toThrow(message);
    }),
  );

  it('refuses a directory that is not there', async () => {
    await expect(runPosix(join(top, 'missing'))).rejects.toThrow('cannot be used');
  });

  it.runIf(process.getuid?.() === 0)('fails what fails, skips what cannot be, and insists on what is required', () =>
    withTempDir(async (dir) => {
      // An ordinary user in a directory of root's: nothing can be made there, and there is no other user to be.
      await chmod(dir, 0o755);
      await expect(runPosix(dir, { user: NOBODY })).rejects.toThrow('EACCES');
      const own = join(dir, 'own');
      await mkdir(own);
      await chmod(own, 0o777);
      const only = ['perms.of_the_owner', 'rename.plain'];
      const [plain, owner] = (await runPosix(own, { only, user: NOBODY })).sort((a, b) => b.name.localeCompare(a.name));
      expect(plain).toMatchObject({ name: 'rename.plain', status: 'ok' });
      expect(owner).toMatchObject({ status: 'skip', message: 'the caller is not root' });
      const [required] = await runPosix(own, { only: ['perms.of_the_owner'], user: NOBODY, require: ['multiuser'] });
      expect(required).toMatchObject({ status: 'fail', message: expect.stringContaining('multiuser is required') });
    }),
  );

  it('reports a check that does not end, and ends it', async () => {
    // This one waits for an alarm of 200 ms.
    const [result] = await runPosix(top, { only: ['locks.wait_interrupted'], caseTimeout: 0.01 });
    expect(result).toMatchObject({ status: 'fail', message: expect.stringContaining('timed out after 0.01 s') });
  });
});
