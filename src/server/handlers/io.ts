// Tread, Twrite, Tfsync on open files, and the reads and writes that carry an xattr's value.

import { errno } from '../../common/errno.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import type { Body, Message } from '../../wire/p9/messages.ts';
import type { Fid } from '../fids.ts';
import type { Request } from '../flush.ts';
import { refuse } from '../refuse.ts';
import type { Session } from '../session.ts';
import { type Awaitable, isPromise, type OpenFile, type ReadResult } from '../tree.ts';

/** The open file of a fid. */
export function openFile(fid: Fid): OpenFile {
  return fid.state.kind === 'open' ? fid.state.file : refuse(errno.EBADF);
}

/** What the fid was opened for. */
export function access(fid: Fid): { read: boolean; write: boolean } {
  const mode = fid.state.kind === 'open' ? fid.state.flags & OPEN.ACCMODE : OPEN.ACCMODE;
  return { read: mode === OPEN.RDONLY || mode === OPEN.RDWR, write: mode === OPEN.WRONLY || mode === OPEN.RDWR };
}

export function read(session: Session, message: Message<'Tread'>, request: Request): Awaitable<ReadResult> {
  const fid = session.use(request, message.fid);
  const count = Math.min(message.count, session.iounit);
  if (fid.state.kind === 'xattr read') {
    return { data: fid.state.value.subarray(message.offset, message.offset + count) };
  }
  const file = openFile(fid);
  if (!access(fid).read) refuse(errno.EBADF);
  return file.read(message.offset, count, session.lend, request);
}

export function write(session: Session, message: Message<'Twrite'>, request: Request): Awaitable<Body<'Rwrite'>> {
  const fid = session.use(request, message.fid);
  const { offset, data } = message;
  if (fid.state.kind === 'xattr write') {
    const { state } = fid;
    // in order and inside the size that was announced: anything else could leave a hole in the value
    if (offset > state.filled || offset + data.length > state.value.length) refuse(errno.EINVAL);
    state.value.set(data, offset);
    state.filled = Math.max(state.filled, offset + data.length);
    return { count: data.length };
  }
  const file = openFile(fid);
  if (!access(fid).write) refuse(errno.EBADF);
  const count = file.write(offset, data, request);
  return isPromise(count) ? count.then((written) => ({ count: written })) : { count };
}

export function fsync(session: Session, message: Message<'Tfsync'>, request: Request): Awaitable<Body<'Rfsync'>> {
  const fid = session.use(request, message.fid);
  const done = openFile(fid).fsync(message.datasync !== 0, request);
  return isPromise(done) ? done.then(() => ({})) : {};
}
