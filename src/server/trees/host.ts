// A directory of this machine as a tree (Linux only). What a client may do is what the kernel lets its user do.
// Guarantees: the directory is not left, whatever is renamed or linked meanwhile (host/node.ts says how); a device or FIFO is
// never opened; read-only means that no call which changes anything is made; with nosuid and nodev no client leaves a
// program with another's rights, or a device, for those who use the directory on this machine.

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
  /** No client makes a device node: EPERM. Default false. */
  nodev?: boolean;
  /**
   * No client makes a setuid or setgid program: the bits are left out silently, which chmod(2) permits and programs that
   * copy files expect; capabilities of files are refused. Directories keep their setgid bit. Default false.
   */
  nosuid?: boolean;
  /**
   * How many descriptors may hold files that are only known, not open; default half of the process's limit, less those of
   * open files and locks.
   */
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
export function hostTree(path: string, options: HostTreeOptions = {}): HostTree {
  const { readOnly = false, nodev = false, nosuid = false, descriptors } = options;
  const sys = syscalls();
  const fd = sys.root(path);
  if (fd < 0) throw new ConfigError(`cannot serve ${path}: ${errnoName(-fd)}`, 1);
  const identity = new Identity(sys);
  const volume = new Volume(sys, identity, { readOnly, nodev, nosuid }, descriptors);
  const root = HostNode.root(volume, fd);
  return {
    name: path,
    get nodes() {
      return volume.nodes;
    },
    get descriptors() {
      return volume.ring.size;
    },
    actsAs: (user: User) => identity.actsAs(user),
    attach(_user: User, aname: string): TreeNode {
      if (aname !== '' && aname !== '/') refuse(errno.ENOENT);
      root.retain();
      return root;
    },
    close() {
      root.unhold();
      root.release();
      volume.end();
    },
  };
}
