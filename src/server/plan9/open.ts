// Topen and Tcreate (open(9P)): the mode byte as the flags of a tree, and ORCLOSE.
// Guarantees: a Tcreate that fails leaves nothing behind and the fid where it was.

import { Abort, type AbortSignalLike } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { isErrno } from '../../common/errors.ts';
import { DM, GETATTR, OMODE, OPEN, QT } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import type { Birth, Forms } from '../dialects/forms.ts';
import type { Fid, FidState } from '../fids.ts';
import type { Request } from '../flush.ts';
import { removeAt } from '../handlers/dir.ts';
import { opening, openNode } from '../handlers/open.ts';
import { enter, inDirectory, meant, turnTo } from '../meaning.ts';
import { opened, treeFlags } from '../opened.ts';
import { checkName, refuse, stopIfAborted } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, after, type OpenFile, type TreeNode, type User } from '../tree.ts';
import { MAY, owns, permits, S } from '../trees/modes.ts';
import { listingOf } from './list.ts';
import { isDirectory, MARKS, qidIn } from './stat.ts';

/** What follows an effect is not given up halfway, and a clunk is never flushed. */
const unstoppable = () => new Abort();

/** The flags of a tree's open. Bits that the dialect does not have are not ignored: they could ask for anything. */
function flagsOf(forms: Forms, mode: number): number {
  if (mode & ~forms.omodes) refuse(errno.EINVAL);
  let flags = mode & OMODE.ACCMODE;
  if (mode & OMODE.TRUNC) flags |= OPEN.TRUNC;
  if (mode & OMODE.APPEND) flags |= OPEN.APPEND;
  return flags;
}

/** The fid's state with an open file. Who opened to execute may read. */
function openState(session: Session, fid: Fid, file: OpenFile, flags: number): FidState {
  const executes = (flags & OPEN.ACCMODE) === OMODE.EXEC;
  return opened(session, fid, file, executes ? flags & ~OPEN.ACCMODE : flags, listingOf(fid));
}

export function open(forms: Forms) {
  return (session: Session, message: Message<'Topen'>, request: Request): Awaitable<Body<'Ropen'>> => {
    const fid = session.use(request, message.fid);
    const flags = flagsOf(forms, message.mode);
    const closes = (message.mode & OMODE.RCLOSE) !== 0;
    // a directory cannot be written, cut, or removed on close
    const changes = closes || (flags & (OPEN.TRUNC | OPEN.APPEND)) !== 0 || isWrite(flags);
    const open = (node: TreeNode) => {
      if (node.qid.type & QT.DIR && changes) refuse(errno.EISDIR);
      const begin = () => openNode(session, node, flags, fid, request);
      return closes ? after(mayRemove(fid, node, request), begin) : begin();
    };
    return opening(
      session,
      fid,
      () => meant(session, fid, 'names', request, open),
      ({ node, file }) => {
        turnTo(fid, node);
        if (closes) removeAtClunk(session, fid);
        return openState(session, fid, file, flags);
      },
      () => ({ qid: qidIn(forms, fid.node.qid), iounit: session.iounit }),
    );
  };
}

function isWrite(flags: number): boolean {
  const access = flags & OPEN.ACCMODE;
  return access === OPEN.WRONLY || access === OPEN.RDWR;
}

/** As far as modes tell; the removal itself asks the tree. */
async function mayRemove(fid: Fid, node: TreeNode, signal: AbortSignalLike): Promise<void> {
  const { user } = fid;
  const above = await inDirectory(fid, signal, (dir) => dir.getattr(GETATTR.BASIC, user, signal));
  if (!permits(user, above, MAY.WRITE | MAY.EXEC)) refuse(errno.EACCES);
  if (above.mode & S.ISVTX && !owns(user, above)) {
    if (!owns(user, await node.getattr(GETATTR.BASIC, user, signal))) refuse(errno.EPERM);
  }
  stopIfAborted(signal);
}

function removeAtClunk(session: Session, fid: Fid): void {
  fid.atClunk = async () => {
    try {
      await removeAt(session, fid, unstoppable());
    } catch (error) {
      // somebody else was faster
      if (!isErrno(error, errno.ENOENT)) throw error;
    }
  };
}

