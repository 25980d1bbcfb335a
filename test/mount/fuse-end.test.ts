// How mounts begin and end: refusals before mounting, busy and lazy unmounts, abort from outside, a daemon that died,
// an ordinary user with fusermount3.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { unmount } from '../../src/fuse/mount.ts';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { stateOf } from '../../src/fuse/mountpoint.ts';
import { connection, connectionOf } from '../support/fuseconnection.ts';
import { fusectl } from '../support/fusectl.ts';
import { makeTempDir, removeTempDir, withTempDir } from '../support/tempdir.ts';
import { NOBODY, type ToyMount, type ToyMountOptions, toyMount, until, whyNoMounts } from '../support/toymount.ts';

const run = promisify(execFile);
const mounts: AsyncDisposable[] = [];

async function mount(options?: ToyMountOptions): Promise<ToyMount> {
  const toy = await toyMount(options);
  mounts.push(toy);
  return toy;
}

afterEach(async () => {
  for (const each of mounts.splice(0)) await each[Symbol.asyncDispose]();
});

/** `cat` of the file that never answers, once its read is in flight. */
async function catHanging(toy: ToyMount) {
  const child = spawn('cat', [join(toy.mountpoint, 'hang')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = once(child, 'close').then(([code]) => ({ code, stderr }));
  await until(
    () => toy.report(),
    ({ stats }) => stats.inFlight === 1,
  );
  return { child, ended };
}

describe.skipIf(whyNoMounts() !== undefined)('the end of a mount', () => {
  beforeAll(fusectl);

  test('a busy one is refused with the names of its users, and goes on', async () => {
    const toy = await mount();
    const { child, ended } = await catHanging(toy);
    await expect(toy.ask('unmount')).rejects.toThrow(
      `${toy.mountpoint} is busy, in use by cat (pid ${child.pid}, an open file): end that first, or detach it with -l`,
    );
    expect(await fs.readdir(toy.mountpoint)).toContain('hang');
    child.kill('SIGKILL');
    await ended;
    expect(await toy.ask('unmount')).toMatchObject({ how: 'unmounted' });
  });

  test('a lazy unmount ends in bounded time with a request outstanding', async () => {
    const toy = await mount();
    const { ended } = await catHanging(toy);
    expect(await toy.ask('unmount-lazy')).toMatchObject({ how: 'stopped' });
    expect((await ended).code).toBe(1);
    expect(await findMount(toy.mountpoint)).toBeUndefined();
    const { report } = await toy.done;
    expect(report).toMatchObject({ seen: { destroyed: 1 }, stats: { inFlight: 0 } });
  });

  test('umount from outside ends the session', async () => {
    const toy = await mount();
    await run('umount', [toy.mountpoint]);
    expect((await toy.done).how).toBe('unmounted');
  });

  test('an abort from outside is told apart from an unmount, and frees the callers', async () => {
    const toy = await mount();
    const { ended } = await catHanging(toy);
    await (await connectionOf(toy.mountpoint))?.abort();
    expect((await toy.done).how).toBe('aborted');
    expect(await ended).toMatchObject({ code: 1, stderr: expect.stringContaining('Software caused connection abort') });
    expect(await stateOf(toy.mountpoint)).toEqual({ is: 'stale' });
  });

  test('a session that stops leaves nobody waiting', async () => {
    const toy = await mount();
    const { ended } = await catHanging(toy);
    expect(await toy.ask('stop')).toMatchObject({ how: 'stopped' });
    expect((await ended).code).toBe(1);
    expect((await toy.done).report.stats.inFlight).toBe(0);
  });

  test('what a killed daemon leaves is recognised, refused, and cleared by force', async () => {
    await withTempDir(async (mountpoint) => {
      const first = await mount({ mountpoint });
      await first[Symbol.asyncDispose]();
      expect(await stateOf(mountpoint)).toEqual({ is: 'stale' });
      await expect(mount({ mountpoint })).rejects.toThrow(
        `mountpoint ${mountpoint} is stale (Transport endpoint is not connected): ` +
          `clear it with "ninefs umount -l ${mountpoint}", or mount with -o force`,
      );
      const second = await mount({ mountpoint, mount: { force: true } });
      expect(await fs.readdir(mountpoint)).toContain('hang');
      await second.ask('unmount');
      expect(await findMount(mountpoint)).toBeUndefined();
    });
  });

  test('one that does not answer is not waited for, and unmount -l removes it', async () => {
    await withTempDir(async (mountpoint) => {
      const toy = await mount({ mountpoint });
      toy.child.kill('SIGSTOP');
      expect(await stateOf(mountpoint)).toEqual({ is: 'hanging' });
      const number = (await connectionOf(mountpoint))?.number ?? 0;
      await unmount(mountpoint, { lazy: true });
      expect(await findMount(mountpoint)).toBeUndefined();
      toy.child.kill('SIGCONT'); // our own stat is still waiting
      await toy.done;
      await expect(connection(number).waiting()).rejects.toMatchObject({ code: 'ENOENT' });
    });
  });
});

describe.skipIf(whyNoMounts() !== undefined)('what is refused before mounting', () => {
  test('a place that is missing, no directory, or taken', async () => {
    const folder = await makeTempDir('refuse');
    try {
      const missing = join(folder, 'missing');
      await expect(mount({ mountpoint: missing })).rejects.toThrow(
        `mountpoint ${missing} does not exist: create it with mkdir`,
      );
      const file = join(folder, 'file');
      await fs.writeFile(file, '');
      await expect(mount({ mountpoint: file })).rejects.toThrow(`mountpoint ${file} is not a directory`);
      const taken = join(folder, 'taken');
      await fs.mkdir(taken);
      await mount({ mountpoint: taken, mount: { source: 'the first' } });
      await expect(mount({ mountpoint: taken })).rejects.toThrow(
        `the first is already mounted on ${taken}: unmount it first (ninefs umount ${taken})`,
      );
      await fs.symlink('taken', join(folder, 'link'));
      await expect(mount({ mountpoint: join(folder, 'link') })).rejects.toThrow('the first is already mounted');
      await expect(unmount(folder)).rejects.toThrow(`nothing is mounted on ${folder}`);
      await expect(unmount('/proc')).rejects.toThrow('what is mounted on /proc is of type proc, not fuse.ninefs');
    } finally {
      for (const each of mounts.splice(0)) await each[Symbol.asyncDispose]();
      await removeTempDir(folder);
    }
  });

  test('a directory that is not empty is not refused', async () => {
    await withTempDir(async (mountpoint) => {
      await fs.writeFile(join(mountpoint, 'covered'), '');
      const toy = await mount({ mountpoint });
      expect(await fs.readdir(mountpoint)).not.toContain('covered');
      await toy.ask('unmount');
      expect(await fs.readdir(mountpoint)).toEqual(['covered']);
    });
  });
});

describe.skipIf(whyNoMounts() !== undefined)('an ordinary user', () => {
  // Everybody may open the device where udev has set it up; a bare container gives it to root alone.
  let mode = 0o666;
  beforeAll(async () => {
    mode = (await fs.stat('/dev/fuse')).mode & 0o777;
    await fs.chmod('/dev/fuse', 0o666);
  });
  afterAll(() => fs.chmod('/dev/fuse', mode));

  test('is told when the device is not for him', async () => {
    await fs.chmod('/dev/fuse', 0o600);
    await expect(mount({ uid: NOBODY })).rejects.toThrow(
      '/dev/fuse may not be opened (EACCES): its usual mode is 0666',
    );
    await fs.chmod('/dev/fuse', 0o666);
  });

  test('mounts through fusermount3, works, and unmounts', async () => {
    const toy = await mount({ uid: NOBODY, mount: { source: 'with,comma and\\backslash' } });
    expect(await findMount(toy.mountpoint)).toMatchObject({ type: 'fuse.ninefs', source: 'with,comma and\\backslash' });
    const asNobody = { uid: NOBODY, gid: NOBODY, timeout: 20_000 };
    const file = join(toy.mountpoint, 'f');
    await run('sh', ['-c', `echo text > ${file} && cat ${file}`], asNobody);
    // Nobody else may enter, root included.
    await expect(fs.readdir(toy.mountpoint)).rejects.toMatchObject({ code: 'EACCES' });
    expect(await stateOf(toy.mountpoint)).toMatchObject({ is: 'mounted', type: 'fuse.ninefs' });
    expect(await toy.ask('unmount')).toMatchObject({ how: 'unmounted' });
    expect(await findMount(toy.mountpoint)).toBeUndefined();
  });

  test('is told who keeps it busy, and unmounts lazily', async () => {
    const toy = await mount({ uid: NOBODY });
    const inside = spawn('sh', ['-c', `cd ${toy.mountpoint} && echo in && exec sleep 1000`], {
      uid: NOBODY,
      gid: NOBODY,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(inside.stdout, 'data');
      await until(
        () => fs.readFile(`/proc/${inside.pid}/comm`, 'utf8'),
        (comm) => comm === 'sleep\n',
      );
      await expect(toy.ask('unmount')).rejects.toThrow(
        `is busy, in use by sleep (pid ${inside.pid}, its working directory)`,
      );
      expect(await toy.ask('unmount-lazy')).toMatchObject({ how: 'stopped' });
    } finally {
      inside.kill('SIGKILL');
    }
  });

  test('may not let others in unless /etc/fuse.conf says so', async () => {
    const conf = await fs.readFile('/etc/fuse.conf', 'utf8').catch(() => '');
    if (/^\s*user_allow_other\s*$/m.test(conf)) return;
    await expect(mount({ uid: NOBODY, mount: { allowOther: true } })).rejects.toThrow(
      'allow_other is for root only, unless /etc/fuse.conf has the line user_allow_other',
    );
  });

  test('is told why fusermount3 will not mount on a directory that is not his', async () => {
    await withTempDir(async (mountpoint) => {
      await fs.chmod(mountpoint, 0o755);
      await expect(mount({ uid: NOBODY, mountpoint })).rejects.toThrow(
        `cannot mount on ${mountpoint}: user has no write access to mountpoint ${mountpoint}`,
      );
      expect(await findMount(mountpoint)).toBeUndefined();
    });
  });
});
