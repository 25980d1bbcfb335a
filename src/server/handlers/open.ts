// Tlopen and Tlcreate. Permission is checked here, once, by the tree; a fid is opened once (open(9P)).

import { errno } from '../../common/errno.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import type { Fid, FidState } from '../fids.ts';
import type { Request } from '../flush.ts';
import { checkName, refuse } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, isPromise, type OpenFile, type TreeNode } from '../tree.ts';

export function lopen(session: Session, message: Message<'Tlopen'>, request: Request): Awaitable<Body<'Rlopen'>> {
  const fid = session.use(request, message.fid);
  const flags = message.flags & ~(OPEN.CREATE | OPEN.EXCL);
  checkAccess(flags);
  return opening(
    session,
    fid,
    () => fid.node.open(flags, fid.user, request),
    (file) => ({ kind: 'open', file, flags }),
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
    () => fid.node.create(name, flags, mode, gid, fid.user, request),
    ({ node, file }: { node: TreeNode; file: OpenFile }) => {
      become(session, fid, name, node);
      return { kind: 'open', file, flags };
    },
    () => ({ qid: fid.node.qid, iounit: session.iounit }),
  );
}

function checkAccess(flags: number): void {
  if ((flags & OPEN.ACCMODE) === OPEN.ACCMODE) refuse(errno.EINVAL);
}

/** The directory's fid is that of an entry from now on; takes over the reference to `node`. */
export function become(session: Session, fid: Fid, name: string, node: TreeNode): void {
  const { node: dir, place } = fid;
  fid.place = session.places.at(dir, name, place);
  fid.node = node;
  session.places.release(place);
  dir.release();
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
