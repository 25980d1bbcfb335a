// Names that are just being replaced, on servers that need several steps for it: whoever looks one of them up on this mount
// waits for the end, and never finds nothing.

import { type AbortSignalLike, unlessAborted } from '../../common/abort.ts';
import type { Node } from '../nodes/node.ts';

export class Replacing {
  readonly #ends = new Map<Node, Map<string, Promise<void>>>();

  /** Runs `work`, which does not wait for a look at the same name. */
  during(parent: Node, name: string, work: () => Promise<void>): Promise<void> {
    const names = this.#ends.get(parent) ?? new Map<string, Promise<void>>();
    this.#ends.set(parent, names);
    const working = work();
    // who waits wants to know that all of it is over, not how
    const end = Promise.allSettled([names.get(name), working]).then(() => {
      if (names.get(name) === end) names.delete(name);
      if (names.size === 0) this.#ends.delete(parent);
    });
    names.set(name, end);
    return working;
  }

  /** Settles when nobody is replacing it; undefined: nobody is. */
  end(parent: Node, name: string, signal: AbortSignalLike): Promise<void> | undefined {
    const end = this.#ends.get(parent)?.get(name);
    return end && unlessAborted(end, signal);
  }
}
