// Twalk: newfid comes into being only when every name was found; what went before a name that was not found is
// answered with the qids so far. `..` of the root is the root. `.` is the directory itself: walk(9P) has no such name, but
// Linux servers take it and clients written for them send it.
// An open fid may be walked from, as Linux does; it cannot be replaced by the walk, since that would lose its file.

import { errno } from '../../common/errno.ts';
import { isErrno } from '../../common/errors.ts';
import { NOFID, QT } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import type { Qid } from '../../wire/p9/types.ts';
import { Fid } from '../fids.ts';
import type { Request } from '../flush.ts';
import type { Place } from '../places.ts';
import { refuse } from '../refuse.ts';
import { below, follow, type Route } from '../routes.ts';
import type { Session } from '../session.ts';
import { type Awaitable, isPromise, type TreeNode } from '../tree.ts';

/** Where the walk stands: holds one reference to node and place. Fids that are paths have a route, and no place. */
interface Walk {
  session: Session;
  request: Request;
  from: Fid;
  newfid: number;
  names: readonly string[];
  node: TreeNode;
  place: Place | undefined;
  route: Route | undefined;
  qids: Qid[];
}

export function walk(session: Session, message: Message<'Twalk'>, request: Request): Awaitable<Body<'Rwalk'>> {
  const { newfid, names } = message;
  const from = session.use(request, message.fid);
  if (from.state.kind.startsWith('xattr') || newfid === NOFID) refuse(errno.EINVAL);
  if (newfid !== from.number) session.fids.reserve(newfid);
  else if (names.length === 0) return { qids: [] };
  else if (from.state.kind !== 'walked') refuse(errno.EINVAL);
  const { node, place, route } = from;
  const begin = (at: TreeNode) => proceed({ session, request, from, newfid, names, node: at, place, route, qids: [] });
  if (route !== undefined && (names.length > 0 || session.behaviour.kind.clonesLook)) {
    return fromRoute(session, from, newfid, route, request, begin);
  }
  node.retain();
  if (place !== undefined) place.refs++;
  return begin(node);
}

/** Begins a walk at what has the fid's path now. */
function fromRoute(
  session: Session,
  from: Fid,
  newfid: number,
  route: Route,
  request: Request,
  begin: (node: TreeNode) => Awaitable<Body<'Rwalk'>>,
): Awaitable<Body<'Rwalk'>> {
  const lost = (error: unknown): never => {
    if (newfid !== from.number) session.fids.cancel(newfid);
    throw error;
  };
  let node: Awaitable<TreeNode>;
  try {
    node = follow(route, from.user, request);
  } catch (error) {
    return lost(error);
  }
  return isPromise(node) ? node.then(begin, lost) : begin(node);
}

function proceed(walk: Walk): Awaitable<Body<'Rwalk'>> {
  const { names, from, request } = walk;
  try {
    for (let i = walk.qids.length; i < names.length; i++) {
      const name = names[i]!;
      if (name === '' || name.includes('/')) refuse(errno.ENOENT);
      if (name === '.') {
        stay(walk);
        continue;
      }
      const next = walk.node.walk(name, from.user, request);
      if (isPromise(next)) {
        return next.then(
          (node) => {
            step(walk, name, node);
            return proceed(walk);
          },
          (error) => give(walk, error),
        );
      }
      step(walk, name, next);
    }
  } catch (error) {
    return give(walk, error);
  }
  return finish(walk);
}

function stay(walk: Walk): void {
  const { qid } = walk.node;
  if (!(qid.type & QT.DIR)) refuse(errno.ENOTDIR);
  walk.qids.push({ ...qid });
}

function step(walk: Walk, name: string, node: TreeNode): void {
  const { places } = walk.session;
  const { node: dir, place: up, route } = walk;
  if (route !== undefined) {
    walk.route = name === '..' ? (route.up ?? route) : below(route, name);
  } else if (name !== '..') {
    walk.place = places.at(dir, name, up);
  } else if (node === dir) {
    walk.place = undefined;
  } else {
    walk.place = up?.dir === node ? up.up : undefined;
    if (walk.place !== undefined) walk.place.refs++;
  }
  walk.node = node;
  walk.qids.push({ ...node.qid });
  places.release(up);
  dir.release();
}

/** A name was not found: an error for the first, otherwise the qids of those that were. */
function give(walk: Walk, error: unknown): Body<'Rwalk'> {
  const { session, newfid, from, qids, request } = walk;
  drop(walk);
  if (newfid !== from.number) session.fids.cancel(newfid);
  const cancelled = request.aborted && isErrno(error, errno.EINTR);
  if (qids.length === 0 || cancelled) throw error;
  return { qids };
}

function finish(walk: Walk): Body<'Rwalk'> {
  const { session, newfid, from, qids } = walk;
  if (newfid === from.number) {
    // another request may have taken the fid away, or opened it, while the walk waited
    if (from.removed || from.state.kind !== 'walked') {
      drop(walk);
      refuse(errno.EINVAL);
    }
    session.fids.remove(newfid);
  }
  session.fids.add(new Fid(newfid, from.user, walk.node, walk.place, walk.route));
  return { qids };
}

function drop(walk: Walk): void {
  walk.session.places.release(walk.place);
  walk.node.release();
}
