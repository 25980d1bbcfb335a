// Attributes of files and of the file system: getattr, setattr, statfs, access.

import type { StatChange } from '../../client/dialects/dialect.ts';
import type { FileHandle } from '../../common/brand.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import type { Operations, RequestContext, SetAttr } from '../../fuse/operations.ts';
import { isDirectory, S_IFMT, S_IFREG, shownMode, toChange } from '../attributes/attrs.ts';
import { forChange, isRefusal, sendChange } from '../attributes/change.ts';
import { attrReply, freshStat } from '../attributes/fresh.ts';
import { shownSpace, unknownSpace } from '../attributes/space.ts';
import type { Bridge } from '../context.ts';
import { isGone } from '../fids/nodefids.ts';
import type { OpenFile } from '../files/handles.ts';
import { finish } from '../finish.ts';
import type { Node } from '../nodes/node.ts';
import { losingPrivileges } from '../owners/privileges.ts';

const X_OK = 1;

export function attrOps(fs: Bridge): Pick<Operations, 'getattr' | 'setattr' | 'statfs' | 'access'> {
  function openFile(fh: FileHandle | undefined): OpenFile | undefined {
    const handle = fs.handles.find(fh);
    return handle?.kind === 'file' ? handle : undefined;
  }

  /**
   * With write-back the kernel says itself when a file was written, cut or touched. Who may write a file and does not own it
   * may set no times but to now: this is what is left to be asked for then, the server's clock being as good. Undefined:
   * the time was somebody's own wish.
   */
  function withoutKernelsTime(set: SetAttr, change: StatChange): StatChange | undefined {
    if (fs.policy.mode !== 'loose' || typeof change.mtime !== 'object') return undefined;
    const { mtime: _, ...rest } = change;
    if (change.atime === 'now') return { ...rest, mtime: 'now' };
    return change.atime === undefined && (set.size !== undefined || set.fh !== undefined) ? rest : undefined;
  }

  /** What only shows in the attributes of a file that nobody else can see is kept here where the server no longer finds it. */
  async function apply(ctx: RequestContext, node: Node, open: OpenFile | undefined, change: StatChange): Promise<void> {
    if (Object.keys(change).length === 0) return;
    const sent = await forChange(fs, ctx, node, open, async (fid) => {
      await sendChange(fs, fid, change, ctx.signal);
      return true;
    }).catch((error: unknown) => {
      if (node.hasName || !isGone(error)) throw error;
      return undefined;
    });
    if (sent === true) return;
    if (change.size !== undefined)
      throw new ErrnoError(errno.ESTALE, 'the file was removed, and the server opens it by its name');
    node.changed(change);
  }

  async function setattr(ctx: RequestContext, node: Node, set: SetAttr) {
    const change = toChange(set, fs.owners);
    const open = openFile(set.fh);
    const attempt = async () => {
      try {
        await apply(ctx, node, open, change);
      } catch (error) {
        const eased = withoutKernelsTime(set, change);
        if (!isRefusal(error) || eased === undefined) throw error;
        await apply(ctx, node, open, eased);
      }
    };
    if (set.killSuidGid && set.mode === undefined && !isDirectory(node.stat)) {
      await losingPrivileges(fs, ctx, node, (work) => forChange(fs, ctx, node, open, work), attempt);
    } else await attempt();
    try {
      await finish(fs, ctx, (rest) => freshStat(fs, rest, node, open));
    } catch (error) {
      if (!isErrno(error, errno.ETIMEDOUT)) throw error;
      // the change has happened, and is known; whatever came with it the kernel asks for when it needs it
      node.changed(change);
      return { ...attrReply(fs, node), attrTtl: 0 };
    }
    return attrReply(fs, node);
  }

  return {
    async getattr(ctx, nodeid, fh) {
      const node = fs.nodes.get(nodeid);
      await freshStat(fs, ctx, node, openFile(fh));
      return attrReply(fs, node);
    },

    setattr(ctx, nodeid, set) {
      return setattr(ctx, fs.nodes.get(nodeid), set);
    },

    async statfs(ctx, nodeid) {
      const node = fs.nodes.get(nodeid);
      try {
        return shownSpace(await fs.fids.with(ctx, node, (fid) => fs.session.dialect.statfs(fid, ctx.signal)));
      } catch (error) {
        if (!isErrno(error, errno.EOPNOTSUPP, errno.ENOSYS)) throw error;
        return unknownSpace;
      }
    },

    async access(ctx, nodeid, mask) {
      // 9P has no such question: the server decides when the file is opened. One rule holds whoever asks (access(2)):
      // a regular file that nobody may execute is not executable.
      if ((mask & X_OK) === 0) return;
      const node = fs.nodes.get(nodeid);
      const stat = fs.policy.attrTtl > 0 ? node.stat : await freshStat(fs, ctx, node);
      const mode = shownMode(stat.mode, fs.owners);
      if ((mode & S_IFMT) === S_IFREG && (mode & 0o111) === 0) throw new ErrnoError(errno.EACCES, 'not executable');
    },
  };
}
