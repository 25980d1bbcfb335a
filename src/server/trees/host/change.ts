// Changes of a host file's attributes, each made as the user by the one call that the kernel has for it.
// Guarantees: a right that the file was opened with need not be had again to cut it.

import { errno } from '../../../common/errno.ts';
import { QT } from '../../../wire/p9/constants.ts';
import { refuse } from '../../refuse.ts';
import type { Changes, User } from '../../tree.ts';
import type { HostFile } from './file.ts';
import type { HostNode } from './node.ts';
import { check } from './syscalls.ts';
import { dropPrivileges, permissions } from './terms.ts';

const KEEP = 0xffffffff;
const TIME = { NOW: 2 ** 30 - 1, OMIT: 2 ** 30 - 2 } as const;

/** `file` is what is open on the node, where that is how it was asked. */
export function change(node: HostNode, changes: Changes, file: HostFile | undefined, user: User): void {
  const { fd, volume, qid } = node;
  const { sys, identity, terms } = volume;
  const { mode, uid, gid, size, atime, mtime } = changes;
  const as = (call: () => number) => check(identity.as(user, call));
  if (size !== undefined) {
    as(() => (file === undefined ? sys.truncate(fd, size) : sys.ftruncate(file.fd, size)));
    if (terms.nosuid) dropPrivileges(volume, fd);
  }
  if (uid !== undefined || gid !== undefined) as(() => sys.chown(fd, uid ?? KEEP, gid ?? KEEP));
  if (mode !== undefined) {
    if (qid.type & QT.SYMLINK) refuse(errno.EOPNOTSUPP);
    const bits = permissions(terms, mode, (qid.type & QT.DIR) !== 0);
    as(() => sys.chmod(fd, bits));
  }
  // cutting a file has set it already, with a right that setting times alone may not have
  const cut = size !== undefined && atime === undefined && mtime === 'now';
  if ((atime !== undefined || mtime !== undefined) && !cut) {
    const [a, m] = [timeOf(atime), timeOf(mtime)];
    as(() => sys.utimens(fd, a.sec, a.nsec, m.sec, m.nsec));
  }
}

function timeOf(time: { sec: number; nsec: number } | 'now' | undefined): { sec: number; nsec: number } {
  if (time === undefined) return { sec: 0, nsec: TIME.OMIT };
  return time === 'now' ? { sec: 0, nsec: TIME.NOW } : time;
}
