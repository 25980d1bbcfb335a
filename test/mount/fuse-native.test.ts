// `ninefs mount --driver fuse-native` as a person runs it: how it begins and ends, what a removed open file leaves behind,
// what it refuses, and what it says where libfuse or the package is missing.

import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { type Cli, ninefs, ninefsPath, start, startServer } from '../support/cli.ts';
import { whyNoFuseNative } from '../support/fusenative.ts';
import { as, inNamespace, OPEN_DEVICE, quote } from '../support/namespace.ts';
import { output, shell } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';

const able = existsSync('/dev/fuse') && whyNoFuseNative() === undefined;
const root = process.getuid?.() === 0;

let server: Cli & { address: string };
beforeAll(async () => {
  server = await startServer('memory:');
});
afterAll(() => server.kill());

const DRIVER = ['--driver', 'fuse-native'];

/** Mounts in the background, logs, and checks that the daemon has ended when `body` has unmounted. */
function mounted(options: string, body: (mountpoint: string) => Promise<void>): Promise<void> {
  return withTempDir(async (dir) => {
    const [mountpoint, log] = [join(dir, 'mnt'), join(dir, 'log')];
    await mkdir(mountpoint);
    const result = await ninefs(['mount', server.address, mountpoint, ...DRIVER, '-o', `log=${log},${options}`]);
    expect(result).toEqual({ code: 0, signal: null, stdout: '', stderr: '' });
    await until('a line in the log', async () => existsSync(log) && (await readFile(log, 'utf8')).includes('\n'));
    const { pid } = JSON.parse((await readFile(log, 'utf8')).split('\n')[0] ?? '{}') as { pid: number };
    try {
      await body(mountpoint);
      const gone = async () =>
        !/^State:\s+[^ZX]/m.test(await readFile(`/proc/${pid}/status`, 'latin1').catch(() => ''));
      await until(`process ${pid} has ended`, gone);
      expect((await readFile(log, 'utf8')).split('\n').filter((line) => line.includes('"level":50'))).toEqual([]);
    } finally {
      if ((await findMount(mountpoint)) !== undefined) await ninefs(['umount', '-l', mountpoint]);
    }
  });
}

describe.skipIf(!able)('a mount by way of fuse-native', () => {
  test('is live when the command returns, and is ended by umount', () =>
    mounted('fsname=a\\,b', async (mountpoint) => {
      expect(await findMount(mountpoint)).toMatchObject({ type: 'fuse.ninefs', source: 'a,b' });
      const script = `cd ${mountpoint} && mkdir d && seq 1 100000 > d/f && mv d e && ln -s f e/s && wc -l < e/s && rm -r e`;
      expect(await output(script)).toBe('100000\n');
      expect(await ninefs(['umount', mountpoint])).toMatchObject({ code: 0, stderr: '' });
    }));

  test('that somebody else unmounts ends as well', () =>
    mounted('cache=none', async (mountpoint) => {
      await output(`umount ${mountpoint} || fusermount3 -u ${mountpoint}`);
    }));

  test('that is busy is refused, and goes on', () =>
    mounted('cache=auto', async (mountpoint) => {
      const { stdout } = await shell(
        `cd ${mountpoint} && ${process.execPath} ${ninefsPath} umount ${mountpoint} 2>&1; echo $?; echo x > f; cat f; rm f`,
      );
      expect(stdout).toMatch(/^ninefs: [^\n]* is busy[^\n]*\n1\nx\n$/);
      expect(await ninefs(['umount', mountpoint])).toMatchObject({ code: 0 });
    }));

  test('a signal unmounts it', () =>
    withTempDir(async (dir) => {
      const run = start(['mount', server.address, dir, ...DRIVER, '-f', '--loglevel', 'error']);
      try {
        await run.output(/^mounted /m);
        expect(await run.stop('SIGTERM')).toMatchObject({ code: 0, stderr: '' });
        expect(await findMount(dir)).toBeUndefined();
      } finally {
        await run.kill();
      }
    }));

  test('a file that is removed while it is open goes on, and no trace of it is on the server', () =>
    mounted('cache=none', async (mountpoint) => {
      const script = [
        'mkdir d; echo text > d/f; exec 3<> d/f; rm d/f',
        'echo names: $(ls -A d); stat -L -c %h /proc/self/fd/3; echo more >&3; cat /proc/self/fd/3; rmdir d; ls -A; exec 3>&-',
      ].join('; ');
      expect(await output(`cd ${mountpoint} && ${script}`)).toBe('names:\n0\nmore\n');
      expect(await ninefs(['umount', mountpoint])).toMatchObject({ code: 0 });
    }));

  test('a lost connection is EIO, and can be unmounted', () =>
    withTempDir(async (dir) => {
      const mine = await startServer('memory:');
      try {
        expect(await ninefs(['mount', mine.address, dir, ...DRIVER])).toMatchObject({ code: 0 });
        await mine.kill();
        expect((await shell(`ls ${dir}/x`)).stderr).toMatch(/Input\/output error/);
        expect(await ninefs(['umount', dir])).toMatchObject({ code: 0 });
      } finally {
        await mine.kill();
        if ((await findMount(dir)) !== undefined) await ninefs(['umount', '-l', dir]);
      }
    }));
});

