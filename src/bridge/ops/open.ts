// Opening, creating and releasing files.
// Close-to-open (cache=auto): the file is looked at when it is opened; where it has changed since its pages were last
// known to be right, the kernel drops them and asks for the attributes again.

import type { FileStat } from '../../client/dialects/dialect.ts';
import type { Fid } from '../../client/fids.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import type { OpenReply, Operations, RequestContext } from '../../fuse/operations.ts';
import { OPEN, QT } from '../../wire/p9/constants.ts';
import { isDirectory, privilegesIn } from '../attributes/attrs.ts';
import { forChange } from '../attributes/change.ts';
import { freshStat } from '../attributes/fresh.ts';
import type { Bridge } from '../context.ts';
import { isGone } from '../fids/nodefids.ts';
import { type OpenPlan, planOpen } from '../files/cache.ts';
import type { OpenFile } from '../files/handles.ts';
import { openedNow, openOwn } from '../files/reopen.ts';
import { finish } from '../finish.ts';
import { endAside } from '../names/asides.ts';
import { counted, entryOf, lookAtMade } from '../names/look.ts';
import { isQid, type Node } from '../nodes/node.ts';
import { modeIn } from '../owners/acls.ts';
import { groupIn, losingPrivileges } from '../owners/privileges.ts';
import { releaseLocks } from './lock.ts';
import { checkName } from './walk.ts';

