// A directory of this machine as a tree (Linux only). What a client may do is what the kernel lets its user do.
// Guarantees: the directory is not left, whatever is renamed or linked meanwhile (host/node.ts says how); a device or FIFO is
// never opened; read-only means that no call which changes anything is made.

import { errno, errnoName } from '../../common/errno.ts';
import { ConfigError } from '../../common/errors.ts';
import { refuse } from '../refuse.ts';
import type { Tree, TreeNode, User } from '../tree.ts';
import { Identity } from './host/identity.ts';
import { HostNode } from './host/node.ts';
import { syscalls } from './host/syscalls.ts';
import { Volume } from './host/volume.ts';

export interface HostTreeOptions {
  readOnly?: boolean;
  /** How many descriptors may hold files that are only known, not open; default half of the process's limit. */
  descriptors?: number;
}

/** A tree, and what tests and statistics want to know of it. */
export interface HostTree extends Tree {
  /** Files that some fid holds. */
  readonly nodes: number;
  /** Descriptors by which they are held. */
  readonly descriptors: number;
}

/** Throws ConfigError when the directory cannot be opened. */
export function hostTree(path: string, { readOnly = false, descriptors }: HostTreeOptions = {}): HostTree {
  const sys = syscalls();
  const fd = sys.root(path);
  if (fd < 0) throw new ConfigError(`cannot serve ${path}: ${errnoName(-fd)}`, 1);
  const volume = new Volume(sys, new Identity(sys), readOnly, descriptors);
  const root = HostNode.root(volume, fd);
  return {
    name: path,
    get nodes() {
      return volume.nodes;
    },
    get descriptors() {
      return volume.ring.size;
    },
    attach(_user: User, aname: string): TreeNode {
      if (aname !== '' && aname !== '/') refuse(errno.ENOENT);
      root.retain();
      return root;
    },
    close() {
      root.unhold();
      root.release();
    },
  };
}
