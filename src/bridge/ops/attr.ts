// Attributes of files and of the file system: getattr, setattr, statfs, access.

import type { FileStat, StatChange } from '../../client/dialects/dialect.ts';
import type { Fid } from '../../client/fids.ts';
import type { FileHandle } from '../../common/brand.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import type { Operations, RequestContext } from '../../fuse/operations.ts';
import { isDirectory, S_IFMT, S_IFREG, shownMode, toChange } from '../attrs.ts';
import { type Bridge, firstOpen, isGone, isRefusal } from '../bridge.ts';
import type { Node } from '../node.ts';
import { shownSpace, unknownSpace } from '../space.ts';

const X_OK = 1;

export function attrOps(fs: Bridge): Pick<Operations, 'getattr' | 'setattr' | 'statfs' | 'access'> {
  function openFid(fh: FileHandle | undefined): Fid | undefined {
    return fs.handles.find(fh)?.fid;
  }

  /**
   * With write-back the kernel says itself when a file was written, cut or touched. Who may write a file and does not own it
   * may set no times but to now: this is what is left to be asked for then, the server's clock being as good. Undefined:
   * the time was somebody's own wish.
   */
  function withoutKernelsTime(set: Parameters<Operations['setattr']>[2], change: StatChange): StatChange | undefined {
    if (fs.policy.mode !== 'loose' || typeof change.mtime !== 'object') return undefined;
    const { mtime: _, ...rest } = change;
    if (change.atime === 'now') return { ...rest, mtime: 'now' };
    return change.atime === undefined && (set.size !== undefined || set.fh !== undefined) ? rest : undefined;
  }

  /** Through `open` where that is given and the server finds the file by it. */
  async function apply(ctx: RequestContext, node: Node, open: Fid | undefined, change: StatChange): Promise<void> {
    if (Object.keys(change).length === 0) return;
    try {
      await fs.change(open ?? (await fs.fid(ctx, node)), change, ctx.signal);
    } catch (error) {
      // diod 1.0 looks an open file up by its old name: after a rename the node's own fid still reaches it
      if (!isGone(error)) throw error;
      if (!node.isUnlinked) {
        if (open === undefined) throw error;
        await fs.change(await fs.fid(ctx, node), change, ctx.signal);
      } else {
        // nobody else can see a file without a name: what only shows in its attributes is kept here
        if (change.size !== undefined) throw error;
        node.stat = changed(node.stat, change);
      }
    }
  }

  async function setattr(ctx: RequestContext, node: Node, set: Parameters<Operations['setattr']>[2]) {
    const change = toChange(set, fs.owners);
    const open = openFid(set.fh) ?? (node.isUnlinked ? firstOpen(node) : undefined);
    if (fs.isLost(node)) {
      if (change.size !== undefined)
        throw new ErrnoError(errno.ESTALE, 'the file was removed, and the server opens it by its name');
      node.stat = changed(node.stat, change);
      return fs.attrReply(node);
    }
    if (set.killSuidGid && set.mode === undefined && !isDirectory(node.stat)) {
      await fs.clearPrivileges(node, open ?? (await fs.fid(ctx, node)), ctx.signal);
    }
    try {
      await apply(ctx, node, open, change);
    } catch (error) {
      const eased = withoutKernelsTime(set, change);
      if (!isRefusal(error) || eased === undefined) throw error;
      await apply(ctx, node, open, eased);
    }
    try {
      await fs.finish(ctx, (rest) => fs.stat(rest, node, open));
    } catch (error) {
      if (!isErrno(error, errno.ETIMEDOUT)) throw error;
      // the change has happened, and is known; whatever came with it the kernel asks for when it needs it
      node.stat = changed(node.stat, change);
      return { ...fs.attrReply(node), attrTtl: 0 };
    }
    return fs.attrReply(node);
  }

  return {
    async getattr(ctx, nodeid, fh) {
      const node = fs.nodes.get(nodeid);
      await fs.stat(ctx, node, openFid(fh));
      return fs.attrReply(node);
    },

    setattr(ctx, nodeid, set) {
      return setattr(ctx, fs.nodes.get(nodeid), set);
    },

    async statfs(ctx, nodeid) {
      const fid = await fs.fid(ctx, fs.nodes.get(nodeid));
      try {
        return shownSpace(await fs.session.dialect.statfs(fid, ctx.signal));
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
      const stat = fs.policy.attrTtl > 0 ? node.stat : await fs.stat(ctx, node, undefined);
      const mode = shownMode(stat.mode, fs.owners);
      if ((mode & S_IFMT) === S_IFREG && (mode & 0o111) === 0) throw new ErrnoError(errno.EACCES, 'not executable');
    },
  };
}

function changed(stat: FileStat, { mode, uid, gid, size, atime, mtime }: StatChange): FileStat {
  const now = { sec: Math.floor(Date.now() / 1000), nsec: (Date.now() % 1000) * 1_000_000 };
  const time = (asked: StatChange['atime'], sec: number, nsec: number) =>
    asked === undefined ? { sec, nsec } : asked === 'now' ? now : asked;
  const a = time(atime, stat.atime, stat.atimeNsec);
  const m = time(mtime, stat.mtime, stat.mtimeNsec);
  return {
    ...stat,
    mode: mode === undefined ? stat.mode : (stat.mode & S_IFMT) | mode,
    size: size ?? stat.size,
    uid: uid ?? stat.uid,
    gid: gid ?? stat.gid,
    atime: a.sec,
    atimeNsec: a.nsec,
    mtime: m.sec,
    mtimeNsec: m.nsec,
  };
}
