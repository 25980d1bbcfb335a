// Where nobody is to mount: on what the machine lives from. And what helps when it has happened: a mount that covers /proc, or
// a machine without it. All of it in namespaces of their own, which the machine does not see.

import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { type Cli, ninefs, startServer } from '../support/cli.ts';
import { as, inNamespace, ninefsIn, OPEN_DEVICE, quote } from '../support/namespace.ts';
import { nobody } from '../support/servers.ts';
import { type ShellResult, shell } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;

let server: Cli & { address: string };

beforeAll(async () => {
  server = await startServer('memory:');
});
afterAll(() => server.kill());

/** A script in a namespace that can say `ninefs`, $src and $mnt. */
function inSight(steps: readonly string[]): Promise<ShellResult> {
  return withTempDir(async (dir) => {
    const mountpoint = join(dir, 'mnt');
    await mkdir(mountpoint);
    return inNamespace(
      [ninefsIn(), `src=${quote(server.address)}; dir=${quote(dir)}; mnt=${quote(mountpoint)}`, ...steps].join('\n'),
    );
  });
}

/** Until a line of the shell is true, ten seconds at the most. */
const wait = (condition: string) => `i=0; until ${condition}; do [ $i -lt 100 ]; i=$((i + 1)); sleep 0.1; done`;
const refusal = (path: string) =>
  `ninefs: mountpoint ${path}: covering it breaks this machine; name a directory below /mnt, or insist with -o force\n`;

describe.skipIf(!able)('a directory that the machine needs', () => {
  const PLACES = ['/', '/proc', '/sys', '/dev', '/run', '/etc', '/usr', '/var', '/tmp', '/proc/sys', '/sys/fs/fuse'];
  test.each(PLACES)('%s is refused, and nothing has happened', async (path) => {
    const { code, stdout, stderr } = await inSight([
      `seen() { awk -v path=${path} '$5 == path' /proc/self/mountinfo; }; seen > $dir/before`,
      `ninefs mount $src ${path} || echo status $?`,
      `ninefs mount $src ${path} -f || echo status $?`,
      `ninefs mount $src ${path} -o nofail || echo status $?`,
      'seen | cmp - $dir/before',
    ]);
    expect(stderr).toBe(refusal(path).repeat(3));
    expect(stdout).toBe('status 1\nstatus 1\nstatus 1\n');
    expect(code).toBe(0);
  });

  test('is refused under another name, and before the server is asked', async () => {
    const there = await nobody();
    await there.close();
    const { stdout, stderr } = await inSight([
      'mount -t tmpfs none $mnt; ln -s /proc $mnt/link; mkdir $mnt/sub',
      `ninefs mount ${quote(there.address)} $mnt/link || echo status $?`,
      `cd $mnt/sub; ninefs mount ${quote(there.address)} ../../../../../proc || echo status $?`,
    ]);
    expect(stderr.replace(/mountpoint \S+: cov/g, 'mountpoint /proc: cov')).toBe(refusal('/proc').repeat(2));
    expect(stdout).toBe('status 1\nstatus 1\n');
  });

  test('is refused to an ordinary user too', async () => {
    const { stderr } = await inSight([
      OPEN_DEVICE,
      ninefsIn(as(65534)),
      'mkdir -p /run/user/65534; chown 65534 /run/user/65534',
      'ninefs mount $src /run/user/65534 || true',
    ]);
    expect(stderr).toBe(refusal('/run/user/65534'));
  });

  test.each(['/mnt/9', '/run/user/65534/9', '/run/9', '/var/9', '/home/9', '/dev/shm/9', '/usr/local/9'])(
    'below one, %s is as good as any',
    async (path) => {
      const { code, stdout, stderr } = await inSight([
        'for d in /mnt /run /var /home /dev/shm /usr/local; do mount -t tmpfs none $d; done',
        `mkdir -p ${path}`,
        `ninefs mount $src ${path}`,
        `stat -f -c %T ${path}`,
        `ninefs umount ${path}`,
      ]);
      expect(stderr).toBe('');
      expect(stdout).toBe('fuseblk\n');
      expect(code).toBe(0);
    },
  );

  test.each(['/proc', '/sys', '/run', '/etc', '/tmp'])(
    '%s can be insisted on, and is uncovered by a signal',
    async (path) => {
      const { code, stdout, stderr } = await inSight([
        `become_ninefs mount $src ${path} -f -o force,loglevel=silent & pid=$!`,
        wait(`[ "$(stat -f -c %T ${path})" = fuseblk ]`),
        'kill -TERM $pid; wait $pid',
        `stat -f -c %T ${path}; ls /proc/self/mountinfo`,
      ]);
      expect(stderr).toBe('');
      expect(stdout).toMatch(/^mounted .*\n(?!fuse)\S+\n\/proc\/self\/mountinfo\n$/);
      expect(code).toBe(0);
    },
  );

  test('/proc can be insisted on, and is uncovered when the process is killed', async () => {
    const { code, stdout, stderr } = await inSight([
      'become_ninefs mount $src /proc -f -o force,loglevel=silent & pid=$!',
      wait('[ "$(stat -f -c %T /proc)" = fuseblk ]'),
      'kill -KILL $pid; wait $pid || echo status $?',
      wait('[ "$(stat -f -c %T /proc 2>&1)" = proc ]'),
    ]);
    expect(stderr).toMatch(/^(Killed\n)?$/); // not every shell says it
    expect(stdout).toMatch(/^mounted .*\nstatus 137\n$/);
    expect(code).toBe(0);
  });
});

