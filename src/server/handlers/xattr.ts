// Txattrwalk and Txattrcreate. A value travels through a fid of its own: read from the one that Txattrwalk makes, written
// to the one that Txattrcreate turns around, and committed by that one's clunk, whose error is the result.
// Size 0 removes the attribute, as every .L server has it, unless CREATE asks for an (empty) one that must be new.

import { errno } from '../../common/errno.ts';
import { byteLength } from '../../common/text.ts';
import { NOFID } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import { Fid, type FidState } from '../fids.ts';
import type { Request } from '../flush.ts';
import { meant } from '../meaning.ts';
import { refuse } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, isPromise, XATTR, XATTR_MAX } from '../tree.ts';

/** XATTR_NAME_MAX. */
const NAME_MAX = 255;

export function xattrwalk(
  session: Session,
  message: Message<'Txattrwalk'>,
  request: Request,
): Awaitable<Body<'Rxattrwalk'>> {
  const { name, newfid } = message;
  const from = session.use(request, message.fid);
  if (newfid === NOFID || newfid === from.number) refuse(errno.EINVAL);
  if (byteLength(name) > NAME_MAX) refuse(errno.ERANGE);
  const { fids } = session;
  fids.reserve(newfid);
  const found = (value: Uint8Array): Body<'Rxattrwalk'> => {
    if (value.length > XATTR_MAX) refuse(errno.E2BIG);
    fids.countXattr(value.length);
    from.node.retain();
    fids.add(new Fid(newfid, from.user, from.node, undefined, from.route, { kind: 'xattr read', value }));
    return { size: value.length };
  };
  const failed = (error: unknown): never => {
    fids.cancel(newfid);
    throw error;
  };
  try {
    const value = meant(session, from, 'xattrs', request, (node) =>
      name === '' ? node.listxattr(from.user, request) : node.getxattr(name, from.user, request),
    );
    return isPromise(value) ? value.then(found).catch(failed) : found(value);
  } catch (error) {
    return failed(error);
  }
}

export function xattrcreate(
  session: Session,
  message: Message<'Txattrcreate'>,
  request: Request,
): Body<'Rxattrcreate'> {
  const { name, size, flags } = message;
  const fid = session.use(request, message.fid);
  if (fid.state.kind !== 'walked') refuse(errno.EINVAL);
  if (name === '' || byteLength(name) > NAME_MAX) refuse(errno.ERANGE);
  if (size > XATTR_MAX) refuse(errno.E2BIG);
  if (flags !== 0 && flags !== XATTR.CREATE && flags !== XATTR.REPLACE) refuse(errno.EINVAL);
  session.fids.countXattr(size);
  fid.state = { kind: 'xattr write', name, value: Buffer.alloc(size), flags, filled: 0 };
  return {};
}

/** The clunk of an xattr that was written. */
export function commit(
  session: Session,
  fid: Fid,
  state: Extract<FidState, { kind: 'xattr write' }>,
  request: Request,
): void | Promise<void> {
  const { name, value, flags, filled } = state;
  if (filled !== value.length) refuse(errno.EINVAL);
  return meant(session, fid, 'xattrs', request, (node) => {
    if (value.length === 0 && flags !== XATTR.CREATE) return node.removexattr(name, fid.user, request);
    return node.setxattr(name, value, flags, fid.user, request);
  });
}
