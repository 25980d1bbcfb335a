// Bytes of open files: read, write, closeFlush, fsync.
// Data is at the server when write returns (and with write-back when the kernel's own flush has), so that closeFlush has
// nothing to wait for but the end of the caller's locks.

import type { Fid } from '../../client/fids.ts';
import { type ReadData, read, write } from '../../client/io.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import type { Operations, RequestContext, WriteFlags } from '../../fuse/operations.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import { forChange } from '../attributes/change.ts';
import { freshStat } from '../attributes/fresh.ts';
import type { Bridge } from '../context.ts';
import { isGone } from '../fids/nodefids.ts';
import { appendTo } from '../files/append.ts';
import type { OpenFile } from '../files/handles.ts';
import type { PageUse } from '../files/pages.ts';
import { through } from '../files/reopen.ts';
import type { Node } from '../nodes/node.ts';
import { losingPrivileges } from '../owners/privileges.ts';
import { unlockAll } from './lock.ts';

export function ioOps(fs: Bridge): Pick<Operations, 'read' | 'write' | 'closeFlush' | 'fsync'> {
  async function measure(ctx: RequestContext, file: OpenFile): Promise<void> {
    const { size } = await freshStat(fs, ctx, file.node, file);
    if (size > 0) file.node.setPlain();
  }

  async function writeTo(
    ctx: RequestContext,
    file: OpenFile,
    opened: Fid,
    offset: number,
    data: Uint8Array,
    flags: WriteFlags,
  ): Promise<number> {
    const { node, append, mapped, stream } = file;
    const fid = (flags.fromCache ? mapped : undefined) ?? opened;
    const appends = !flags.fromCache && (append || (flags.openFlags & OPEN.APPEND) !== 0);
    const direct = append || stream || fs.policy.mode !== 'auto';
    const use = direct && !flags.fromCache ? undefined : node.pages.begin(offset, data.length);
    try {
      if (appends) {
        const { count, end } = await appendTo(fs, ctx, file, fid, offset, data);
        node.wrote(end);
        return count;
      }
      const count = await write(fs.session.calls, fid, offset, data, { inOrder: append, signal: ctx.signal });
      node.wrote(offset + count);
      return count;
    } finally {
      if (use !== undefined) {
        node.pages.end(use);
        if (use.stale) forget(node, use);
      }
    }
  }

  /** Drops pages that were written when a lock was granted: beside the written bytes they have older ones. */
  function forget(node: Node, { from, to }: PageUse): void {
    fs.kernel.dropPages(node, from, to - from).catch((error: unknown) => {
      fs.logger.warn({ nodeid: node.id, error: String(error) }, 'pages older than a lock could not be dropped');
    });
  }

  return {
    read(ctx, _nodeid, fh, offset, size) {
      const file = fs.handles.file(fh);
      const { node, stream } = file;
      const ask = () =>
        through(fs, ctx, file, 'io', (fid) => {
          const { size: end } = node.stat;
          const options = { whole: !stream || end > 0, stream, end, signal: ctx.signal };
          return read(fs.session.calls, fid, offset, size, options);
        });
      if (!stream) return fs.policy.mode === 'auto' ? intoPages(node, offset, size, ask) : ask();
      // What was empty when it was opened may have been written since, and a file with a length is no stream. But what was
      // written to may also be a question, and what is read the answer to it: the server says which, by the length.
      return node.isPlain || node.stat.size === 0 ? ask() : measure(ctx, file).then(ask);
    },

    write(ctx, _nodeid, fh, offset, data, flags) {
      const file = fs.handles.file(fh);
      if (file.append && flags.fromCache && file.mapped === undefined)
        throw new ErrnoError(errno.EACCES, 'mapped, and opened to append');
      const { node } = file;
      const send = () => through(fs, ctx, file, 'io', (fid) => writeTo(ctx, file, fid, offset, data, flags));
      if (!flags.killSuidGid || !node.privileged) return send();
      return losingPrivileges(fs, ctx, node, (work) => forChange(fs, ctx, node, file, work), send);
    },

    closeFlush(ctx, _nodeid, fh, lockOwner) {
      if (fs.locks.find(lockOwner) === undefined) return undefined;
      return unlockAll(fs, fs.handles.file(fh), lockOwner, ctx.signal);
    },

    async fsync(ctx, _nodeid, fh, dataOnly) {
      const file = fs.handles.file(fh);
      try {
        await through(fs, ctx, file, 'fsync', (fid) => fs.session.dialect.fsync(fid, dataOnly, ctx.signal));
      } catch (error) {
        // a file that no crash leaves behind is as safe as it can be
        if (file.node.hasName || !isGone(error)) throw error;
      }
    },
  };
}

/** A read that fills the kernel's pages. It is made again where a lock was granted meanwhile to who did not wait for it. */
async function intoPages(
  node: Node,
  offset: number,
  size: number,
  ask: () => ReadData | Promise<ReadData>,
): Promise<ReadData> {
  const use = node.pages.begin(offset, size);
  try {
    for (;;) {
      const data = await ask();
      if (!use.stale) return data;
      data.release();
      use.stale = false;
    }
  } finally {
    node.pages.end(use);
  }
}
