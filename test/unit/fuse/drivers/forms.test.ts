// What fuse-native writes and reads, on this host and on macOS, whose numbers are given here since no such machine is.

import { describe, expect, test } from 'vitest';
import { errno } from '../../../../src/common/errno.ts';
import {
  foldIno,
  type Host,
  hostDevice,
  hostErrno,
  hostXattrs,
  linuxDevice,
  linuxFlags,
  linuxXattrFlags,
  serverXattr,
  statfsWords,
  statWords,
  timesOf,
} from '../../../../src/fuse/drivers/fuse-native/forms.ts';
import { libfuseOptions } from '../../../../src/fuse/drivers/fuse-native/options.ts';
import { macMountType } from '../../../../src/fuse/drivers/fuse-native/place.ts';
import type { Attr } from '../../../../src/fuse/operations.ts';

const linux: Host = { mac: false, errno: { EAGAIN: 11 } };
/** Of sys/errno.h. */
const mac: Host = {
  mac: true,
  errno: { EPERM: 1, ENOENT: 2, EIO: 5, EAGAIN: 35, ENOTEMPTY: 66, ENAMETOOLONG: 63, EOPNOTSUPP: 102, ESTALE: 70 },
};

describe('errors', () => {
  test('have this host’s numbers', () => {
    const numbers = (host: Host) =>
      [
        errno.ENOENT,
        errno.EAGAIN,
        errno.ENOTEMPTY,
        errno.ENAMETOOLONG,
        errno.EOPNOTSUPP,
        errno.ESTALE,
        errno.ENODATA,
      ].map((number) => hostErrno(number, host));
    expect(numbers(linux)).toEqual([-2, -11, -39, -36, -95, -116, -61]);
    // ENODATA is what Linux calls a missing attribute: ENOATTR
    expect(numbers(mac)).toEqual([-2, -35, -66, -63, -102, -70, -93]);
  });

  test('that macOS does not have are EIO', () => {
    expect(hostErrno(errno.EHWPOISON, mac)).toBe(-5);
    expect(hostErrno(errno.EHWPOISON, linux)).toBe(-133);
  });
});

test('open flags are Linux’s', () => {
  expect(linuxFlags(0o102001, linux)).toBe(0o102001);
  // O_RDWR | O_APPEND | O_NONBLOCK | O_EXCL | O_CREAT | O_TRUNC of sys/fcntl.h
  expect(linuxFlags(0x2 | 0x8 | 0x4 | 0x800 | 0x200 | 0x400, mac)).toBe(2 | 0o2000 | 0o4000 | 0o200 | 0o100 | 0o1000);
  expect(linuxFlags(0x100000 | 0x80, mac)).toBe(0o200000 | 0o4010000);
});

describe('extended attributes on macOS', () => {
  test('are kept in the namespace user', () => {
    expect(serverXattr('com.apple.quarantine', mac)).toBe('user.com.apple.quarantine');
    expect(serverXattr('user.x', mac)).toBe('user.x');
    expect(serverXattr('security.capability', mac)).toBe('security.capability');
    expect(serverXattr('com.apple.quarantine', linux)).toBe('com.apple.quarantine');
  });

  test('are listed without it', () => {
    const names = Buffer.from('user.com.apple.x\0security.y\0user.\0user.user.z\0');
    expect(Buffer.from(hostXattrs(names, mac)).toString()).toBe('com.apple.x\0security.y\0user.\0user.z\0');
    expect(hostXattrs(names, linux)).toBe(names);
  });

  test('have other flags', () => {
    expect([2, 4, 0, 1].map((flags) => linuxXattrFlags(flags, mac))).toEqual([1, 2, 0, 0]);
    expect([1, 2].map((flags) => linuxXattrFlags(flags, linux))).toEqual([1, 2]);
  });
});

test('device numbers go there and back', () => {
  for (const [rdev, there] of [
    [0x0103, 0x01000003],
    [(1 << 8) | 0xff | (0x123 << 20), 0x010123ff],
  ] as const) {
    expect(hostDevice(rdev, mac)).toBe(there);
    expect(linuxDevice(there, mac)).toBe(rdev >>> 0);
    expect([hostDevice(rdev, linux), linuxDevice(rdev, linux)]).toEqual([rdev, rdev]);
  }
});

const attr: Attr = {
  ino: 7n,
  mode: 0o100644,
  nlink: 0,
  uid: 1,
  gid: 2,
  rdev: 0,
  size: 2 ** 33 + 5,
  blocks: 2 ** 32,
  blksize: 4096,
  atime: 1_000_000_000,
  atimeNsec: 123_999_999,
  mtime: -5,
  mtimeNsec: 0,
  ctime: 2 ** 33,
  ctimeNsec: 0,
};

