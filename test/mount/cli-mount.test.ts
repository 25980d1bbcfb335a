// `ninefs mount` and `ninefs umount` as processes, against the embedded server: how a mount begins, what it shows, how
// it ends, by whoever's hand.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { type Cli, ninefs, ninefsPath, start, startServer } from '../support/cli.ts';
import { isRunning, mountLogged, type Place, processEnds, withPlace } from '../support/daemons.ts';
import { inNamespace, quote } from '../support/namespace.ts';
import { output, shell } from '../support/shell.ts';
import { until } from '../support/until.ts';

let server: Cli & { address: string };

beforeAll(async () => {
  server = await startServer('memory:');
});
afterAll(() => server.kill());

const mountHere = (place: Place, ...args: string[]) => mountLogged(server.address, place, args);

describe.skipIf(!existsSync('/dev/fuse'))('a mount', () => {
  test('in the background is live when the command returns, and is ended by umount', () =>
    withPlace(async (place) => {
      const pid = await mountHere(place);
      expect(await findMount(place.mountpoint)).toMatchObject({ type: 'fuse.ninefs', source: server.address });
      const name = `file-${pid}`;
      expect(await output(`echo text > ${name} && cat ${name} && rm ${name}`, { cwd: place.mountpoint })).toBe(
        'text\n',
      );
      expect(await isRunning(pid)).toBe(true);
      expect(await ninefs(['umount', place.mountpoint])).toMatchObject({ code: 0, stdout: '', stderr: '' });
      expect(await findMount(place.mountpoint)).toBeUndefined();
      await processEnds(pid);
    }));

  test('logs what it counts at SIGUSR2, and goes on', () =>
    withPlace(async (place) => {
      const pid = await mountHere(place);
      process.kill(pid, 'SIGUSR2');
      const told = async () =>
        (await readFile(place.log, 'utf8'))
          .split('\n')
          .slice(0, -1)
          .find((line) => /"statistics"/.test(line));
      await until('the statistics in the log', async () => (await told()) !== undefined);
      expect(JSON.parse((await told()) ?? '')).toMatchObject({ nodes: 1, handles: 0, users: 1, client: { tags: 0 } });
      expect(await ninefs(['umount', place.mountpoint])).toMatchObject({ code: 0 });
      await processEnds(pid);
    }));

  test('keeps no directory busy and has no terminal', () =>
    withPlace(async (place) => {
      const pid = await mountHere(place);
      expect(await output(`readlink /proc/${pid}/cwd`)).toBe('/\n');
      expect(await output(`readlink /proc/${pid}/fd/0 /proc/${pid}/fd/1 /proc/${pid}/fd/2`)).toBe(
        '/dev/null\n/dev/null\n/dev/null\n',
      );
      const [, , , , , session] = (await readFile(`/proc/${pid}/stat`, 'latin1')).split(' ');
      expect(Number(session)).toBe(pid);
      await ninefs(['umount', place.mountpoint]);
      await processEnds(pid);
    }));

  test('takes a relative mountpoint, and one that is not empty', () =>
    withPlace(async ({ dir, mountpoint }) => {
      await output('touch covered', { cwd: mountpoint });
      expect(await ninefs(['mount', server.address, 'mnt'], { cwd: dir })).toMatchObject({ code: 0 });
      expect(await findMount(mountpoint)).toBeDefined();
      expect((await shell('ls', { cwd: mountpoint })).stdout).not.toContain('covered');
      expect(await ninefs(['umount', './mnt/'], { cwd: dir })).toMatchObject({ code: 0 });
      expect(await output('ls', { cwd: mountpoint })).toBe('covered\n');
    }));

  test('by port=, with fsname= and the flags of mount(8) in /proc/mounts', () =>
    withPlace(async (place) => {
      const port = server.address.split('!')[2];
      const options = `port=${port},fsname=a b\\,c,ro,noexec,noatime,sync,dirsync,_netdev,x-systemd.automount,nofail`;
      expect(await ninefs(['mount', '127.0.0.1', place.mountpoint, '-o', options])).toMatchObject({ code: 0 });
      const info = await findMount(place.mountpoint);
      expect(info?.source).toBe('a b,c');
      const shown = [...(info?.options ?? []), ...(info?.superOptions ?? [])];
      expect(shown).toEqual(expect.arrayContaining(['ro', 'nosuid', 'nodev', 'noexec', 'noatime', 'sync', 'dirsync']));
      expect(await shell('touch x', { cwd: place.mountpoint })).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('Read-only file system') as string,
      });
      await ninefs(['umount', place.mountpoint]);
    }));

  test('without the word mount, as mount.fuse3 does it, who adds dev and suid for root', () =>
    withPlace(async ({ mountpoint }) => {
      expect(await ninefs([server.address, mountpoint, '-o', 'rw,noatime,dev,suid'])).toMatchObject({ code: 0 });
      expect((await findMount(mountpoint))?.options).toEqual(expect.arrayContaining(['nodev', 'nosuid', 'noatime']));
      await ninefs(['umount', mountpoint]);
    }));
});

