// File types and permission bits of st_mode, and the question who may do what with them (path_resolution(7), inode(7)).

import { NONUNAME } from '../../wire/p9/constants.ts';
import type { User } from '../tree.ts';

export const S = {
  IFMT: 0o170000,
  IFSOCK: 0o140000,
  IFLNK: 0o120000,
  IFREG: 0o100000,
  IFBLK: 0o060000,
  IFDIR: 0o040000,
  IFCHR: 0o020000,
  IFIFO: 0o010000,
  ISUID: 0o4000,
  ISGID: 0o2000,
  ISVTX: 0o1000,
  IXGRP: 0o010,
} as const;

export const MAY = { EXEC: 1, WRITE: 2, READ: 4 } as const;

export interface Owned {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Whether all of `want` (MAY bits) is granted: by the first class that fits, the owner's, the group's, the others'. */
export function permits(user: User, { mode, uid, gid }: Owned, want: number): boolean {
  if (user.uid === 0) return true;
  const shift = user.uid === uid ? 6 : user.groups.includes(gid) ? 3 : 0;
  return ((mode >> shift) & want) === want;
}

/** For what only the owner may do. */
export function owns(user: User, { uid }: Owned): boolean {
  return user.uid === 0 || user.uid === uid;
}

/** The group of what the user makes, where its client names `gid`; undefined where that one is not for this user. */
export function groupOfNew({ uid, gid, groups, newGroup }: User, wanted: number): number | undefined {
  if (newGroup === 'any' || uid === 0) return wanted;
  if (newGroup === 'gid' || wanted === NONUNAME) return gid;
  return groups.includes(wanted) ? wanted : undefined;
}

/** What is left of the mode when somebody writes to the file, or its owner changes (chown(2), write(2)). */
export function withoutPrivileges(mode: number): number {
  const drop = mode & S.IXGRP ? S.ISUID | S.ISGID : S.ISUID;
  return (mode & S.IFMT) === S.IFDIR ? mode : mode & ~drop;
}

/** st_rdev of a device in Linux's encoding (include/linux/kdev_t.h, new_encode_dev). */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