describe.skipIf(!able)('where the socket of the server would be covered', () => {
  test('the mount is refused', () =>
    withTempDir(async (dir) => {
      await mkdir(join(dir, 'sub'));
      const served = await startServer('memory:', ['--listen', `unix!${join(dir, 'sub/sock')}`]);
      try {
        const { code, stderr } = await ninefs(['mount', served.address, dir]);
        expect(stderr).toBe(
          `ninefs: the server's socket ${dir}/sub/sock is below the mountpoint, which would cover it: mount elsewhere\n`,
        );
        expect(code).toBe(2);
        expect(await findMount(dir)).toBeUndefined();
        const beside = join(dir, 'su');
        await mkdir(beside);
        expect(await ninefs(['mount', served.address, beside])).toMatchObject({ code: 0 });
        expect(await ninefs(['umount', beside])).toMatchObject({ code: 0 });
      } finally {
        await served.kill();
      }
    }));
});

/** Takes /proc away, however often it is mounted. */
const WITHOUT_PROC = 'while mountpoint -q /proc; do umount -l /proc; done';

describe.skipIf(!able)('without /proc', () => {
  test('umount -l detaches a mount, alive and dead', async () => {
    const { code, stdout, stderr } = await inSight([
      'mkdir $dir/dead; ninefs mount $src $mnt; ninefs mount $src $dir/dead -o keepdead,log=$dir/log',
      'kill -9 "$(sed -n \'1s/.*"pid":\\([0-9]*\\).*/\\1/p\' $dir/log)"',
      WITHOUT_PROC,
      'ninefs umount -l $mnt; stat -f -c %T $mnt',
      'ninefs umount -l $dir/dead; stat -f -c %T $dir/dead',
    ]);
    expect(stderr).toBe('');
    expect(stdout).not.toContain('fuse');
    expect(stdout.trim().split('\n')).toHaveLength(2);
    expect(code).toBe(0);
  });

  test('umount -l leaves alone what is no FUSE mount', async () => {
    const { stdout, stderr } = await inSight([
      'mount -t tmpfs none $mnt',
      WITHOUT_PROC,
      'ninefs umount -l $mnt || echo status $?',
      'ninefs umount -l $dir || echo status $?',
      'stat -f -c %T $mnt',
    ]);
    expect(stderr).toMatch(
      /^(ninefs: cannot tell what is mounted on \S+: \/proc is broken, and it is no FUSE mount: .*\n){2}$/,
    );
    expect(stdout).toBe('status 1\nstatus 1\ntmpfs\n');
  });

  test('the other commands say why they cannot', async () => {
    const { stdout, stderr } = await inSight([
      'ninefs mount $src $mnt',
      WITHOUT_PROC,
      'ninefs umount $mnt || echo status $?',
      'mkdir $dir/other; ninefs mount $src $dir/other || echo status $?',
      'ninefs mount $src $dir/other -f || echo status $?',
      'ninefs umount -l $mnt',
    ]);
    expect(stderr).toBe(
      'ninefs: cannot read /proc/self/mountinfo (ENOENT): is /proc mounted, and not covered? "mount -t proc proc /proc" as root mounts it\n'.repeat(
        3,
      ),
    );
    expect(stdout).toBe('status 1\nstatus 1\nstatus 1\n');
  });

  test.each([
    ['at rest', 'user=', ''],
    ['with somebody in it', '(cd $mnt && exec sleep 100) & user=$!', 'ninefs: .* is busy: detached all the same\n'],
  ])('a signal unmounts a mount %s all the same', async (_, use, said) => {
    const { code, stdout, stderr } = await inSight([
      'become_ninefs mount $src $mnt -f -o loglevel=silent & pid=$!',
      wait('[ "$(stat -f -c %T $mnt)" = fuseblk ]'),
      use,
      '[ -z "$user" ] || while [ "$(readlink /proc/$user/cwd)" != $mnt ]; do sleep 0.1; done',
      WITHOUT_PROC,
      'kill -TERM $pid; wait $pid',
      'stat -f -c %T $mnt; [ -z "$user" ] || kill $user',
    ]);
    expect(stderr).toMatch(new RegExp(`^${said}$`));
    expect(stdout).toMatch(/^mounted .*\n(?!fuse)\S+\n$/);
    expect(code).toBe(0);
  });
});

