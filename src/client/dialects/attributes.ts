// What stands for the attributes that a server of 9P2000.L leaves out: of an Rgetattr only the fields that its `valid` names
// mean something (diod's protocol.md), the others may hold anything.
// Guarantees: a file keeps its kind, from its qid; nothing is shown that nobody has said.

import { GETATTR, NONUNAME, QT } from '../../wire/p9/constants.ts';
import type { Body } from '../../wire/p9/messages.ts';
import type { Qid } from '../../wire/p9/types.ts';

const BLOCK = 512;

/** A kind, and the permissions that let the server decide. */
function modeOf({ type }: Qid): number {
  if ((type & QT.DIR) !== 0) return 0o040777;
  return (type & QT.SYMLINK) !== 0 ? 0o120777 : 0o100666;
}

export function completed(reply: Body<'Rgetattr'>): Body<'Rgetattr'> {
  const has = (bit: number) => (reply.valid & bit) !== 0;
  const size = has(GETATTR.SIZE) ? reply.size : 0;
  const mtime = has(GETATTR.MTIME) ? { mtime: reply.mtime, mtimeNsec: reply.mtimeNsec } : { mtime: 0, mtimeNsec: 0 };
  return {
    ...reply,
    mode: has(GETATTR.MODE) ? reply.mode : modeOf(reply.qid),
    nlink: has(GETATTR.NLINK) ? reply.nlink : 1,
    uid: has(GETATTR.UID) ? reply.uid : NONUNAME,
    gid: has(GETATTR.GID) ? reply.gid : NONUNAME,
    rdev: has(GETATTR.RDEV) ? reply.rdev : 0,
    size,
    blksize: has(GETATTR.BLOCKS) ? reply.blksize : 0,
    blocks: has(GETATTR.BLOCKS) ? reply.blocks : Math.ceil(size / BLOCK),
    ...mtime,
    ...(has(GETATTR.ATIME) ? {} : { atime: mtime.mtime, atimeNsec: mtime.mtimeNsec }),
    ...(has(GETATTR.CTIME) ? {} : { ctime: mtime.mtime, ctimeNsec: mtime.mtimeNsec }),
  };
}
