// Directories: listing them, and making and removing what is in them.
// A listing passes the server's cookies through, so that a place in it (telldir, a read that was interrupted and is asked
// again) means the same however often it is asked; a part of it is read ahead and kept until it is used up.

import type { ListedDirent } from '../../client/dialects/dialect.ts';
import { unlessAborted } from '../../common/abort.ts';
import type { FileHandle } from '../../common/brand.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import { byteLength } from '../../common/text.ts';
import type { Awaitable, Entry, Operations, RequestContext } from '../../fuse/operations.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import { S_ISGID } from '../attributes/attrs.ts';
import type { Bridge } from '../context.ts';
import { askNameless, askOpenNameless, witnesses } from '../fids/probes.ts';
import type { OpenDirectory } from '../files/handles.ts';
import { checkUnseen, ListingWatch } from '../files/listing.ts';
import { openedNow, openOwn, through } from '../files/reopen.ts';
import { unhurried } from '../finish.ts';
import { asidesIn, leaveDirectory, renameOver, stepAside, whoMustStepAside } from '../names/asides.ts';
import { entryOf, look, lookedAtMade } from '../names/look.ts';
import { moveName } from '../names/move.ts';
import { firstOpen, type Node } from '../nodes/node.ts';
import { modeIn } from '../owners/acls.ts';
import { groupIn } from '../owners/privileges.ts';
import { checkName, isTooLong } from './walk.ts';

/** Bytes of entries asked for at once. */
const READ_AHEAD = 64 * 1024;
/** Names looked up at once for READDIRPLUS. */
const LOOKUPS_AT_ONCE = 32;
/** What READDIRPLUS takes for an entry beside its name (fs/fuse: struct fuse_direntplus). */
const PLUS_ENTRY = 128 + 24;

type Family =
  | 'opendir'
  | 'readdir'
  | 'readdirplus'
  | 'releasedir'
  | 'fsyncdir'
  | 'mkdir'
  | 'unlink'
  | 'rmdir'
  | 'rename';

