// POSIX record locks (fcntl(2)): nodelocks.ts keeps them, this file waits for them.
// A server does not wait for a lock on a client's behalf: SETLKW asks again, at growing intervals, and both the asking and
// the pauses can be interrupted. A lock that was granted although the caller was interrupted is the caller's.
// A wait that would never end is EDEADLK. That is looked for when it begins, and again whenever the locks of the file have
// changed: somebody else may have one that is in the way, who waits already. flock(2) knows no such error.
// What close(2) of any descriptor owes: all locks of the process on that file end.

import { type AbortSignalLike, unlessAborted } from '../../common/abort.ts';
import { pause, within } from '../../common/deadline.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import { LOCK_EOF, LOCK_TYPE } from '../../common/locktable.ts';
import type { Operations, RequestContext } from '../../fuse/operations.ts';
import type { Bridge } from '../context.ts';
import type { OpenFile } from '../files/handles.ts';
import { unhurried } from '../finish.ts';
import { locksOf } from '../locks/ofnode.ts';

/** Milliseconds between two askings. */
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 1000;

export function lockOps(fs: Bridge): Required<Pick<Operations, 'getlk' | 'setlk'>> {
  const { locks } = fs;

  return {
    async getlk(ctx, _nodeid, fh, key, { type, start, end, pid }) {
      const { node } = fs.handles.file(fh);
      const { procId, clientId } = locks.asks(key, pid);
      try {
        const found = await locksOf(fs, ctx, node).inTheWay({ kind: type, start, end, procId, clientId }, ctx.signal);
        if (found === undefined) return { type: LOCK_TYPE.UNLCK, start, end, pid };
        const { lock } = found;
        return { type: lock.kind, start: lock.start, end: lock.end, pid: found.here ? locks.pidOf(lock) : 0 };
      } finally {
        locks.answered(key);
      }
    },

    async setlk(ctx, _nodeid, fh, key, { type, start, end, pid, flock }, waits) {
      const file = fs.handles.file(fh);
      const owner = locks.asks(key, pid);
      const { procId, clientId } = owner;
      const wanted = { kind: type, start, end, procId, clientId };
      const at = locksOf(fs, ctx, file.node);
      const wait = { lock: wanted, table: at.table };
      try {
        // what is given back is under way, and goes on without who has waited long enough, as at his close
        if (type === LOCK_TYPE.UNLCK) return await unlessAborted(at.free(wanted), unhurried(fs, ctx).signal);
        owner.nodes.add(file.node);
        for (let ms = FIRST_PAUSE; ; ) {
          const { changed } = at;
          const answer = await at.take(wanted, file, ctx.signal);
          if (answer === 'granted') return undefined;
          if (!waits) throw new ErrnoError(errno.EAGAIN);
          if (flock !== true) owner.waits.add(wait);
          if (answer === 'here') {
            if (flock !== true && locks.isDeadlock(owner, wait)) throw new ErrnoError(errno.EDEADLK);
            await unlessAborted(changed, ctx.signal);
          } else {
            await pause(ms, ctx.signal);
            ms = Math.min(ms * 2, LONGEST_PAUSE);
          }
        }
      } finally {
        owner.waits.delete(wait);
        locks.answered(key);
      }
    },
  };
}

/**
 * close(2) by an owner that may have locks on the file: they end, also when the close is interrupted. It waits for the
 * server's word, but not for ever: no signal reaches a process that closes its files because it exits.
 */
export async function unlockAll(fs: Bridge, { node }: OpenFile, key: bigint, signal: AbortSignalLike): Promise<void> {
  const owner = fs.locks.find(key);
  if (owner === undefined || node.locks?.table.owns(owner) !== true) return;
  const { procId, clientId } = owner;
  const freeing = node.locks
    .free({ kind: LOCK_TYPE.UNLCK, start: 0n, end: LOCK_EOF, procId, clientId })
    .finally(() => fs.locks.settle(key));
  const tell = () =>
    fs.logger.warn({ file: fs.nodes.pathOf(node) }, 'closed before the server has said that its locks are released');
  await within(freeing, fs.flushTimeout, tell, signal);
}

/**
 * A descriptor is released: an open file description's own locks end with it, the last one takes the fid along. Not when the
 * file was opened again while the server was being told: two askers in one name would take each other's locks away.
 */
export function releaseLocks(fs: Bridge, file: OpenFile): void {
  const { node } = file;
  const { locks } = node;
  if (locks === undefined) return;
  void locks.closed(file).then(() => {
    fs.locks.settleOn(node);
    if (node.isOpen || node.locks !== locks) return;
    node.locks = undefined;
    locks.end();
  });
}
