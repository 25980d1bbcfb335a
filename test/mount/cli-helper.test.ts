// mount(8)'s ways in, by mount(8) itself: the helper where mount(8) looks for it, and mount.fuse3 where there is none.
// /sbin and /etc/fstab are covered in namespaces of their own.

import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findFusermount } from '../../src/fuse/fusermount.ts';
import { type Cli, ninefsPath, startServer } from '../support/cli.ts';
import { as, inNamespace, ninefsIn, OPEN_DEVICE, quote } from '../support/namespace.ts';
import { nobody } from '../support/servers.ts';
import type { ShellResult } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';

const STUB = resolve(import.meta.dirname, '../../bin/mount.fuse.ninefs');
const able = existsSync('/dev/fuse') && process.getuid?.() === 0 && existsSync('/usr/sbin/mount.fuse3');

let server: Cli & { address: string };

beforeAll(async () => {
  server = await startServer('memory:');
});
afterAll(() => server.kill());

/** What is linked into /sbin (which may be /usr/sbin) to which name. */
type Links = Readonly<Record<string, string>>;

const HELPERS: [string, Links][] = [
  ['the script', { 'mount.fuse.ninefs': STUB, 'mount.ninefs': STUB }],
  ['the command itself', { 'mount.fuse.ninefs': ninefsPath, 'mount.ninefs': ninefsPath }],
];
const WITH_STUB = HELPERS[0]?.[1] ?? {};

/** A script that can say $src, $mnt and `shown`, in a namespace where these are the helpers. */
function withHelpers(links: Links, steps: readonly string[], fstab = ''): Promise<ShellResult> {
  return withTempDir(async (dir) => {
    const mountpoint = join(dir, 'mnt');
    await mkdir(mountpoint);
    await writeFile(join(dir, 'fstab'), fstab.replaceAll('$src', server.address).replaceAll('$mnt', mountpoint));
    return inNamespace(
      [
        `chmod 755 ${dir}; mount --bind ${dir}/fstab /etc/fstab`,
        'mount -t tmpfs none /media; mkdir /media/sbin /media/bin; cp -a /usr/sbin/. /media/sbin',
        ...Object.entries(links).map(([name, file]) => `ln -s ${quote(file)} /media/sbin/${name}`),
        'mount --bind /media/sbin /usr/sbin',
        `ln -s ${quote(process.execPath)} /media/bin/node; ln -s ${quote(ninefsPath)} /media/bin/ninefs`,
        'mount --bind /media/bin /usr/local/bin',
        `dir=${quote(dir)}; mnt=${quote(mountpoint)}; src=${quote(server.address)}`,
        `shown() { awk -v path="$mnt" '$2 == path { print $3, $4 }' /proc/mounts; }`,
        ninefsIn(),
        ...steps,
      ].join('\n'),
    );
  });
}

const protections = (line: string) => line.match(/no(?:suid|dev|exec|atime)/g)?.sort() ?? [];

describe.skipIf(!able).each(HELPERS)('the helper, %s', (_, links) => {
  test('mounts with nosuid and nodev for root', async () => {
    const { code, stdout, stderr } = await withHelpers(links, [
      'mount -t fuse.ninefs -o _netdev,nofail,x-systemd.automount,ro,noatime $src $mnt; shown; umount $mnt',
      'mount -t ninefs -v -n $src $mnt; shown; umount $mnt',
    ]);
    expect(stderr).toBe('');
    const [first = '', said = '', second = '', ...more] = stdout.trim().split('\n');
    expect(first).toMatch(/^fuse\.ninefs ro,/);
    expect(protections(first)).toEqual(['noatime', 'nodev', 'nosuid']);
    expect(said).toMatch(/^\S+ on \S+ type fuse\.ninefs$/);
    expect(second).toMatch(/^fuse\.ninefs rw,/);
    expect(protections(second)).toEqual(['nodev', 'nosuid']);
    expect(more.filter((line) => !/type fuse.ninefs/.test(line))).toEqual([]);
    expect(code).toBe(0);
  });

  test('with nofail, and no server, exits 0, without it 32', async () => {
    const there = await nobody();
    await there.close();
    const { stdout, stderr } = await withHelpers(links, [
      `mount -t fuse.ninefs -o nofail ${quote(there.address)} $mnt; echo status $?`,
      `mount -t fuse.ninefs ${quote(there.address)} $mnt || echo status $?`,
    ]);
    expect(stderr).toMatch(/^ninefs: warning: not mounted, as nofail allows: [^\n]+\nninefs: [^\n]+\n$/);
    expect(stdout).toBe('status 0\nstatus 32\n');
  });

  test('has the exit codes of mount(8) for wrong options, and takes -s and -f', async () => {
    const { stdout, stderr } = await withHelpers(links, [
      'mount -t fuse.ninefs -o nosuchoption $src $mnt || echo status $?',
      'mount -t fuse.ninefs -o cache=fast $src $mnt || echo status $?',
      'mount -f -t fuse.ninefs -o cache=fast $src $mnt || echo status $?',
      'mount -f -t fuse.ninefs $src $mnt; echo status $?; shown',
      'mount -s -t fuse.ninefs -o nosuchoption,noatime,fsname=a\\\\,b $src $mnt; echo status $?; shown',
      'grep -c "^a,b " /proc/mounts',
    ]);
    expect(stderr.trim().split('\n')).toEqual([
      expect.stringContaining("unknown option 'nosuchoption'"),
      expect.stringContaining('option cache=fast: it takes none, auto or loose'),
      expect.stringContaining('option cache=fast: it takes none, auto or loose'),
    ]);
    expect(stdout).toMatch(
      /^status 1\nstatus 1\nstatus 1\nstatus 0\nstatus 0\nfuse\.ninefs rw,nosuid,nodev,noatime\S*\n1\n$/,
    );
  });
});

