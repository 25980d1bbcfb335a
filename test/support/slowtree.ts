// A tree whose calls wait until the test says how they end. Every walk to `slow...`, every read, write and close of an open
// file becomes a Call that the test finds in `calls`; the rest is a memory tree.

import type { AbortSignalLike } from '../../src/common/abort.ts';
import { CancelledError, ErrnoError } from '../../src/common/errors.ts';
import { memoryTree } from '../../src/server/server.ts';
import type { OpenFile, Tree, TreeNode, User } from '../../src/server/tree.ts';

export class Call<T = unknown> {
  readonly op: string;
  readonly signal: AbortSignalLike;
  readonly promise: Promise<T>;
  #settle: { resolve(value: T): void; reject(error: unknown): void } | undefined;

  constructor(op: string, signal: AbortSignalLike, heeds: boolean) {
    this.op = op;
    this.signal = signal;
    this.promise = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    if (heeds) signal.addEventListener('abort', () => this.cancelled(), { once: true });
  }

  succeed(value: T): void {
    this.#settle?.resolve(value);
  }

  fail(errno: number): void {
    this.#settle?.reject(new ErrnoError(errno));
  }

  /** As a tree that heeds its signal does. */
  cancelled(): void {
    this.#settle?.reject(new CancelledError());
  }
}

export interface SlowTree extends Tree {
  readonly calls: Call[];
  /** Whether calls end by themselves when they are aborted. */
  heeds: boolean;
  /** Whether changes of attributes are calls, too. */
  slowChanges: boolean;
  /** Open files. */
  open: number;
  /** The next call that began and was not taken yet. */
  next(op: string): Promise<Call>;
}

export function slowTree(): SlowTree {
  const inner = memoryTree({ mode: 0o777 });
  const root: User = { uid: 0, gid: 0, groups: [0], uname: 'root', newGroup: 'any' };
  inner.root.create('slow', 2, 0o666, 0, root);
  const waiting: { op: string; resolve: (call: Call) => void }[] = [];

  function begin<T>(op: string, signal: AbortSignalLike): Promise<T> {
    const call = new Call<T>(op, signal, tree.heeds);
    const at = waiting.findIndex((each) => each.op === op);
    if (at < 0) tree.calls.push(call as Call);
    else waiting.splice(at, 1)[0]?.resolve(call as Call);
    return call.promise;
  }

  function slowFile(file: OpenFile): OpenFile {
    tree.open++;
    return {
      read: (_offset, _count, _lend, signal) => begin('read', signal),
      write: (_offset, _data, signal) => begin('write', signal),
      readdir: (cookie, add, signal) => file.readdir(cookie, add, signal),
      fsync: (_dataOnly, signal) => begin('fsync', signal),
      lock: (request, signal) => file.lock(request, signal),
      getlock: (request, signal) => file.getlock(request, signal),
      close() {
        tree.open--;
        return file.close();
      },
    };
  }

  /** The same node with slow calls: what is not redefined comes from the inner one. */
  function slowNode(node: TreeNode): TreeNode {
    const slow: TreeNode = Object.create(null);
    for (const key of ['retain', 'release', 'getattr', 'readlink', 'statfs', 'mkdir', 'symlink', 'mknod'] as const) {
      Object.defineProperty(slow, key, { value: (node[key] as (...args: unknown[]) => unknown).bind(node) });
    }
    return Object.defineProperties(slow, {
      qid: { get: () => node.qid },
      walk: {
        value: async (name: string, user: User, signal: AbortSignalLike) => {
          const found = await node.walk(name, user, signal);
          if (!name.startsWith('slow')) return slowNode(found);
          try {
            await begin('walk', signal);
          } catch (error) {
            found.release();
            throw error;
          }
          return slowNode(found);
        },
      },
      setattr: {
        value: async (...args: Parameters<TreeNode['setattr']>) => {
          if (tree.slowChanges) await begin('setattr', args[3]);
          return node.setattr(...args);
        },
      },
      open: {
        value: async (flags: number, user: User, signal: AbortSignalLike) =>
          slowFile(await node.open(flags, user, signal)),
      },
      create: {
        value: async (...args: Parameters<TreeNode['create']>) => {
          const made = await node.create(...args);
          return { node: slowNode(made.node), file: slowFile(made.file) };
        },
      },
    });
  }

  const tree: SlowTree = {
    name: 'slow',
    calls: [],
    heeds: true,
    slowChanges: false,
    open: 0,
    next(op) {
      const at = tree.calls.findIndex((call) => call.op === op);
      if (at >= 0) return Promise.resolve(tree.calls.splice(at, 1)[0]!);
      return new Promise((resolve) => {
        waiting.push({ op, resolve });
      });
    },
    async attach(user, aname, signal) {
      return slowNode(await inner.attach(user, aname, signal));
    },
    close: () => inner.close(),
  };
  return tree;
}
