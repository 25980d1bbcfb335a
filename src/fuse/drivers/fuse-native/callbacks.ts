// The callbacks of libfuse 2 as operations on nodes: what each is asked, which operations answer it, and what goes back.
// Guarantees: what is done through an open file is done to that file, whatever its path is now; a new file is made with O_EXCL, as
// the flags of create are not told and two clients must not both believe that they made it.
// What libfuse 2 or the addon do not carry is not here: who calls, signals, locks, rename's flags, times apart from each other.

import type { FileHandle, NodeId } from '../../../common/brand.ts';
import { errno } from '../../../common/errno.ts';
import { ErrnoError, isErrno } from '../../../common/errors.ts';
import type { Attr, Operations, RequestContext } from '../../operations.ts';
import { type Answer, type Callback, does, done, on } from './callback.ts';
import {
  direntWords,
  type Host,
  hostXattrs,
  linuxDevice,
  linuxFlags,
  linuxXattrFlags,
  noStat,
  noStatfs,
  pair,
  serverXattr,
  statfsWords,
  statWords,
  timesOf,
} from './forms.ts';
import { Handles } from './handles.ts';
import { type Held, Names } from './names.ts';

const O_RDWR = 2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_APPEND = 0o2000;
/** So much is asked for at once of a listing. */
const LISTING = 64 * 1024;
/** The names that libfuse gives (lib/fuse.c, hidden_name). */
const HIDDEN = /\/\.fuse_hidden[0-9a-f]{16}$/;
const XATTR_MOST = 64 * 1024;
const MAC_NAMES = 128;

function isMissing(error: unknown): boolean {
  return isErrno(error, errno.ENOENT, errno.ESTALE);
}

export interface Callbacks {
  readonly table: Readonly<Record<string, Callback>>;
  readonly names: Names;
  readonly handles: Handles;
}

export interface CallbackOptions {
  readonly host: Host;
  /** Writes go past the kernel's pages, and past its clearing of setuid and setgid. */
  readonly direct: boolean;
}