export function openOps(fs: Bridge): Pick<Operations, 'open' | 'create' | 'release' | 'mayBlock'> {
  async function keep(ctx: RequestContext, fid: Fid, node: Node, plan: OpenPlan): Promise<OpenFile> {
    const appendOnly = (fid.qid.type & QT.APPEND) !== 0;
    const append = appendOnly || (plan.serverFlags & OPEN.APPEND) !== 0;
    const mapped =
      append && !appendOnly && (plan.serverFlags & OPEN.ACCMODE) === OPEN.RDWR
        ? await openForMaps(ctx, node)
        : undefined;
    const { stream, serverFlags } = plan;
    return { kind: 'file', ...openedNow(fs, ctx, node, fid, serverFlags), stream, append, mapped };
  }

  /**
   * A server that appends ignores the offset, also that of a page which a shared mapping has changed: such pages are
   * written through a fid of their own. Undefined where the caller may not open the file again (it was made without w).
   */
  async function openForMaps(ctx: RequestContext, node: Node): Promise<Fid | undefined> {
    const { dialect } = fs.session;
    try {
      return await openOwn(fs, ctx, node, (fid) => dialect.open(fid, OPEN.RDWR, ctx.signal));
    } catch (error) {
      if (!isErrno(error, errno.EACCES)) throw error;
      return undefined;
    }
  }

  /** Tlopen; where a write-only file had to be opened for reading too and may not be, as it was asked for. */
  async function openFid(fid: Fid, flags: number, { serverFlags }: OpenPlan, node: Node, ctx: RequestContext) {
    const open = (how: number) =>
      fs.noAtime.opening(ctx, node.stat.uid, how, (sent) => fs.session.dialect.open(fid, sent, ctx.signal));
    try {
      await open(serverFlags);
    } catch (error) {
      const widened = (serverFlags & OPEN.ACCMODE) !== (flags & OPEN.ACCMODE);
      if (!widened || !isErrno(error, errno.EACCES)) throw error;
      await open((serverFlags & ~OPEN.ACCMODE) | (flags & OPEN.ACCMODE));
    }
  }

  async function openNode(ctx: RequestContext, node: Node, flags: number, killSuidGid: boolean): Promise<OpenReply> {
    const before = node.stat;
    const [fid, stat] = await walkAndLook(fs, ctx, node);
    try {
      if (stat !== undefined && stat.size > 0) node.setPlain();
      const plan = planOpen(fs.policy, flags, stat, node.pagesOf, false, node.isPlain);
      const open = () => openFid(fid, flags, plan, node, ctx);
      await (killSuidGid
        ? losingPrivileges(fs, ctx, node, (work) => forChange(fs, ctx, node, undefined, work), open)
        : open());
      if (!isQid(node, fid.qid)) throw new ErrnoError(errno.ESTALE, 'another file was opened by its name');
      if ((flags & OPEN.TRUNC) !== 0) node.truncated(0);
      node.pagesOf = stat;
      // The kernel still has the attributes that it was given last, a length among them that may no longer be right.
      if (fs.policy.mode === 'auto' && stat !== undefined && differs(before, stat)) await fs.kernel.expireAttr(node);
      return { fh: fs.handles.add(await keep(ctx, fid, node, plan)), flags: plan.kernelFlags };
    } catch (error) {
      fs.session.calls.clunk(fid);
      throw error;
    }
  }

  /**
   * Tlcreate. `must`: it has to make the file. Where another client has made one by the name since the kernel looked, ESTALE
   * has the kernel look again, and open what is there as whom it may belong to.
   */
  async function createFid(
    ctx: RequestContext,
    fid: Fid,
    parent: Node,
    name: string,
    flags: number,
    mode: number,
    must: boolean,
  ): Promise<void> {
    // a server that opens what is there all the same must leave its content alone
    const asked = must ? (flags | OPEN.EXCL) & ~OPEN.TRUNC : flags;
    const group = groupIn(fs, ctx, parent);
    const { dialect } = fs.session;
    try {
      await fs.noAtime.opening(ctx, undefined, asked, (sent) =>
        dialect.create(fid, name, sent, mode, group, ctx.signal),
      );
    } catch (error) {
      if (asked === flags || (flags & OPEN.EXCL) !== 0 || !isErrno(error, errno.EEXIST)) throw error;
      throw new ErrnoError(errno.ESTALE, 'another client has made it meanwhile');
    }
  }

  /** What has the name now must be what was opened; a server may say in Rlcreate what it does not say in Rgetattr. */
  async function checkMade(ctx: RequestContext, fid: Fid, node: Node): Promise<void> {
    if (isQid(node, (await fs.session.dialect.stat(fid, ctx.signal)).qid)) return;
    throw new ErrnoError(errno.ESTALE, 'another file has its name already');
  }

  /** A file that loses its name meanwhile keeps a hidden one, as if it were open already; not where fids mean files. */
  async function held<T>(node: Node, work: () => Promise<T>): Promise<T> {
    if (fs.session.fidFacts.openNeedsNoName) return work();
    node.countOpening(1);
    try {
      return await work();
    } finally {
      node.countOpening(-1);
      // nobody waits for the removal of the hidden name
      if (!node.isOpen) void endAside(fs, node);
    }
  }

  return {
    async open(ctx, nodeid, flags, killSuidGid) {
      const node = fs.nodes.get(nodeid);
      const { moves } = fs.nodes;
      const attempt = () => held(node, () => openNode(ctx, node, flags, killSuidGid));
      try {
        return await attempt();
      } catch (error) {
        // where fids are paths, this one was to a name that this client has changed meanwhile
        const missed = isGone(error) && !fs.session.fidFacts.sure && fs.nodes.moves !== moves && node.hasName;
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
      const { calls } = fs.session;
      const fid = await fs.fids.own(ctx, parent);
      try {
        const kept = (await modeIn(fs, ctx, parent, mode, umask)) & 0o7777;
        // what is given to its maker must be made by it, and what is made with setuid has nothing to lose
        const must = fs.users.makesForOthers(ctx) || (killSuidGid && privilegesIn(kept) !== 0);
        await createFid(ctx, fid, parent, name, plan.serverFlags, kept, must);
        // it exists and is open: from here on it is finished
        const node = await lookAtMade(fs, ctx, { parent, name, qid: fid.qid, mode: kept, isNew: must });
        const finished = <T>(work: (rest: RequestContext) => Promise<T>) =>
          counted(fs, node, () => finish(fs, ctx, work));
        if (!isQid(node, fid.qid)) await finished((rest) => checkMade(rest, fid, node));
        if (killSuidGid && !must) {
          // another client may have made it, and what it had in it is cut off
          const cut = () => undefined;
          await finished((rest) => losingPrivileges(fs, rest, node, (work) => work(fid), cut));
        }
        node.pagesOf = node.stat;
        node.setPlain();
        const entry = entryOf(fs, node);
        const handle = await finished((rest) => keep(rest, fid, node, plan));
        return { entry, fh: fs.handles.add(handle), flags: plan.kernelFlags };
      } catch (error) {
        calls.clunk(fid);
        throw error;
      }
    },

    release(_ctx, _nodeid, fh) {
      const handle = fs.handles.remove(fh);
      const { calls } = fs.session;
      const { node } = handle;
      if (handle.kind === 'file') {
        releaseLocks(fs, handle);
        if (handle.mapped !== undefined) calls.clunk(handle.mapped);
        if (node.life.kind === 'aside' && !node.isOpen) {
          return endAside(fs, node, handle).finally(() => calls.clunk(handle.fid));
        }
      }
      calls.clunk(handle.fid);
      return undefined;
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

/** The fid to be opened, and in the modes that promise it the file as it is now: asked side by side where both are at hand. */
async function walkAndLook(fs: Bridge, ctx: RequestContext, node: Node): Promise<[Fid, FileStat | undefined]> {
  const { dialect, calls } = fs.session;
  const looks = fs.policy.mode !== 'loose';
  const looking = looks && fs.fids.has(ctx, node) ? freshStat(fs, ctx, node) : undefined;
  const [own, seen] = await Promise.allSettled([fs.fids.own(ctx, node), looking]);
  if (own.status === 'rejected') throw own.reason;
  try {
    if (!looks) return [own.value, node.stat];
    if (seen.status === 'rejected') throw seen.reason;
    if (seen.value === undefined) node.saw(await dialect.stat(own.value, ctx.signal));
    // the kernel looks the name up again and finds what has it now
    if (node.life.kind === 'removed') throw new ErrnoError(errno.ESTALE, 'removed');
    return [own.value, node.stat];
  } catch (error) {
    calls.clunk(own.value);
    throw error;
  }
}

/**
 * Of a file that lost its name while it was being opened: the kernel found that name a moment ago, and told so it looks
 * again and may find what has replaced the file. That may have the number of this one, and is another all the same.
 */
function gone(node: Node, error: unknown): unknown {
  if (!isGone(error) || (node.life.kind === 'unlinked' && node.links > 0)) return error;
  if (node.life.kind !== 'removed') node.become({ kind: 'removed' });
  return new ErrnoError(errno.ESTALE, 'open');
}

function differs(a: FileStat, b: FileStat): boolean {
  return a.size !== b.size || a.mtime !== b.mtime || a.mtimeNsec !== b.mtimeNsec || a.mode !== b.mode;
}
