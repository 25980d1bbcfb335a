// Tlopen and Tlcreate. Permission is checked here, once, by the tree; a fid is opened once (open(9P)).

import { errno } from '../../common/errno.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import type { Fid } from '../fids.ts';
import type { Request } from '../flush.ts';
import { checkName, refuse } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, isPromise, type OpenFile, type TreeNode } from '../tree.ts';

export function lopen(session: Session, message: Message<'Tlopen'>, request: Request): Awaitable<Body<'Rlopen'>> {
  const fid = session.use(request, message.fid);
  const flags = message.flags & ~(OPEN.CREATE | OPEN.EXCL);
  return opening(
    fid,
    flags,
    () => fid.node.open(flags, fid.user, request),
    (file) => file,
    () => ({ qid: fid.node.qid, iounit: session.iounit }),
  );
}

/** The directory's fid becomes the new file's. */
export function lcreate(session: Session, message: Message<'Tlcreate'>, request: Request): Awaitable<Body<'Rlcreate'>> {
  const { name, mode, gid } = message;
  const fid = session.use(request, message.fid);
  checkName(name, errno.EEXIST);
  const flags = message.flags & ~OPEN.CREATE;
  return opening(
    fid,
    flags,
    () => fid.node.create(name, flags, mode, gid, fid.user, request),
    ({ node, file }: { node: TreeNode; file: OpenFile }) => {
      const { node: dir, place } = fid;
      fid.place = session.places.at(dir, name, place);
      fid.node = node;
      session.places.release(place);
      dir.release();
      return file;
    },
    () => ({ qid: fid.node.qid, iounit: session.iounit }),
  );
}

/** Holds the fid in state `opening` while `begin` runs, so that no second open gets in between. */
function opening<T, R>(
  fid: Fid,
  flags: number,
  begin: () => Awaitable<T>,
  take: (result: T) => OpenFile,
  answer: () => R,
): Awaitable<R> {
  if (fid.state.kind !== 'walked') refuse(errno.EINVAL);
  if ((flags & OPEN.ACCMODE) === OPEN.ACCMODE) refuse(errno.EINVAL);
  const walked = fid.state;
  const opened = (result: T): R => {
    fid.state = { kind: 'open', file: take(result), flags };
    return answer();
  };
  const failed = (error: unknown): never => {
    fid.state = walked;
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
