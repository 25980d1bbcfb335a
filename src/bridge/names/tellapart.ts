// Whether two names lead to one file. Equal qids say so (intro(9P)), but servers that export several devices, or are careless,
// give one qid.path to several files: taken for one, a name would show what is in the other. Hard links explain two
// names; without, the server is asked whether the place by which the file is known still leads to it.
// Guarantees: files that are there at the same time under one qid and have a single link are told apart; what a look cannot
// settle (the place may not be entered) is judged by the attributes.

import type { FileStat } from '../../client/dialects/dialect.ts';
import type { Fid } from '../../client/fids.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import { isDirectory } from '../attributes/attrs.ts';
import type { Bridge } from '../context.ts';
import { type Node, routeOf } from '../nodes/node.ts';
import type { Verdict } from '../nodes/nodes.ts';
import { alike, sameKind } from '../nodes/sameness.ts';

/** How many places are looked at: a server with more files of one qid gives every file the same. */
const MOST_PLACES = 4;
const TRIES = 3;

/** Judges a name, whose file is `fid` and looks like `stat`, beside nodes that have its qid.path and lie elsewhere. */
export async function tellApart(
  fs: Bridge,
  ctx: RequestContext,
  suspects: readonly Node[],
  fid: Fid,
  stat: FileStat,
): Promise<Verdict> {
  if (suspects.length > MOST_PLACES) return 'collides';
  let collides = false;
  for (const node of suspects) {
    if (node === fs.nodes.root) {
      collides = true;
      continue;
    }
    const there = await lookAt(fs, ctx, node);
    if (there === 'unknown' || there === 'gone') {
      // moved here, or removed by somebody else
      if (alike(node.stat, stat)) return node;
    } else if (await isOne(fs, ctx, node, there, fid, stat)) return node;
    else collides = true;
  }
  return collides ? 'collides' : 'another';
}

/** What is now where the node was seen last, if it has the number still. */
async function lookAt(fs: Bridge, ctx: RequestContext, node: Node): Promise<FileStat | 'gone' | 'unknown'> {
  const route = routeOf(node);
  if (route === undefined) return 'unknown';
  const { dialect, calls } = fs.session;
  try {
    const root = await fs.users.root(fs.users.of(ctx), ctx.signal);
    const fid = await dialect.walk(root, route, ctx.signal);
    try {
      return fid.qid.path === node.stat.qid.path ? await dialect.stat(fid, ctx.signal) : 'gone';
    } finally {
      calls.clunk(fid);
    }
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error;
    return error.errno === errno.EACCES || error.errno === errno.EPERM ? 'unknown' : 'gone';
  }
}

/** Both are there. */
async function isOne(
  fs: Bridge,
  ctx: RequestContext,
  node: Node,
  there: FileStat,
  fid: Fid,
  stat: FileStat,
): Promise<boolean> {
  // a directory has one place
  if (!sameKind(there, stat) || isDirectory(stat)) return false;
  const { dialect } = fs.session;
  let [here, other] = [stat, there];
  for (let tries = 0; tries < TRIES; tries++) {
    if (alike(here, other)) {
      if (here.nlink > 1 && other.nlink > 1) return true;
      // one link and two places: a directory that the server shows twice. A time to the nanosecond is nobody else's.
      return here.ctimeNsec !== 0 && here.ctime === other.ctime && here.ctimeNsec === other.ctimeNsec;
    }
    if (here.nlink <= 1 || other.nlink <= 1) return false;
    // somebody may be writing to it between the two looks: only what held still differs for good
    const again = await dialect.stat(fid, ctx.signal);
    if (alike(here, again)) return false;
    here = again;
    const look = await lookAt(fs, ctx, node);
    if (typeof look === 'string') return false;
    other = look;
  }
  return true;
}
