// An ordinary user's mount, through fusermount3: it works for that user, keeps others out, and ends by that user's hand.

import { existsSync } from 'node:fs';
import { chmod, chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findFusermount } from '../../src/fuse/fusermount.ts';
import { type Cli, ninefsPath, startServer } from '../support/cli.ts';
import { as, inNamespace, OPEN_DEVICE, quote } from '../support/namespace.ts';
import type { ShellResult } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0 && findFusermount() !== undefined;
const USER = 65534;
const OTHER = 1;

let server: Cli & { address: string };

beforeAll(async () => {
  server = await startServer('memory:', ['--listen', 'tcp!127.0.0.1!0', '--users=trust']);
});
afterAll(() => server.kill());

/** `steps` see $mnt and can say `ninefs`, as USER. Whatever happens, the mount is gone afterwards. */
function asUser(steps: (mountpoint: string) => string[]): Promise<ShellResult> {
  return withTempDir(async (dir) => {
    const mountpoint = join(dir, 'mnt');
    await mkdir(mountpoint);
    await chmod(dir, 0o755);
    await chown(mountpoint, USER, USER);
    return inNamespace(
      [
        OPEN_DEVICE,
        `mnt=${quote(mountpoint)}`,
        'trap "umount -l $mnt 2>/dev/null || true" EXIT',
        `ninefs() { ${as(USER)} ${quote(process.execPath)} ${quote(ninefsPath)} "$@"; }`,
        `export HOME=${quote(dir)}`,
        ...steps(mountpoint),
      ].join('\n'),
    );
  });
}

describe.skipIf(!able)('an ordinary user', () => {
  test('mounts, works and unmounts', async () => {
    const { code, stdout, stderr } = await asUser(() => [
      `ninefs mount ${quote(server.address)} $mnt`,
      'grep " $mnt " /proc/mounts',
      `${as(USER)} sh -ec 'cd $1; echo mine > user-file; cat user-file; stat -c %u user-file; rm user-file' sh $mnt`,
      'ninefs umount $mnt',
      'grep " $mnt " /proc/mounts || echo gone',
    ]);
    expect(stderr).toBe('');
    const [mount = '', ...rest] = stdout.trim().split('\n');
    expect(mount).toMatch(/ fuse\.ninefs rw,nosuid,nodev,.*user_id=65534,group_id=65534/);
    expect(mount.startsWith(`${server.address} `)).toBe(true);
    expect(rest).toEqual(['mine', String(USER), 'gone']);
    expect(code).toBe(0);
  });

  test('keeps everybody else out, root too', async () => {
    const { code, stdout } = await asUser(() => [
      `ninefs mount ${quote(server.address)} $mnt`,
      `${as(OTHER)} ls $mnt 2>&1 || echo status $?`,
      'ls $mnt 2>&1 || echo status $?',
      'ninefs umount $mnt',
    ]);
    expect(stdout.match(/Permission denied\nstatus 2\n/g)).toHaveLength(2);
    expect(code).toBe(0);
  });

  test('with allow_other, where /etc/fuse.conf permits it, lets the others in', async () => {
    const { code, stdout, stderr } = await asUser(() => [
      'echo user_allow_other > /media/fuse.conf; mount --bind /media/fuse.conf /etc/fuse.conf',
      `ninefs mount ${quote(server.address)} $mnt -o allow_other`,
      `${as(OTHER)} ls -d $mnt && echo entered`,
      'ninefs umount $mnt',
    ]);
    expect(stderr).toBe('');
    expect(stdout).toContain('entered\n');
    expect(code).toBe(0);
  });

  test('and then a server that tells its clients lets each of the others in only if that user may be them', async () => {
    const peer = await startServer('memory:');
    try {
      const { stdout } = await asUser(() => [
        'echo user_allow_other > /media/fuse.conf; mount --bind /media/fuse.conf /etc/fuse.conf',
        `ninefs mount ${quote(peer.address)} $mnt -o allow_other`,
        `${as(USER)} ls $mnt && echo entered`,
        `${as(OTHER)} ls $mnt 2>&1 || echo status $?`,
        'ninefs umount $mnt',
      ]);
      expect(stdout).toMatch(/^entered\n[^\n]*Operation not permitted\nstatus 2\n$/);
    } finally {
      await peer.kill();
    }
  });

  test("is told who may unmount: not another's mount", async () => {
    const { code, stdout } = await asUser(() => [
      `ninefs mount ${quote(server.address)} $mnt`,
      `${as(OTHER)} ${quote(process.execPath)} ${quote(ninefsPath)} umount $mnt 2>&1 || echo status $?`,
      'grep -c " $mnt " /proc/mounts',
      'ninefs umount $mnt',
    ]);
    expect(stdout).toMatch(/^ninefs: cannot unmount [^\n]+\nstatus 1\n1\n$/);
    expect(code).toBe(0);
  });
});
