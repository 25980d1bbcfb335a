// A tree that answers everything later: each call of a node or of an open file is a promise, and takes a turn of the
// event loop. All that it does is the inner tree's doing, and a node is the same object as long as the inner one is.

import { setImmediate as turn } from 'node:timers/promises';
import type { OpenFile, Tree, TreeNode, User } from '../../src/server/tree.ts';

type Signal = Parameters<TreeNode['walk']>[2];

async function later<T>(call: () => T | Promise<T>): Promise<T> {
  await turn();
  return call();
}

function delayedFile(file: OpenFile): OpenFile {
  return {
    read: (...args) => later(() => file.read(...args)),
    write: (...args) => later(() => file.write(...args)),
    readdir: (...args) => later(() => file.readdir(...args)),
    fsync: (...args) => later(() => file.fsync(...args)),
    lock: (...args) => later(() => file.lock(...args)),
    getlock: (...args) => later(() => file.getlock(...args)),
    close: () => later(() => file.close()),
  };
}

class DelayedNode implements TreeNode {
  static readonly #known = new WeakMap<TreeNode, DelayedNode>();
  readonly inner: TreeNode;

  private constructor(inner: TreeNode) {
    this.inner = inner;
  }

  static of(inner: TreeNode): DelayedNode {
    const known = DelayedNode.#known.get(inner);
    if (known !== undefined) return known;
    const node = new DelayedNode(inner);
    DelayedNode.#known.set(inner, node);
    return node;
  }

  static bare(node: TreeNode): TreeNode {
    return node instanceof DelayedNode ? node.inner : node;
  }

  get qid() {
    return this.inner.qid;
  }
  retain() {
    this.inner.retain();
  }
  release() {
    this.inner.release();
  }

  walk(name: string, user: User, signal: Signal): Promise<TreeNode> {
    return later(async () => DelayedNode.of(await this.inner.walk(name, user, signal)));
  }
  getattr(...args: Parameters<TreeNode['getattr']>) {
    return later(() => this.inner.getattr(...args));
  }
  setattr(...args: Parameters<TreeNode['setattr']>) {
    return later(() => this.inner.setattr(...args));
  }
  readlink(...args: Parameters<TreeNode['readlink']>) {
    return later(() => this.inner.readlink(...args));
  }
  statfs(...args: Parameters<TreeNode['statfs']>) {
    return later(() => this.inner.statfs(...args));
  }
  open(...args: Parameters<TreeNode['open']>) {
    return later(async () => delayedFile(await this.inner.open(...args)));
  }
  create(...args: Parameters<TreeNode['create']>) {
    return later(async () => {
      const { node, file } = await this.inner.create(...args);
      return { node: DelayedNode.of(node), file: delayedFile(file) };
    });
  }
  mkdir(...args: Parameters<TreeNode['mkdir']>) {
    return later(() => this.inner.mkdir(...args));
  }
  symlink(...args: Parameters<TreeNode['symlink']>) {
    return later(() => this.inner.symlink(...args));
  }
  mknod(...args: Parameters<TreeNode['mknod']>) {
    return later(() => this.inner.mknod(...args));
  }
  link(target: TreeNode, name: string, user: User, signal: Signal) {
    return later(() => this.inner.link(DelayedNode.bare(target), name, user, signal));
  }
  unlink(...args: Parameters<TreeNode['unlink']>) {
    return later(() => this.inner.unlink(...args));
  }
  rename(name: string, to: TreeNode, newName: string, user: User, signal: Signal) {
    return later(() => this.inner.rename(name, DelayedNode.bare(to), newName, user, signal));
  }
  getxattr(...args: Parameters<TreeNode['getxattr']>) {
    return later(() => this.inner.getxattr(...args));
  }
  listxattr(...args: Parameters<TreeNode['listxattr']>) {
    return later(() => this.inner.listxattr(...args));
  }
  setxattr(...args: Parameters<TreeNode['setxattr']>) {
    return later(() => this.inner.setxattr(...args));
  }
  removexattr(...args: Parameters<TreeNode['removexattr']>) {
    return later(() => this.inner.removexattr(...args));
  }
}

export function delayedTree(tree: Tree): Tree {
  return {
    name: `delayed ${tree.name}`,
    ...(tree.marks === undefined ? {} : { marks: tree.marks }),
    attach: (user, aname, signal) => later(async () => DelayedNode.of(await tree.attach(user, aname, signal))),
    close: () => tree.close(),
  };
}
