// Tlock and Tgetlock: POSIX record locks, owned by the (client_id, proc_id) that the message names.
// A lock in the way is answered BLOCKED at once, with or without the BLOCK flag: the client asks again, stays
// interruptible, and no request waits here for another client's good will. Locks end with the fid through which they were taken.

import { errno } from '../../common/errno.ts';
import { LOCK_TYPE } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import type { Request } from '../flush.ts';
import { refuse } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, isPromise, LOCK_EOF, type RecordLock } from '../tree.ts';
import { access, openFile } from './io.ts';

/** Clients give their host's name, which has 64 bytes at the most (gethostname(2)); it is kept with every range. */
const CLIENT_ID_MAX = 256;

export function lock(session: Session, message: Message<'Tlock'>, request: Request): Awaitable<Body<'Rlock'>> {
  const fid = session.use(request, message.fid);
  const file = openFile(fid);
  const wanted = recordLock(message);
  const may = access(fid);
  // fcntl(2): a read lock needs a descriptor open for reading, a write lock one open for writing
  if (wanted.kind === LOCK_TYPE.RDLCK && !may.read) refuse(errno.EBADF);
  if (wanted.kind === LOCK_TYPE.WRLCK && !may.write) refuse(errno.EBADF);
  const status = file.lock(wanted, request);
  return isPromise(status) ? status.then((given) => ({ status: given })) : { status };
}

export function getlock(session: Session, message: Message<'Tgetlock'>, request: Request): Awaitable<Body<'Rgetlock'>> {
  const fid = session.use(request, message.fid);
  const file = openFile(fid);
  const wanted = recordLock(message);
  if (wanted.kind === LOCK_TYPE.UNLCK) refuse(errno.EINVAL);
  const found = file.getlock(wanted, request);
  return isPromise(found) ? found.then((held) => describe(message, held)) : describe(message, found);
}

function describe(asked: Message<'Tgetlock'>, held: RecordLock | undefined): Body<'Rgetlock'> {
  if (held === undefined) {
    const { start, length, procId, clientId } = asked;
    return { kind: LOCK_TYPE.UNLCK, start, length, procId, clientId };
  }
  const { kind, start, end, procId, clientId } = held;
  return { kind, start, length: end === LOCK_EOF ? 0n : end - start + 1n, procId, clientId };
}

/** A length of 0 reaches to the end of the file, wherever that will be. */
function recordLock(message: Message<'Tlock'> | Message<'Tgetlock'>): RecordLock {
  const { kind, start, length, procId, clientId } = message;
  if (Buffer.byteLength(clientId) > CLIENT_ID_MAX) refuse(errno.EINVAL);
  if (kind > LOCK_TYPE.UNLCK) refuse(errno.EINVAL);
  if (start > LOCK_EOF || (length > 0n && start + length - 1n > LOCK_EOF)) refuse(errno.EOVERFLOW);
  return { kind, start, end: length === 0n ? LOCK_EOF : start + length - 1n, procId, clientId };
}
