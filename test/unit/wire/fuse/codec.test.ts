import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cursor } from '../../../../src/common/cursor.ts';
import { Writer } from '../../../../src/common/writer.ts';
import { type OpcodeName, OUT_HEADER, opcode } from '../../../../src/wire/fuse/constants.ts';
import { formatReply, formatRequest } from '../../../../src/wire/fuse/format.ts';
import * as replies from '../../../../src/wire/fuse/replies.ts';
import { opcodeName, readHeader, readInit, requests } from '../../../../src/wire/fuse/requests.ts';
import type { Struct } from '../../../../src/wire/fuse/structs.ts';
import { rawRequest, requestBytes } from '../../../support/kernel.ts';

const names = Object.keys(requests) as OpcodeName[];

/** Sizes of the kernel's structures (include/uapi/linux/fuse.h); names and data come on top. */
const sizes: Partial<Record<OpcodeName, number>> = {
  FORGET: 8,
  GETATTR: 16,
  SETATTR: 88,
  MKNOD: 16,
  MKDIR: 8,
  RENAME: 8,
  RENAME2: 16,
  LINK: 8,
  OPEN: 8,
  CREATE: 16,
  READ: 40,
  WRITE: 40,
  RELEASE: 24,
  FSYNC: 16,
  SETXATTR: 8,
  GETXATTR: 8,
  LISTXATTR: 8,
  FLUSH: 24,
  INIT: 16,
  OPENDIR: 8,
  READDIR: 40,
  GETLK: 48,
  ACCESS: 8,
  INTERRUPT: 8,
  BMAP: 16,
  IOCTL: 32,
  POLL: 24,
  FALLOCATE: 32,
  LSEEK: 24,
  COPY_FILE_RANGE: 56,
  SYNCFS: 8,
  STATX: 24,
};

test('SETXATTR in the form with flags of its own, and in the one without', () => {
  const text = (value: string) => [...Buffer.from(value)];
  const head = [3, 0, 0, 0, 1, 0, 0, 0];
  const rest = text('user.a\0xyz');
  const read = (bytes: number[]) => {
    const cursor = new Cursor(Uint8Array.from(bytes));
    const { value, ...others } = requests.SETXATTR.read(cursor);
    expect(cursor.fault).toBeUndefined();
    return { ...others, value: Buffer.from(value).toString() };
  };
  const plain = { size: 3, flags: 1, killSgid: false, name: 'user.a', value: 'xyz' };
  expect(read([...head, ...rest])).toEqual(plain);
  expect(read([...head, 0, 0, 0, 0, 0, 0, 0, 0, ...rest])).toEqual(plain);
  expect(read([...head, 1, 0, 0, 0, 0, 0, 0, 0, ...rest])).toEqual({ ...plain, killSgid: true });
  expect(read([...head, ...text('a\0xyz')])).toEqual({ ...plain, name: 'a' });
});

describe('layouts', () => {
  test.each(Object.entries(sizes))('%s has the size of its kernel structure', (name, size) => {
    expect(requests[name as OpcodeName].fixed).toBe(size);
  });

  test('replies have theirs', () => {
    const { entryOut, attrOut, openOut, createOut, writeOut, statfsOut, lockOut, initOut, direntOut } = replies;
    expect(
      [entryOut, attrOut, openOut, createOut, writeOut, statfsOut, lockOut, initOut, direntOut].map((s) => s.fixed),
    ).toEqual([128, 104, 16, 144, 8, 80, 24, 64, 24]);
  });

  test('every opcode has a name and a layout', () => {
    for (const [name, number] of Object.entries(opcode)) {
      expect(opcodeName(number)).toBe(name);
      expect(requests).toHaveProperty(name);
    }
  });
});

