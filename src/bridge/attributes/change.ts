// Changes of attributes, and the fid through which they are sent: never one that may have lost the file.

import type { StatChange } from '../../client/dialects/dialect.ts';
import type { Fid } from '../../client/fids.ts';
import type { AbortSignalLike } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { isErrno } from '../../common/errors.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import type { Bridge } from '../context.ts';
import type { OpenFile } from '../files/handles.ts';
import { isGood } from '../files/reopen.ts';
import { firstOpen, type Node } from '../nodes/node.ts';

/**
 * Runs `work` with a fid by which the node's attributes can be changed. Undefined, and nothing is run: the file has no name any more
 * and the server finds files by their names. Nobody else can see it, so that its attributes can be kept here.
 */
export async function forChange<T>(
  fs: Bridge,
  ctx: RequestContext,
  node: Node,
  open: OpenFile | undefined,
  work: (fid: Fid) => Promise<T>,
): Promise<T | undefined> {
  const { fidFacts, connection } = fs.session;
  const asked = open ?? (node.hasName ? undefined : firstOpen(node));
  const byOpen = ({ fid }: OpenFile) => connection.fids.during([fid], () => work(fid));
  if (asked !== undefined && fidFacts.openFollows('openSetattr') && (node.hasName || isNamelessGood(fs)))
    return byOpen(asked);
  if (!node.hasName && !isNamelessGood(fs)) return undefined;
  try {
    return await fs.fids.sure(ctx, [node], work);
  } catch (error) {
    // a descriptor keeps the rights with which it was opened, and a fid that was walked to has none of them
    if (asked === undefined || !isErrno(error, errno.EACCES, errno.EPERM)) throw error;
    if (!(await isGood(fs, ctx, asked))) throw error;
    return byOpen(asked);
  }
}

function isNamelessGood({ session: { fidFacts } }: Bridge): boolean {
  return fidFacts.knows('bound') === true || fidFacts.knows('namelessSetattr') === true;
}

/** dialect.change; with chown=ignore an owner that the server refuses is left out. */
export async function sendChange(fs: Bridge, fid: Fid, change: StatChange, signal?: AbortSignalLike): Promise<void> {
  const { dialect, connection } = fs.session;
  const { uid, gid, ...rest } = change;
  if (!fs.owners.chownIgnored || (uid === undefined && gid === undefined)) {
    return dialect.change(fid, change, signal);
  }
  await connection.fids.during([fid], async () => {
    try {
      await dialect.change(fid, change, signal);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (Object.keys(rest).length > 0) await dialect.change(fid, rest, signal);
    }
  });
}

/** What servers say to a chown that they do not allow, or cannot carry out. */
export function isRefusal(error: unknown): boolean {
  return isErrno(error, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL);
}
