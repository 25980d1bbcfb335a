// Extended attributes of a file of the host, asked for as the user.
// Guarantees: trusted.* and security.* are root's, as xattr(7) has it. The kernel grants them by a capability that is not one
// over files, so that a thread which only acts as the user still has the server's: that rule is applied here.

import { errno } from '../../../common/errno.ts';
import { refuse } from '../../refuse.ts';
import { type User, XATTR_MAX } from '../../tree.ts';
import { check } from './syscalls.ts';
import type { Volume } from './volume.ts';

/** Makes a program run with privileges, as the setuid bit does (capabilities(7)). */
const CAPABILITY = 'security.capability';
/** What the kernel fills; copied out at once. */
const scratch = Buffer.allocUnsafeSlow(XATTR_MAX);

export function getxattr({ sys, identity }: Volume, fd: number, name: string, user: User): Uint8Array {
  if (name.startsWith('trusted.') && !identity.isRoot(user)) refuse(errno.ENODATA);
  const length = check(identity.as(user, () => sys.getxattr(fd, name, scratch)));
  return Buffer.from(scratch.subarray(0, length));
}

export function listxattr({ sys, identity }: Volume, fd: number, user: User): Uint8Array {
  const length = check(identity.as(user, () => sys.listxattr(fd, scratch)));
  const list = Buffer.from(scratch.subarray(0, length));
  if (identity.isRoot(user) || !list.includes('trusted.')) return list;
  const names = list.toString('latin1').split('\0');
  const shown = names.filter((name) => name !== '' && !name.startsWith('trusted.'));
  return Buffer.from(shown.map((name) => `${name}\0`).join(''), 'latin1');
}

export function setxattr(
  { sys, identity, terms }: Volume,
  fd: number,
  name: string,
  value: Uint8Array,
  flags: number,
  user: User,
): void {
  if (isRoots(name) && !identity.isRoot(user)) refuse(errno.EPERM);
  if (terms.nosuid && name === CAPABILITY) refuse(errno.EOPNOTSUPP);
  check(identity.as(user, () => sys.setxattr(fd, name, value, flags)));
}

export function removexattr({ sys, identity }: Volume, fd: number, name: string, user: User): void {
  if (isRoots(name) && !identity.isRoot(user)) refuse(errno.EPERM);
  check(identity.as(user, () => sys.removexattr(fd, name)));
}

function isRoots(name: string): boolean {
  return name.startsWith('trusted.') || name.startsWith('security.');
}