test('a captured CREATE is decoded field by field', () => {
  const bytes = Buffer.from(
    '3c00000023000000' + // len 60, opcode 35
      '2a00000000000000' + // unique 42
      '0700000000000000' + // nodeid 7
      'e8030000e903000039300000' + // uid 1000, gid 1001, pid 12345
      '00000000' + // no extensions
      '4180000081a10000' + // flags O_WRONLY|O_CREAT.., mode
      '12000000' +
      '01000000' +
      '612e6300',
    'hex',
  );
  const cursor = new Cursor(bytes);
  expect(readHeader(cursor)).toEqual({
    len: 60,
    opcode: 35,
    unique: 42,
    nodeid: 7,
    uid: 1000,
    gid: 1001,
    pid: 12345,
    extensions: 0,
  });
  expect(requests.CREATE.read(cursor)).toEqual({ flags: 0x8041, mode: 0xa181, umask: 0o22, openFlags: 1, name: 'a.c' });
  expect(cursor.fault).toBeUndefined();
  expect(formatRequest(bytes)).toBe(
    'CREATE unique 42 nodeid 7 uid 1000 gid 1001 pid 12345 flags 0x8041 mode 0120601 umask 022 openFlags 0x1 name "a.c"',
  );
});

test('header extensions at the end are no part of the body', () => {
  const bytes = rawRequest(opcode.MKDIR, (writer) => {
    requests.MKDIR.write(writer, { mode: 0o755, umask: 0, name: 'd' });
    writer.zeros(6 + 16);
  });
  bytes.writeUInt16LE(2, 36);
  const cursor = new Cursor(bytes);
  expect(readHeader(cursor).extensions).toBe(16);
  expect(requests.MKDIR.read(cursor).name).toBe('d');
  expect(cursor.end).toBe(bytes.length - 16);
});

describe('INIT', () => {
  const init = (bytes: Buffer) => {
    const cursor = new Cursor(bytes);
    readHeader(cursor);
    return readInit(cursor);
  };
  const flags2 = Buffer.alloc(48);
  flags2.writeUInt32LE(0x1234);

  test('flags2 counts beside INIT_EXT only', () => {
    const body = { major: 7, minor: 45, maxReadahead: 4096, more: flags2 };
    expect(init(requestBytes('INIT', { ...body, flags: 0x4000_0001 })).flags).toBe(0x1234_4000_0001n);
    expect(init(requestBytes('INIT', { ...body, flags: 1 })).flags).toBe(1n);
  });

  test('the short form of kernels before 7.36', () => {
    const body = { major: 7, minor: 31, maxReadahead: 4096, flags: 0x4000_0000, more: Buffer.alloc(0) };
    expect(init(requestBytes('INIT', body))).toEqual({ major: 7, minor: 31, maxReadahead: 4096, flags: 0x4000_0000n });
  });
});

const attr = fc.record({
  ino: fc.bigInt(0n, (1n << 64n) - 1n),
  mode: fc.integer({ min: 0, max: 0xffff }),
  nlink: fc.nat(),
  uid: fc.nat(0xffff_ffff),
  gid: fc.nat(0xffff_ffff),
  rdev: fc.nat(0xffff_ffff),
  size: fc.maxSafeNat(),
  blocks: fc.maxSafeNat(),
  blksize: fc.nat(),
  atime: fc.maxSafeInteger(),
  atimeNsec: fc.nat(999_999_999),
  mtime: fc.maxSafeInteger(),
  mtimeNsec: fc.nat(999_999_999),
  ctime: fc.maxSafeInteger(),
  ctimeNsec: fc.nat(999_999_999),
});

test('the direct encoders write what the layouts describe', () => {
  fc.assert(
    fc.property(attr, fc.maxSafeNat(), fc.double({ min: 0, max: 1e6, noNaN: true }), (value, nodeid, ttl) => {
      const writer = Writer.sized(1024);
      replies.writeEntry(writer, { nodeid, generation: 3, entryTtl: ttl, attrTtl: 1.5, attr: value });
      expect(writer.at).toBe(replies.entryOut.fixed);
      const read = replies.entryOut.read(new Cursor(writer.bytes));
      expect(read).toMatchObject({ ...value, nodeid, generation: 3, attrValid: 1, attrValidNsec: 500_000_000 });
      expect(read.entryValid + read.entryValidNsec / 1e9).toBeCloseTo(ttl, 6);
      writer.at = 0;
      replies.writeAttrOut(writer, value, ttl);
      expect(writer.at).toBe(replies.attrOut.fixed);
      expect(replies.attrOut.read(new Cursor(writer.bytes))).toMatchObject(value);
    }),
  );
});

