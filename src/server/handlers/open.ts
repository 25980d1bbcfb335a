// Tlopen and Tlcreate. Permission is checked here, once, by the tree; a fid is opened once (open(9P)).

import { errno } from '../../common/errno.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import type { Fid, FidState } from '../fids.ts';
import type { Request } from '../flush.ts';
import { enter, meant, turnTo } from '../meaning.ts';
import { opened, treeFlags } from '../opened.ts';
import { checkName, refuse } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, after, isPromise, type OpenFile, type TreeNode } from '../tree.ts';

/** What was opened: a file, and a reference to the node that it is of. */
export interface Opening {
  readonly node: TreeNode;
  readonly file: OpenFile;
}

export function lopen(session: Session, message: Message<'Tlopen'>, request: Request): Awaitable<Body<'Rlopen'>> {
  const fid = session.use(request, message.fid);
  const flags = message.flags & ~(OPEN.CREATE | OPEN.EXCL);
  checkAccess(flags);
  return opening(
    session,
    fid,
    () => meant(session, fid, 'names', request, (node) => openNode(session, node, flags, fid, request)),
    ({ node, file }) => {
      turnTo(fid, node);
      return opened(session, fid, file, flags);
    },
    () => ({ qid: fid.node.qid, iounit: session.iounit }),
  );
}

/** The directory's fid becomes the new file's. */
export function lcreate(session: Session, message: Message<'Tlcreate'>, request: Request): Awaitable<Body<'Rlcreate'>> {
  const { name, mode, gid } = message;
  const fid = session.use(request, message.fid);
  checkName(name, errno.EEXIST);
  const flags = message.flags & ~OPEN.CREATE;
  checkAccess(flags);
  return opening(
    session,
    fid,
    () =>
      meant(session, fid, 'names', request, (dir) =>
        dir.create(name, treeFlags(session.behaviour, flags), mode, gid, fid.user, request),
      ),
    ({ node, file }) => {
      enter(session, fid, name, node);
      return opened(session, fid, file, flags);
    },
    () => ({ qid: fid.node.qid, iounit: session.iounit }),
  );
}

function checkAccess(flags: number): void {
  if ((flags & OPEN.ACCMODE) === OPEN.ACCMODE) refuse(errno.EINVAL);
}

/** Opens what the fid means. */
export function openNode(
  { behaviour }: Session,
  node: TreeNode,
  flags: number,
  { user }: Fid,
  request: Request,
): Awaitable<Opening> {
  return after(node.open(treeFlags(behaviour, flags), user, request), (file) => {
    node.retain();
    return { node, file };
  });
}

/** Holds the fid in state `opening` while `begin` runs, so that no second open gets in between. */
export function opening<T, R>(
  { fids }: Session,
  fid: Fid,
  begin: () => Awaitable<T>,
  take: (result: T) => FidState,
  answer: () => R,
): Awaitable<R> {
  if (fid.state.kind !== 'walked') refuse(errno.EINVAL);
  const walked = fid.state;
  fids.countFile();
  const opened = (result: T): R => {
    fid.state = take(result);
    if (fid.state.kind !== 'open') fids.uncountFile();
    return answer();
  };
  const failed = (error: unknown): never => {
    fid.state = walked;
    fids.uncountFile();
    throw error;
  };
  fid.state = { kind: 'opening' };
  try {
    const result = begin();
    return isPromise(result) ? result.then(opened, failed) : opened(result);
  } catch (error) {
    return failed(error);
  }
}
