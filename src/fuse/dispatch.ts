// The table opcode -> what to call, how to answer, what to take back when the kernel did not want the answer.
// Knows Operations and the kernel's structures; knows no device, no requests in flight, no errors' way to the kernel.
// An opcode is in `handlers`, in `silent` (no reply exists), or refused; only those that `refusals` names get ENOSYS,
// because the kernel remembers it and never asks again on this mount.

import type { FileHandle, NodeId } from '../common/brand.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError } from '../common/errors.ts';
import { encodeText } from '../common/text.ts';
import {
  FSYNC_FDATASYNC,
  fattr,
  GETATTR_FH,
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
import type { Struct } from '../wire/fuse/structs.ts';
import { Dirents, DirentsPlus } from './dirents.ts';
import type {
  AttrReply,
  Awaitable,
  Entry,
  FileLock,
  NegativeEntry,
  Operations,
  ReadReply,
  RequestContext,
  SetAttr,
} from './operations.ts';
import type { ReplyWriter } from './reply.ts';

/** A request as the handlers see it. */
export interface Incoming extends RequestContext {
  readonly opcode: number;
  readonly nodeid: NodeId;
}

export interface Handler<A, T> {
  readonly name: OpcodeName;
  readonly body: Struct<A>;
  run(ops: Operations, at: Incoming, args: A): Awaitable<T>;
  /** Writes the body of the successful reply; what it throws is answered instead. */
  reply(out: ReplyWriter, value: T, args: A): void;
  /** The reply did not reach the kernel: undoes what the kernel would have had to undo. */
  undo?(ops: Operations, at: Incoming, value: T): Awaitable<void>;
  /** The payload has been written, or will not be. */
  release?(value: T): void;
  /** For the interrupt policy. */
  mayBlock?(ops: Operations, at: Incoming, args: A): boolean;
}

/** A handler whose types are its own business. */
export type AnyHandler = Handler<unknown, unknown>;

type Parts<N extends OpcodeName, T> = Omit<Handler<Body<N>, T>, 'name' | 'body'>;

function on<N extends OpcodeName, T>(name: N, parts: Parts<N, T>): AnyHandler {
  return { name, body: requests[name], ...parts } as AnyHandler;
}

const nothing = (): void => {};
const handle = (fh: number): FileHandle => fh as FileHandle;
const node = (nodeid: number): NodeId => nodeid as NodeId;
const EMPTY = new Uint8Array(0);

/** 64-bit numbers are read saturated at 2^53-1. No server of ours has files that long; an offset is never silently changed. */
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

/** A method that the file system does not have: the kernel is told so once, and answers EOPNOTSUPP by itself from then on. */
function optional<T>(method: T | undefined): T {
  if (method === undefined) throw new NotImplemented();
  return method;
}

/** Becomes ENOSYS, which an ErrnoError never does (errno.ts, clampErrno). */
export class NotImplemented extends Error {
  override readonly name = 'NotImplemented';
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
  return { start: args.start, end: args.end, type: args.type, pid: args.pid };
}

function setLock(wait: boolean) {
  return (ops: Operations, at: Incoming, args: Body<'SETLK'>): Awaitable<void> =>
    optional(ops.setlk).call(ops, at, at.nodeid, handle(args.fh), args.owner, lockOf(args), wait);
}

function forgetAll(ops: Operations, nodeids: readonly NodeId[]): void {
  for (const nodeid of nodeids) ops.forget(nodeid, 1);
}

const table: AnyHandler[] = [
  on('LOOKUP', { ...entryReply, run: (ops, at, { name }) => ops.lookup(at, at.nodeid, name) }),
  on('GETATTR', {
    // The kernel asks when its copy has expired or may not be used, so an answer from another cache would be wrong.
    run: (ops, at, args) =>
      ops.getattr(at, at.nodeid, args.getattrFlags & GETATTR_FH ? handle(args.fh) : undefined, true),
    reply: answerAttr,
  }),
  on('SETATTR', { run: (ops, at, args) => ops.setattr(at, at.nodeid, setAttrOf(args)), reply: answerAttr }),
  on('READLINK', {
    run: (ops, at) => ops.readlink(at, at.nodeid),
    reply: (out, target) => out.payload(encodeText(target)),
  }),
  on('SYMLINK', { ...entryReply, run: (ops, at, args) => ops.symlink(at, at.nodeid, args.name, args.target) }),
  on('MKNOD', {
    ...entryReply,
    run: (ops, at, args) => ops.mknod(at, at.nodeid, args.name, args.mode, args.rdev, args.umask),
  }),
  on('MKDIR', { ...entryReply, run: (ops, at, args) => ops.mkdir(at, at.nodeid, args.name, args.mode, args.umask) }),
  on('UNLINK', { run: (ops, at, { name }) => ops.unlink(at, at.nodeid, name), reply: nothing }),
  on('RMDIR', { run: (ops, at, { name }) => ops.rmdir(at, at.nodeid, name), reply: nothing }),
  on('RENAME', {
    run: (ops, at, args) => ops.rename(at, at.nodeid, args.name, node(args.newParent), args.newName, 0),
    reply: nothing,
  }),
  on('RENAME2', {
    run: (ops, at, args) => ops.rename(at, at.nodeid, args.name, node(args.newParent), args.newName, args.flags),
    reply: nothing,
  }),
  on('LINK', { ...entryReply, run: (ops, at, args) => ops.link(at, node(args.oldNodeid), at.nodeid, args.name) }),
  on('OPEN', {
    run: (ops, at, args) => ops.open(at, at.nodeid, args.flags, (args.openFlags & OPEN_KILL_SUIDGID) !== 0),
    reply: (out, value) => writeOpen(out.body, value.fh, value.flags),
    undo: (ops, at, value) => ops.release(at, at.nodeid, value.fh),
    mayBlock: (ops, at) => ops.mayBlock?.(at.nodeid, undefined) ?? false,
  }),
  on('CREATE', {
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
  on<'READ', ReadReply>('READ', {
    run: (ops, at, args) =>
      fits(args.offset, args.size)
        ? ops.read(at, at.nodeid, handle(args.fh), args.offset, args.size, args.flags)
        : { data: EMPTY },
    reply: (out, value) => out.payload(value.data),
    release: (value) => value.release?.(),
    mayBlock: (ops, at, args) => ops.mayBlock?.(at.nodeid, handle(args.fh)) ?? false,
  }),
  on('WRITE', {
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
    mayBlock: (ops, at, args) => ops.mayBlock?.(at.nodeid, handle(args.fh)) ?? false,
  }),
  on('STATFS', {
    run: (ops, at) => ops.statfs(at, at.nodeid),
    reply: (out, value) => statfsOut.write(out.body, value),
  }),
  on('RELEASE', { run: (ops, at, args) => ops.release(at, at.nodeid, handle(args.fh)), reply: nothing }),
  on('FSYNC', {
    run: (ops, at, args) => ops.fsync(at, at.nodeid, handle(args.fh), (args.fsyncFlags & FSYNC_FDATASYNC) !== 0),
    reply: nothing,
  }),
  on('FLUSH', {
    run: (ops, at, args) => ops.closeFlush(at, at.nodeid, handle(args.fh), args.lockOwner),
    reply: nothing,
  }),
  on('OPENDIR', {
    run: (ops, at, args) => ops.opendir(at, at.nodeid, args.flags),
    reply: (out, value) => writeOpen(out.body, value.fh, value.flags),
    undo: (ops, at, value) => ops.releasedir(at, at.nodeid, value.fh),
  }),
  on('READDIR', {
    run: (ops, at, args) => {
      const sink = new Dirents(args.size);
      const running = ops.readdir(at, at.nodeid, handle(args.fh), args.offset, args.size, sink);
      return running instanceof Promise ? running.then(() => sink) : sink;
    },
    reply: (out, sink) => out.payload(sink.bytes),
  }),
  on('READDIRPLUS', {
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
  on('RELEASEDIR', { run: (ops, at, args) => ops.releasedir(at, at.nodeid, handle(args.fh)), reply: nothing }),
  on('FSYNCDIR', {
    run: (ops, at, args) => ops.fsyncdir(at, at.nodeid, handle(args.fh), (args.fsyncFlags & FSYNC_FDATASYNC) !== 0),
    reply: nothing,
  }),
  on('ACCESS', { run: (ops, at, { mask }) => ops.access(at, at.nodeid, mask), reply: nothing }),
  on('GETXATTR', {
    run: (ops, at, { name }) => optional(ops.getxattr).call(ops, at, at.nodeid, name),
    reply: answerBytes,
  }),
  on('LISTXATTR', { run: (ops, at) => optional(ops.listxattr).call(ops, at, at.nodeid), reply: answerBytes }),
  on('SETXATTR', {
    // The value is copied: the buffer that it lies in is read into again as soon as this returns.
    run: (ops, at, args) =>
      optional(ops.setxattr).call(ops, at, at.nodeid, args.name, Buffer.from(args.value), args.flags, args.killSgid),
    reply: nothing,
  }),
  on('REMOVEXATTR', {
    run: (ops, at, { name }) => optional(ops.removexattr).call(ops, at, at.nodeid, name),
    reply: nothing,
  }),
  on('GETLK', {
    run: (ops, at, args) => optional(ops.getlk).call(ops, at, at.nodeid, handle(args.fh), args.owner, lockOf(args)),
    reply: (out, lock) => lockOut.write(out.body, lock),
  }),
  on('SETLK', { run: setLock(false), reply: nothing }),
  on('SETLKW', { run: setLock(true), reply: nothing, mayBlock: () => true }),
  // Sent only for block-device mounts; nothing is left to do, but an answer is due.
  on('DESTROY', { run: nothing, reply: nothing }),
];

export const handlers: readonly (AnyHandler | undefined)[] = table.reduce<(AnyHandler | undefined)[]>((all, entry) => {
  all[opcode[entry.name]] = entry;
  return all;
}, new Array(64).fill(undefined));

/** Refused on purpose. ENOSYS here buys that the kernel stops asking and does the right thing alone. */
export const refusals: Partial<Record<OpcodeName, { errno: number; why: string }>> = {
  LSEEK: { errno: errno.ENOSYS, why: 'the kernel then seeks by the size it knows: data everywhere, a hole at the end' },
  FALLOCATE: { errno: errno.ENOSYS, why: 'EOPNOTSUPP to the caller; 9P cannot allocate' },
  COPY_FILE_RANGE: { errno: errno.ENOSYS, why: 'the kernel copies through the page cache instead' },
  COPY_FILE_RANGE_64: { errno: errno.ENOSYS, why: 'the same' },
  BMAP: { errno: errno.ENOSYS, why: 'only for file systems on a block device' },
  POLL: { errno: errno.ENOSYS, why: 'files are then always ready, as regular ones are' },
  SYNCFS: { errno: errno.ENOSYS, why: 'each file is synced by FSYNC; the kernel then skips this' },
  TMPFILE: { errno: errno.ENOSYS, why: 'EOPNOTSUPP to the caller, which then makes a named file' },
  STATX: { errno: errno.ENOSYS, why: 'the kernel falls back to GETATTR' },
  IOCTL: { errno: errno.ENOTTY, why: 'what every program expects of a file without this ioctl' },
};
