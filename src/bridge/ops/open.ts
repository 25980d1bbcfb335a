// Opening, creating and releasing files.
// Close-to-open (cache=auto): the file is looked at when it is opened; where it has changed since its pages were last
// known to be right, the kernel drops them and asks for the attributes again.

import type { FileStat } from '../../client/dialects/dialect.ts';
import type { Fid } from '../../client/fids.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import type { OpenReply, Operations, RequestContext } from '../../fuse/operations.ts';
import { OPEN, QT } from '../../wire/p9/constants.ts';
import { modeIn } from '../acls.ts';
import { endAside } from '../asides.ts';
import { isDirectory } from '../attrs.ts';
import { type Bridge, isGone } from '../bridge.ts';
import { type OpenPlan, planOpen } from '../cache.ts';
import type { OpenFile } from '../handles.ts';
import type { Node } from '../node.ts';
import { releaseLocks } from './lock.ts';
import { checkName } from './walk.ts';

export function openOps(fs: Bridge): Pick<Operations, 'open' | 'create' | 'release' | 'mayBlock'> {
  const { dialect, calls } = fs.session;

  async function keep(ctx: RequestContext, fid: Fid, node: Node, plan: OpenPlan): Promise<OpenFile> {
    const appendOnly = (fid.qid.type & QT.APPEND) !== 0;
    const append = appendOnly || (plan.serverFlags & OPEN.APPEND) !== 0;
    const mapped =
      append && !appendOnly && (plan.serverFlags & OPEN.ACCMODE) === OPEN.RDWR
        ? await openForMaps(ctx, node)
        : undefined;
    return { kind: 'file', fid, node, stream: plan.stream, append, mapped };
  }

  /**
   * A server that appends ignores the offset, also that of a page which a shared mapping has changed: such pages are
   * written through a fid of their own. Undefined where the caller may not open the file again (it was made without w).
   */
  async function openForMaps(ctx: RequestContext, node: Node): Promise<Fid | undefined> {
    const fid = await fs.clone(ctx, node);
    try {
      await dialect.open(fid, OPEN.RDWR, ctx.signal);
      return fid;
    } catch (error) {
      calls.clunk(fid);
      if (!isErrno(error, errno.EACCES)) throw error;
      return undefined;
    }
  }

  /** Tlopen; where a write-only file had to be opened for reading too and may not be, as it was asked for. */
  async function openFid(fid: Fid, flags: number, plan: OpenPlan, ctx: RequestContext): Promise<void> {
    try {
      await dialect.open(fid, plan.serverFlags, ctx.signal);
    } catch (error) {
      const widened = (plan.serverFlags & OPEN.ACCMODE) !== (flags & OPEN.ACCMODE);
      if (!widened || !isErrno(error, errno.EACCES)) throw error;
      await dialect.open(fid, (plan.serverFlags & ~OPEN.ACCMODE) | (flags & OPEN.ACCMODE), ctx.signal);
    }
  }

  async function openNode(ctx: RequestContext, node: Node, flags: number, killSuidGid: boolean): Promise<OpenReply> {
    const before = node.stat;
    const [fid, stat] = await cloneAndLook(fs, ctx, node);
    try {
      if (killSuidGid) await fs.clearPrivileges(node, await fs.fid(ctx, node), ctx.signal);
      node.plain ||= stat !== undefined && stat.size > 0;
      const plan = planOpen(fs.policy, flags, stat, node.pagesOf, false, node.plain);
      await openFid(fid, flags, plan, ctx);
      if ((flags & OPEN.TRUNC) !== 0) node.stat = { ...node.stat, size: 0 };
      node.pagesOf = stat;
      // The kernel still has the attributes that it was given last, a length among them that may no longer be right.
      if (fs.policy.mode === 'auto' && stat !== undefined && differs(before, stat)) await fs.expireAttr(node);
      return { fh: fs.handles.add(await keep(ctx, fid, node, plan)), flags: plan.kernelFlags };
    } catch (error) {
      calls.clunk(fid);
      throw error;
    }
  }

  return {
    async open(ctx, nodeid, flags, killSuidGid) {
      const node = fs.nodes.get(nodeid);
      const { moves } = fs.nodes;
      const attempt = () => openNode(ctx, node, flags, killSuidGid);
      try {
        return await attempt();
      } catch (error) {
        // where fids are paths, this one was to a name that this client has changed meanwhile
        const missed = isGone(error) && dialect.fidsFollowPaths && fs.nodes.moves !== moves && !node.isUnlinked;
        if (!missed) throw gone(node, error);
      }
      return attempt().catch((error: unknown) => {
        throw gone(node, error);
      });
    },

    async create(ctx, parentId, name, flags, mode, umask, killSuidGid) {
      checkName(name);
      const parent = fs.nodes.get(parentId);
      const plan = planOpen(fs.policy, flags, undefined, undefined, true);
      const fid = await fs.clone(ctx, parent);
      try {
        const kept = (await modeIn(fs, ctx, parent, mode, umask)) & 0o7777;
        await dialect.create(fid, name, plan.serverFlags, kept, fs.groupIn(ctx, parent), ctx.signal);
        // it exists and is open: from here on it is finished
        const node = await fs.lookAtMade(ctx, parent, name, kept);
        const finish = <T>(work: (rest: RequestContext) => Promise<T>) => fs.counted(node, () => fs.finish(ctx, work));
        if (killSuidGid) await finish(({ signal }) => fs.clearPrivileges(node, fid, signal));
        node.pagesOf = node.stat;
        node.plain = true;
        const entry = fs.entry(node);
        const handle = await finish((rest) => keep(rest, fid, node, plan));
        return { entry, fh: fs.handles.add(handle), flags: plan.kernelFlags };
      } catch (error) {
        calls.clunk(fid);
        throw error;
      }
    },

    release(_ctx, _nodeid, fh) {
      const handle = fs.handles.remove(fh);
      if (handle.kind === 'file') releaseLocks(fs, handle);
      calls.clunk(handle.fid);
      if (handle.kind === 'file' && handle.mapped !== undefined) calls.clunk(handle.mapped);
      const { node } = handle;
      return node.aside !== undefined && node.opens.size === 0 ? endAside(fs, node) : undefined;
    },

    mayBlock(nodeid, fh) {
      const handle = fs.handles.find(fh);
      if (handle?.kind === 'file') return handle.stream;
      // an open has no handle yet: it may block where the file is one that reads would
      const { stat } = fs.nodes.get(nodeid);
      return stat.size === 0 && !isDirectory(stat);
    },
  };
}

