// A full POSIX tree in RAM: modes, owners, nanosecond times, hard links, symbolic links, special files, extended
// attributes, record locks, sparse files, unlinked files that live on while they are open. It checks permissions itself.
// Guarantees: every call answers at once; what it holds never exceeds its capacity; what it holds ends with the process.

import { totalmem } from 'node:os';
import { errno } from '../../common/errno.ts';
import { refuse } from '../refuse.ts';
import type { Tree, TreeNode, User } from '../tree.ts';
import { Budget } from './memory/budget.ts';
import { Clock } from './memory/clock.ts';
import { makeRoot } from './memory/directory.ts';
import type { Inode } from './memory/inode.ts';

const GIB = 1024 ** 3;

export interface MemoryTreeOptions {
  /** Bytes; default 1 GiB, or half of the machine's memory where that is less. */
  capacity?: number;
  /** Of the root directory; default root's, 0o1777, so that every user can begin. */
  uid?: number;
  gid?: number;
  mode?: number;
}

/** A tree, and what tests and statistics want to know of it. */
export interface MemoryTree extends Tree {
  readonly root: Inode;
  /** Bytes in use. */
  readonly used: number;
}

export function memoryTree(options: MemoryTreeOptions = {}): MemoryTree {
  const { capacity = Math.min(GIB, Math.floor(totalmem() / 2)), uid = 0, gid = 0, mode = 0o1777 } = options;
  const budget = new Budget(capacity);
  let ino = 0n;
  const root = makeRoot({ budget, clock: new Clock(), nextIno: () => ++ino }, mode & 0o7777, uid, gid);
  return {
    name: 'memory:',
    root,
    get used() {
      return budget.used;
    },
    marks: true,
    attach(_user: User, aname: string): TreeNode {
      if (aname !== '' && aname !== '/') refuse(errno.ENOENT);
      root.retain();
      return root;
    },
    close() {},
  };
}
