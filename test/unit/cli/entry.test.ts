import { describe, expect, test } from 'vitest';
import { fromMount, mountCode, withoutAdded } from '../../../src/cli/entry.ts';
import { EXIT } from '../../../src/cli/report.ts';

const KNOWN = ['mount', 'umount', 'serve', 'check', 'trace'];
const meant = (script: string, words: string) =>
  fromMount(['node', script, ...words.split(' ')], KNOWN)
    .slice(2)
    .join(' ');

describe('which command is meant', () => {
  test.each([
    ['/sbin/mount.fuse.ninefs', 'src /mnt -o rw', 'mount-helper src /mnt -o rw'],
    ['/usr/sbin/mount.ninefs', 'src /mnt -s -o rw -t ninefs', 'mount-helper src /mnt -s -o rw -t ninefs'],
    ['/usr/bin/ninefs', 'src /mnt -o rw,dev,suid', 'mount-fuse src /mnt -o rw,dev,suid'],
    ['/usr/bin/ninefs', 'src /mnt', 'mount-fuse src /mnt'],
    ['/usr/bin/ninefs', 'src /mnt -o ro -f', 'mount src /mnt -o ro -f'],
    ['/usr/bin/ninefs', 'mount /src /mnt', 'mount /src /mnt'],
    ['/usr/bin/ninefs', 'umount /mnt', 'umount /mnt'],
    ['/usr/bin/ninefs', 'src mnt', 'src mnt'],
    ['/usr/bin/ninefs', '--version', '--version'],
    ['/home/u/mount.fuse.ninefs.js', 'mount src /mnt', 'mount src /mnt'],
  ])('%s %s', (script, words, expected) => expect(meant(script, words)).toBe(expected));
});

test.each([
  ['rw,dev,suid', 'rw'],
  ['dev,suid', ''],
  ['rw,nodev,suid', 'rw,nodev'],
  ['rw,nosuid,dev', 'rw,nosuid'],
  ['rw,suid,dev,suid', 'rw,suid'],
  ['rw,users,suid,dev', 'rw,users,suid'],
  ['aname=/suid', 'aname=/suid'],
  ['', ''],
])('what mount.fuse3 adds to %s is taken away', (list, expected) => expect(withoutAdded(list)).toBe(expected));

test('exit codes are those of mount(8)', () => {
  expect([EXIT.ok, EXIT.usage, EXIT.failure, EXIT.bug, EXIT.interrupted, 131].map(mountCode)).toEqual([
    0, 1, 32, 4, 8, 32,
  ]);
});
