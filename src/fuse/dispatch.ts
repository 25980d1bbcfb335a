// The table of all opcodes: for each, what to call, how to answer, what to take back when the kernel did not want the
// answer; or that it has no reply; or by which error it is refused, and why.
// Guarantees: only the rows that say so are refused with ENOSYS, since the kernel remembers it and never asks again on
// this mount.
// Knows Operations and the kernel's structures. Must not know the device, nor which requests are in flight.

import type { FileHandle, NodeId } from '../common/brand.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError } from '../common/errors.ts';
import { encodeText } from '../common/text.ts';
import {
  FSYNC_FDATASYNC,
  fattr,
  GETATTR_FH,
  LK_FLOCK,
  OPEN_KILL_SUIDGID,
  type OpcodeName,
  opcode,
  WRITE_CACHE,
  WRITE_KILL_SUIDGID,
} from '../wire/fuse/constants.ts';
import {
  lockOut,
  sizeOut,
  statfsOut,
  writeAttrOut,
  writeEntry,
  writeNegativeEntry,
  writeOpen,
  writeOut,
} from '../wire/fuse/replies.ts';
import { type Body, requests } from '../wire/fuse/requests.ts';
import { Dirents, DirentsPlus } from './dirents.ts';
import {
  type AnyHandler,
  type Incoming,
  NotImplemented,
  type OpcodeRow,
  type Opcodes,
  on,
  refused,
} from './opcodes.ts';
import type {
  AttrReply,
  Awaitable,
  Entry,
  FileLock,
  NegativeEntry,
  Operations,
  ReadReply,
  SetAttr,
} from './operations.ts';
import type { ReplyWriter } from './reply.ts';

const nothing = (): void => {};
const handle = (fh: number): FileHandle => fh as FileHandle;
const node = (nodeid: number): NodeId => nodeid as NodeId;
const EMPTY = new Uint8Array(0);

/**
 * 64-bit numbers are read saturated at 2^53-1. No server of ours has files that long; an offset is never silently
 * changed.
 */
function fits(offset: number, size: number): boolean {
  return offset + size <= Number.MAX_SAFE_INTEGER;
}

function answerEntry(out: ReplyWriter, entry: Entry | NegativeEntry): void {
  if (entry.nodeid === 0) writeNegativeEntry(out.body, entry.entryTtl);
  else writeEntry(out.body, entry as Entry);
}

function forgetEntry(ops: Operations, _at: Incoming, entry: Entry | NegativeEntry): void {
  if (entry.nodeid !== 0) ops.forget(entry.nodeid, 1);
}

function answerAttr(out: ReplyWriter, value: AttrReply): void {
  writeAttrOut(out.body, value.attr, value.attrTtl);
}

const entryReply = { reply: answerEntry, undo: forgetEntry };

/** `size` 0 asks for the length only (getxattr(2)). */
function answerBytes(out: ReplyWriter, value: Uint8Array, { size }: { size: number }): void {
  if (size === 0) sizeOut.write(out.body, { size: value.length });
  else if (value.length > size) throw new ErrnoError(errno.ERANGE);
  else out.payload(value);
}

/**
 * A method that the file system does not have: the kernel is told so once, and answers EOPNOTSUPP by itself from then
 * on.
 */
function optional<T>(method: T | undefined): T {
  if (method === undefined) throw new NotImplemented();
  return method;
}

function setAttrOf(args: Body<'SETATTR'>): SetAttr {
  const set: SetAttr = {};
  const { valid } = args;
  if (valid & fattr.MODE) set.mode = args.mode & 0o7777;
  if (valid & fattr.UID) set.uid = args.uid;
  if (valid & fattr.GID) set.gid = args.gid;
  if (valid & fattr.SIZE) {
    if (!fits(args.size, 1)) throw new ErrnoError(errno.EFBIG);
    set.size = args.size;
  }
  if (valid & fattr.ATIME_NOW) set.atime = 'now';
  else if (valid & fattr.ATIME) set.atime = { sec: args.atime, nsec: args.atimeNsec };
  if (valid & fattr.MTIME_NOW) set.mtime = 'now';
  else if (valid & fattr.MTIME) set.mtime = { sec: args.mtime, nsec: args.mtimeNsec };
  if (valid & fattr.CTIME) set.ctime = { sec: args.ctime, nsec: args.ctimeNsec };
  if (valid & fattr.FH) set.fh = handle(args.fh);
  if (valid & fattr.KILL_SUIDGID) set.killSuidGid = true;
  return set;
}

