// What the bridge tells the kernel of its own accord: the small part of a driver that the operations need.

import type { Node } from './nodes/node.ts';

export interface KernelPort {
  /** Makes the kernel ask for the node's attributes again. */
  expireAttr(node: Node): Promise<unknown>;
  /** Does so, and makes it read a part of the file anew (length 0: all the rest). Waits for reads of it that are under way. */
  dropPages(node: Node, offset: number, length: number): Promise<unknown>;
}
