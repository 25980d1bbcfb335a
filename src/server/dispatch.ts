// The table from a T-message to what carries it out, and from what that throws to an errno.
// Must not know tags, flushes or transports: those are flush.ts and connection.ts.

import { errno, errnoOf } from '../common/errno.ts';
import { ErrnoError } from '../common/errors.ts';
import type { Body, Message, ReplyTo, RequestName } from '../wire/p9/messages.ts';
import type { Request } from './flush.ts';
import { getattr, setattr, statfs } from './handlers/attr.ts';
import { mkdir, mknod, readdir, remove, rename, renameat, unlinkat } from './handlers/dir.ts';
import { fsync, read, write } from './handlers/io.ts';
import { link, readlink, symlink } from './handlers/link.ts';
import { getlock, lock } from './handlers/lock.ts';
import { lcreate, lopen } from './handlers/open.ts';
import { attach, auth, clunk } from './handlers/session.ts';
import { walk } from './handlers/walk.ts';
import { xattrcreate, xattrwalk } from './handlers/xattr.ts';
import type { Session } from './session.ts';
import type { Awaitable, ReadResult } from './tree.ts';

/** What is not answered by the connection itself. */
export type ServedName = Exclude<RequestName, 'Tversion' | 'Tflush' | 'Topen' | 'Tcreate' | 'Tstat' | 'Twstat'>;

/** The body of the reply; what carries a payload is answered with the bytes where they lie. */
export type Reply<N extends ServedName> = N extends 'Tread' | 'Treaddir' ? ReadResult : Body<ReplyTo<N>>;

export type Handler<N extends ServedName> = (
  session: Session,
  message: Message<N>,
  request: Request,
) => Awaitable<Reply<N>>;

const handlers: { readonly [N in ServedName]: Handler<N> } = {
  Tauth: auth,
  Tattach: attach,
  Tclunk: clunk,
  Twalk: walk,
  Tlopen: lopen,
  Tlcreate: lcreate,
  Tread: read,
  Twrite: write,
  Tfsync: fsync,
  Tgetattr: getattr,
  Tsetattr: setattr,
  Tstatfs: statfs,
  Treaddir: readdir,
  Tmkdir: mkdir,
  Tmknod: mknod,
  Tunlinkat: unlinkat,
  Tremove: remove,
  Trename: rename,
  Trenameat: renameat,
  Tlink: link,
  Tsymlink: symlink,
  Treadlink: readlink,
  Tlock: lock,
  Tgetlock: getlock,
  Txattrwalk: xattrwalk,
  Txattrcreate: xattrcreate,
};

type AnyHandler = (session: Session, message: Message, request: Request) => Awaitable<object>;
const byType: ReadonlyMap<string, AnyHandler> = new Map(Object.entries(handlers) as unknown as [string, AnyHandler][]);

/** The handler of a message, or undefined for what no client may send. */
export function handlerOf(type: string): AnyHandler | undefined {
  return byType.get(type);
}

/** The errno of a failure, and whether it was a refusal; what is not is our own mistake, and EIO. */
export function failure(error: unknown): { ecode: number; meant: boolean } {
  if (error instanceof ErrnoError) {
    // the range that clients accept (net/9p/client.c, safe_errno)
    const fits = Number.isInteger(error.errno) && error.errno > 0 && error.errno < 4096;
    return { ecode: fits ? error.errno : errno.EIO, meant: fits };
  }
  const ecode = errnoOf(error);
  return { ecode, meant: ecode !== errno.EIO || (error instanceof Error && 'code' in error && error.code === 'EIO') };
}