describe.skipIf(!able)('the line in fstab', () => {
  test.each<[string, Links, string, string[]]>([
    ['has nothing to say', WITH_STUB, 'noauto', ['nodev', 'nosuid']],
    ['says suid', WITH_STUB, 'noauto,suid', ['nodev']],
    ['says suid and dev', WITH_STUB, 'noauto,suid,dev,_netdev', []],
    ['says users', WITH_STUB, 'noauto,users', ['nodev', 'noexec', 'nosuid']],
    ['says users and suid', WITH_STUB, 'noauto,users,suid,exec', ['nodev']],
    ['says defaults', WITH_STUB, 'noauto,defaults', ['nodev', 'nosuid']],
    ['has nothing to say to mount.fuse3', {}, 'noauto', ['nodev', 'nosuid']],
    ['says suid to mount.fuse3', {}, 'noauto,suid', ['nodev']],
    ['says suid and dev to mount.fuse3', {}, 'noauto,suid,dev', []],
  ])('%s', async (_, links, options, expected) => {
    const { stdout, stderr, code } = await withHelpers(
      links,
      ['mount $mnt; shown; umount $mnt', 'mount -o nosuid $mnt; shown; umount $mnt'],
      `# $src $mnt fuse.ninefs suid,dev 0 0\n$src\t$mnt\tfuse.ninefs\t${options}\t0 0\nother $mnt fuse.ninefs suid,dev\n`,
    );
    expect(stderr).toBe('');
    const [plain = '', nosuid = ''] = stdout.trim().split('\n');
    expect(protections(plain)).toEqual(expected);
    expect(protections(nosuid)).toContain('nosuid');
    expect(code).toBe(0);
  });

  test.each<[string, Links]>([
    ['the helper', WITH_STUB],
    ['mount.fuse3', {}],
  ])('says nofail to %s', async (_, links) => {
    const there = await nobody();
    await there.close();
    const { stdout, stderr } = await withHelpers(
      links,
      ['mount $mnt; echo status $?'],
      `${there.address} $mnt fuse.ninefs noauto,nofail 0 0\n`,
    );
    expect(stderr).toMatch(/^ninefs: warning: not mounted, as nofail allows: [^\n]+\n$/);
    expect(stdout).toBe('status 0\n');
  });

  test.skipIf(findFusermount() === undefined)('is for a user too, who mounts and unmounts', async () => {
    const { stdout, stderr } = await withHelpers(
      WITH_STUB,
      [
        `${OPEN_DEVICE.replaceAll('/media', '/srv')}; chown 65534 $mnt`,
        `${as(65534)} mount $mnt; shown`,
        `${as(65534)} fusermount3 -u $mnt; shown; echo gone`,
      ],
      '$src $mnt fuse.ninefs noauto,user,aname= 0 0\n',
    );
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^fuse\.ninefs rw,nosuid,nodev,noexec,\S*user_id=65534\S*\ngone\n$/);
  });
});

describe.skipIf(!able)('the environment of whoever calls mount(8)', () => {
  test('reaches nothing: no code is loaded, no other node is run', async () => {
    const { code, stdout, stderr } = await withHelpers(WITH_STUB, [
      'echo "require(\\"node:fs\\").appendFileSync(\\"$dir/loaded\\", process.argv.join())" > $dir/load.cjs',
      'mkdir $dir/bin; printf "#!/bin/sh\\necho evil >&2" > $dir/bin/node; chmod 755 $dir/bin/node',
      'export NODE_OPTIONS=--require=$dir/load.cjs NODE_V8_COVERAGE=$dir/coverage NODE_DEBUG=fs PATH=$dir/bin:$PATH',
      'mount -t fuse.ninefs $src $mnt',
      'unset NODE_OPTIONS NODE_V8_COVERAGE NODE_DEBUG',
      'ls $dir; umount $mnt',
    ]);
    expect(stderr).toBe('');
    expect(stdout.split(/\s+/).sort()).toEqual(['', 'bin', 'fstab', 'load.cjs', 'mnt']);
    expect(code).toBe(0);
  });
});

describe.skipIf(!able)('a namespace of mounts', () => {
  test('is entered by whoever mounts, and nobody else sees the mount', async () => {
    const { code, stdout, stderr } = await withHelpers(WITH_STUB, [
      'unshare -m --propagation private sleep 60 & other=$!',
      'i=0; while [ "$(readlink /proc/$other/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.1; done',
      'mount -N $other -t fuse.ninefs -o ro $src $mnt',
      'shown; echo here nothing',
      'nsenter --mount=/proc/$other/ns/mnt sh -c "grep \\" $mnt \\" /proc/mounts; umount $mnt"',
      'kill $other',
    ]);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^here nothing\n\S+ \S+ fuse\.ninefs ro,nosuid,nodev,[^\n]*\n$/);
    expect(code).toBe(0);
  });
});
