// 9P2000.u: 9P2000 with Unix's kinds of files, numbers for users and errors, and permissions as Unix has them: the client
// has applied its umask, a new file's group is its maker's, and a rename takes the place of what was there.

import { errno } from '../../common/errno.ts';
import { strerror } from '../../common/strerror.ts';
import { dotuCodec } from '../../wire/p9/codec.ts';
import { DM, NONUNAME, OMODE, VERSION } from '../../wire/p9/constants.ts';
import type { Stat } from '../../wire/p9/stat.ts';
import { mknod } from '../handlers/dir.ts';
import { link, symlink } from '../handlers/link.ts';
import { refuse } from '../refuse.ts';
import { S } from '../trees/modes.ts';
import type { Names } from '../users.ts';
import type { Forms, Maker } from './forms.ts';
import { plan9Dialect } from './plan9.ts';

/** File types of st_mode and their DM bits. */
const TYPES: ReadonlyMap<number, number> = new Map([
  [S.IFDIR, DM.DIR],
  [S.IFLNK, DM.SYMLINK],
  [S.IFBLK, DM.DEVICE],
  [S.IFCHR, DM.DEVICE],
  [S.IFIFO, DM.NAMEDPIPE],
  [S.IFSOCK, DM.SOCKET],
]);

const BITS: readonly (readonly [dm: number, mode: number])[] = [
  [DM.SETUID, S.ISUID],
  [DM.SETGID, S.ISGID],
  [DM.SETVTX, S.ISVTX],
];

function toDm(mode: number): number {
  let dm = (mode & 0o777) | (TYPES.get(mode & S.IFMT) ?? 0);
  for (const [bit, unix] of BITS) if (mode & unix) dm |= bit;
  return dm >>> 0;
}

function fromDm(dm: number): number {
  let mode = dm & 0o777;
  for (const [bit, unix] of BITS) if (dm & bit) mode |= unix;
  return mode;
}

/** As Linux encodes st_rdev (include/linux/kdev_t.h). */
function device(letter: string, rdev: number): string {
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  return `${letter} ${major} ${minor}`;
}

/** The numbers are believed before the names. */
function owner(number: number, name: string, find: (name: string) => number | undefined): number | undefined {
  if (number !== NONUNAME) return number;
  return name === '' ? undefined : (find(name) ?? refuse(errno.EINVAL));
}

const mknodOf =
  (type: number, parse: (extension: string) => { type: number; major: number; minor: number } | undefined): Maker =>
  (session, { tag, fid, name, extension }, request, { mode, gid }) => {
    const { type: kind, major, minor } = parse(extension) ?? refuse(errno.EINVAL);
    return mknod(
      session,
      { type: 'Tmknod', tag, dfid: fid, name, mode: type | kind | mode, major, minor, gid },
      request,
    );
  };

const nodeOfNothing = () => ({ type: 0, major: 0, minor: 0 });

function parseDevice(extension: string): { type: number; major: number; minor: number } | undefined {
  const [, letter, major, minor] = /^([bc])\s+(\d{1,9})\s+(\d{1,9})\s*$/.exec(extension) ?? [];
  if (letter === undefined) return undefined;
  return { type: letter === 'b' ? S.IFBLK : S.IFCHR, major: Number(major), minor: Number(minor) };
}

const makers: ReadonlyMap<number, Maker> = new Map<number, Maker>([
  [
    DM.SYMLINK,
    (session, { tag, fid, name, extension }, request, { gid }) =>
      symlink(session, { type: 'Tsymlink', tag, dfid: fid, name, target: extension, gid }, request),
  ],
  [
    DM.LINK,
    (session, { tag, fid, name, extension }, request) => {
      const [, target] = /^(\d{1,10})\s*$/.exec(extension) ?? [];
      if (target === undefined) refuse(errno.EINVAL);
      return link(session, { type: 'Tlink', tag, dfid: fid, fid: Number(target), name }, request);
    },
  ],
  [DM.DEVICE, mknodOf(0, parseDevice)],
  [DM.NAMEDPIPE, mknodOf(S.IFIFO, nodeOfNothing)],
  [DM.SOCKET, mknodOf(S.IFSOCK, nodeOfNothing)],
]);

const forms: Forms = {
  extended: true,
  omodes: OMODE.ACCMODE | OMODE.TRUNC | OMODE.CEXEC | OMODE.RCLOSE | OMODE.APPEND,
  permissions: 0o777 | DM.SETUID | DM.SETGID | DM.SETVTX,
  replaces: true,
  toDm,
  fromDm,
  extension(node, { mode, rdev, nlink }, user, signal) {
    switch (mode & S.IFMT) {
      case S.IFLNK:
        return node.readlink(user, signal);
      case S.IFBLK:
        return device('b', rdev);
      case S.IFCHR:
        return device('c', rdev);
      default:
        // a stat has no field for it; Linux's client looks for it here (fs/9p/vfs_inode.c)
        return `HARDLINKCOUNT ${nlink}`;
    }
  },
  birth: (_dir, { gid }, dm) => ({ mode: fromDm(dm), gid }),
  owners: ({ nUid, nGid, uid, gid }: Stat, names: Names) => ({
    uid: owner(nUid, uid, names.uid),
    gid: owner(nGid, gid, names.gid),
  }),
  makers,
};

export const dotu = plan9Dialect(VERSION.dotu, dotuCodec, forms, strerror);
