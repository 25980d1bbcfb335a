// The watcher of a mount: what it does when the process that it watches is gone, what it leaves alone, and what it costs.
// What no signal handler sees is SIGKILL, so that is what these processes are ended with.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findFusermount } from '../../src/fuse/fusermount.ts';
import { findMount, mounts, quoted } from '../../src/fuse/mountinfo.ts';
import { stateOf } from '../../src/fuse/mountpoint.ts';
import { type Cli, ninefs, start, startServer } from '../support/cli.ts';
import { childrenOf, isRunning, mountLogged, processEnds, watcherOf, withPlace } from '../support/daemons.ts';
import { as, inNamespace, ninefsIn, OPEN_DEVICE, quote } from '../support/namespace.ts';
import { mute } from '../support/servers.ts';
import { output } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';
import { type ToyMountOptions, toyMount } from '../support/toymount.ts';
import { until } from '../support/until.ts';

const SCRIPT = resolve(import.meta.dirname, '../../bin/watcher.sh');
const able = existsSync('/dev/fuse') && process.getuid?.() === 0;

let server: Cli & { address: string };

beforeAll(async () => {
  server = await startServer('memory:');
});
afterAll(() => server.kill());

const isGone = (mountpoint: string) =>
  until('the mount is gone', async () => (await findMount(mountpoint)) === undefined);

