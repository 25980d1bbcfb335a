// Appends (O_APPEND) by a mount: client/append.ts decides how, here is what it needs of the file.

import type { Appended } from '../../client/append.ts';
import type { Fid } from '../../client/fids.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import { forChange } from '../attributes/change.ts';
import { freshStat } from '../attributes/fresh.ts';
import type { Bridge } from '../context.ts';
import { withSignal } from '../finish.ts';
import { underLock } from '../locks/ofnode.ts';
import type { OpenFile } from './handles.ts';
import { openAgain } from './reopen.ts';

/** Writes `data` at the end of the file through its open fid; `offset` is where the kernel takes the end to be. */
export function appendTo(
  fs: Bridge,
  ctx: RequestContext,
  file: OpenFile,
  fid: Fid,
  offset: number,
  data: Uint8Array,
): Promise<Appended> {
  const { session } = fs;
  return session.appending.append(fid, data, {
    offset,
    // a descriptor may have got O_APPEND by fcntl(2), and the server does not know
    plain: !file.append,
    signal: ctx.signal,
    ...(session.dialect.hasLocks && fs.remoteLocks && { lock: (work) => underLock(fs, ctx, file, work) }),
    reopen: () => withoutAppend(fs, ctx, file),
    ...(!session.fidFacts.openFollows('openSetattr') && { length: lengthOf(fs, ctx, file) }),
  });
}

/** For servers that refuse writes through the other kind. It is clunked with the file. */
async function withoutAppend(fs: Bridge, ctx: RequestContext, file: OpenFile): Promise<Fid> {
  if (file.mapped !== undefined) return file.mapped;
  const fid = await openAgain(fs, ctx, file, file.flags & ~OPEN.APPEND);
  if (file.mapped !== undefined) fs.session.calls.clunk(fid);
  file.mapped ??= fid;
  return file.mapped;
}

/** The open fid may be a path to the server. */
function lengthOf(fs: Bridge, ctx: RequestContext, file: OpenFile) {
  const as = (signal: RequestContext['signal'] | undefined) => (signal === undefined ? ctx : withSignal(ctx, signal));
  return {
    get: async (signal: RequestContext['signal'] | undefined) => {
      const { size } = await freshStat(fs, as(signal), file.node, file);
      return size;
    },
    set: async (size: number, signal: RequestContext['signal'] | undefined) => {
      const { dialect } = fs.session;
      await forChange(fs, as(signal), file.node, file, (fid) => dialect.change(fid, { size }, signal));
    },
  };
}
