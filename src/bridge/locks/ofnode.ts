// The record locks of a node, made when somebody first asks for one; and the server's lock of a file for work of the mount's own.

import type { Fid } from '../../client/fids.ts';
import type { AbortSignalLike } from '../../common/abort.ts';
import { pause } from '../../common/deadline.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import { LOCK_EOF, LOCK_TYPE } from '../../common/locktable.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import type { Bridge } from '../context.ts';
import type { OpenFile } from '../files/handles.ts';
import { openOwn } from '../files/reopen.ts';
import type { Node } from '../nodes/node.ts';
import { NodeLocks } from './nodelocks.ts';

/** The mount itself as an owner of locks: the kernel numbers its own from 0. */
const OURSELVES = -1n;
/** Milliseconds between two askings for the mount's own lock: another client's append is short. */
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 50;
/** Milliseconds after which a lock is taken for one that a program keeps; for as long again it is asked for only once. */
const PATIENCE = 5000;
/** By file: performance.now() until which it is not waited for. */
const kept = new WeakMap<Node, number>();

export function locksOf(fs: Bridge, ctx: RequestContext, node: Node): NodeLocks {
  node.locks ??= new NodeLocks({
    remote: {
      lock: (fid, lock, signal) => fs.session.dialect.lock(fid, lock, signal),
      getlock: (fid, lock, signal) => fs.session.dialect.getlock(fid, lock, signal),
    },
    locks: fs.locks,
    open: (signal) => openForLocks(fs, { ...ctx, signal }, node),
    moves: () => (fs.session.fidFacts.openFollows('openIo') ? undefined : fs.nodes.moves),
    clunk: (fid) => fs.session.calls.clunk(fid),
    // what a lock is for: to see what others wrote before they gave it up, as with NFS (fs/nfs/file.c, do_setlk)
    granted: async (signal) => {
      if (fs.policy.mode !== 'auto') return;
      await node.pages.drop((offset, length) => fs.kernel.dropPages(node, offset, length), signal);
    },
    logger: fs.logger,
  });
  return node.locks;
}

/** A fid for the locks of a file. Locks for writing need one that writes; a file that may only be read has no such locks. */
async function openForLocks(fs: Bridge, ctx: RequestContext, node: Node): Promise<Fid> {
  const { dialect } = fs.session;
  for (const flags of [OPEN.RDWR, OPEN.RDONLY, OPEN.WRONLY]) {
    try {
      return await openOwn(fs, ctx, node, (fid) => dialect.open(fid, flags, ctx.signal));
    } catch (error) {
      const refused = isErrno(error, errno.EACCES, errno.EROFS);
      if (!refused || flags === OPEN.WRONLY) throw error;
    }
  }
  throw new ErrnoError(errno.EACCES);
}

/**
 * Runs `work` under the server's lock of the whole file, and tells it whether that could be had: a process of this mount or of another
 * client may have locked a part of the file for long, and the server may keep no locks.
 */
export async function underLock<T>(
  fs: Bridge,
  ctx: RequestContext,
  { node }: OpenFile,
  work: (held: boolean) => Promise<T>,
): Promise<T> {
  const { locks } = fs;
  const owner = locks.asks(OURSELVES, 0);
  const { procId, clientId } = owner;
  const all = { start: 0n, end: LOCK_EOF, procId, clientId };
  const at = locksOf(fs, ctx, node);
  owner.nodes.add(node);
  try {
    if (!(await taken(at, { ...all, kind: LOCK_TYPE.WRLCK }, node, ctx.signal))) return await work(false);
    try {
      return await work(true);
    } finally {
      await at.free({ ...all, kind: LOCK_TYPE.UNLCK });
    }
  } finally {
    locks.answered(OURSELVES);
  }
}

async function taken(
  at: NodeLocks,
  lock: Parameters<NodeLocks['take']>[0],
  node: Node,
  signal: AbortSignalLike,
): Promise<boolean> {
  const begun = performance.now();
  const waits = begun >= (kept.get(node) ?? 0);
  for (let ms = FIRST_PAUSE; ; ms = Math.min(ms * 2, LONGEST_PAUSE)) {
    try {
      const answer = await at.take(lock, node, signal);
      // a process of this mount has locked it: other clients are kept away all the same, but not from all of it
      if (answer !== 'there') return answer === 'granted';
    } catch (error) {
      if (isErrno(error, errno.ENOLCK, errno.EACCES, errno.EBADF)) return false;
      throw error;
    }
    if (!waits) return false;
    if (performance.now() - begun >= PATIENCE) {
      kept.set(node, performance.now() + PATIENCE);
      return false;
    }
    await pause(ms, signal);
  }
}