describe.skipIf(!able)('a dead mount on /proc', () => {
  test('is named by every command, and umount -l clears it', async () => {
    const { code, stdout, stderr } = await inSight([
      'ninefs mount $src /proc -o force,keepdead,log=$dir/log',
      'kill -9 "$(sed -n \'1s/.*"pid":\\([0-9]*\\).*/\\1/p\' $dir/log)"',
      wait('stat -f /proc 2>&1 | grep -q "not connected"'),
      'ninefs mount $src $mnt || echo status $?',
      'ninefs umount $mnt || echo status $?',
      'ninefs umount -l /proc',
      'ls /proc/self/mountinfo',
    ]);
    expect(stderr).toBe(
      'ninefs: cannot read /proc/self/mountinfo (ENOTCONN): a dead mount covers /proc: "ninefs umount -l /proc" as root uncovers it\n'.repeat(
        2,
      ),
    );
    expect(stdout).toBe('status 1\nstatus 1\n/proc/self/mountinfo\n');
    expect(code).toBe(0);
  });
});

describe.skipIf(!able)('a mount that does not come live', () => {
  test.each([
    ['that fusermount3 makes, and says it has not', '"$real" "$@"; exit 1'],
    ['whose descriptor fusermount3 keeps', '_FUSE_COMMFD=9 "$real" "$@" 9<>/dev/null; exit 0'],
  ])('%s, is cleared', (_, body) =>
    withTempDir(async (dir) => {
      const mountpoint = join(dir, 'mnt');
      const bin = join(dir, 'bin');
      await mkdir(mountpoint);
      await mkdir(bin);
      const real = (await shell('command -v fusermount3')).stdout.trim();
      await writeFile(
        join(bin, 'fusermount3'),
        `#!/bin/sh\nreal=${real}\ncase $1 in -o) ${body} ;; *) exec "$real" "$@" ;; esac\n`,
        { mode: 0o755 },
      );
      const { stdout, stderr } = await inNamespace(
        [
          OPEN_DEVICE,
          `chmod 755 ${dir}; chown 65534 ${mountpoint}; export PATH=${bin}:$PATH`,
          ninefsIn(as(65534)),
          `ninefs mount ${quote(server.address)} ${mountpoint} || echo status $?`,
          `grep ${mountpoint} /proc/self/mountinfo || echo clear`,
        ].join('\n'),
      );
      expect(stderr).toMatch(/^ninefs: cannot mount on [^\n]+\n$/);
      expect(stdout).toBe('status 1\nclear\n');
    }),
  );
});
