// Extended attributes of one inode: which names there may be and who may see and change them (xattr(7)).
// user.* on regular files and directories, by their permission bits; trusted.* by root alone; security.* read by all and
// set by root; anything else (POSIX ACLs among it) is not supported.

import { errno } from '../../../common/errno.ts';
import { byteLength, encodeText } from '../../../common/text.ts';
import { refuse } from '../../refuse.ts';
import { type User, XATTR, XATTR_MAX } from '../../tree.ts';
import { MAY, type Owned, owns, permits, S } from '../modes.ts';
import type { Budget } from './budget.ts';

/** What an attribute costs besides its bytes. */
const OVERHEAD = 384;

function namespaceOf(name: string): string {
  const space = /^(user|trusted|security)\../.exec(name)?.[1];
  return space ?? refuse(errno.EOPNOTSUPP);
}

function checkGet(name: string, node: Owned, user: User): void {
  const space = namespaceOf(name);
  if (space === 'trusted' && user.uid !== 0) refuse(errno.ENODATA);
  if (space !== 'user') return;
  const type = node.mode & S.IFMT;
  if (type !== S.IFREG && type !== S.IFDIR) refuse(errno.ENODATA);
  if (!permits(user, node, MAY.READ)) refuse(errno.EACCES);
}

function checkSet(name: string, node: Owned, user: User): void {
  if (namespaceOf(name) !== 'user') {
    if (user.uid !== 0) refuse(errno.EPERM);
    return;
  }
  const type = node.mode & S.IFMT;
  if (type !== S.IFREG && type !== S.IFDIR) refuse(errno.EPERM);
  if (type === S.IFDIR && node.mode & S.ISVTX && !owns(user, node)) refuse(errno.EPERM);
  if (!permits(user, node, MAY.WRITE)) refuse(errno.EACCES);
}

export class Xattrs {
  readonly #values = new Map<string, Uint8Array>();
  /** Bytes of the names as listxattr(2) shows them. */
  #listed = 0;
  readonly #budget: Budget;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get(name: string, node: Owned, user: User): Uint8Array {
    checkGet(name, node, user);
    return this.#values.get(name) ?? refuse(errno.ENODATA);
  }

  list(user: User): Uint8Array {
    const names = [...this.#values.keys()].filter((name) => user.uid === 0 || !name.startsWith('trusted.'));
    return encodeText(names.map((name) => `${name}\0`).join(''));
  }

  set(name: string, value: Uint8Array, flags: number, node: Owned, user: User): void {
    checkSet(name, node, user);
    const old = this.#values.get(name);
    if (flags & XATTR.CREATE && old !== undefined) refuse(errno.EEXIST);
    if (flags & XATTR.REPLACE && old === undefined) refuse(errno.ENODATA);
    // listxattr(2) could not show more
    const more = old === undefined ? byteLength(name) + 1 : 0;
    if (this.#listed + more > XATTR_MAX) refuse(errno.ENOSPC);
    this.#budget.take(cost(name, value) - (old === undefined ? 0 : cost(name, old)));
    this.#listed += more;
    this.#values.set(name, value);
  }

  remove(name: string, node: Owned, user: User): void {
    checkSet(name, node, user);
    const old = this.#values.get(name) ?? refuse(errno.ENODATA);
    this.#values.delete(name);
    this.#listed -= Buffer.byteLength(name) + 1;
    this.#budget.give(cost(name, old));
  }

  free(): void {
    for (const [name, value] of this.#values) this.#budget.give(cost(name, value));
    this.#values.clear();
    this.#listed = 0;
  }
}

function cost(name: string, value: Uint8Array): number {
  return OVERHEAD + 2 * name.length + value.length;
}
