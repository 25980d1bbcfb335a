// What goes back to the kernel: the layouts of reply bodies, and direct encoders for the frequent ones.
// A reply is a 16-byte header and a body that is written behind it in the same buffer; a payload (file data, directory
// entries, extended attributes) stays where it lies and leaves with the same writev(2).
// Nothing here remembers anything; the caller owns the buffer.

import { bits, i53, mode, u16, u32, u53, u64 } from '../../common/layout.ts';
import { writeText } from '../../common/text.ts';
import type { Writer } from '../../common/writer.ts';
import { type OpcodeName, OUT_HEADER } from './constants.ts';
import { hash, name, pad4, pad8, rest, restText, type Struct, struct } from './structs.ts';

/** stat(2)'s members, in the units of struct fuse_attr. */
export interface AttrFields {
  ino: bigint;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
  size: number;
  blocks: number;
  blksize: number;
  atime: number;
  atimeNsec: number;
  mtime: number;
  mtimeNsec: number;
  ctime: number;
  ctimeNsec: number;
}

/** A name's answer; nodeid 0 says that the name does not exist, for entryTtl seconds. */
export interface EntryFields {
  nodeid: number;
  generation: number;
  entryTtl: number;
  attrTtl: number;
  attr: AttrFields;
}

const attr = {
  ino: u64,
  size: u53,
  blocks: u53,
  atime: i53,
  mtime: i53,
  ctime: i53,
  atimeNsec: u32,
  mtimeNsec: u32,
  ctimeNsec: u32,
  mode,
  nlink: u32,
  uid: u32,
  gid: u32,
  rdev: bits,
  blksize: u32,
  _flags: pad4,
} as const;

const entry = {
  nodeid: u53,
  generation: u53,
  entryValid: u53,
  attrValid: u53,
  entryValidNsec: u32,
  attrValidNsec: u32,
  ...attr,
} as const;

const open = { fh: u53, openFlags: bits, _backing: pad4 } as const;

export const entryOut = struct(entry);
export const attrOut = struct({ attrValid: u53, attrValidNsec: u32, _pad: pad4, ...attr });
export const openOut = struct(open);
export const createOut = struct({ ...entry, ...open });
export const writeOut = struct({ size: u32, _pad: pad4 });
export const sizeOut = writeOut;
export const statfsOut = struct({
  blocks: u53,
  bfree: u53,
  bavail: u53,
  files: u53,
  ffree: u53,
  bsize: u32,
  namelen: u32,
  frsize: u32,
  _pad: pad4,
  _spare0: pad8,
  _spare1: pad8,
  _spare2: pad8,
});
export const lockOut = struct({ start: u64, end: u64, type: u32, pid: u32 });
export const initOut = struct({
  major: u32,
  minor: u32,
  maxReadahead: u32,
  flags: bits,
  maxBackground: u16,
  congestionThreshold: u16,
  maxWrite: u32,
  timeGran: u32,
  maxPages: u16,
  mapAlignment: u16,
  flags2: bits,
  maxStackDepth: u32,
  _requestTimeoutAndUnused0: pad8,
  _unused1: pad8,
  _unused2: pad8,
});
export const notifyInvalInode = struct({ nodeid: u53, offset: i53, length: i53 });
export const notifyInvalEntry = struct({ parent: u53, namelen: u32, flags: bits, name });
export const notifyDelete = struct({ parent: u53, child: u53, namelen: u32, _pad: pad4, name });

const nothing = struct({});
const bytes = struct({ data: rest });

/** Bodies of successful replies, for the printer. Absent: the request has no reply, or is only ever refused. */
export const replies: Partial<Record<OpcodeName, Struct<never> | Struct<object>>> = {
  LOOKUP: entryOut,
  GETATTR: attrOut,
  SETATTR: attrOut,
  READLINK: struct({ target: restText }),
  SYMLINK: entryOut,
  MKNOD: entryOut,
  MKDIR: entryOut,
  UNLINK: nothing,
  RMDIR: nothing,
  RENAME: nothing,
  LINK: entryOut,
  OPEN: openOut,
  READ: bytes,
  WRITE: writeOut,
  STATFS: statfsOut,
  RELEASE: nothing,
  FSYNC: nothing,
  SETXATTR: nothing,
  GETXATTR: bytes,
  LISTXATTR: bytes,
  REMOVEXATTR: nothing,
  FLUSH: nothing,
  INIT: initOut,
  OPENDIR: openOut,
  READDIR: bytes,
  RELEASEDIR: nothing,
  FSYNCDIR: nothing,
  GETLK: lockOut,
  SETLK: nothing,
  SETLKW: nothing,
  ACCESS: nothing,
  CREATE: createOut,
  DESTROY: nothing,
  READDIRPLUS: bytes,
  RENAME2: nothing,
};

