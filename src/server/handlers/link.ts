// Tlink, Tsymlink, Treadlink.

import { errno } from '../../common/errno.ts';
import { byteLength } from '../../common/text.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import type { Request } from '../flush.ts';
import { meant } from '../meaning.ts';
import { checkName, refuse } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, isPromise } from '../tree.ts';

/** PATH_MAX less the NUL: what no system could follow is not made. */
const TARGET_MAX = 4095;

export function link(session: Session, message: Message<'Tlink'>, request: Request): Awaitable<Body<'Rlink'>> {
  const dir = session.use(request, message.dfid);
  const target = session.use(request, message.fid);
  checkName(message.name, errno.EEXIST);
  const done = meant(session, dir, 'names', request, (above) =>
    meant(session, target, 'names', request, (node) => above.link(node, message.name, dir.user, request)),
  );
  return isPromise(done) ? done.then(() => ({})) : {};
}

export function symlink(session: Session, message: Message<'Tsymlink'>, request: Request): Awaitable<Body<'Rsymlink'>> {
  const dir = session.use(request, message.dfid);
  checkName(message.name, errno.EEXIST);
  if (message.target === '') refuse(errno.ENOENT);
  if (byteLength(message.target) > TARGET_MAX) refuse(errno.ENAMETOOLONG);
  const qid = meant(session, dir, 'names', request, (node) =>
    node.symlink(message.name, message.target, message.gid, dir.user, request),
  );
  return isPromise(qid) ? qid.then((made) => ({ qid: made })) : { qid };
}

export function readlink(
  session: Session,
  message: Message<'Treadlink'>,
  request: Request,
): Awaitable<Body<'Rreadlink'>> {
  const fid = session.use(request, message.fid);
  const target = meant(session, fid, 'names', request, (node) => node.readlink(fid.user, request));
  return isPromise(target) ? target.then((text) => ({ target: text })) : { target };
}
