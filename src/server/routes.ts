// Routes: the names by which a fid that is a path was reached, from the root that was attached, and what lies there
// now. Guarantees: every directory on the way is searched as the fid's user; a node that is held is given back on every
// way out.

import type { AbortSignalLike } from '../common/abort.ts';
import { type Awaitable, isPromise, type TreeNode, type User } from './tree.ts';

/** One name more than `up`; of the root itself `up` is undefined. Never changed, so that fids can share it. */
export interface Route {
  /** Not a reference: a fid that has a route holds one. */
  readonly root: TreeNode;
  readonly up: Route | undefined;
  readonly name: string;
}

export function rootRoute(root: TreeNode): Route {
  return { root, up: undefined, name: '' };
}

export function below(up: Route, name: string): Route {
  return { root: up.root, up, name };
}

/** What is at the end of a route now, with a reference. */
export function follow(route: Route, user: User, signal: AbortSignalLike): Awaitable<TreeNode> {
  const names: string[] = [];
  for (let each = route; each.up !== undefined; each = each.up) names.push(each.name);
  route.root.retain();
  return proceed(route.root, names, user, signal);
}

/** Takes the names from the end of the list; gives the reference to `from` back. */
function proceed(from: TreeNode, names: string[], user: User, signal: AbortSignalLike): Awaitable<TreeNode> {
  let node = from;
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    let next: Awaitable<TreeNode>;
    try {
      next = node.walk(name, user, signal);
    } catch (error) {
      node.release();
      throw error;
    }
    if (isPromise(next)) {
      const left = node;
      return next.finally(() => left.release()).then((found) => proceed(found, names, user, signal));
    }
    node.release();
    node = next;
  }
  return node;
}

/** Gives the reference to `node` back when `act` has ended. */
export function holding<T>(node: TreeNode, act: (node: TreeNode) => Awaitable<T>): Awaitable<T> {
  let result: Awaitable<T>;
  try {
    result = act(node);
  } catch (error) {
    node.release();
    throw error;
  }
  if (isPromise(result)) return result.finally(() => node.release());
  node.release();
  return result;
}
