// The one way in which a name is moved on the server, and what is learned from it.

import type { RequestContext } from '../../fuse/operations.ts';
import type { Bridge } from '../context.ts';
import { askAfterRename, witnesses } from '../fids/probes.ts';
import type { Node } from '../nodes/node.ts';

export async function moveName(
  fs: Bridge,
  ctx: RequestContext,
  parent: Node,
  name: string,
  newParent: Node,
  newName: string,
): Promise<void> {
  const node = fs.nodes.child(parent, name);
  // one hard link over another of the same file: nothing moves, and nothing can be learned
  const moves = node !== fs.nodes.child(newParent, newName);
  const seen = witnesses(fs, moves ? node : undefined);
  try {
    await fs.fids.sure(ctx, [parent, newParent], (from, to) =>
      fs.moving.during(async () => {
        await fs.session.dialect.rename(from, name, to, newName, ctx.signal);
        await askAfterRename(fs, ctx, seen);
        fs.nodes.renamed(parent, name, newParent, newName);
      }),
    );
  } finally {
    seen.release();
  }
}