function lockOf(args: Body<'SETLK'>): FileLock {
  const { start, end, type, pid } = args;
  return { start, end, type, pid, flock: (args.lkFlags & LK_FLOCK) !== 0 };
}

function setLock(wait: boolean) {
  return (ops: Operations, at: Incoming, args: Body<'SETLK'>): Awaitable<void> =>
    optional(ops.setlk).call(ops, at, at.nodeid, handle(args.fh), args.owner, lockOf(args), wait);
}

function forgetAll(ops: Operations, nodeids: readonly NodeId[]): void {
  for (const nodeid of nodeids) ops.forget(nodeid, 1);
}

const table: Opcodes = {
  LOOKUP: on('LOOKUP', { ...entryReply, run: (ops, at, { name }) => ops.lookup(at, at.nodeid, name) }),
  GETATTR: on('GETATTR', {
    // The kernel asks when its copy has expired or may not be used, so an answer from another cache would be wrong.
    run: (ops, at, args) =>
      ops.getattr(at, at.nodeid, args.getattrFlags & GETATTR_FH ? handle(args.fh) : undefined, true),
    reply: answerAttr,
  }),
  SETATTR: on('SETATTR', { run: (ops, at, args) => ops.setattr(at, at.nodeid, setAttrOf(args)), reply: answerAttr }),
  READLINK: on('READLINK', {
    run: (ops, at) => ops.readlink(at, at.nodeid),
    reply: (out, target) => out.payload(encodeText(target)),
  }),
  SYMLINK: on('SYMLINK', { ...entryReply, run: (ops, at, args) => ops.symlink(at, at.nodeid, args.name, args.target) }),
  MKNOD: on('MKNOD', {
    ...entryReply,
    run: (ops, at, args) => ops.mknod(at, at.nodeid, args.name, args.mode, args.rdev, args.umask),
  }),
  MKDIR: on('MKDIR', {
    ...entryReply,
    run: (ops, at, args) => ops.mkdir(at, at.nodeid, args.name, args.mode, args.umask),
  }),
  UNLINK: on('UNLINK', { run: (ops, at, { name }) => ops.unlink(at, at.nodeid, name), reply: nothing }),
  RMDIR: on('RMDIR', { run: (ops, at, { name }) => ops.rmdir(at, at.nodeid, name), reply: nothing }),
  RENAME: on('RENAME', {
    run: (ops, at, args) => ops.rename(at, at.nodeid, args.name, node(args.newParent), args.newName, 0),
    reply: nothing,
  }),
  RENAME2: on('RENAME2', {
    run: (ops, at, args) => ops.rename(at, at.nodeid, args.name, node(args.newParent), args.newName, args.flags),
    reply: nothing,
  }),
  LINK: on('LINK', { ...entryReply, run: (ops, at, args) => ops.link(at, node(args.oldNodeid), at.nodeid, args.name) }),
  OPEN: on('OPEN', {
    run: (ops, at, args) => ops.open(at, at.nodeid, args.flags, (args.openFlags & OPEN_KILL_SUIDGID) !== 0),
    reply: (out, value) => writeOpen(out.body, value.fh, value.flags),
    undo: (ops, at, value) => ops.release(at, at.nodeid, value.fh),
    mayBlock: (ops, at) => ops.mayBlock?.(at.nodeid, undefined) ?? false,
  }),
  CREATE: on('CREATE', {
    run: (ops, at, args) =>
      ops.create(
        at,
        at.nodeid,
        args.name,
        args.flags,
        args.mode,
        args.umask,
        (args.openFlags & OPEN_KILL_SUIDGID) !== 0,
      ),
    reply: (out, value) => {
      writeEntry(out.body, value.entry);
      writeOpen(out.body, value.fh, value.flags);
    },
    undo: async (ops, at, value) => {
      await ops.release(at, value.entry.nodeid, value.fh);
      ops.forget(value.entry.nodeid, 1);
    },
  }),
  READ: on<'READ', ReadReply>('READ', {
    run: (ops, at, args) =>
      fits(args.offset, args.size)
        ? ops.read(at, at.nodeid, handle(args.fh), args.offset, args.size, args.flags)
        : { data: EMPTY },
    reply: (out, value) => out.payload(value.data),
    release: (value) => value.release?.(),
    mayBlock: (ops, at, args) => ops.mayBlock?.(at.nodeid, handle(args.fh)) ?? false,
  }),
  WRITE: on('WRITE', {
    run: (ops, at, args) => {
      if (!fits(args.offset, args.data.length)) throw new ErrnoError(errno.EFBIG);
      return ops.write(at, at.nodeid, handle(args.fh), args.offset, args.data, {
        fromCache: (args.writeFlags & WRITE_CACHE) !== 0,
        killSuidGid: (args.writeFlags & WRITE_KILL_SUIDGID) !== 0,
        openFlags: args.flags,
        lockOwner: args.lockOwner,
      });
    },
    reply: (out, size) => writeOut.write(out.body, { size }),
    holds: true,
    mayBlock: (ops, at, args) => ops.mayBlock?.(at.nodeid, handle(args.fh)) ?? false,
  }),
  STATFS: on('STATFS', {
    run: (ops, at) => ops.statfs(at, at.nodeid),
    reply: (out, value) => statfsOut.write(out.body, value),
  }),
  RELEASE: on('RELEASE', {
    run: (ops, at, args) => ops.release(at, at.nodeid, handle(args.fh)),
    reply: nothing,
    givesBack: true,
  }),
  FSYNC: on('FSYNC', {
    run: (ops, at, args) => ops.fsync(at, at.nodeid, handle(args.fh), (args.fsyncFlags & FSYNC_FDATASYNC) !== 0),
    reply: nothing,
  }),
  FLUSH: on('FLUSH', {
    run: (ops, at, args) => ops.closeFlush(at, at.nodeid, handle(args.fh), args.lockOwner),
    reply: nothing,
  }),
  OPENDIR: on('OPENDIR', {
    run: (ops, at, args) => ops.opendir(at, at.nodeid, args.flags),
    reply: (out, value) => writeOpen(out.body, value.fh, value.flags),
    undo: (ops, at, value) => ops.releasedir(at, at.nodeid, value.fh),
  }),
  READDIR: on('READDIR', {
    run: (ops, at, args) => {
      const sink = new Dirents(args.size);
      const running = ops.readdir(at, at.nodeid, handle(args.fh), args.offset, args.size, sink);
      return running instanceof Promise ? running.then(() => sink) : sink;
    },
    reply: (out, sink) => out.payload(sink.bytes),
  }),
  READDIRPLUS: on('READDIRPLUS', {
    run: (ops, at, args) => {
      const sink = new DirentsPlus(args.size);
      // An error after some entries is the whole answer, so the lookups that those entries counted are taken back.
      const failed = (error: unknown): never => {
        forgetAll(ops, sink.counted);
        throw error;
      };
      try {
        const running = ops.readdirplus(at, at.nodeid, handle(args.fh), args.offset, args.size, sink);
        return running instanceof Promise ? running.then(() => sink, failed) : sink;
      } catch (error) {
        return failed(error);
      }
    },
    reply: (out, sink) => out.payload(sink.bytes),
    undo: (ops, _at, sink) => forgetAll(ops, sink.counted),
  }),
  RELEASEDIR: on('RELEASEDIR', {
    run: (ops, at, args) => ops.releasedir(at, at.nodeid, handle(args.fh)),
    reply: nothing,
    givesBack: true,
  }),
  FSYNCDIR: on('FSYNCDIR', {
    run: (ops, at, args) => ops.fsyncdir(at, at.nodeid, handle(args.fh), (args.fsyncFlags & FSYNC_FDATASYNC) !== 0),
    reply: nothing,
  }),
  ACCESS: on('ACCESS', { run: (ops, at, { mask }) => ops.access(at, at.nodeid, mask), reply: nothing }),
  GETXATTR: on('GETXATTR', {
    run: (ops, at, { name }) => optional(ops.getxattr).call(ops, at, at.nodeid, name),
    reply: answerBytes,
  }),
  LISTXATTR: on('LISTXATTR', {
    run: (ops, at) => optional(ops.listxattr).call(ops, at, at.nodeid),
    reply: answerBytes,
  }),
  SETXATTR: on('SETXATTR', {
    // The value is copied: the buffer that it lies in is read into again as soon as this returns.
    run: (ops, at, args) =>
      optional(ops.setxattr).call(ops, at, at.nodeid, args.name, Buffer.from(args.value), args.flags, args.killSgid),
    reply: nothing,
  }),
  REMOVEXATTR: on('REMOVEXATTR', {
    run: (ops, at, { name }) => optional(ops.removexattr).call(ops, at, at.nodeid, name),
    reply: nothing,
  }),
  GETLK: on('GETLK', {
    run: (ops, at, args) => optional(ops.getlk).call(ops, at, at.nodeid, handle(args.fh), args.owner, lockOf(args)),
    reply: (out, lock) => lockOut.write(out.body, lock),
  }),
  SETLK: on('SETLK', { run: setLock(false), reply: nothing }),
  SETLKW: on('SETLKW', { run: setLock(true), reply: nothing, mayBlock: () => true }),
  // Sent only for block-device mounts; nothing is left to do, but an answer is due.
  DESTROY: on('DESTROY', { run: nothing, reply: nothing }),
  INIT: { kind: 'init', errno: errno.EOPNOTSUPP, why: 'the mount has begun already' },
  FORGET: { kind: 'forget', each: (nodeid, cursor, forget) => forget(nodeid, requests.FORGET.read(cursor).nlookup) },
  BATCH_FORGET: {
    kind: 'forget',
    each: (_, cursor, forget) => {
      for (const { nodeid, nlookup } of requests.BATCH_FORGET.read(cursor).list) forget(nodeid, nlookup);
    },
  },
  INTERRUPT: { kind: 'interrupt', target: (cursor) => requests.INTERRUPT.read(cursor).target },
  // It answers NOTIFY_RETRIEVE, which is never sent.
  NOTIFY_REPLY: { kind: 'reply' },
  LSEEK: refused(errno.ENOSYS, 'the kernel then seeks by the size it knows: data everywhere, a hole at the end'),
  FALLOCATE: refused(errno.ENOSYS, '9P cannot allocate; the kernel tells its callers EOPNOTSUPP'),
  COPY_FILE_RANGE: refused(errno.ENOSYS, 'the kernel copies through the page cache instead'),
  COPY_FILE_RANGE_64: refused(errno.ENOSYS, 'the kernel copies through the page cache instead'),
  BMAP: refused(errno.ENOSYS, 'only a file system on a block device has blocks to tell of'),
  POLL: refused(errno.ENOSYS, 'files are then always ready, as regular ones are'),
  SYNCFS: refused(errno.ENOSYS, 'each file is synced by FSYNC'),
  TMPFILE: refused(errno.ENOSYS, '9P makes no file without a name; the kernel tells its callers EOPNOTSUPP'),
  STATX: refused(errno.ENOSYS, 'the kernel asks by GETATTR instead'),
  IOCTL: refused(errno.ENOTTY, 'that is what programs expect of a file that has no such ioctl'),
  SETUPMAPPING: refused(errno.EOPNOTSUPP, 'there is no memory to share: DAX is not agreed upon'),
  REMOVEMAPPING: refused(errno.EOPNOTSUPP, 'there is no memory to share: DAX is not agreed upon'),
};

const unknown: OpcodeRow = refused(errno.EOPNOTSUPP, 'this driver does not know the opcode');
const rows: (OpcodeRow | undefined)[] = new Array(64).fill(undefined);
for (const name of Object.keys(table) as OpcodeName[]) rows[opcode[name]] = table[name];

/** What is done about a message with this opcode, whatever the kernel has sent. */
export function rowOf(number: number): OpcodeRow {
  return rows[number] ?? unknown;
}

/** The requests of the file system by opcode. */
export const handlers: readonly (AnyHandler | undefined)[] = rows.map((row) =>
  row?.kind === 'request' ? row : undefined,
);
