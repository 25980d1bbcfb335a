// From a name to a node: the look at the server that LOOKUP asks for, and the one after something was made.

import type { FileStat } from '../../client/dialects/dialect.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import type { Entry, RequestContext } from '../../fuse/operations.ts';
import type { Qid } from '../../wire/p9/types.ts';
import { PRIVILEGES } from '../attributes/attrs.ts';
import { sendChange } from '../attributes/change.ts';
import { attrReply } from '../attributes/fresh.ts';
import type { Bridge } from '../context.ts';
import { finish } from '../finish.ts';
import { isQid, type Node } from '../nodes/node.ts';
import type { Verdict } from '../nodes/nodes.ts';
import { groupIn, privilegesFor } from '../owners/privileges.ts';
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

/** What an operation has made by a name. */
export interface Made {
  readonly parent: Node;
  readonly name: string;
  /** By its name there may be something else by now. */
  readonly qid: Qid;
  /** That was asked for. */
  readonly mode?: number;
  /** It is a file that the server had to make, or to fail: nfs-ganesha opens what is there in spite of O_EXCL. */
  readonly isNew?: boolean;
}

/** The look after an operation that made the name: it has happened, so nothing may abort the look at its result. */
export async function lookedAtMade(fs: Bridge, ctx: RequestContext, made: Made): Promise<Entry> {
  return entryOf(fs, await lookAtMade(fs, ctx, made));
}

/**
 * What was made belongs to its maker: where one attach acts for all (access=client), the server has to be told. And it
 * has the mode that was asked for, where the server goes by more than that, or a change of owner takes something from it.
 */
export function lookAtMade(fs: Bridge, ctx: RequestContext, made: Made): Promise<Node> {
  return finish(fs, ctx, async (rest) => {
    const node = await look(fs, rest, made.parent, made.name);
    // what somebody else has put in its place is not given away, and neither is what was there before
    if (!isQid(node, made.qid)) return node;
    if (made.isNew !== true || (node.stat.size === 0 && node.stat.nlink <= 1)) return settle(fs, rest, node, made);
    return counted(fs, node, () => {
      throw new ErrnoError(errno.ESTALE, 'another client has made it meanwhile');
    });
  });
}

async function settle(fs: Bridge, ctx: RequestContext, node: Node, { parent, name, mode }: Made): Promise<Node> {
  const { dialect } = fs.session;
  const uid = fs.users.makesForOthers(ctx) ? fs.owners.uids.toServer(ctx.uid) : node.stat.uid;
  const foreign = uid !== node.stat.uid;
  const cut = mode !== undefined && dialect.cutsModes && ((node.stat.mode ^ mode) & 0o777) !== 0;
  if (!foreign && !cut) return node;
  return counted(fs, node, () =>
    // walked to a moment ago, so that it is the file for certain
    fs.fids.with(ctx, node, async (fid) => {
      const { signal } = ctx;
      const permit = (bits: number) =>
        dialect.change(fid, { mode: bits & 0o7777 }, signal).catch((error) => leave(fs, name, error));
      if (cut) await permit(mode);
      if (foreign) await sendChange(fs, fid, { uid, gid: groupIn(fs, ctx, parent) }, signal);
      node.saw(await dialect.stat(fid, signal));
      // chown(2) takes setuid and setgid away, whoever calls it
      const lost = (mode ?? 0) & PRIVILEGES & ~node.stat.mode;
      const back = foreign && lost !== 0 ? lost & privilegesFor(fs, ctx, parent, mode ?? 0) : 0;
      if (back !== 0) {
        await permit(node.stat.mode | back);
        node.saw(await dialect.stat(fid, signal));
      }
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