export function create(forms: Forms) {
  return (session: Session, message: Message<'Tcreate'>, request: Request): Awaitable<Body<'Rcreate'>> => {
    const { name, perm, mode } = message;
    const fid = session.use(request, message.fid);
    checkName(name, errno.EEXIST);
    const flags = flagsOf(forms, mode) & ~OPEN.TRUNC;
    const closes = (mode & OMODE.RCLOSE) !== 0;
    if (isDirectory(perm) && (closes || isWrite(flags))) refuse(errno.EISDIR);
    return opening(
      session,
      fid,
      () => meant(session, fid, 'names', request, (dir) => make(forms, session, fid, dir, message, flags, request)),
      ({ node, file }) => {
        enter(session, fid, name, node);
        if (closes) removeAtClunk(session, fid);
        return file === undefined ? { kind: 'walked' } : openState(session, fid, file, flags);
      },
      () => ({ qid: qidIn(forms, fid.node.qid), iounit: session.iounit }),
    );
  };
}

/** What was made. Links, devices and the like are not open: nothing can be read from them here. */
interface Made {
  readonly node: TreeNode;
  readonly file: OpenFile | undefined;
}

async function make(
  forms: Forms,
  session: Session,
  { user }: Fid,
  dir: TreeNode,
  message: Message<'Tcreate'>,
  flags: number,
  request: Request,
): Promise<Made> {
  const { name, perm } = message;
  if (!(dir.qid.type & QT.DIR)) refuse(errno.ENOTDIR);
  const birth = await forms.birth(dir, user, perm, request);
  stopIfAborted(request);
  for (const [bit, maker] of forms.makers) {
    if (!(perm & bit)) continue;
    await maker(session, message, request, birth);
    return undoing(
      async () => ({ node: await dir.walk(name, user, unstoppable()), file: undefined }),
      () => dir.unlink(name, false, user, unstoppable()),
    );
  }
  const marks = (perm >>> 24) & MARKS;
  if (marks !== 0 && (session.tree.marks !== true || isDirectory(perm))) refuse(errno.EOPNOTSUPP);
  if (isDirectory(perm)) return makeDirectory(dir, user, name, birth, request);
  // a bit that no maker knows would become a plain file
  if (perm & ~(DM.APPEND | DM.EXCL | DM.TMP | forms.permissions)) refuse(errno.EOPNOTSUPP);
  const access = (flags & OPEN.ACCMODE) === OMODE.EXEC ? flags & ~OPEN.ACCMODE : flags;
  const making = treeFlags(session.behaviour, access | OPEN.EXCL);
  const made = await dir.create(name, making, birth.mode, birth.gid, user, request);
  if (marks === 0) return made;
  return undoing(
    async () => {
      await made.node.setattr({ marks }, made.file, user, unstoppable());
      return made;
    },
    async () => {
      await made.file.close();
      made.node.release();
      await dir.unlink(name, false, user, unstoppable());
    },
  );
}

/** Goes on with what was made, or takes it back. */
async function undoing<T>(next: () => Promise<T>, undo: () => Awaitable<void>): Promise<T> {
  try {
    return await next();
  } catch (error) {
    await undo();
    throw error;
  }
}

async function makeDirectory(
  dir: TreeNode,
  user: User,
  name: string,
  { mode, gid }: Birth,
  request: Request,
): Promise<Made> {
  await dir.mkdir(name, mode, gid, user, request);
  return undoing(
    async () => {
      const node = await dir.walk(name, user, unstoppable());
      return undoing(
        async () => ({ node, file: await openNew(node, mode, user) }),
        () => node.release(),
      );
    },
    () => dir.unlink(name, true, user, unstoppable()),
  );
}

/** The mode is not checked when something is opened by being made (open(9P)). */
async function openNew(node: TreeNode, mode: number, user: User): Promise<OpenFile> {
  try {
    return await node.open(OPEN.RDONLY, user, unstoppable());
  } catch (error) {
    if (!isErrno(error, errno.EACCES)) throw error;
  }
  const { mode: made } = await node.getattr(GETATTR.MODE, user, unstoppable());
  await node.setattr({ mode: mode | 0o700 }, undefined, user, unstoppable());
  try {
    return await node.open(OPEN.RDONLY, user, unstoppable());
  } finally {
    await node.setattr({ mode: made & ~S.IFMT }, undefined, user, unstoppable());
  }
}