const NANO = 1_000_000_000;
/** Seconds beyond this are "for ever" to the kernel too, and fit every form it converts them to. */
const LONGEST = 0x7fff_ffff;

function wholeSeconds(ttl: number): number {
  return ttl >= LONGEST ? LONGEST : ttl > 0 ? Math.floor(ttl) : 0;
}

function nanoseconds(ttl: number): number {
  return ttl >= LONGEST || !(ttl > 0) ? 0 : Math.min(NANO - 1, Math.round((ttl % 1) * NANO));
}

/** struct fuse_attr. */
export function writeAttr(writer: Writer, from: AttrFields): void {
  writer.u64(from.ino);
  writer.u53(from.size);
  writer.u53(from.blocks);
  writer.i53(from.atime);
  writer.i53(from.mtime);
  writer.i53(from.ctime);
  writer.u32(from.atimeNsec);
  writer.u32(from.mtimeNsec);
  writer.u32(from.ctimeNsec);
  writer.u32(from.mode);
  writer.u32(from.nlink);
  writer.u32(from.uid);
  writer.u32(from.gid);
  writer.u32(from.rdev);
  writer.u32(from.blksize);
  writer.u32(0);
}

/** struct fuse_attr_out. */
export function writeAttrOut(writer: Writer, from: AttrFields, ttl: number): void {
  writer.u53(wholeSeconds(ttl));
  writer.u32(nanoseconds(ttl));
  writer.u32(0);
  writeAttr(writer, from);
}

/** struct fuse_entry_out. */
export function writeEntry(writer: Writer, from: EntryFields): void {
  writer.u53(from.nodeid);
  writer.u53(from.generation);
  writer.u53(wholeSeconds(from.entryTtl));
  writer.u53(wholeSeconds(from.attrTtl));
  writer.u32(nanoseconds(from.entryTtl));
  writer.u32(nanoseconds(from.attrTtl));
  writeAttr(writer, from.attr);
}

/** struct fuse_entry_out of a name that does not exist. */
export function writeNegativeEntry(writer: Writer, ttl: number): void {
  writer.u53(0);
  writer.u53(0);
  writer.u53(wholeSeconds(ttl));
  writer.u53(0);
  writer.u32(nanoseconds(ttl));
  writer.zeros(entryOut.fixed - 36);
}

/** struct fuse_open_out. */
export function writeOpen(writer: Writer, fh: number, flags: number): void {
  writer.u53(fh);
  writer.u32(flags);
  writer.u32(0);
}

/** struct fuse_out_header, at the buffer's start; `error` is 0 or a negative errno (or a positive notify code). */
export function writeOutHeader(buffer: Buffer, length: number, error: number, unique: number): void {
  buffer.writeUInt32LE(length, 0);
  buffer.writeInt32LE(error, 4);
  buffer.writeUInt32LE(unique % 0x1_0000_0000, 8);
  buffer.writeUInt32LE(Math.floor(unique / 0x1_0000_0000), 12);
}

/** struct fuse_dirent, without the name. */
export const direntOut = struct({ ino: u64, offset: hash, namelen: u32, type: u32 });

/** Bytes of a READDIR entry: fuse_dirent, the name, padding to 8. */
export function direntSize(nameBytes: number): number {
  return (direntOut.fixed + nameBytes + 7) & ~7;
}

/** Bytes of a READDIRPLUS entry. */
export function direntPlusSize(nameBytes: number): number {
  return entryOut.fixed + direntSize(nameBytes);
}

/** struct fuse_dirent with its name; `nameBytes` is the name's length in bytes. */
export function writeDirent(
  writer: Writer,
  ino: bigint,
  offset: bigint,
  type: number,
  text: string,
  nameBytes: number,
): void {
  writer.u64(ino);
  writer.u64(offset);
  writer.u32(nameBytes);
  writer.u32(type);
  writeText(text, writer.bytes, writer.at, nameBytes);
  writer.at += nameBytes;
  writer.zeros(direntSize(nameBytes) - direntOut.fixed - nameBytes);
}

/** struct fuse_entry_out that says nothing about the name: the kernel takes the name and type only. */
export function writeEmptyEntry(writer: Writer): void {
  writer.zeros(entryOut.fixed);
}

/** The room a reply's fixed part needs at most, header included. */
export const LARGEST_FIXED = OUT_HEADER + createOut.fixed;