export function callbacks(ops: Operations, { host, direct }: CallbackOptions): Callbacks {
  const names = new Names(ops);
  const handles = new Handles(names);
  const stat = (path: string, attr: Attr): Answer => {
    // libfuse counts the name of a ghost as a link, and takes it off what it shows (lib/fuse.c, fuse_lib_getattr)
    const shown = names.isGhost(path) ? { ...attr, nlink: attr.nlink + 1 } : attr;
    return { result: 0, extras: [statWords(shown, host)] };
  };
  const change = (ctx: RequestContext, path: string, set: Parameters<Operations['setattr']>[2]) =>
    names.use(ctx, path, (nodeid) => ops.setattr(ctx, nodeid, set));

  async function resize(ctx: RequestContext, nodeid: NodeId, held: Held, set: { size: number; fh?: FileHandle }) {
    await ops.setattr(ctx, nodeid, set);
    held.shown = set.size;
  }

  async function list(ctx: RequestContext, nodeid: NodeId, fh: FileHandle): Promise<Answer> {
    const found: string[] = [];
    const stats: Uint32Array[] = [];
    for (let offset = 0n, before = -1n; before !== offset; ) {
      before = offset;
      await ops.readdir(ctx, nodeid, fh, offset, LISTING, {
        add(name, ino, type, next) {
          offset = next;
          // the addon has text for names, and would show another one
          if (!name.isWellFormed()) return true;
          found.push(name);
          stats.push(direntWords(ino, type));
          return true;
        },
      });
    }
    return { result: 0, extras: [found, stats] };
  }

  /** A value into the room that the caller has: all of it, or its length where there is none (getxattr(2)). */
  function fill(value: Uint8Array, room: Buffer): Answer {
    if (room.length > 0) {
      if (value.length > room.length) throw new ErrnoError(errno.ERANGE);
      room.set(value);
    }
    return { result: value.length, extras: [room.buffer] };
  }

  async function xattr(ctx: RequestContext, path: string, name: string): Promise<Uint8Array> {
    if (ops.getxattr === undefined) throw new ErrnoError(errno.EOPNOTSUPP);
    const { getxattr } = ops;
    return names.use(ctx, path, (nodeid) => getxattr.call(ops, ctx, nodeid, serverXattr(name, host)));
  }

  /** macOS writes parts of a resource fork: the rest of the value is what it was. */
  async function patched(ctx: RequestContext, path: string, name: string, part: Buffer, position: number) {
    if (position === 0) return Buffer.from(part);
    if (position + part.length > XATTR_MOST) throw new ErrnoError(errno.E2BIG);
    const before = await xattr(ctx, path, name).catch((error: unknown) => {
      if (isErrno(error, errno.ENODATA)) return Buffer.alloc(0);
      throw error;
    });
    const value = Buffer.alloc(Math.max(before.length, position + part.length));
    value.set(before);
    value.set(part, position);
    return value;
  }

  /**
   * libfuse renames an open file that is to be removed, and removes it when it is closed. Here it is removed at once, as the
   * open file goes on without a name: no such name is ever on the server, and its directory can be removed too.
   */
  function hide(ctx: RequestContext, from: string, to: string): Promise<boolean> {
    return names.use(ctx, from, async (nodeid, held) => {
      if (!handles.isOpen(nodeid)) return false;
      await names.useParent(ctx, from, (parent, name) => ops.unlink(ctx, parent, name));
      names.haunt(from, to, held);
      return true;
    });
  }

  const table: Record<string, Callback> = {
    getattr: on<[path: string]>(
      async (ctx, _native, path) => {
        const look = async () => stat(path, (await names.look(ctx, path)).attr);
        if (!names.isCurrent(path)) return look();
        try {
          return await names.use(ctx, path, async (nodeid, held) => {
            const { attr } = await ops.getattr(ctx, nodeid, undefined, true);
            held.shown = attr.size;
            return stat(path, attr);
          });
        } catch (error) {
          // the file that had the name may be gone, and another may have it
          if (path === '/' || names.isGhost(path) || !isMissing(error)) throw error;
          return look();
        }
      },
      () => [noStat()],
    ),

    fgetattr: on<[path: string, fd: number]>(
      async (ctx, _native, path, fd) => {
        const { held, fh, kind } = handles.get(fd);
        const { attr } = await ops.getattr(ctx, held.nodeid, kind === 'file' ? fh : undefined, true);
        held.shown = attr.size;
        return stat(path, attr);
      },
      () => [noStat()],
    ),

    access: does<[string, number]>((ctx, path, mask) =>
      names.use(ctx, path, (nodeid) => ops.access(ctx, nodeid, mask)),
    ),

    statfs: on<[string]>(
      (ctx, _native, path) =>
        names.use(ctx, path, async (nodeid) => ({ result: 0, extras: [statfsWords(await ops.statfs(ctx, nodeid))] })),
      () => [noStatfs()],
    ),

    chmod: does<[string, number]>((ctx, path, mode) => change(ctx, path, { mode: mode & 0o7777 })),

    chown: does<[string, number, number]>((ctx, path, uid, gid) =>
      // (uid_t) -1 is "leave it" (chown(2))
      change(ctx, path, { ...(uid === 0xffffffff ? {} : { uid }), ...(gid === 0xffffffff ? {} : { gid }) }),
    ),

    truncate: does<[string, number, number]>((ctx, path, low, high) =>
      names.use(ctx, path, (nodeid, held) => resize(ctx, nodeid, held, { size: pair(low, high) })),
    ),

    ftruncate: does<[string, number, number, number]>((ctx, _path, fd, low, high) => {
      const { held, fh } = handles.get(fd);
      return resize(ctx, held.nodeid, held, { size: pair(low, high), fh });
    }),

    utimens: on<[string, number, number]>(async (ctx, native, path, low, high) => {
      await change(ctx, path, timesOf(native, low, high, host));
      return done;
    }),

    readlink: on<[string]>(
      (ctx, _native, path) =>
        names.use(ctx, path, async (nodeid) => {
          const target = await ops.readlink(ctx, nodeid);
          if (!target.isWellFormed()) throw new ErrnoError(errno.EILSEQ, 'a target that is not UTF-8');
          return { result: 0, extras: [target] };
        }),
      () => [''],
    ),

    mknod: does<[string, number, number]>(async (ctx, path, mode, device) => {
      const entry = await names.useParent(ctx, path, (parent, name) =>
        ops.mknod(ctx, parent, name, mode, linuxDevice(device, host), 0),
      );
      names.put(path, entry);
    }),

    mkdir: does<[string, number]>(async (ctx, path, mode) => {
      names.put(path, await names.useParent(ctx, path, (parent, name) => ops.mkdir(ctx, parent, name, mode, 0)));
    }),

    symlink: does<[string, string]>(async (ctx, target, path) => {
      names.put(path, await names.useParent(ctx, path, (parent, name) => ops.symlink(ctx, parent, name, target)));
    }),

    link: does<[string, string]>(async (ctx, from, to) => {
      const entry = await names.use(ctx, from, (nodeid) =>
        names.useParent(ctx, to, (parent, name) => ops.link(ctx, nodeid, parent, name)),
      );
      names.put(to, entry);
    }),

    unlink: does<[string]>(async (ctx, path) => {
      if (names.isGhost(path)) return names.exorcise(path);
      await names.useParent(ctx, path, (parent, name) => ops.unlink(ctx, parent, name));
      names.drop(path);
    }),

    rmdir: does<[string]>(async (ctx, path) => {
      await names.useParent(ctx, path, (parent, name) => ops.rmdir(ctx, parent, name));
      names.drop(path);
    }),

    rename: does<[string, string]>(async (ctx, from, to) => {
      if (HIDDEN.test(to) && (await hide(ctx, from, to))) return;
      await names.useParent(ctx, from, (parent, name) =>
        names.useParent(ctx, to, (newParent, newName) => ops.rename(ctx, parent, name, newParent, newName, 0)),
      );
      names.move(from, to);
    }),

    open: on<[string, number]>(
      (ctx, _native, path, given) =>
        names.use(ctx, path, async (nodeid, held) => {
          const flags = linuxFlags(given, host);
          try {
            const { fh } = await ops.open(ctx, nodeid, flags, false);
            return { result: 0, extras: [handles.add(held, fh, 'file', flags)] };
          } catch (error) {
            // found before its name was taken from it: ESTALE makes the kernel look the name up again
            throw names.isGhost(path) && isMissing(error) ? new ErrnoError(errno.ESTALE) : error;
          }
        }),
      () => [0],
    ),

    create: on<[string, number]>(
      async (ctx, _native, path, mode) => {
        const flags = O_RDWR | O_CREAT | O_EXCL;
        const made = await names.useParent(ctx, path, (parent, name) =>
          ops.create(ctx, parent, name, flags, mode, 0, false),
        );
        return { result: 0, extras: [handles.add(names.put(path, made.entry), made.fh, 'file', O_RDWR)] };
      },
      () => [0],
    ),

    read: on<[string, number, Buffer, number, number, number]>(
      async (ctx, _native, _path, fd, room, size, low, high) => {
        const { held, fh, flags } = handles.get(fd);
        const reply = await ops.read(ctx, held.nodeid, fh, pair(low, high), size, flags);
        let at = 0;
        for (const piece of reply.data instanceof Uint8Array ? [reply.data] : reply.data) {
          room.set(piece, at);
          at += piece.length;
        }
        reply.release?.();
        return { result: at, extras: [at, room.buffer] };
      },
      (_path, _fd, room) => [0, room.buffer],
    ),

    write: on<[string, number, Buffer, number, number, number]>(
      async (ctx, _native, _path, fd, data, _size, low, high) => {
        const { held, fh, flags } = handles.get(fd);
        const offset = pair(low, high);
        // Pages of a shared mapping come through any descriptor, and the addon does not say so (fuse_file_info.writepage). To one
        // that appends they show by their place: the kernel appends at the end that it knows, and has no pages behind it.
        const fromCache = !direct && (flags & O_APPEND) !== 0 && offset < held.shown;
        const count = await ops.write(ctx, held.nodeid, fh, offset, data, {
          fromCache,
          // whoever writes: that is not told, and root can set them again
          killSuidGid: direct,
          openFlags: flags,
          lockOwner: 0n,
        });
        held.shown = Math.max(held.shown, offset + count);
        return { result: count, extras: [count, data.buffer] };
      },
      (_path, _fd, data) => [0, data.buffer],
    ),

    flush: does<[string, number]>((ctx, _path, fd) => {
      const { held, fh } = handles.get(fd);
      return ops.closeFlush(ctx, held.nodeid, fh, 0n);
    }),

    fsync: does<[string, number, number]>((ctx, _path, dataOnly, fd) => {
      const { held, fh } = handles.get(fd);
      return ops.fsync(ctx, held.nodeid, fh, dataOnly !== 0);
    }),

    release: does<[string, number]>((ctx, _path, fd) =>
      handles.remove(fd, ({ held, fh }) => ops.release(ctx, held.nodeid, fh)),
    ),

    opendir: on<[string]>(
      (ctx, _native, path) =>
        names.use(ctx, path, async (nodeid, held) => {
          const { fh } = await ops.opendir(ctx, nodeid, 0);
          return { result: 0, extras: [handles.add(held, fh, 'directory', 0)] };
        }),
      () => [0],
    ),

    readdir: on<[string]>(
      (ctx, _native, path) =>
        names.use(ctx, path, async (nodeid) => {
          const open = handles.directory(nodeid);
          if (open !== undefined) return list(ctx, nodeid, open.fh);
          const { fh } = await ops.opendir(ctx, nodeid, 0);
          try {
            return await list(ctx, nodeid, fh);
          } finally {
            await ops.releasedir(ctx, nodeid, fh);
          }
        }),
      () => [[], []],
    ),

    fsyncdir: does<[string, number, number]>((ctx, _path, dataOnly, fd) => {
      const { held, fh } = handles.get(fd);
      return ops.fsyncdir(ctx, held.nodeid, fh, dataOnly !== 0);
    }),

    releasedir: does<[string, number]>((ctx, _path, fd) =>
      handles.remove(fd, ({ held, fh }) => ops.releasedir(ctx, held.nodeid, fh)),
    ),

    getxattr: on<[string, string, Buffer, number]>(
      async (ctx, _native, path, name, room, position) => fill((await xattr(ctx, path, name)).subarray(position), room),
      (_path, _name, room) => [room.buffer],
    ),

    setxattr: on<[string, string, Buffer, number, number]>(
      async (ctx, _native, path, name, part, position, flags) => {
        const { setxattr } = ops;
        if (setxattr === undefined) throw new ErrnoError(errno.EOPNOTSUPP);
        const value = await patched(ctx, path, name, part, position);
        await names.use(ctx, path, (nodeid) =>
          setxattr.call(ops, ctx, nodeid, serverXattr(name, host), value, linuxXattrFlags(flags, host)),
        );
        return { result: 0, extras: [part.buffer] };
      },
      (_path, _name, part) => [part.buffer],
    ),

    listxattr: on<[string, Buffer]>(
      async (ctx, _native, path, room) => {
        const { listxattr } = ops;
        if (listxattr === undefined) throw new ErrnoError(errno.EOPNOTSUPP);
        const found = await names.use(ctx, path, (nodeid) => listxattr.call(ops, ctx, nodeid));
        const answer = fill(hostXattrs(found, host), room);
        // macFUSE adds names of its own to what it asked the length of
        return host.mac && room.length === 0 ? { ...answer, result: answer.result + MAC_NAMES } : answer;
      },
      (_path, room) => [room.buffer],
    ),

    removexattr: does<[string, string]>((ctx, path, name) => {
      const { removexattr } = ops;
      if (removexattr === undefined) throw new ErrnoError(errno.EOPNOTSUPP);
      return names.use(ctx, path, (nodeid) => removexattr.call(ops, ctx, nodeid, serverXattr(name, host)));
    }),
  };
  return { table, names, handles };
}