const mountHelper = ['/sbin/mount.fuse3', '/usr/sbin/mount.fuse3'].some((path) => existsSync(path));

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0 || !mountHelper)('mount(8)', () => {
  test.each([
    ['by hand', 'mount -t fuse.ninefs -o _netdev,nofail,x-systemd.automount,ro,noatime "$src" "$mnt"'],
    [
      'by fstab',
      'echo "$src $mnt fuse.ninefs noauto,_netdev,ro,noatime 0 0" > /media/fstab; mount -T /media/fstab "$mnt"',
    ],
  ])('mounts the type fuse.ninefs %s', (_, command) =>
    withPlace(async ({ mountpoint }) => {
      const { code, stdout, stderr } = await inNamespace(
        [
          'mount -t tmpfs none /media; mount -t tmpfs none /usr/local/bin',
          `ln -s ${quote(ninefsPath)} /usr/local/bin/ninefs`,
          `src=${quote(server.address)}; mnt=${quote(mountpoint)}`,
          command,
          'grep " $mnt " /proc/mounts',
          'umount "$mnt"',
        ].join('\n'),
      );
      expect(stderr).toBe('');
      expect(stdout).toMatch(/ fuse\.ninefs ro,(\S+,)?noatime/);
      expect(code).toBe(0);
    }),
  );
});

describe.skipIf(!existsSync('/dev/fuse'))('in the foreground', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s unmounts', (signal) =>
    withPlace(async ({ mountpoint }) => {
      const cli = start(['mount', server.address, mountpoint, '-f']);
      try {
        await cli.output(/mounted .*\n/);
        expect(cli.stdout).toBe(`mounted ${server.address} on ${mountpoint}\n`);
        expect(await findMount(mountpoint)).toBeDefined();
        expect(await cli.stop(signal)).toMatchObject({ code: 0, signal: null });
        expect(await findMount(mountpoint)).toBeUndefined();
      } finally {
        await cli.kill();
      }
    }),
  );

  test('logs JSON when stderr is no terminal, and at trace every 9P and FUSE message', () =>
    withPlace(async ({ mountpoint }) => {
      const cli = start(['mount', server.address, mountpoint, '-f', '--loglevel', 'trace']);
      try {
        await cli.output(/mounted/);
        await shell('ls -l', { cwd: mountpoint });
        const { stderr } = await cli.stop();
        const lines = stderr
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as { component: string; msg: string });
        const of = (component: string) => lines.filter((line) => line.component === component).map((line) => line.msg);
        for (const message of ['Tversion', 'Rversion', 'Tattach', 'Tgetattr', 'Rgetattr', 'Treaddir']) {
          expect(
            of('client').some((text) => text.includes(message)),
            message,
          ).toBe(true);
        }
        for (const message of ['INIT', 'OPENDIR', 'READDIR']) {
          expect(
            of('fuse').some((text) => text.includes(message)),
            message,
          ).toBe(true);
        }
      } finally {
        await cli.kill();
      }
    }));

  test('unmounted by somebody else, it ends well', () =>
    withPlace(async ({ mountpoint }) => {
      const cli = start(['mount', server.address, mountpoint, '-f']);
      try {
        await cli.output(/mounted/);
        await output(`umount ${mountpoint}`);
        expect(await cli.ended()).toMatchObject({ code: 0, signal: null });
      } finally {
        await cli.kill();
      }
    }));

  test('busy at a signal: says who uses it, detaches and ends', () =>
    withPlace(async ({ mountpoint }) => {
      const cli = start(['mount', server.address, mountpoint, '-f']);
      let user: Cli | undefined;
      try {
        await cli.output(/mounted/);
        user = start(['serve', 'memory:', '--listen', 'tcp!127.0.0.1!0'], { cwd: mountpoint });
        await user.output(/listening/);
        cli.process.kill('SIGTERM');
        await cli.output(/is busy, in use by .*its working directory\): detached/, 'stderr');
        expect(await cli.ended()).toMatchObject({ code: 0 });
        expect(await findMount(mountpoint)).toBeUndefined();
      } finally {
        await user?.kill();
        await cli.kill();
      }
    }));
});

