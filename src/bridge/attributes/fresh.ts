// Attributes as the server has them now, and what the kernel is shown of them.

import type { FileStat } from '../../client/dialects/dialect.ts';
import type { Fid } from '../../client/fids.ts';
import type { AttrReply, RequestContext } from '../../fuse/operations.ts';
import type { Bridge } from '../context.ts';
import { isGone } from '../fids/nodefids.ts';
import type { OpenFile } from '../files/handles.ts';
import { firstOpen, type Node } from '../nodes/node.ts';
import { toAttr } from './attrs.ts';

export function attrReply({ owners, policy }: Bridge, node: Node): AttrReply {
  return { attr: toAttr(node.stat, owners, node.ino, node.links), attrTtl: policy.attrTtl };
}

/**
 * Fresh attributes, through `open` where given. A file whose name is gone is asked for through an open fid; where the server has no
 * answer even then (its fids die with the name), the last known attributes are it. Throws ESTALE where the name leads to
 * another file now.
 */
export async function freshStat(
  fs: Bridge,
  ctx: RequestContext,
  node: Node,
  open?: Pick<OpenFile, 'fid'>,
): Promise<FileStat> {
  const { dialect, fidFacts } = fs.session;
  const asked = open ?? (node.hasName ? undefined : firstOpen(node));
  const through = node.hasName && fidFacts.knows('openGetattr') === false ? undefined : asked;
  const look = async (fid: Fid) => node.saw(await dialect.stat(fid, ctx.signal));
  try {
    if (through === undefined) await byName(fs, ctx, node, look);
    else await fs.session.connection.fids.during([through.fid], () => look(through.fid));
  } catch (error) {
    if (!isGone(error)) throw error;
    if (node.hasName) {
      if (through === undefined) throw error;
      await byName(fs, ctx, node, look);
      // the file is there, and was not found by the open fid
      fidFacts.settle('openGetattr', false);
    }
  }
  return node.stat;
}

/** By the cached fid; where that has lost the file, by one that is walked to. */
async function byName(fs: Bridge, ctx: RequestContext, node: Node, look: (fid: Fid) => Promise<void>): Promise<void> {
  const cached = fs.fids.has(ctx, node);
  try {
    await fs.fids.with(ctx, node, look);
  } catch (error) {
    if (!isGone(error) || !cached || fs.session.fidFacts.sure || !node.hasName) throw error;
    fs.fidCache.drop(node);
    await fs.fids.with(ctx, node, look);
  }
}
