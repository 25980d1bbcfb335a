// Extended attributes: asked of the server each time, except for what it does not have. The kernel asks for
// security.capability at many writes; where that is absent, the answer is kept as long as attributes are.

import { unlessAborted } from '../../common/abort.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import type { Operations, RequestContext } from '../../fuse/operations.ts';
import type { Bridge } from '../context.ts';
import { finish, withoutSignal } from '../finish.ts';
import type { Node } from '../nodes/node.ts';
import { ACCESS_ACL, DEFAULT_ACL } from '../owners/acls.ts';
import { mapAcl, sameIds } from '../owners/ids.ts';
import { clearSgid } from '../owners/privileges.ts';

const isAcl = (name: string) => name === ACCESS_ACL || name === DEFAULT_ACL;

const CAPABILITY = 'security.capability';

export function xattrOps(
  fs: Bridge,
): Required<Pick<Operations, 'getxattr' | 'setxattr' | 'listxattr' | 'removexattr'>> {
  const { uids, gids } = fs.owners;
  // most mounts map nothing, and their ACLs pass as they are
  const maps = uids !== sameIds || gids !== sameIds;
  /** Whether the server has any, once that is known; a promise while it is being asked. */
  let any: boolean | Promise<boolean> | undefined;

  async function ask<T>(ctx: RequestContext, node: Node, work: () => Promise<T>): Promise<T> {
    if (any === false) throw new ErrnoError(errno.EOPNOTSUPP);
    try {
      const result = await work();
      any = true;
      return result;
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      if (error.errno === errno.ENOSYS) any = false;
      else if (error.errno === errno.ENODATA) any = true;
      if (error.errno !== errno.ENOSYS && error.errno !== errno.EOPNOTSUPP) throw error;
      // that may be this kind of attribute, or this file system of several
      if (any === undefined) {
        any = listsAny(ctx, node).then(
          (lists) => {
            if (any !== true) any = lists;
            return lists;
          },
          (lost) => {
            any = undefined; // the connection is gone, and with it this answer
            throw lost;
          },
        );
      }
      if (any instanceof Promise) await unlessAborted(any, ctx.signal);
      throw new ErrnoError(errno.EOPNOTSUPP);
    }
  }

  /** False where neither the root nor the file has even a list. Who gives up leaves it to the others who wait for it. */
  async function listsAny(ctx: RequestContext, node: Node): Promise<boolean> {
    const asUs = { ...withoutSignal(ctx), uid: fs.users.owner };
    for (const each of [node, fs.nodes.root]) {
      try {
        await fs.fids.checked(asUs, each, (fid) => fs.session.dialect.getxattr(fid, '', asUs.signal));
        return true;
      } catch (error) {
        if (!(error instanceof ErrnoError)) throw error;
        if (error.errno !== errno.EOPNOTSUPP && error.errno !== errno.ENOSYS) return true;
      }
    }
    return false;
  }

  function absent(node: Node): never {
    node.incapableUntil = performance.now() + fs.policy.attrTtl * 1000;
    throw new ErrnoError(errno.ENODATA);
  }

  return {
    getxattr(ctx, nodeid, name) {
      const node = fs.nodes.get(nodeid);
      if (name === CAPABILITY && performance.now() < node.incapableUntil) throw new ErrnoError(errno.ENODATA);
      return ask(ctx, node, async () => {
        const value = await fs.fids.checked(ctx, node, (fid) => fs.session.dialect.getxattr(fid, name, ctx.signal));
        return maps && isAcl(name) ? mapAcl(value, uids.toLocal, gids.toLocal) : value;
      }).catch((error) => {
        if (name !== CAPABILITY || !(error instanceof ErrnoError)) throw error;
        return error.errno === errno.ENODATA || error.errno === errno.EOPNOTSUPP ? absent(node) : Promise.reject(error);
      });
    },

    listxattr(ctx, nodeid) {
      const node = fs.nodes.get(nodeid);
      return ask(ctx, node, () =>
        fs.fids.checked(ctx, node, (fid) => fs.session.dialect.getxattr(fid, '', ctx.signal)),
      );
    },

    setxattr(ctx, nodeid, name, value, flags, killSgid) {
      const node = fs.nodes.get(nodeid);
      node.incapableUntil = 0;
      node.defaultAcl = undefined;
      return ask(ctx, node, async () => {
        const sent = maps && isAcl(name) ? mapAcl(value, uids.toServer, gids.toServer) : value;
        await fs.fids.sure(ctx, [node], async (fid) => {
          await fs.session.dialect.setxattr(fid, name, sent, flags, ctx.signal);
          // the ACL is set, and this belongs to it
          if (killSgid === true) await finish(fs, ctx, (rest) => clearSgid(fs, rest, node, (work) => work(fid)));
        });
      });
    },

    removexattr(ctx, nodeid, name) {
      const node = fs.nodes.get(nodeid);
      node.defaultAcl = undefined;
      return ask(ctx, node, () =>
        fs.fids.sure(ctx, [node], (fid) => fs.session.dialect.removexattr(fid, name, ctx.signal)),
      );
    },
  };
}
