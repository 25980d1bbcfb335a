// What the kernel sends: for each opcode the body's layout, from which its decoder, its type and its printed form come.
// Guarantees: decoding copies no payload and allocates nothing by a count in the message; a body that does not fit its
// layout leaves a fault in the cursor. The layouts are those of 7.31 and later; SETXATTR in both its forms; the longer form of
// CREATE (security contexts) is sent only when asked for in INIT, which this driver does not do.

import type { Cursor } from '../../common/cursor.ts';
import { bits, i53, mode, u32, u53, u64 } from '../../common/layout.ts';
import { IN_HEADER, type OpcodeName, opcode } from './constants.ts';
import { forgets, hash, name, pad4, pad8, rest, type Struct, setxattrFlags, struct } from './structs.ts';

/** struct fuse_in_header. */
export interface RequestHeader {
  len: number;
  opcode: number;
  unique: number;
  nodeid: number;
  uid: number;
  gid: number;
  pid: number;
  /** Bytes of header extensions at the message's end. */
  extensions: number;
}

/** Reads the header; `cursor` stands at the body afterwards, and ends where the body ends. */
export function readHeader(cursor: Cursor): RequestHeader {
  const header: RequestHeader = {
    len: cursor.u32(),
    opcode: cursor.u32(),
    unique: cursor.u53(),
    nodeid: cursor.u53(),
    uid: cursor.u32(),
    gid: cursor.u32(),
    pid: cursor.u32(),
    extensions: cursor.u16() * 8,
  };
  cursor.u16();
  if (header.len < IN_HEADER + header.extensions || header.len > cursor.end) cursor.fail(`length ${header.len}`);
  else cursor.end = header.len - header.extensions;
  return header;
}

const empty = struct({});
const oneName = struct({ name });
const openIn = struct({ flags: bits, openFlags: bits });
const readIn = struct({ fh: u53, offset: u53, size: u32, readFlags: bits, _lockOwner: pad8, flags: bits, _pad: pad4 });
const releaseIn = struct({ fh: u53, flags: bits, releaseFlags: bits, lockOwner: hash });
const fsyncIn = struct({ fh: u53, fsyncFlags: bits, _pad: pad4 });
const lockIn = struct({ fh: u53, owner: hash, start: u64, end: u64, type: u32, pid: u32, lkFlags: bits, _pad: pad4 });
const copyFileRangeIn = struct({
  fhIn: u53,
  offsetIn: u53,
  nodeidOut: u53,
  fhOut: u53,
  offsetOut: u53,
  length: u53,
  flags: u53,
});

const createIn = struct({ flags: bits, mode, umask: mode, openFlags: bits, name });