test('times to live: none, for ever, nonsense', () => {
  const valid = (ttl: number) => {
    const writer = Writer.sized(256);
    replies.writeNegativeEntry(writer, ttl);
    expect(writer.at).toBe(replies.entryOut.fixed);
    const { nodeid, entryValid, entryValidNsec } = replies.entryOut.read(new Cursor(writer.bytes));
    return [nodeid, entryValid, entryValidNsec];
  };
  expect(valid(0)).toEqual([0, 0, 0]);
  expect(valid(0.25)).toEqual([0, 0, 250_000_000]);
  expect(valid(Number.POSITIVE_INFINITY)).toEqual([0, 0x7fff_ffff, 0]);
  expect(valid(-1)).toEqual([0, 0, 0]);
  expect(valid(Number.NaN)).toEqual([0, 0, 0]);
  expect(valid(0.9999999999)).toEqual([0, 0, 999_999_999]);
});

test('random bodies never throw, never yield data outside the message, and always print', () => {
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.uint8Array({ maxLength: 200 }), (name, body) => {
      const bytes = rawRequest(opcode[name], (writer) => writer.raw(body));
      const cursor = new Cursor(bytes);
      readHeader(cursor);
      const values = (requests[name] as Struct<object>).read(cursor) as Record<string, unknown>;
      for (const value of Object.values(values)) {
        if (value instanceof Uint8Array) expect(value.length).toBeLessThanOrEqual(body.length);
      }
      expect(formatRequest(bytes)).not.toContain('\n');
    }),
    { numRuns: 2000 },
  );
});

test('any bytes print, in both directions', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(60), (bytes, number) => {
      expect(typeof formatRequest(bytes)).toBe('string');
      expect(typeof formatReply(number, bytes, 0)).toBe('string');
    }),
    { numRuns: 1000 },
  );
});

test('names that are not UTF-8 come back as they were, and print as what they are', () => {
  const bytes = requestBytes('RENAME', { newParent: 2, name: 'a\udcff', newName: '\udced\udca0\udc80é' });
  expect(bytes.subarray(-9)).toEqual(Buffer.from('61ff00' + 'eda080c3a900', 'hex'));
  const cursor = new Cursor(bytes);
  readHeader(cursor);
  expect(requests.RENAME.read(cursor)).toEqual({ newParent: 2, name: 'a\udcff', newName: '\udced\udca0\udc80é' });
  expect(formatRequest(bytes)).toContain(String.raw`name "a\xff" newName "\xed\xa0\x80é"`);
});

test('BATCH_FORGET takes no more than there is, whatever its count says', () => {
  const bytes = requestBytes('BATCH_FORGET', { list: [{ nodeid: 5, nlookup: 2 }] });
  const read = () => {
    const cursor = new Cursor(bytes);
    readHeader(cursor);
    return { ...requests.BATCH_FORGET.read(cursor), fault: cursor.fault };
  };
  expect(read()).toEqual({ list: [{ nodeid: 5, nlookup: 2 }], fault: undefined });
  bytes.writeUInt32LE(0xffff_ffff, 40);
  expect(read()).toMatchObject({ list: [{ nodeid: 5, nlookup: 2 }], fault: expect.any(String) });
});

describe('replies in print', () => {
  const reply = (error: number, write: (writer: Writer) => void = () => {}) => {
    const writer = new Writer(Buffer.alloc(256), OUT_HEADER);
    write(writer);
    replies.writeOutHeader(writer.bytes, writer.at, error, 42);
    return writer.bytes.subarray(0, writer.at);
  };
  test.each([
    [opcode.UNLINK, reply(-2), 0, 'UNLINK unique 42 ENOENT'],
    [opcode.UNLINK, reply(0), 0, 'UNLINK unique 42 ok'],
    [opcode.READ, reply(0), 4096, 'READ unique 42 ok [4096 bytes]'],
    [opcode.WRITE, reply(0, (w) => replies.writeOut.write(w, { size: 7 })), 0, 'WRITE unique 42 ok size 7'],
    [opcode.OPEN, reply(0, (w) => replies.writeOpen(w, 9, 1)), 0, 'OPEN unique 42 ok fh 9 openFlags 0x1'],
    [opcode.LOOKUP, reply(0, (w) => replies.writeNegativeEntry(w, 1)), 0, 'LOOKUP unique 42 ok negative'],
    [999, reply(-38), 0, 'opcode 999 unique 42 ENOSYS'],
  ])('%#', (number, head, payload, line) => {
    expect(formatReply(number, head, payload)).toBe(line);
  });
});