export function dirOps(fs: Bridge): Pick<Operations, Family> {
  /** The entries after a cookie: from what was read ahead, or from the server. */
  function entriesAfter(dir: OpenDirectory, offset: bigint, ctx: RequestContext): Awaitable<readonly ListedDirent[]> {
    const { listing, given } = dir;
    if (listing !== undefined && offset !== 0n) {
      const readOn = given?.offset === offset;
      if (listing.from === offset && !readOn) return listing.entries;
      const at = listing.entries.findIndex((entry) => (readOn ? entry === given : entry.offset === offset));
      if (at >= 0 && at + 1 < listing.entries.length) return listing.entries.slice(at + 1);
    }
    return fetch(dir, offset, ctx);
  }

  async function fetch(dir: OpenDirectory, offset: bigint, ctx: RequestContext): Promise<readonly ListedDirent[]> {
    const entries = await through(fs, ctx, dir, 'io', (fid) =>
      fs.session.dialect.readdir(fid, offset, READ_AHEAD, ctx.signal),
    );
    const last = entries.at(-1);
    if (last !== undefined) dir.watch.saw(offset, last.offset);
    dir.listing = { from: offset, entries };
    dir.given = undefined;
    return entries;
  }

  function isSeen(entry: ListedDirent): entry is NamedDirent {
    // the kernel would list a name that is too long, and nobody could open it
    return entry.name !== undefined && !isTooLong(entry.name) && !fs.sideNames.has(entry.name);
  }

  /** The same without hidden names and those that no directory can hold; empty only at the end. */
  async function namedAfter(dir: OpenDirectory, offset: bigint, ctx: RequestContext): Promise<NamedDirent[]> {
    let from = offset;
    for (let replies = 1; ; replies++) {
      const entries = await entriesAfter(dir, from, ctx);
      const named = entries.filter(isSeen);
      const last = entries.at(-1);
      if (named.length > 0 || last === undefined) return named;
      checkUnseen(replies);
      from = last.offset;
    }
  }

  async function remove(ctx: RequestContext, parentId: Node['id'], name: string, directory: boolean): Promise<void> {
    checkName(name);
    const parent = fs.nodes.get(parentId);
    const open = whoMustStepAside(fs, parent, name);
    if (open !== undefined && (await stepAside(fs, ctx, parent, name))) return;
    const node = fs.nodes.child(parent, name);
    const seen = witnesses(fs, node);
    try {
      await unlink(ctx, parent, name, directory);
      if (node !== undefined && node.place?.next === undefined) {
        await askNameless(fs, ctx, seen);
        const file = firstOpen(node);
        if (file !== undefined) await askOpenNameless(fs, ctx, file);
      }
    } finally {
      seen.release();
    }
    fs.nodes.unlinked(parent, name);
  }

  async function unlink(ctx: RequestContext, parent: Node, name: string, directory: boolean): Promise<void> {
    const once = (as: RequestContext) =>
      fs.fids.sure(as, [parent], (dir) => fs.session.dialect.unlink(dir, name, directory, as.signal));
    try {
      await once(ctx);
    } catch (error) {
      if (!directory || !isErrno(error, errno.ENOTEMPTY)) throw error;
      // to the caller a directory in which there are hidden files only is empty
      const hidden = asidesIn(fs.nodes.child(parent, name) ?? parent);
      if (hidden.length === 0) throw error;
      const rest = unhurried(fs, ctx);
      try {
        await unlessAborted(Promise.all(hidden.map((each) => leaveDirectory(fs, each, parent))), rest.signal);
        await once(rest);
      } finally {
        rest.signal.done();
      }
    }
  }

  return {
    async opendir(ctx, nodeid, _flags) {
      const node = fs.nodes.get(nodeid);
      const flags = OPEN.RDONLY | OPEN.DIRECTORY;
      const fid = await openOwn(fs, ctx, node, (own) =>
        fs.noAtime.opening(ctx, node.stat.uid, flags, (sent) => fs.session.dialect.open(own, sent, ctx.signal)),
      );
      const kept = openedNow(fs, ctx, node, fid, flags);
      const handle = {
        kind: 'directory',
        ...kept,
        listing: undefined,
        given: undefined,
        watch: new ListingWatch(),
      } as const;
      return { fh: fs.handles.add(handle), flags: 0 };
    },

    async readdir(ctx, _nodeid, fh, offset, _size, sink) {
      const dir = fs.handles.directory(fh);
      for (const entry of await namedAfter(dir, offset, ctx)) {
        if (!sink.add(entry.name, fs.nodes.inoIn(dir.node, entry.name, entry.qid), entry.type, entry.offset)) return;
        dir.given = entry;
      }
    },

    async readdirplus(ctx, _nodeid, fh: FileHandle, offset, size, sink) {
      const dir = fs.handles.directory(fh);
      const batch = fitting(await namedAfter(dir, offset, ctx), size);
      const found = await lookAll(fs, ctx, dir.node, batch);
      let full = false;
      for (const [i, entry] of batch.entries()) {
        const result = found[i];
        full ||= !sink.add(
          entry.name,
          fs.nodes.inoIn(dir.node, entry.name, entry.qid),
          entry.type,
          entry.offset,
          result,
        );
        if (!full) dir.given = entry;
        // what was looked up and does not fit has been counted, and the kernel will never know
        if (full && result !== undefined) fs.nodes.forget(result.nodeid, 1);
      }
    },

    releasedir(_ctx, _nodeid, fh) {
      fs.session.calls.clunk(fs.handles.remove(fh).fid);
    },

    fsyncdir(ctx, _nodeid, fh, dataOnly) {
      return through(fs, ctx, fs.handles.directory(fh), 'fsync', (fid) =>
        fs.session.dialect.fsync(fid, dataOnly, ctx.signal),
      );
    },

    async mkdir(ctx, parentId, name, mode, umask) {
      checkName(name);
      const parent = fs.nodes.get(parentId);
      const setgid = parent.stat.mode & S_ISGID;
      const kept = ((await modeIn(fs, ctx, parent, mode, umask)) & 0o7777) | setgid;
      const group = groupIn(fs, ctx, parent);
      const qid = await fs.fids.sure(ctx, [parent], (dir) =>
        fs.session.dialect.mkdir(dir, name, kept, group, ctx.signal),
      );
      return lookedAtMade(fs, ctx, { parent, name, qid, mode: kept });
    },

    unlink: (ctx, parentId, name) => remove(ctx, parentId, name, false),

    rmdir: (ctx, parentId, name) => remove(ctx, parentId, name, true),

    async rename(ctx, parentId, name, newParentId, newName, flags) {
      // 9P renames in one way only; RENAME_NOREPLACE and RENAME_EXCHANGE cannot be had atomically (renameat2(2): EINVAL)
      if (flags !== 0) throw new ErrnoError(errno.EINVAL, `rename flags ${flags}`);
      checkName(name);
      checkName(newName);
      const parent = fs.nodes.get(parentId);
      const newParent = fs.nodes.get(newParentId);
      const rename = (as: RequestContext) => moveName(fs, as, parent, name, newParent, newName);
      const target = fs.nodes.child(newParent, newName);
      if (target !== undefined && target === fs.nodes.child(parent, name)) return rename(ctx);
      if (!fs.session.dialect.replacesInSteps) return renameOver(fs, ctx, newParent, newName, rename);
      return fs.replacing.during(newParent, newName, () => renameOver(fs, ctx, newParent, newName, rename));
    },
  };
}

type NamedDirent = ListedDirent & { name: string };

/** As many entries as a reply of `size` bytes holds. */
function fitting(entries: readonly NamedDirent[], size: number): NamedDirent[] {
  let left = size;
  const end = entries.findIndex(({ name }) => {
    left -= (PLUS_ENTRY + byteLength(name) + 7) & ~7;
    return left < 0;
  });
  return end < 0 ? [...entries] : entries.slice(0, end);
}

/** Looks names up side by side. A name that has vanished meanwhile, or that may not be looked at, stays without entry. */
async function lookAll(
  fs: Bridge,
  ctx: RequestContext,
  parent: Node,
  entries: readonly NamedDirent[],
): Promise<(Entry | undefined)[]> {
  const found: (Entry | undefined)[] = new Array(entries.length).fill(undefined);
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < entries.length; i = next++) {
      const name = entries[i]!.name;
      if (name === '.' || name === '..') continue;
      try {
        found[i] = entryOf(fs, await look(fs, ctx, parent, name));
      } catch (error) {
        if (!(error instanceof ErrnoError)) throw error;
        fs.logger.debug({ name, errno: error.code }, 'listed without attributes');
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(LOOKUPS_AT_ONCE, entries.length) }, worker));
  return found;
}
