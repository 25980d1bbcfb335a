// A part of a memory tree in which one kind of message misbehaves. Everything else is the memory tree's own doing.
// A message about a file misbehaves for what lies in the part, not for its top directory, or nobody could look into it.

import type { MessageName } from '../../../wire/p9/messages.ts';
import type { Fault } from '../../fault.ts';
import type { TreeNode, User } from '../../tree.ts';
import type { Place } from './place.ts';

/** Messages that a client sends about a directory just to get into it. */
const ENTERING: ReadonlySet<MessageName> = new Set([
  ...(['Tgetattr', 'Tlopen', 'Tclunk', 'Tstatfs', 'Txattrwalk', 'Tstat', 'Topen'] as const),
]);

/** The signals of methods that answer at once are never looked at. */
type Signal = Parameters<TreeNode['walk']>[2];

interface Top {
  readonly node: TreeNode;
  readonly above: TreeNode;
  readonly place: Place;
  /** One for each inner node: the server knows a file again by its node. */
  readonly nodes: WeakMap<TreeNode, FaultyNode>;
}

export class FaultyNode implements TreeNode {
  readonly #inner: TreeNode;
  readonly #top: Top;

  private constructor(inner: TreeNode, top: Top) {
    this.#inner = inner;
    this.#top = top;
  }

  /** The top of a part. */
  static top(node: TreeNode, above: TreeNode, place: Place): FaultyNode {
    return FaultyNode.#of(node, { node, above, place, nodes: new WeakMap() });
  }

  /** Takes over the reference to `inner`. */
  static #of(inner: TreeNode, top: Top): FaultyNode {
    const known = top.nodes.get(inner);
    if (known !== undefined) return known;
    const node = new FaultyNode(inner, top);
    top.nodes.set(inner, node);
    return node;
  }

  get qid() {
    return this.#inner.qid;
  }

  faultOf(type: MessageName): Fault | undefined {
    if (this.#inner === this.#top.node && ENTERING.has(type)) return undefined;
    return this.#top.place.faultOf(type);
  }

  retain(): void {
    this.#inner.retain();
  }
  release(): void {
    this.#inner.release();
  }

  async walk(name: string, user: User, signal: Signal): Promise<TreeNode> {
    const { node, above } = this.#top;
    if (name === '..' && this.#inner === node) {
      above.retain();
      return above;
    }
    return FaultyNode.#of(await this.#inner.walk(name, user, signal), this.#top);
  }

  getattr(...args: Parameters<TreeNode['getattr']>) {
    return this.#inner.getattr(...args);
  }
  setattr(...args: Parameters<TreeNode['setattr']>) {
    return this.#inner.setattr(...args);
  }
  readlink(...args: Parameters<TreeNode['readlink']>) {
    return this.#inner.readlink(...args);
  }
  statfs(...args: Parameters<TreeNode['statfs']>) {
    return this.#inner.statfs(...args);
  }
  open(...args: Parameters<TreeNode['open']>) {
    return this.#inner.open(...args);
  }

  async create(...args: Parameters<TreeNode['create']>) {
    const { node, file } = await this.#inner.create(...args);
    return { node: FaultyNode.#of(node, this.#top), file };
  }
  mkdir(...args: Parameters<TreeNode['mkdir']>) {
    return this.#inner.mkdir(...args);
  }
  symlink(...args: Parameters<TreeNode['symlink']>) {
    return this.#inner.symlink(...args);
  }
  mknod(...args: Parameters<TreeNode['mknod']>) {
    return this.#inner.mknod(...args);
  }
  link(target: TreeNode, name: string, user: User, signal: Signal) {
    return this.#inner.link(bare(target), name, user, signal);
  }
  unlink(...args: Parameters<TreeNode['unlink']>) {
    return this.#inner.unlink(...args);
  }
  rename(name: string, to: TreeNode, newName: string, user: User, signal: Signal) {
    return this.#inner.rename(name, bare(to), newName, user, signal);
  }

  getxattr(...args: Parameters<TreeNode['getxattr']>) {
    return this.#inner.getxattr(...args);
  }
  listxattr(...args: Parameters<TreeNode['listxattr']>) {
    return this.#inner.listxattr(...args);
  }
  setxattr(...args: Parameters<TreeNode['setxattr']>) {
    return this.#inner.setxattr(...args);
  }
  removexattr(...args: Parameters<TreeNode['removexattr']>) {
    return this.#inner.removexattr(...args);
  }

  static bare(node: TreeNode): TreeNode {
    return node instanceof FaultyNode ? node.#inner : node;
  }
}

function bare(node: TreeNode): TreeNode {
  return FaultyNode.bare(node);
}
