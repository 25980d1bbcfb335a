// Tgetattr, Tsetattr, Tstatfs. All work on any fid; where fids follow their files, also on one whose file has no name.

import { errno } from '../../common/errno.ts';
import { SETATTR } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import type { Request } from '../flush.ts';
import { meant } from '../meaning.ts';
import { ownFile } from '../opened.ts';
import { refuse } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, type Changes, isPromise, type Time } from '../tree.ts';
import { access } from './io.ts';

const MODE_BITS = 0o7777;
const NONUID = 0xffffffff;

export function getattr(session: Session, message: Message<'Tgetattr'>, request: Request): Awaitable<Body<'Rgetattr'>> {
  const fid = session.use(request, message.fid);
  return meant(session, fid, 'attributes', request, (node) => node.getattr(message.mask, fid.user, request));
}

export function setattr(session: Session, message: Message<'Tsetattr'>, request: Request): Awaitable<Body<'Rsetattr'>> {
  const fid = session.use(request, message.fid);
  const file = access(fid).write ? ownFile(session, fid) : undefined;
  const done = meant(session, fid, 'changes', request, (node) =>
    node.setattr(changes(message), file, fid.user, request),
  );
  return isPromise(done) ? done.then(() => ({})) : {};
}

/** A change of ctime alone needs no member: the server's clock moves it with any change. */
function changes(message: Message<'Tsetattr'>): Changes {
  const { valid } = message;
  const wanted: Changes = {};
  if (valid & SETATTR.MODE) wanted.mode = message.mode & MODE_BITS;
  // -1 leaves an id alone (chown(2))
  if (valid & SETATTR.UID && message.uid !== NONUID) wanted.uid = message.uid;
  if (valid & SETATTR.GID && message.gid !== NONUID) wanted.gid = message.gid;
  if (valid & SETATTR.SIZE) wanted.size = message.size;
  if (valid & SETATTR.ATIME) wanted.atime = valid & SETATTR.ATIME_SET ? time(message.atime, message.atimeNsec) : 'now';
  if (valid & SETATTR.MTIME) wanted.mtime = valid & SETATTR.MTIME_SET ? time(message.mtime, message.mtimeNsec) : 'now';
  return wanted;
}

function time(sec: number, nsec: number): Time {
  return nsec < 1_000_000_000 ? { sec, nsec } : refuse(errno.EINVAL);
}

export function statfs(session: Session, message: Message<'Tstatfs'>, request: Request): Awaitable<Body<'Rstatfs'>> {
  const fid = session.use(request, message.fid);
  return meant(session, fid, 'names', request, (node) => node.statfs(fid.user, request));
}
