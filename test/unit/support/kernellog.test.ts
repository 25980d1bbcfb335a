// Which lines of the kernel's log a test takes for complaints about what it has started.

import { describe, expect, test } from 'vitest';
import { complaintsIn } from '../../support/kernellog.ts';

const started = { ids: new Set([4711, 4712]), programs: ['stress-ng', 'fio'] };
const complaints = (...lines: string[]) =>
  complaintsIn(lines.map((line) => `[  100.5] ${line}`).join('\n'), 0, started);

describe('a complaint', () => {
  test.each([
    'WARNING: CPU: 1 PID: 99 at fs/fuse/file.c:1234 fuse_writepage_end+0x12/0x34',
    'BUG: KASAN: use-after-free in fuse_dev_do_write+0x10/0x20',
    'fuse: an error that nobody expects',
    'INFO: task stress-ng-dir:99 blocked for more than 122 seconds.',
    'INFO: task node:4712 blocked for more than 122 seconds.',
    'CPU: 0 PID: 99 Comm: fio Not tainted 6.1.0',
    'CPU: 0 UID: 0 PID: 4711 Comm: node Not tainted 6.18.0',
    'node[4711]: segfault at 0 ip 00000000018ce0cd sp 00007fff error 4 in node',
    'traps: libuv-worker[4712] general protection fault ip:1 sp:2 error:0',
    'Out of memory: Killed process 4711 (node) total-vm:1kB',
  ])('%s', (line) => expect(complaints(line)).toEqual([`[  100.5] ${line}`]));
});

describe('none of ours', () => {
  test.each([
    'EXT4-fs warning: 18 callbacks suppressed',
    'EXT4-fs warning (device vda): ext4_dirent_csum_verify:405: inode #2: comm node: error',
    'WARNING: CPU: 1 PID: 99 at fs/ext4/inode.c:12 ext4_write+0x1/0x2',
    'INFO: task node:99 blocked for more than 122 seconds.',
    'CPU: 0 PID: 99 Comm: node Not tainted 6.1.0',
    'node[99]: segfault at 0 ip 00000000018ce0cd sp 00007fff error 4 in node',
    'Out of memory: Killed process 99 (node) total-vm:1kB',
    'node (4711): drop_caches: 2',
    'fuse: init (API version 7.45)',
  ])('%s', (line) => expect(complaints(line)).toEqual([]));
});

test('what was there before is not counted again, also when the log has lost its beginning', () => {
  const old = '[   99.000001] BUG: in fuse_old';
  const young = '[  100.000002] BUG: in fuse_young';
  expect(complaintsIn(`${old}\n${young}\n`, 99.000001, started)).toEqual([young]);
  expect(complaintsIn(`${young}\n`, 100.000002, started)).toEqual([]);
});
