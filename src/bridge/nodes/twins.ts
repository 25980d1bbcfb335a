// The known nodes by their qid.path, which is one node's nearly always, and may be several nodes' on a server that is careless
// with it.
// Guarantees: a step costs the same however many nodes have one number: a server may give every file the same.

import type { Node } from './node.ts';

/** How many of one number are looked at, the longest known first: to a server with more of them it means nothing. */
const LOOKED_AT = 64;

export class Twins {
  readonly #nodes = new Map<bigint, Node | Set<Node>>();

  has(path: bigint): boolean {
    return this.#nodes.has(path);
  }

  /** Some of those that have the number. */
  *of(path: bigint): Iterable<Node> {
    const found = this.#nodes.get(path);
    if (!(found instanceof Set)) {
      if (found !== undefined) yield found;
      return;
    }
    let left = LOOKED_AT;
    for (const node of found) {
      if (left-- === 0) return;
      yield node;
    }
  }

  includes(path: bigint, node: Node): boolean {
    const found = this.#nodes.get(path);
    return found === node || (found instanceof Set && found.has(node));
  }

  add(node: Node): void {
    const { path } = node.stat.qid;
    const found = this.#nodes.get(path);
    if (found === undefined) this.#nodes.set(path, node);
    else if (found instanceof Set) found.add(node);
    else this.#nodes.set(path, new Set([found, node]));
  }

  delete(node: Node): void {
    const { path } = node.stat.qid;
    const found = this.#nodes.get(path);
    if (found instanceof Set) {
      found.delete(node);
      if (found.size === 0) this.#nodes.delete(path);
    } else if (found === node) this.#nodes.delete(path);
  }
}
