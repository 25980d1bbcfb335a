// Tauth, Tattach, Tclunk.

import { errno } from '../../common/errno.ts';
import { NOFID } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import { Fid } from '../fids.ts';
import type { Request } from '../flush.ts';
import { refuse, stopIfAborted } from '../refuse.ts';
import { rootRoute } from '../routes.ts';
import type { Session } from '../session.ts';
import { type Awaitable, after, isPromise, type TreeNode, type User } from '../tree.ts';
import { commit } from './xattr.ts';

/** None is needed. Clients that always ask take ENOENT for that answer, and no other number (diod's library does). */
export function auth(): never {
  refuse(errno.ENOENT);
}

export function attach(session: Session, message: Message<'Tattach'>, request: Request): Awaitable<Body<'Rattach'>> {
  if (message.afid !== NOFID) refuse(errno.EINVAL);
  if (message.fid === NOFID) refuse(errno.EINVAL);
  return after(session.bearer.admit(message.uname, message.nUname), ({ user, uid }) => {
    stopIfAborted(request);
    session.enter(uid);
    return attachAs(session, message, user, request);
  });
}

function attachAs(
  session: Session,
  { fid, aname }: Message<'Tattach'>,
  user: User,
  request: Request,
): Awaitable<Body<'Rattach'>> {
  session.fids.reserve(fid);
  const failed = (error: unknown): never => {
    session.fids.cancel(fid);
    throw error;
  };
  try {
    const node = session.tree.attach(user, aname, request);
    if (!isPromise(node)) return attached(session, fid, user, node);
    return node.then((found) => attached(session, fid, user, found), failed);
  } catch (error) {
    return failed(error);
  }
}

function attached(session: Session, fid: number, user: User, node: TreeNode): Body<'Rattach'> {
  const route = session.behaviour.kind.names === 'path' ? rootRoute(node) : undefined;
  session.fids.add(new Fid(fid, user, node, undefined, route));
  session.bearer.attached();
  return { qid: node.qid };
}

/**
 * The fid is gone whatever the answer. Where requests still use it the answer does not wait for them: the number is
 * free for the client at once, and what the fid holds is let go by the last of them.
 */
export function clunk(session: Session, message: Message<'Tclunk'>, request: Request): Awaitable<Body<'Rclunk'>> {
  const fid = session.fids.remove(message.fid);
  if (fid.uses > 0) return {};
  let committing: void | Promise<void>;
  try {
    committing = fid.state.kind === 'xattr write' ? commit(session, fid, fid.state, request) : undefined;
  } catch (error) {
    session.fids.destroy(fid);
    throw error;
  }
  if (isPromise(committing)) return committing.finally(() => session.fids.destroy(fid)).then(() => ({}));
  const closing = session.fids.destroy(fid);
  return isPromise(closing) ? closing.then(() => ({})) : {};
}
