// Extended attributes: asked of the server each time, except for what it does not have. The kernel asks for
// security.capability at many writes; where that is absent, the answer is kept as long as attributes are.

import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import type { Operations } from '../../fuse/operations.ts';
import { ACCESS_ACL, DEFAULT_ACL } from '../acls.ts';
import type { Bridge } from '../bridge.ts';
import { mapAcl, sameIds } from '../ids.ts';
import type { Node } from '../nodes.ts';

const isAcl = (name: string) => name === ACCESS_ACL || name === DEFAULT_ACL;

const CAPABILITY = 'security.capability';

export function xattrOps(
  fs: Bridge,
): Required<Pick<Operations, 'getxattr' | 'setxattr' | 'listxattr' | 'removexattr'>> {
  const { dialect } = fs.session;
  const { uids, gids } = fs.owners;
  // most mounts map nothing, and their ACLs pass as they are
  const maps = uids !== sameIds || gids !== sameIds;
  /** The server has said that it has none at all. */
  let none = false;

  async function ask<T>(work: () => Promise<T>): Promise<T> {
    if (none) throw new ErrnoError(errno.EOPNOTSUPP);
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      if (error.errno === errno.ENOSYS) {
        none = true;
        throw new ErrnoError(errno.EOPNOTSUPP);
      }
      throw error;
    }
  }

  function absent(node: Node): never {
    node.incapableUntil = performance.now() + fs.policy.attrTtl * 1000;
    throw new ErrnoError(errno.ENODATA);
  }

  return {
    getxattr(ctx, nodeid, name) {
      const node = fs.nodes.get(nodeid);
      if (name === CAPABILITY && performance.now() < node.incapableUntil) throw new ErrnoError(errno.ENODATA);
      return ask(async () => {
        const value = await dialect.getxattr(await fs.fid(ctx, node), name, ctx.signal);
        return maps && isAcl(name) ? mapAcl(value, uids.toLocal, gids.toLocal) : value;
      }).catch((error) => {
        if (name !== CAPABILITY || !(error instanceof ErrnoError)) throw error;
        return error.errno === errno.ENODATA || error.errno === errno.EOPNOTSUPP ? absent(node) : Promise.reject(error);
      });
    },

    listxattr(ctx, nodeid) {
      const node = fs.nodes.get(nodeid);
      return ask(async () => dialect.getxattr(await fs.fid(ctx, node), '', ctx.signal));
    },

    setxattr(ctx, nodeid, name, value, flags) {
      const node = fs.nodes.get(nodeid);
      node.incapableUntil = 0;
      node.defaultAcl = undefined;
      return ask(async () => {
        const sent = maps && isAcl(name) ? mapAcl(value, uids.toServer, gids.toServer) : value;
        await fs.withFids(ctx, [node], (fid) => dialect.setxattr(fid, name, sent, flags, ctx.signal));
      });
    },

    removexattr(ctx, nodeid, name) {
      const node = fs.nodes.get(nodeid);
      node.defaultAcl = undefined;
      return ask(async () => dialect.removexattr(await fs.fid(ctx, node), name, ctx.signal));
    },
  };
}
