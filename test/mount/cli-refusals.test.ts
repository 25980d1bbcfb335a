// Everything that can be wrong with a mount: one line that names the thing and what would be right, exit 1, and
// nothing left mounted or running.

import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { within } from '../../src/common/deadline.ts';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { type Cli, type CliResult, ninefs, ninefsPath, start, startServer } from '../support/cli.ts';
import { as, inNamespace, OPEN_DEVICE, quote } from '../support/namespace.ts';
import { answering, type FakeServer, greeting, hangingUp, mute, nobody, versionOnly } from '../support/servers.ts';
import { shell } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';

const ONE_LINE = /^ninefs: [^\n]+\n$/;

function expectRefusal(result: CliResult, says: RegExp | string): void {
  expect(result.stderr).toMatch(says);
  expect(result.stderr).toMatch(ONE_LINE);
  expect(result.stdout).toBe('');
  expect(result.code).toBe(1);
}

function withMountpoint(body: (mountpoint: string, dir: string) => Promise<void>): Promise<void> {
  return withTempDir(async (dir) => {
    const mountpoint = join(dir, 'mnt');
    await mkdir(mountpoint);
    await body(mountpoint, dir);
    expect(await findMount(mountpoint)).toBeUndefined();
  });
}

let server: Cli & { address: string };

beforeAll(async () => {
  server = await startServer('memory:');
});
afterAll(() => server.kill());

describe.skipIf(!existsSync('/dev/fuse'))('the server', () => {
  test.each([[[]], [['-f']]])('nothing listening %j', (flags) =>
    withMountpoint(async (mountpoint) => {
      const there = await nobody();
      const result = await ninefs(['mount', there.address, mountpoint, ...flags]);
      await there.close();
      expectRefusal(result, `${there.address}: nothing is listening there`);
    }),
  );

  test('a failure is in the log too, in one line', () =>
    withMountpoint(async (mountpoint, dir) => {
      const log = join(dir, 'log');
      expectRefusal(await ninefs(['mount', join(dir, 'sock'), mountpoint, '--log', log]), /there is no such socket/);
      const [line = '', ...more] = (await readFile(log, 'utf8')).trim().split('\n');
      expect(JSON.parse(line)).toMatchObject({ level: 50, msg: expect.stringContaining('no such socket') as string });
      expect(line).not.toContain('stack');
      expect(more).toEqual([]);
    }));

  test('no such socket', () =>
    withMountpoint(async (mountpoint, dir) => {
      expectRefusal(await ninefs(['mount', join(dir, 'sock'), mountpoint]), /there is no such socket/);
    }));

  test('a name that does not resolve', () =>
    withMountpoint(async (mountpoint) => {
      const result = await ninefs(['mount', 'tcp!no-such-host.invalid!564', mountpoint]);
      expectRefusal(result, /tcp!no-such-host\.invalid!564: the name does not resolve/);
    }));

  test('nofail turns a missing server into a warning', () =>
    withMountpoint(async (mountpoint) => {
      const there = await nobody();
      const result = await ninefs(['mount', there.address, mountpoint, '-o', 'nofail']);
      await there.close();
      expect(result.stderr).toMatch(ONE_LINE);
      expect(result.stderr).toMatch(/warning: not mounted, as nofail allows: .*nothing is listening there/);
      expect(result.code).toBe(0);
    }));

  test('nofail forgives no other failure', () =>
    withMountpoint(async (mountpoint) => {
      const result = await ninefs(['mount', server.address, mountpoint, '-o', 'nofail,aname=/no/such/tree']);
      expectRefusal(result, /aname '\/no\/such\/tree' is refused/);
    }));

  test.each<[string, () => Promise<FakeServer>, RegExp]>([
    ['HTTP', () => answering('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'), /9P/],
    ['ssh', () => greeting('SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n'), /9P/],
    ['zeros', () => answering(Buffer.alloc(64)), /9P|frame/],
    ['one that hangs up', () => hangingUp(), /hung up/],
  ])('not 9P: %s', (_, make, says) =>
    withMountpoint(async (mountpoint) => {
      const fake = await make();
      try {
        const result = await ninefs(['mount', fake.address, mountpoint]);
        expectRefusal(result, says);
        expect(result.stderr).toContain(fake.address);
      } finally {
        await fake.close();
      }
    }),
  );

  test.each([
    ['unknown', /9P2000\.L/],
    ['9P2000', /9P2000\.L/],
    ['9P2000.u', /9P2000\.L/],
  ])('a version that it refuses: %s', (version, says) =>
    withMountpoint(async (mountpoint) => {
      const fake = await versionOnly(version);
      try {
        expectRefusal(await ninefs(['mount', fake.address, mountpoint, '-o', 'version=9p2000.L']), says);
      } finally {
        await fake.close();
      }
    }),
  );

  test('an msize below 4096', () =>
    withMountpoint(async (mountpoint) => {
      const fake = await versionOnly('9P2000.L', 1024);
      try {
        expectRefusal(await ninefs(['mount', fake.address, mountpoint]), /msize.*1024|1024.*msize/);
      } finally {
        await fake.close();
      }
    }));

  test('an aname that it refuses', () =>
    withMountpoint(async (mountpoint) => {
      const result = await ninefs(['mount', server.address, mountpoint, '-o', 'aname=/no/such/tree']);
      expectRefusal(result, /aname '\/no\/such\/tree' is refused/);
    }));

  test.each<[string, () => Promise<FakeServer>]>([
    ['to the version', mute],
    ['to the attach', () => versionOnly('9P2000.L')],
  ])('no answer %s within timeout=', (_, make) =>
    withMountpoint(async (mountpoint) => {
      const fake = await make();
      try {
        expectRefusal(await ninefs(['mount', fake.address, mountpoint, '-o', 'timeout=0.5']), /within 0\.5 s|in time/);
      } finally {
        await fake.close();
      }
    }),
  );

  test.each<[string, () => Promise<FakeServer>, number, string[]]>([
    ['to the version', mute, 1, []],
    ['to the version, in the foreground', mute, 1, ['-f']],
    ['to the attach', () => versionOnly('9P2000.L'), 2, []],
    ['to the attach, in the foreground', () => versionOnly('9P2000.L'), 2, ['-f']],
  ])('no answer %s: SIGINT gives up', (_, make, messages, flags) =>
    withMountpoint(async (mountpoint) => {
      const fake = await make();
      const cli = start(['mount', fake.address, mountpoint, '--loglevel', 'error', ...flags]);
      try {
        await fake.heard(messages);
        expect(await cli.stop('SIGINT')).toMatchObject({ code: 130, stderr: '' });
      } finally {
        await cli.kill();
        await fake.close();
      }
    }),
  );
});