/** Bodies by opcode. */
export const requests = {
  LOOKUP: oneName,
  FORGET: struct({ nlookup: u53 }),
  GETATTR: struct({ getattrFlags: bits, _pad: pad4, fh: u53 }),
  SETATTR: struct({
    valid: bits,
    _pad: pad4,
    fh: u53,
    size: u53,
    _lockOwner: pad8,
    atime: i53,
    mtime: i53,
    ctime: i53,
    atimeNsec: u32,
    mtimeNsec: u32,
    ctimeNsec: u32,
    mode,
    _unused4: pad4,
    uid: u32,
    gid: u32,
    _unused5: pad4,
  }),
  READLINK: empty,
  SYMLINK: struct({ name, target: name }),
  MKNOD: struct({ mode, rdev: bits, umask: mode, _pad: pad4, name }),
  MKDIR: struct({ mode, umask: mode, name }),
  UNLINK: oneName,
  RMDIR: oneName,
  RENAME: struct({ newParent: u53, name, newName: name }),
  LINK: struct({ oldNodeid: u53, name }),
  OPEN: openIn,
  READ: readIn,
  WRITE: struct({
    fh: u53,
    offset: u53,
    size: u32,
    writeFlags: bits,
    lockOwner: hash,
    flags: bits,
    _pad: pad4,
    data: rest,
  }),
  STATFS: empty,
  RELEASE: releaseIn,
  FSYNC: fsyncIn,
  SETXATTR: struct({ size: u32, flags: bits, killSgid: setxattrFlags, name, value: rest }),
  GETXATTR: struct({ size: u32, _pad: pad4, name }),
  LISTXATTR: struct({ size: u32, _pad: pad4 }),
  REMOVEXATTR: oneName,
  FLUSH: struct({ fh: u53, _unused: pad8, lockOwner: hash }),
  INIT: struct({ major: u32, minor: u32, maxReadahead: u32, flags: bits, more: rest }),
  OPENDIR: openIn,
  READDIR: struct({ fh: u53, offset: hash, size: u32, readFlags: bits, _lockOwner: pad8, flags: bits, _pad: pad4 }),
  RELEASEDIR: releaseIn,
  FSYNCDIR: fsyncIn,
  GETLK: lockIn,
  SETLK: lockIn,
  SETLKW: lockIn,
  ACCESS: struct({ mask: u32, _pad: pad4 }),
  CREATE: createIn,
  INTERRUPT: struct({ target: u53 }),
  BMAP: struct({ block: u53, blocksize: u32, _pad: pad4 }),
  DESTROY: empty,
  IOCTL: struct({ fh: u53, flags: bits, cmd: bits, arg: hash, inSize: u32, outSize: u32, data: rest }),
  POLL: struct({ fh: u53, kh: hash, flags: bits, events: bits }),
  NOTIFY_REPLY: struct({ data: rest }),
  BATCH_FORGET: struct({ list: forgets }),
  FALLOCATE: struct({ fh: u53, offset: u53, length: u53, mode: bits, _pad: pad4 }),
  READDIRPLUS: struct({ fh: u53, offset: hash, size: u32, readFlags: bits, _lockOwner: pad8, flags: bits, _pad: pad4 }),
  RENAME2: struct({ newParent: u53, flags: bits, _pad: pad4, name, newName: name }),
  LSEEK: struct({ fh: u53, offset: u53, whence: u32, _pad: pad4 }),
  COPY_FILE_RANGE: copyFileRangeIn,
  SETUPMAPPING: struct({ data: rest }),
  REMOVEMAPPING: struct({ data: rest }),
  SYNCFS: struct({ _pad: pad8 }),
  TMPFILE: createIn,
  STATX: struct({ getattrFlags: bits, _reserved: pad4, fh: u53, sxFlags: bits, sxMask: bits }),
  COPY_FILE_RANGE_64: copyFileRangeIn,
} as const satisfies Record<OpcodeName, Struct<never> | Struct<object>>;

/** The decoded body of a request. */
export type Body<N extends OpcodeName> = ReturnType<(typeof requests)[N]['read']>;

const byNumber = new Map<number, OpcodeName>(
  (Object.entries(opcode) as [OpcodeName, number][]).map(([key, number]) => [number, key]),
);

export function opcodeName(number: number): OpcodeName | undefined {
  return byNumber.get(number);
}

/** What INIT says beyond the fields that every version has. */
export interface KernelInit {
  major: number;
  minor: number;
  maxReadahead: number;
  /** Bits 0 to 63: flags2 above flags. */
  flags: bigint;
}

const INIT_EXT = 1n << 30n;

/** INIT's body; kernels before 7.36 send no flags2, later ones say with INIT_EXT that it means something. */
export function readInit(cursor: Cursor): KernelInit {
  const body = requests.INIT.read(cursor);
  const low = BigInt(body.flags);
  const more = Buffer.from(body.more.buffer, body.more.byteOffset, body.more.byteLength);
  const high = (low & INIT_EXT) !== 0n && more.length >= 4 ? BigInt(more.readUInt32LE(0)) : 0n;
  return { major: body.major, minor: body.minor, maxReadahead: body.maxReadahead, flags: (high << 32n) | low };
}
