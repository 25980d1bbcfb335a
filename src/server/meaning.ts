// What a fid means now: the node to which a request through it goes, and the directory and the name at which it
// stands. A fid without a route follows its file, and places.ts keeps its place; a route is followed anew for each
// request with a purpose that goes by the path (fidkinds.ts).
// Guarantees: a node that was looked up lives until the work with it has ended, and no longer.

import type { AbortSignalLike } from '../common/abort.ts';
import { errno } from '../common/errno.ts';
import { QT } from '../wire/p9/constants.ts';
import type { By, Purpose } from './fidkinds.ts';
import type { Fid } from './fids.ts';
import { refuse } from './refuse.ts';
import { below, follow, holding, type Route } from './routes.ts';
import type { Session } from './session.ts';
import { type Awaitable, after, type TreeNode } from './tree.ts';

/** Whether a request of that purpose goes to the fid's file or to what has its path. */
export function goesBy({ behaviour }: Session, fid: Fid, purpose: Purpose): By {
  if (fid.route === undefined) return 'file';
  return behaviour.kind[fid.state.kind === 'open' ? purpose : 'names'];
}

/** Calls `act` with the node that the fid means for the purpose. */
export function meant<T>(
  session: Session,
  fid: Fid,
  purpose: Purpose,
  signal: AbortSignalLike,
  act: (node: TreeNode) => Awaitable<T>,
): Awaitable<T> {
  const { route } = fid;
  if (route === undefined || goesBy(session, fid, purpose) === 'file') return act(fid.node);
  return after(follow(route, fid.user, signal), (node) => holding(node, act));
}

/** Refuses with ENOENT where no file is at the fid's path any more. */
export function mustLead(fid: Fid, signal: AbortSignalLike): Awaitable<void> {
  const { route, place } = fid;
  if (route !== undefined) return after(follow(route, fid.user, signal), (node) => node.release());
  if (place !== undefined) return atPlace(fid, signal, () => {});
}

/** The name under which the fid's file is known, in the fid's own view; undefined for the root. */
export function nameOf({ route, place }: Fid): string | undefined {
  return route === undefined ? place?.name : route.up && route.name;
}

/** Calls `act` with the directory in which the fid stands. The root stands in none: EBUSY. */
export function inDirectory<T>(fid: Fid, signal: AbortSignalLike, act: (dir: TreeNode) => Awaitable<T>): Awaitable<T> {
  const { route, place } = fid;
  if (route !== undefined) {
    const up = route.up ?? refuse(errno.EBUSY);
    return after(follow(up, fid.user, signal), (dir) => holding(dir, act));
  }
  // the root has no name, and neither has a directory that was reached through `..` from a root above it
  return act((place ?? refuse(errno.EBUSY)).dir);
}

/**
 * Calls `act` with the directory and the name at which the fid stands, and whether a directory has the name now. Where
 * fids follow their files it has looked that the name still leads to the fid's own: another server of the same
 * directory may have changed it.
 */
export function atPlace<T>(
  fid: Fid,
  signal: AbortSignalLike,
  act: (dir: TreeNode, name: string, isDirectory: boolean) => Awaitable<T>,
): Awaitable<T> {
  const { route, place, node } = fid;
  return inDirectory(fid, signal, (dir) => {
    if (place?.gone) refuse(errno.ENOENT);
    const name = nameOf(fid) ?? refuse(errno.EBUSY);
    return after(dir.walk(name, fid.user, signal), (found) => {
      const same = route !== undefined || found === node;
      const isDirectory = (found.qid.type & QT.DIR) !== 0;
      found.release();
      return same ? act(dir, name, isDirectory) : refuse(errno.ENOENT);
    });
  });
}

/** The fid is that of another node from now on; takes over the reference to it. */
export function turnTo(fid: Fid, node: TreeNode): void {
  const { node: old } = fid;
  fid.node = node;
  old.release();
}

/** The fid is that of an entry of its directory `dir` from now on; takes over the reference to the entry's node. */
export function enter(session: Session, fid: Fid, name: string, node: TreeNode): void {
  if (fid.route !== undefined) {
    fid.route = below(fid.route, name);
  } else {
    const { place } = fid;
    fid.place = session.places.at(fid.node, name, place);
    session.places.release(place);
  }
  turnTo(fid, node);
}

/** The fid's path is another from now on. */
export function reroute(fid: Fid, route: Route): void {
  const { route: old } = fid;
  route.root.retain();
  fid.route = route;
  old?.root.release();
}