describe.skipIf(!existsSync('/dev/fuse'))('a signal that kills, while the server does not answer', () => {
  test.each([
    ['in the background', []],
    ['in the foreground', ['-f']],
  ])('%s: ends the mount with whoever waits for it', (_, flags) =>
    withMountpoint(async (mountpoint) => {
      const fake = await mute();
      const cli = start(['mount', fake.address, mountpoint, '--loglevel', 'error', ...flags]);
      try {
        await fake.heard(1);
        expect(await cli.stop('SIGQUIT')).toMatchObject({ signal: 'SIGQUIT', stderr: '' });
        // by itself it would give up after 20 seconds
        await within(fake.left(), 10_000, () => expect.unreachable('somebody is still connected'));
      } finally {
        await cli.kill();
        await fake.close();
      }
    }),
  );
});

describe.skipIf(!existsSync('/dev/fuse'))('the mountpoint', () => {
  test('is missing', () =>
    withMountpoint(async (mountpoint) => {
      const result = await ninefs(['mount', server.address, join(mountpoint, 'more')]);
      expectRefusal(result, /mountpoint .*\/mnt\/more does not exist: create it with mkdir/);
    }));

  test('is not a directory', () =>
    withMountpoint(async (mountpoint) => {
      const file = join(mountpoint, 'file');
      await writeFile(file, '');
      expectRefusal(await ninefs(['mount', server.address, file]), /mountpoint .*file is not a directory/);
      expectRefusal(await ninefs(['mount', server.address, join(file, 'x')]), /mountpoint .* is not a directory/);
    }));

  test.each([
    ['in the background', []],
    ['in the foreground', ['-f']],
  ])('is mounted by a process that does not answer, %s: nobody waits for it', (_, flags) =>
    withMountpoint(async (mountpoint) => {
      const cli = start(['mount', server.address, mountpoint, '-f', '-o', 'keepdead']);
      try {
        await cli.output(/^mounted /);
        cli.process.kill('SIGSTOP');
        const result = await ninefs(['mount', server.address, mountpoint, ...flags, '--loglevel', 'silent']);
        expectRefusal(result, /what is mounted on .* does not answer: detach it with "ninefs umount -l /);
        expect(await ninefs(['umount', '-l', mountpoint])).toMatchObject({ code: 0, stderr: '' });
        expect(await findMount(mountpoint)).toBeUndefined();
      } finally {
        await cli.kill();
      }
    }),
  );

  test('is mounted by us already', () =>
    withMountpoint(async (mountpoint) => {
      expect(await ninefs(['mount', server.address, mountpoint])).toMatchObject({ code: 0 });
      const again = await ninefs(['mount', server.address, mountpoint]);
      expectRefusal(again, /is already mounted on .*: unmount it first/);
      expect(await ninefs(['umount', mountpoint])).toMatchObject({ code: 0 });
    }));
});

/** Runs the command after `prepare` has changed what it sees of the machine. */
async function withMachine(prepare: string, args: readonly string[], user = ''): Promise<CliResult> {
  const words = [process.execPath, ninefsPath, ...args].map(quote).join(' ');
  return { ...(await inNamespace(`${prepare}; exec ${user} ${words}`)), signal: null };
}

const NOBODY = as(65534);

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0)('the machine', () => {
  test('has no /dev/fuse', () =>
    withMountpoint(async (mountpoint) => {
      const hidden =
        'mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5; mknod -m 666 /dev/urandom c 1 9';
      const result = await withMachine(hidden, ['mount', server.address, mountpoint]);
      expectRefusal(result, /no \/dev\/fuse: load the module \(modprobe fuse\), or give the container the device/);
    }));

  test('has no fusermount3, which a user needs', () =>
    withMountpoint(async (mountpoint) => {
      await shell(`chmod 755 ${join(mountpoint, '..')}; chown 65534 ${mountpoint}`);
      const hidden = `${OPEN_DEVICE}; for f in /usr/bin/fusermount3 /bin/fusermount3; do mount --bind /dev/null $f; done`;
      const result = await withMachine(hidden, ['mount', server.address, mountpoint], NOBODY);
      expectRefusal(result, /no fusermount3, .*: install the package fuse3/);
    }));

  test('does not permit allow_other to users', () =>
    withMountpoint(async (mountpoint) => {
      await shell(`chmod 755 ${join(mountpoint, '..')}; chown 65534 ${mountpoint}`);
      const result = await withMachine(
        `${OPEN_DEVICE}; mount --bind /dev/null /etc/fuse.conf`,
        ['mount', server.address, mountpoint, '-o', 'allow_other'],
        NOBODY,
      );
      expectRefusal(result, /allow_other .*\/etc\/fuse\.conf .*user_allow_other/);
    }));
});
