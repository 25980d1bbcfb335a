// Treaddir, and what makes, removes and renames entries: Tmkdir, Tmknod, Tunlinkat, Tremove, Trename, Trenameat.
// An entry is given whole or not at all; a count too small for the next entry is EINVAL, because an empty reply would
// say that the directory ends.

import type { AbortSignalLike } from '../../common/abort.ts';
import type { Slab } from '../../common/bufpool.ts';
import { errno } from '../../common/errno.ts';
import { Writer } from '../../common/writer.ts';
import { AT_REMOVEDIR, QT } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import { direntSize, writeDirent } from '../../wire/p9/types.ts';
import type { Fid } from '../fids.ts';
import type { Request } from '../flush.ts';
import { atPlace, meant, reroute } from '../meaning.ts';
import { checkName, refuse } from '../refuse.ts';
import { below } from '../routes.ts';
import type { Session } from '../session.ts';
import { type Awaitable, after, isPromise, type ReadResult, type TreeNode } from '../tree.ts';
import { openFile } from './io.ts';

/** More than this in one reply saves little, and a listing that was asked for with a great count is seldom long. */
const READDIR_MAX = 64 * 1024;

export function readdir(session: Session, message: Message<'Treaddir'>, request: Request): Awaitable<ReadResult> {
  const fid = session.use(request, message.fid);
  const size = Math.min(message.count, session.iounit, READDIR_MAX);
  openFile(fid);
  if (!(fid.node.qid.type & QT.DIR)) refuse(errno.ENOTDIR);
  const slab = session.lend(Math.max(size, 1), request);
  if (isPromise(slab)) return slab.then((lent) => list(fid, message.offset, size, lent, request));
  return list(fid, message.offset, size, slab, request);
}

function list(fid: Fid, cookie: bigint, size: number, slab: Slab, request: Request): Awaitable<ReadResult> {
  const writer = new Writer(slab.bytes);
  let tooSmall = false;
  const answer = (): ReadResult => {
    if (tooSmall) refuse(errno.EINVAL);
    return { data: slab.bytes.subarray(0, writer.at), release: () => slab.release() };
  };
  const failed = (error: unknown): never => {
    slab.release();
    throw error;
  };
  try {
    const done = openFile(fid).readdir(
      cookie,
      (entry) => {
        if (direntSize(entry.name) > size - writer.at) {
          tooSmall = writer.at === 0;
          return false;
        }
        writeDirent(writer, entry);
        return true;
      },
      request,
    );
    return isPromise(done) ? done.then(answer).catch(failed) : answer();
  } catch (error) {
    return failed(error);
  }
}

export function mkdir(session: Session, message: Message<'Tmkdir'>, request: Request): Awaitable<Body<'Rmkdir'>> {
  const fid = session.use(request, message.dfid);
  checkName(message.name, errno.EEXIST);
  const qid = meant(session, fid, 'names', request, (node) =>
    node.mkdir(message.name, message.mode, message.gid, fid.user, request),
  );
  return isPromise(qid) ? qid.then((made) => ({ qid: made })) : { qid };
}

export function mknod(session: Session, message: Message<'Tmknod'>, request: Request): Awaitable<Body<'Rmknod'>> {
  const fid = session.use(request, message.dfid);
  checkName(message.name, errno.EEXIST);
  const device = { major: message.major, minor: message.minor };
  const qid = meant(session, fid, 'names', request, (node) =>
    node.mknod(message.name, message.mode, device, message.gid, fid.user, request),
  );
  return isPromise(qid) ? qid.then((made) => ({ qid: made })) : { qid };
}

export function unlinkat(
  session: Session,
  message: Message<'Tunlinkat'>,
  request: Request,
): Awaitable<Body<'Runlinkat'>> {
  const { name, flags } = message;
  if (!session.behaviour.kind.hasAt) refuse(errno.EOPNOTSUPP);
  const fid = session.use(request, message.dirfid);
  if ((flags & ~AT_REMOVEDIR) !== 0) refuse(errno.EINVAL);
  const directory = flags === AT_REMOVEDIR;
  checkName(name, directory ? (name === '.' ? errno.EINVAL : errno.ENOTEMPTY) : errno.EISDIR);
  return meant(session, fid, 'names', request, (dir) =>
    after(unlink(session, fid, dir, name, directory, request), () => ({})),
  );
}

function unlink(
  session: Session,
  { user }: Fid,
  dir: TreeNode,
  name: string,
  directory: boolean,
  signal: AbortSignalLike,
): Awaitable<void> {
  return after(dir.unlink(name, directory, user, signal), () => session.places.removed(dir, name));
}

/** A clunk with a side effect: the fid is gone also when the removal fails (remove(9P)). */
export function remove(session: Session, message: Message<'Tremove'>, request: Request): Awaitable<Body<'Rremove'>> {
  const fid = session.use(request, message.fid);
  session.fids.remove(message.fid);
  return after(removeAt(session, fid, request), () => ({}));
}

/** Removes the name at which a fid stands. */
export function removeAt(session: Session, fid: Fid, signal: AbortSignalLike): Awaitable<void> {
  return atPlace(fid, signal, (dir, name, isDirectory) => unlink(session, fid, dir, name, isDirectory, signal));
}

export function rename(session: Session, message: Message<'Trename'>, request: Request): Awaitable<Body<'Rrename'>> {
  const fid = session.use(request, message.fid);
  const to = session.use(request, message.dfid);
  checkName(message.name, errno.EBUSY);
  return atPlace(fid, request, (dir, name) =>
    after(moveEntry(session, request, fid, dir, name, to, message.name), () => {
      if (to.route !== undefined) reroute(fid, below(to.route, message.name));
      return {};
    }),
  );
}

export function renameat(
  session: Session,
  message: Message<'Trenameat'>,
  request: Request,
): Awaitable<Body<'Rrenameat'>> {
  if (!session.behaviour.kind.hasAt) refuse(errno.EOPNOTSUPP);
  const from = session.use(request, message.olddirfid);
  const to = session.use(request, message.newdirfid);
  checkName(message.oldname, errno.EBUSY);
  checkName(message.newname, errno.EBUSY);
  return meant(session, from, 'names', request, (dir) =>
    after(moveEntry(session, request, from, dir, message.oldname, to, message.newname), () => ({})),
  );
}

function moveEntry(
  session: Session,
  request: Request,
  by: Fid,
  dir: TreeNode,
  name: string,
  to: Fid,
  newName: string,
): Awaitable<void> {
  return meant(session, to, 'names', request, (newDir) =>
    after(dir.rename(name, newDir, newName, by.user, request), () =>
      session.places.moved(dir, name, newDir, newName, to.place),
    ),
  );
}
