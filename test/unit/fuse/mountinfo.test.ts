import { expect, test } from 'vitest';
import { escapeOption, findFusermount } from '../../../src/fuse/fusermount.ts';
import { parseMountinfo, quoted, unquote } from '../../../src/fuse/mountinfo.ts';
import { permitsAllowOther } from '../../../src/fuse/mountpoint.ts';

const TEXT = `21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 21 0:26 / /proc rw,nosuid - proc proc rw
36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 propagate_from:2 - ext3 /dev/root rw,errors=continue
40 21 0:39 / /tmp/a\\040b\\011c\\012d\\134e rw,nosuid,nodev - fuse.ninefs tcp!host!564 rw,user_id=0,group_id=0
41 21 0:40 / /mnt/ä€ rw - fuse.ninefs a\\040-\\040b\\043 rw,user_id=1000
not a line
`;

test('fields, optional ones, escapes', () => {
  const list = parseMountinfo(TEXT);
  expect(list).toHaveLength(5);
  expect(list[2]).toEqual({
    id: 36,
    major: 98,
    minor: 0,
    mountpoint: '/mnt2',
    options: ['rw', 'noatime'],
    type: 'ext3',
    source: '/dev/root',
    superOptions: ['rw', 'errors=continue'],
  });
  expect(list[3]).toMatchObject({
    minor: 39,
    mountpoint: '/tmp/a b\tc\nd\\e',
    type: 'fuse.ninefs',
    source: 'tcp!host!564',
    superOptions: ['rw', 'user_id=0', 'group_id=0'],
  });
  expect(list[4]).toMatchObject({ mountpoint: '/mnt/ä€', source: 'a - b#' });
});

test("fusermount3's options keep a comma and a backslash", () => {
  expect(escapeOption('a,b\\c')).toBe('a\\,b\\\\c');
});

test('fusermount3 is looked for where PATH says, too', () => {
  expect(findFusermount('/nonexistent:')).toBe(findFusermount('/usr/bin'));
});

test.each([
  ['user_allow_other\n', true],
  ['# comment\n  user_allow_other  \nmount_max = 10\n', true],
  ['#user_allow_other\n', false],
  ['user_allow_other = 1\n', false],
  ['', false],
])('fuse.conf %j', (conf, permits) => {
  expect(permitsAllowOther(conf)).toBe(permits);
});

test.each([
  ['/a b\tc\nd\\e', '/a\\040b\\011c\\012d\\134e'],
  ['/ä€#', '/ä€#'],
])('a path is written as the kernel writes it, and comes back', (path, written) => {
  expect(quoted(path)).toBe(written);
  expect(unquote(written)).toBe(path);
});