describe('attributes', () => {
  test('are words of 32 bits, with times in milliseconds and none before 1970', () => {
    const words = [...statWords(attr, linux)];
    const at = (index: number) => (words[index] ?? 0) + (words[index + 1] ?? 0) * 2 ** 32;
    expect(words.slice(0, 3)).toEqual([0o100644, 1, 2]);
    expect(at(3)).toBe(attr.size);
    expect(words.slice(6, 10)).toEqual([0, 7, 0, 4096]);
    expect(at(10)).toBe(attr.blocks);
    expect([at(12), at(14), at(16)]).toEqual([1_000_000_000_123, 0, 2 ** 33 * 1000]);
  });

  test('inode numbers are folded, small ones kept, none is 0', () => {
    expect([
      foldIno(5n),
      foldIno(0xffffffffn),
      foldIno((3n << 32n) | 5n),
      foldIno(0n),
      foldIno((9n << 32n) | 9n),
    ]).toEqual([5, 0xffffffff, 6, 1, 1]);
  });
});

test('a file system that is too large for 32 bits is told in larger blocks', () => {
  const stat = {
    blocks: 2 ** 40,
    bfree: 2 ** 39,
    bavail: 2 ** 38,
    files: 2 ** 40,
    ffree: 9,
    bsize: 4096,
    frsize: 4096,
    namelen: 255,
  };
  const [bsize, frsize = 0, blocks = 0, bfree = 0, bavail = 0, files, ffree] = statfsWords(stat);
  expect(bsize).toBe(4096);
  expect([blocks, bfree, bavail].map((count) => count * frsize)).toEqual([2 ** 52, 2 ** 51, 2 ** 50]);
  expect([files, ffree]).toEqual([2 ** 32 - 1, 9]);
});

describe('the two times of utimens', () => {
  const native = (at: number, atime: bigint, mtime: bigint) => {
    const buffer = Buffer.alloc(360);
    buffer.writeBigInt64LE(atime, at);
    buffer.writeBigInt64LE(mtime, at + 8);
    return buffer;
  };
  const halves = (ms: bigint): [number, number] => {
    const word = BigInt.asUintN(64, ms);
    return [Number(word & 0xffffffffn), Number(word >> 32n)];
  };

  test('are read where the addon keeps them, on both systems, also before 1970', () => {
    for (const [host, at] of [
      [linux, 104],
      [mac, 96],
    ] as const) {
      expect(timesOf(native(at, 5001n, -1n), ...halves(5001n), host)).toEqual({
        atime: { sec: 5, nsec: 1_000_000 },
        mtime: { sec: -1, nsec: 999_000_000 },
      });
    }
  });

  test('are both that of access where the other is not found', () => {
    const { atime, mtime } = timesOf(native(96, 5001n, 7n), ...halves(5001n), linux);
    expect(mtime).toEqual(atime);
    expect(timesOf(Buffer.alloc(8), ...halves(-2000n), linux).mtime).toEqual({ sec: -2, nsec: 0 });
  });
});

describe('what libfuse is told', () => {
  const mount = { mountpoint: '/m', source: 'tcp!a,b!1', allowOther: true, readOnly: true };

  test('on Linux', () => {
    const list = libfuseOptions(mount, { direct: false, entryTtl: 1, negativeTtl: 0 }, false, true);
    expect(list).toMatch(/^-oro,nosuid,nodev,allow_other,subtype=ninefs,use_ino,auto_cache,ac_attr_timeout=0,/);
    expect(list).toContain('big_writes,nonempty,fsname=tcp!a\\,b!1');
  });

  test('on macOS', () => {
    const list = libfuseOptions(mount, { direct: true, entryTtl: 0, negativeTtl: 0 }, true, false);
    expect(list).toContain('direct_io');
    expect(list).toContain('noappledouble,volname=tcp!a\\,b!1,fsname=');
    expect(list).not.toMatch(/big_writes|nonempty|subtype|auto_cache/);
  });

  test('has an end', () => {
    const long = { ...mount, source: 'x'.repeat(900) };
    const keep = { direct: true, entryTtl: 0, negativeTtl: 0 };
    expect(() => libfuseOptions(long, keep, false, true)).toThrow(/fsname=/);
  });
});

test('mount(8) of macOS says what is mounted', () => {
  const text = [
    '/dev/disk3s1 on / (apfs, sealed, local)',
    'host:/x on /Users/me/m (macfuse, nodev, nosuid, synchronous)',
    'a on b (c) on /Users/me/odd (name) (nfs)',
  ].join('\n');
  expect(macMountType(text, '/Users/me/m')).toBe('macfuse');
  expect(macMountType(text, '/Users/me/odd (name)')).toBe('nfs');
  expect(macMountType(text, '/Users/me')).toBeUndefined();
});