describe.skipIf(!able || !root)('an ordinary user', () => {
  test('mounts by way of fuse-native as well; not on a directory with something in it, which libfuse 2 refuses', () =>
    withTempDir(async (dir) => {
      const { stdout, code } = await inNamespace(
        [
          OPEN_DEVICE,
          `chmod 755 ${quote(dir)}; mnt=${quote(dir)}/mnt; mkdir $mnt; chown 65534:65534 $mnt`,
          'trap "umount -l $mnt 2>/dev/null || true" EXIT',
          `ninefs() { ${as(65534)} ${quote(process.execPath)} ${quote(ninefsPath)} "$@"; }`,
          `ninefs mount ${quote(server.address)} $mnt --driver fuse-native 2>&1`,
          `${as(65534)} sh -ec 'cd $1; echo mine > user-file; cat user-file; stat -c %u user-file; rm user-file' sh $mnt`,
          'ninefs umount $mnt; grep " $mnt " /proc/mounts || echo gone',
          'touch $mnt/covered',
          `ninefs mount ${quote(server.address)} $mnt --driver fuse-native 2>&1 || echo status $?`,
        ].join('\n'),
      );
      expect(stdout).toMatch(/^mine\n65534\ngone\nninefs: [^\n]* is not empty[^\n]*\nstatus 1\n$/);
      expect(code).toBe(0);
    }));
});

describe.skipIf(!able || !root)('without', () => {
  const folder = join(dirname(ninefsPath), '../node_modules/fuse-native');
  const bundled = join(folder, 'prebuilds/linux-x64/libfuse.so');
  const mountIt = (dir: string) =>
    `${process.execPath} ${ninefsPath} mount ${quote(server.address)} ${dir} --driver fuse-native 2>&1`;
  const hide =
    'for lib in $(ldconfig -p | sed -n "s/.*libfuse\\.so\\.2 .* => //p"); do mount --bind /dev/null $lib; done';

  test.skipIf(!existsSync(bundled))('libfuse in the system, the one in the package does', () =>
    withTempDir(async (dir) => {
      const { stdout, code } = await inNamespace(
        `${hide}\n${mountIt(dir)}\necho a > ${dir}/a; cat ${dir}/a; rm ${dir}/a; umount ${dir}`,
      );
      expect(stdout).toBe('a\n');
      expect(code).toBe(0);
    }),
  );

  test.skipIf(!existsSync(bundled))('any libfuse, one line says what to install', () =>
    withTempDir(async (dir) => {
      const { stdout, code } = await inNamespace(`${hide}\nmount --bind /dev/null ${bundled}\n${mountIt(dir)}`);
      expect(stdout).toMatch(
        /^ninefs: fuse-native does not load \([^\n]*\): it needs libfuse 2 [^\n]*libfuse2[^\n]*\n$/,
      );
      expect(code).toBe(1);
    }),
  );

  test('the package, one line says so', () =>
    withTempDir(async (dir) => {
      const { stdout, code } = await inNamespace(`mount -t tmpfs none ${folder}\n${mountIt(dir)}`);
      expect(stdout).toMatch(/^ninefs: the package fuse-native is not installed: run "npm install [^\n]*"\n$/);
      expect(code).toBe(1);
    }));
});

test.each<[string[], string]>([
  [[...DRIVER, '-o', 'allow_other'], 'fuse-native does not tell who calls'],
  [['--driver', 'fuse'], 'It takes device or fuse-native.'],
])('wrong usage is one line and exit 2: %j', async (args, says) => {
  const { code, stderr } = await ninefs(['mount', 'host', '/mnt', ...args]);
  expect(stderr).toContain(says);
  expect(stderr).toMatch(/^ninefs: [^\n]+\n$/);
  expect(code).toBe(2);
});
