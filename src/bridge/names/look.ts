// From a name to a node: the look at the server that LOOKUP asks for, and the one after something was made.

import type { FileStat } from '../../client/dialects/dialect.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import type { Entry, RequestContext } from '../../fuse/operations.ts';
import { sendChange } from '../attributes/change.ts';
import { attrReply } from '../attributes/fresh.ts';
import type { Bridge } from '../context.ts';
import { finish } from '../finish.ts';
import type { Node } from '../nodes/node.ts';
import type { Verdict } from '../nodes/nodes.ts';
import { groupIn } from '../owners/privileges.ts';
import { tellApart } from './tellapart.ts';

/** For a node whose lookup has been counted; taken back where its owner may not be shown (idmap=file). */
export function entryOf(fs: Bridge, node: Node): Entry {
  const { entryTtl } = fs.policy;
  try {
    return { nodeid: node.id, generation: 0, entryTtl, ...attrReply(fs, node) };
  } catch (error) {
    fs.nodes.forget(node.id, 1);
    throw error;
  }
}

/** The name's node and its attributes, asked from the server; one lookup is counted. `same`: what it was just linked to. */
export async function look(fs: Bridge, ctx: RequestContext, parent: Node, name: string, same?: Node): Promise<Node> {
  const { signal } = ctx;
  const replaced = fs.replacing.end(parent, name, signal);
  if (replaced !== undefined) await replaced;
  if (fs.sideNames.has(name)) throw new ErrnoError(errno.ENOENT, 'a hidden name');
  const fid = await fs.fids.child(ctx, parent, name);
  const { dialect, calls } = fs.session;
  let stat: FileStat;
  let verdict: Verdict | undefined = same;
  try {
    stat = await dialect.stat(fid, signal);
    if (verdict === undefined) {
      const suspects = fs.nodes.suspects(parent, name, stat);
      if (suspects.length > 0) verdict = await tellApart(fs, ctx, suspects, fid, stat);
    }
  } catch (error) {
    calls.clunk(fid);
    throw error;
  }
  return fs.nodes.found(parent, name, fid, stat, fs.users.of(ctx), verdict);
}

/** The look after an operation that made the name: it has happened, so nothing may abort the look at its result. */
export async function lookedAtMade(
  fs: Bridge,
  ctx: RequestContext,
  parent: Node,
  name: string,
  mode?: number,
): Promise<Entry> {
  return entryOf(fs, await lookAtMade(fs, ctx, parent, name, mode));
}

/**
 * What was made belongs to its maker: where one attach acts for all (access=client), the server has to be told. And it
 * has the mode that was asked for, where the server goes by more than that.
 */
export function lookAtMade(fs: Bridge, ctx: RequestContext, parent: Node, name: string, mode?: number): Promise<Node> {
  return finish(fs, ctx, async (rest) => settle(fs, rest, await look(fs, rest, parent, name), parent, name, mode));
}

async function settle(
  fs: Bridge,
  ctx: RequestContext,
  node: Node,
  parent: Node,
  name: string,
  mode: number | undefined,
): Promise<Node> {
  const { dialect } = fs.session;
  const uid = fs.users.shared ? fs.owners.uids.toServer(ctx.uid) : node.stat.uid;
  const foreign = uid !== node.stat.uid && ctx.uid !== fs.users.owner;
  const cut = mode !== undefined && dialect.cutsModes && ((node.stat.mode ^ mode) & 0o777) !== 0;
  if (!foreign && !cut) return node;
  return counted(fs, node, () =>
    // walked to a moment ago, so that it is the file for certain
    fs.fids.with(ctx, node, async (fid) => {
      const { signal } = ctx;
      if (cut) await dialect.change(fid, { mode: mode & 0o7777 }, signal).catch((error) => leave(fs, name, error));
      if (foreign) await sendChange(fs, fid, { uid, gid: groupIn(fs, ctx, parent) }, signal);
      node.saw(await dialect.stat(fid, signal));
      return node;
    }),
  );
}

/** What is done with a node whose lookup was counted: the kernel, which is told of it last, is not told when this fails. */
export async function counted<T>(fs: Bridge, node: Node, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    fs.nodes.forget(node.id, 1);
    throw error;
  }
}

/** It was made, and is as the server wants it. */
function leave({ logger }: Bridge, name: string, error: unknown): void {
  if (!(error instanceof ErrnoError)) throw error;
  logger.debug({ name, errno: error.code }, 'made with fewer permissions than were asked for');
}