describe.skipIf(!existsSync('/dev/fuse'))('umount', () => {
  test('of a busy mount is refused with its users, and done with -l', () =>
    withPlace(async (place) => {
      const pid = await mountHere(place);
      const cli = start(['serve', 'memory:', '--listen', 'tcp!127.0.0.1!0'], { cwd: place.mountpoint });
      try {
        await cli.output(/listening/);
        const refused = await ninefs(['umount', place.mountpoint]);
        expect(refused).toMatchObject({ code: 1, stdout: '' });
        expect(refused.stderr).toMatch(/^ninefs: .* is busy, in use by .*working directory.*-l\n$/);
        expect(await findMount(place.mountpoint)).toBeDefined();
        expect(await ninefs(['umount', '-l', place.mountpoint])).toMatchObject({ code: 0, stderr: '' });
        expect(await findMount(place.mountpoint)).toBeUndefined();
        expect(await isRunning(pid)).toBe(true);
      } finally {
        await cli.kill();
      }
      await processEnds(pid); // its last user has left
    }));

  test('leaves what is not ours alone', () =>
    withPlace(async ({ mountpoint }) => {
      await output(`mount -t tmpfs none ${mountpoint}`);
      const { code, stderr } = await ninefs(['umount', mountpoint]);
      expect(code).toBe(1);
      expect(stderr).toBe(
        `ninefs: what is mounted on ${mountpoint} is not ours (type tmpfs, not fuse.ninefs): use umount\n`,
      );
      expect(await findMount(mountpoint)).toBeDefined();
    }));

  test('of what is not mounted', () =>
    withPlace(async ({ mountpoint }) => {
      const { code, stderr } = await ninefs(['umount', mountpoint]);
      expect(code).toBe(1);
      expect(stderr).toBe(`ninefs: nothing is mounted on ${mountpoint}: /proc/mounts lists what is\n`);
    }));
});

describe.skipIf(!existsSync('/dev/fuse'))('a mount with keepdead whose daemon was killed', () => {
  test('is called stale, with the way to clear it; force clears it', () =>
    withPlace(async (place) => {
      const pid = await mountHere(place, '-o', 'keepdead');
      process.kill(pid, 'SIGKILL');
      await processEnds(pid);
      await until('the mount is stale', async () =>
        (await shell(`ls ${place.mountpoint}`)).stderr.includes('endpoint is not connected'),
      );
      const refused = await ninefs(['mount', server.address, place.mountpoint]);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(
        /^ninefs: mountpoint .* is stale \(Transport endpoint is not connected\): clear it with .*-o force\n$/,
      );
      expect(await ninefs(['mount', server.address, place.mountpoint, '-o', 'force'])).toMatchObject({ code: 0 });
      expect((await shell('ls', { cwd: place.mountpoint })).code).toBe(0);
      expect(await ninefs(['umount', place.mountpoint])).toMatchObject({ code: 0 });
      expect(await findMount(place.mountpoint)).toBeUndefined();
    }));

  test('is cleared by umount', () =>
    withPlace(async (place) => {
      const pid = await mountHere(place, '-o', 'keepdead');
      process.kill(pid, 'SIGKILL');
      await processEnds(pid);
      expect(await ninefs(['umount', place.mountpoint])).toMatchObject({ code: 0, stderr: '' });
      expect(await findMount(place.mountpoint)).toBeUndefined();
    }));
});
