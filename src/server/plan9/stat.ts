// Tstat, and the stat of any node: what .L's Rgetattr holds, in the words of stat(9P).

import type { AbortSignalLike } from '../../common/abort.ts';
import { DM, GETATTR, NONUNAME, QT } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import type { Stat } from '../../wire/p9/stat.ts';
import type { Qid } from '../../wire/p9/types.ts';
import type { Forms } from '../dialects/forms.ts';
import type { Request } from '../flush.ts';
import { meant, nameOf } from '../meaning.ts';
import type { Session } from '../session.ts';
import { type Attributes, type Awaitable, after, type TreeNode, type User } from '../tree.ts';
import type { Names } from '../users.ts';

/** The bits of a qid's type that a file can be given, and that a stat's mode repeats 24 bits higher. */
export const MARKS = QT.APPEND | QT.EXCL | QT.TMP;
const U32_MAX = 0xffffffff;

export function stat(forms: Forms) {
  return (session: Session, message: Message<'Tstat'>, request: Request): Awaitable<Body<'Rstat'>> => {
    const fid = session.use(request, message.fid);
    // the root has no name of its own; Plan 9 calls it so
    const name = nameOf(fid) ?? '/';
    return meant(session, fid, 'attributes', request, (node) =>
      after(statOf(forms, session, node, name, fid.user, request), (found) => ({ stat: found })),
    );
  };
}

export function statOf(
  forms: Forms,
  { users, allOnes }: Session,
  node: TreeNode,
  name: string,
  user: User,
  signal: AbortSignalLike,
): Awaitable<Stat> {
  return after(node.getattr(GETATTR.BASIC, user, signal), (attributes) =>
    after(forms.extension(node, attributes, user, signal), (extension) => {
      const stat = describe(forms, attributes, name, users.names, extension);
      return allOnes.has(node) ? { ...stat, mode: (stat.mode | ~DM.DIR) >>> 0 } : stat;
    }),
  );
}

function describe(forms: Forms, attributes: Attributes, name: string, names: Names, extension: string): Stat {
  const { qid, mode, uid, gid, size, atime, mtime } = attributes;
  return {
    ...nobody,
    qid: qidIn(forms, qid),
    mode: dmOf(forms, mode, qid),
    atime: seconds(atime),
    mtime: seconds(mtime),
    length: qid.type & QT.DIR ? 0 : size,
    name,
    uid: names.user(uid),
    gid: names.group(gid),
    extension,
    nUid: uid,
    nGid: gid,
  };
}

/** What a listing shows of an entry that may not be looked at: its name, its qid and its type. */
export function bareStat(forms: Forms, qid: Qid, type: number, name: string): Stat {
  return { ...nobody, qid: qidIn(forms, qid), mode: dmOf(forms, type << 12, qid), name };
}

const nobody: Stat = {
  type: 0,
  dev: 0,
  qid: { type: 0, version: 0, path: 0n },
  mode: 0,
  atime: 0,
  mtime: 0,
  length: 0,
  name: '',
  uid: '',
  gid: '',
  /** Who wrote to it last is not kept. */
  muid: '',
  extension: '',
  nUid: NONUNAME,
  nGid: NONUNAME,
  nMuid: NONUNAME,
};

export function dmOf(forms: Forms, mode: number, qid: Qid): number {
  return (forms.toDm(mode) | ((qid.type & MARKS) << 24)) >>> 0;
}

/** A qid's type and a mode's upper bits say the same; 9P2000 has no bit for a symbolic link. */
export function qidIn(forms: Forms, qid: Qid): Qid {
  return forms.extended || !(qid.type & QT.SYMLINK) ? qid : { ...qid, type: qid.type & ~QT.SYMLINK };
}

/** Times before 1970 and after 2106 have no place in 32 bits. */
function seconds(time: number): number {
  return Math.min(Math.max(time, 0), U32_MAX - 1);
}

/** Whether a DM mode is a directory's. */
export function isDirectory(dm: number): boolean {
  return (dm & DM.DIR) !== 0;
}