/** The fid to be opened, and in the modes that promise it the file as it is now: asked side by side. */
async function cloneAndLook(fs: Bridge, ctx: RequestContext, node: Node): Promise<[Fid, FileStat | undefined]> {
  const looking = fs.policy.mode === 'loose' ? node.stat : fs.stat(ctx, node, undefined);
  const [fid, stat] = await Promise.allSettled([fs.clone(ctx, node), looking]);
  if (fid.status === 'rejected') throw fid.reason;
  if (stat.status === 'fulfilled' && !node.isRemoved) return [fid.value, stat.value];
  fs.session.calls.clunk(fid.value);
  // the kernel looks the name up again and finds what has it now
  throw stat.status === 'fulfilled' ? new ErrnoError(errno.ESTALE, 'removed') : stat.reason;
}

/**
 * Of a file that lost its name while it was being opened: the kernel found that name a moment ago, and told so it looks
 * again and may find what has replaced the file. That may have the number of this one, and is another all the same.
 */
function gone(node: Node, error: unknown): unknown {
  if (!isGone(error) || (node.stat.nlink > 0 && node.isUnlinked)) return error;
  node.stat = { ...node.stat, nlink: 0 };
  return new ErrnoError(errno.ESTALE, 'open');
}

function differs(a: FileStat, b: FileStat): boolean {
  return a.size !== b.size || a.mtime !== b.mtime || a.mtimeNsec !== b.mtimeNsec || a.mode !== b.mode;
}
