// Requests through open files. Where the server's open fids are known to follow their file, the open fid is it.
// Elsewhere a file that this mount has given another name, or whose directory it has, is walked to and opened again
// before the next request, and a file that another mount may have renamed is looked at first.
// Guarantees: nothing is read from or written to another file than the one that was opened, but for the moment between
// that look and the request; where fids are not known to lose their file a look is at most LOOK_AGAIN old.

import type { Fid } from '../../client/fids.ts';
import { errno } from '../../common/errno.ts';
import { CancelledError, ErrnoError } from '../../common/errors.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import type { Bridge } from '../context.ts';
import { isGone } from '../fids/nodefids.ts';
import { withoutSignal, withSignal } from '../finish.ts';
import { isQid, type Node, routeOf } from '../nodes/node.ts';
import type { OpenDirectory, OpenFile } from './handles.ts';

type Handle = OpenFile | OpenDirectory;

/** Milliseconds. */
const LOOK_AGAIN = 1000;

/** What a new handle keeps to find its file again; `fid` was walked to and opened just now. */
export function openedNow(fs: Bridge, ctx: RequestContext, node: Node, fid: Fid, flags: number) {
  const kept = flags & ~(OPEN.CREATE | OPEN.EXCL | OPEN.TRUNC);
  return { node, fid, by: withoutSignal(ctx), flags: kept, ...present(fs, node) };
}

function present({ nodes }: Bridge, node: Node) {
  return { route: routeOf(node)?.join('/') ?? '', moves: nodes.moves, checked: performance.now() };
}

/** Runs `work` with the fid by which to read, write or list; or to sync, which servers do by the path more often. */
export function through<T>(
  fs: Bridge,
  ctx: RequestContext,
  file: Handle,
  use: 'io' | 'fsync',
  work: (fid: Fid) => T | Promise<T>,
): T | Promise<T> {
  const { fidFacts } = fs.session;
  const follows = fidFacts.openFollows('openIo') && fidFacts.openFollows(factOf(file, use));
  if ((follows && file.node.hasName) || fidFacts.knows('bound')) return work(file.fid);
  return lookedAt(fs, ctx, file, use, work);
}

/**
 * The fact by which a request goes. A listing is more than a read: in 9P2000 it has the attributes of every entry, and
 * servers that read an open directory wherever it is look for its entries by its old path.
 */
function factOf(file: Handle, use: 'io' | 'fsync'): 'openIo' | 'openGetattr' {
  return use === 'io' && file.kind === 'file' ? 'openIo' : 'openGetattr';
}

async function lookedAt<T>(
  fs: Bridge,
  ctx: RequestContext,
  file: Handle,
  use: 'io' | 'fsync',
  work: (fid: Fid) => T | Promise<T>,
): Promise<T> {
  await keepUp(fs, ctx, file, use);
  return fs.session.connection.fids.during([file.fid], async () => work(file.fid));
}

async function keepUp(fs: Bridge, ctx: RequestContext, file: Handle, use: 'io' | 'fsync'): Promise<void> {
  const { fidFacts } = fs.session;
  if (!file.node.hasName) {
    if (fidFacts.knows(use === 'io' ? 'namelessIo' : 'namelessFsync') === false) throw lost();
    return;
  }
  if (isElsewhere(fs, file)) return reopen(fs, ctx, file);
  const losesIt = fidFacts.knows(factOf(file, use)) === false;
  if (losesIt || performance.now() - file.checked >= LOOK_AGAIN) await lookAgain(fs, ctx, file);
}

/** This mount has changed a name on the way to it since it was opened. */
function isElsewhere(fs: Bridge, file: Handle): boolean {
  if (file.moves === fs.nodes.moves) return false;
  const { route, moves } = present(fs, file.node);
  if (route !== file.route) return true;
  file.moves = moves;
  return false;
}

async function lookAgain(fs: Bridge, ctx: RequestContext, file: Handle): Promise<void> {
  if (await reaches(fs, ctx, file)) file.checked = performance.now();
  else await reopen(fs, ctx, file);
}

/** Whether Tgetattr through the open fid shows the file. False settles what the server's open fids are. */
async function reaches(fs: Bridge, ctx: RequestContext, { fid, node }: Handle): Promise<boolean> {
  const { dialect, fidFacts, connection } = fs.session;
  try {
    const stat = await connection.fids.during([fid], () => dialect.stat(fid, ctx.signal));
    if (isQid(node, stat.qid)) return true;
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  fidFacts.settle('openGetattr', false);
  return false;
}

/**
 * Whether the open fid can be used for a change that only its rights allow: it shows the file, and came by its present
 * name.
 */
export async function isGood(fs: Bridge, ctx: RequestContext, file: OpenFile): Promise<boolean> {
  if (isElsewhere(fs, file)) await reopen(fs, ctx, file);
  return reaches(fs, ctx, file);
}

async function reopen(fs: Bridge, ctx: RequestContext, file: Handle): Promise<void> {
  const { calls, fidFacts } = fs.session;
  const old = file.fid;
  let fid: Fid;
  let mapped: Fid | undefined;
  try {
    fid = await openAgain(fs, ctx, file, file.flags);
    if (file.kind === 'file' && file.mapped !== undefined) mapped = await openAgain(fs, ctx, file, OPEN.RDWR);
  } catch (error) {
    // what the fid was opened for goes on where reads and writes are known to follow; elsewhere nothing reaches the
    // file
    if (error instanceof ErrnoError && !(error instanceof CancelledError) && fidFacts.openFollows('openIo')) return;
    throw isGone(error) ? lost() : error;
  }
  // somebody else may have been faster
  const mine = file.fid === old ? [old] : [fid];
  if (file.fid === old) Object.assign(file, { fid, ...present(fs, file.node) });
  if (mapped !== undefined && file.kind === 'file') {
    if (file.mapped !== undefined) mine.push(file.mapped);
    file.mapped = mapped;
  }
  for (const each of mine) calls.clunk(each);
}

/** Another open fid of the file, which is the caller's to clunk. */
export function openAgain(fs: Bridge, ctx: RequestContext, { node, by }: Handle, flags: number): Promise<Fid> {
  const as = withSignal(by, ctx.signal);
  return openOwn(fs, as, node, (fid) =>
    fs.noAtime.opening(by, node.stat.uid, flags, (sent) => fs.session.dialect.open(fid, sent, ctx.signal)),
  );
}

/** A fid of the node's own that `open` has opened, the caller's to clunk. ESTALE where the server has opened another file. */
export async function openOwn(
  fs: Bridge,
  ctx: RequestContext,
  node: Node,
  open: (fid: Fid) => Promise<void>,
): Promise<Fid> {
  const fid = await fs.fids.own(ctx, node);
  try {
    await open(fid);
    if (isQid(node, fid.qid)) return fid;
    throw lost();
  } catch (error) {
    fs.session.calls.clunk(fid);
    throw error;
  }
}

function lost(): ErrnoError {
  return new ErrnoError(errno.ESTALE, 'the server opens files by their names, and this one has lost its name');
}