describe.skipIf(!able)('a mount whose process is killed', () => {
  test.each([
    ['at rest', 'mnt'],
    ['with a name that the kernel quotes', 'a b\tc\nd\\040e#%s-\n'],
    ['with a name of other letters', 'ä*?$(x)\'"'],
  ])('%s, is detached, and its watcher ends', (_, name) =>
    withPlace(async (place) => {
      const mountpoint = join(place.dir, name);
      await mkdir(mountpoint, { recursive: true });
      const pid = await mountLogged(server.address, { ...place, mountpoint });
      const watcher = await watcherOf(pid);
      process.kill(pid, 'SIGKILL');
      await isGone(mountpoint);
      await processEnds(watcher);
    }),
  );

  test('with somebody in it, is detached', () =>
    withPlace(async (place) => {
      const pid = await mountLogged(server.address, place);
      const user = start(['serve', 'memory:', '--listen', 'tcp!127.0.0.1!0'], { cwd: place.mountpoint });
      try {
        await user.output(/listening/);
        process.kill(pid, 'SIGKILL');
        await isGone(place.mountpoint);
      } finally {
        await user.kill();
      }
    }));

  test('in the foreground, is detached too', () =>
    withPlace(async ({ mountpoint }) => {
      const cli = start(['mount', server.address, mountpoint, '-f']);
      await cli.output(/^mounted /);
      const watcher = await watcherOf(cli.process.pid ?? 0);
      expect(await cli.stop('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
      await isGone(mountpoint);
      await processEnds(watcher);
    }));

  test('can be mounted again at once', () =>
    withPlace(async (place) => {
      for (let i = 0; i < 5; i++) {
        const pid = await mountLogged(server.address, { ...place, log: join(place.dir, `log${i}`) });
        process.kill(pid, 'SIGKILL');
        await isGone(place.mountpoint);
      }
      expect(await ninefs(['mount', server.address, place.mountpoint])).toMatchObject({ code: 0 });
      expect(await output('ls', { cwd: place.mountpoint })).toBe('');
      expect(await ninefs(['umount', place.mountpoint])).toMatchObject({ code: 0 });
    }));

  test('with keepdead stays, and has no watcher', () =>
    withPlace(async (place) => {
      const pid = await mountLogged(server.address, place, ['-o', 'keepdead']);
      expect(await childrenOf(pid)).toEqual([]);
      process.kill(pid, 'SIGKILL');
      await processEnds(pid);
      await until('it is stale', async () => (await stateOf(place.mountpoint)).is === 'stale');
    }));

  test('while it starts leaves neither mount nor watcher', () =>
    withPlace(async ({ mountpoint }) => {
      const fake = await mute();
      const cli = start(['mount', fake.address, mountpoint, '-f']);
      try {
        await fake.heard(1);
        const watcher = await watcherOf(cli.process.pid ?? 0);
        await cli.stop('SIGKILL');
        await processEnds(watcher);
        expect(await findMount(mountpoint)).toBeUndefined();
      } finally {
        await cli.kill();
        await fake.close();
      }
    }));
});

describe.skipIf(!able || findFusermount() === undefined)('an ordinary user', () => {
  test("has a watcher, which detaches that user's mount", () =>
    withTempDir(async (dir) => {
      const mountpoint = join(dir, 'mnt');
      await mkdir(mountpoint);
      const { code, stdout, stderr } = await inNamespace(
        [
          OPEN_DEVICE,
          `mnt=${quote(mountpoint)}; dir=${quote(dir)}; chmod 755 $dir; chown 65534 $mnt; touch $dir/log; chmod 666 $dir/log`,
          ninefsIn(as(65534)),
          `ninefs mount ${quote(server.address)} $mnt -o log=$dir/log`,
          'kill -9 "$(sed -n \'1s/.*"pid":\\([0-9]*\\).*/\\1/p\' $dir/log)"',
          'i=0; while grep -q " $mnt " /proc/self/mountinfo && [ $i -lt 200 ]; do sleep 0.1; i=$((i + 1)); done',
          'grep -c " $mnt " /proc/self/mountinfo || true',
        ].join('\n'),
      );
      expect(stderr).toBe('');
      expect(stdout).toBe('0\n');
      expect(code).toBe(0);
    }));
});

describe.skipIf(!able)('the watcher', () => {
  test('ends with a mount that ends well', () =>
    withPlace(async (place) => {
      const pid = await mountLogged(server.address, place);
      const watcher = await watcherOf(pid);
      await ninefs(['umount', place.mountpoint]);
      await processEnds(pid);
      await processEnds(watcher);
    }));

  test('has less than 2 MB, where the shell is dash', async () => {
    await withPlace(async (place) => {
      const pid = await mountLogged(server.address, place);
      const status = await readFile(`/proc/${await watcherOf(pid)}/status`, 'utf8');
      const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
      expect(kilobytes('RssAnon')).toBeLessThan(512);
      if ((await realpath('/bin/sh')).endsWith('/dash')) expect(kilobytes('VmRSS')).toBeLessThan(2048);
      await ninefs(['umount', place.mountpoint]);
    });
  });

  test('that is gone itself does not trouble the mount', () =>
    withPlace(async (place) => {
      const pid = await mountLogged(server.address, place);
      process.kill(await watcherOf(pid), 'SIGKILL');
      await until('it is gone', async () => (await childrenOf(pid)).length === 0);
      expect(await output('ls', { cwd: place.mountpoint })).toBe('');
      expect(await isRunning(pid)).toBe(true);
      expect(await ninefs(['umount', place.mountpoint])).toMatchObject({ code: 0, stderr: '' });
      await processEnds(pid);
    }));
});

/** Runs the watcher as a process that says these lines, and then is gone. */
async function watched(lines: readonly string[]): Promise<void> {
  const child = spawn('/bin/sh', [SCRIPT, 'fusermount3'], { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.end(lines.map((line) => `${line}\n`).join(''));
  await once(child, 'exit');
}

async function nameOf(mountpoint: string): Promise<string> {
  const info = await findMount(mountpoint);
  return `${info?.id} ${info?.major}:${info?.minor}`;
}

/** A mount of the right type, with a process or without. */
function withToy(
  alive: boolean,
  body: (mountpoint: string) => Promise<void>,
  options?: ToyMountOptions,
): Promise<void> {
  return withTempDir(async (mountpoint) => {
    await using toy = await toyMount({ mountpoint, ...options });
    if (!alive) await toy[Symbol.asyncDispose]();
    await body(mountpoint);
  });
}

describe.skipIf(!able)('what the watcher is told of', () => {
  test('is detached when it is dead', () =>
    withToy(false, async (mountpoint) => {
      await watched([`at ${quoted(mountpoint)} - -`, `is ${await nameOf(mountpoint)}`]);
      expect(await findMount(mountpoint)).toBeUndefined();
    }));

  test('is detached when it came to the place, and was not named yet', () =>
    withToy(false, async (mountpoint) => {
      await watched([`at ${quoted(mountpoint)} - -`]);
      expect(await findMount(mountpoint)).toBeUndefined();
    }));

  test('is found where it was moved to', () =>
    withTempDir(async (dir) => {
      const [before, after] = [join(dir, 'before'), join(dir, 'after')];
      await mkdir(before);
      await mkdir(after);
      // a mount below a shared one cannot be moved
      await output(`mount -t tmpfs none ${dir}; mount --make-private ${dir}; mkdir ${before} ${after}`);
      await using toy = await toyMount({ mountpoint: before });
      await output(`mount --move ${before} ${after}`);
      const name = await nameOf(after);
      await toy[Symbol.asyncDispose]();
      await watched([`at ${quoted(before)} - -`, `is ${name}`]);
      expect(await findMount(after)).toBeUndefined();
    }));
});

describe.skipIf(!able)('the watcher leaves alone', () => {
  test('what lives, though it has the id of what it was told of', () =>
    withToy(true, async (mountpoint) => {
      await watched([`at ${quoted(mountpoint)} - -`, `is ${await nameOf(mountpoint)}`]);
      expect(await stateOf(mountpoint)).toMatchObject({ is: 'mounted' });
    }));

  test('what lives, and came to the place before the mount had a name', () =>
    withToy(true, async (mountpoint) => {
      await watched([`at ${quoted(mountpoint)} - -`]);
      expect(await stateOf(mountpoint)).toMatchObject({ is: 'mounted' });
    }));

  test("somebody else's, dead or not, that came to the place later", () =>
    withToy(false, async (mountpoint) => {
      await watched([`at ${quoted(mountpoint)} - -`, 'is 1000000 0:1000000']);
      expect(await stateOf(mountpoint)).toEqual({ is: 'stale' });
    }));

  test('what was there before', () =>
    withToy(false, async (mountpoint) => {
      await watched([`at ${quoted(mountpoint)} ${await nameOf(mountpoint)}`]);
      expect(await stateOf(mountpoint)).toEqual({ is: 'stale' });
    }));

  test('everything, once it is told that nothing is left', () =>
    withToy(false, async (mountpoint) => {
      await watched([`at ${quoted(mountpoint)} - -`, `is ${await nameOf(mountpoint)}`, 'done']);
      expect(await stateOf(mountpoint)).toEqual({ is: 'stale' });
    }));

  test.each(['alive', 'dead'])('what covers the dead mount, %s', (cover) =>
    withToy(false, (mountpoint) =>
      withToy(cover === 'alive', async (other) => {
        const name = await nameOf(mountpoint);
        await output(`mount --bind ${other} ${mountpoint}`);
        await watched([`at ${quoted(mountpoint)} - -`, `is ${name}`]);
        expect((await mounts()).filter((info) => info.mountpoint === mountpoint)).toHaveLength(2);
      }),
    ),
  );
});
