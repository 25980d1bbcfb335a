// Bytes of open files: read, write, closeFlush, fsync.
// Data is at the server when write returns (and with write-back when the kernel's own flush has), so that closeFlush has
// nothing to wait for but the end of the caller's locks.

import type { Fid } from '../../client/fids.ts';
import { type ReadData, read, write } from '../../client/io.ts';
import { errno } from '../../common/errno.ts';
import { ErrnoError } from '../../common/errors.ts';
import type { Operations, RequestContext } from '../../fuse/operations.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import { type Bridge, isGone } from '../bridge.ts';
import type { Node } from '../node.ts';
import type { PageUse } from '../pages.ts';
import { unlockAll } from './lock.ts';

export function ioOps(fs: Bridge): Pick<Operations, 'read' | 'write' | 'closeFlush' | 'fsync'> {
  const { calls, dialect } = fs.session;
  async function measure(ctx: RequestContext, node: Node, fid: Fid): Promise<void> {
    const { size } = await fs.stat(ctx, node, fid);
    node.plain ||= size > 0;
  }

  /** Drops pages that were written when a lock was granted: beside the written bytes they have older ones. */
  function forget(node: Node, { from, to }: PageUse): void {
    fs.dropPages(node, from, to - from).catch((error: unknown) => {
      fs.logger.warn({ nodeid: node.id, error: String(error) }, 'pages older than a lock could not be dropped');
    });
  }

  return {
    read(ctx, _nodeid, fh, offset, size) {
      const { fid, node, stream } = fs.handles.file(fh);
      const ask = () => {
        const { size: end } = node.stat;
        return read(calls, fid, offset, size, { whole: !stream || end > 0, stream, end, signal: ctx.signal });
      };
      if (!stream) return fs.policy.mode === 'auto' ? intoPages(node, offset, size, ask) : ask();
      // What was empty when it was opened may have been written since, and a file with a length is no stream. But what was
      // written to may also be a question, and what is read the answer to it: the server says which, by the length.
      return node.plain || node.stat.size === 0 ? ask() : measure(ctx, node, fid).then(ask);
    },

    async write(ctx, _nodeid, fh, offset, data, flags) {
      const { fid: opened, node, append, mapped, stream } = fs.handles.file(fh);
      if (append && flags.fromCache && mapped === undefined)
        throw new ErrnoError(errno.EACCES, 'mapped, and opened to append');
      const fid = (flags.fromCache ? mapped : undefined) ?? opened;
      if (flags.killSuidGid) await fs.clearPrivileges(node, fid, ctx.signal);
      // a descriptor may have got O_APPEND by fcntl(2); the server does not know, but the kernel's offset is the end
      const inOrder = append || (flags.openFlags & OPEN.APPEND) !== 0;
      // a server that does not look for the end has it looked for, as near to the write as can be
      const look = inOrder && !dialect.appends && !flags.fromCache;
      const at = look ? (await fs.stat(ctx, node, fid)).size : offset;
      const direct = append || stream || fs.policy.mode !== 'auto';
      const use = direct && !flags.fromCache ? undefined : node.pages.begin(at, data.length);
      try {
        const count = await write(calls, fid, at, data, { inOrder, signal: ctx.signal });
        if (at + count > node.stat.size) node.stat = { ...node.stat, size: at + count };
        return count;
      } finally {
        if (use !== undefined) {
          node.pages.end(use);
          if (use.stale) forget(node, use);
        }
      }
    },

    closeFlush(ctx, _nodeid, fh, lockOwner) {
      if (fs.locks.find(lockOwner) === undefined) return undefined;
      return unlockAll(fs, fs.handles.file(fh), lockOwner, ctx.signal);
    },

    async fsync(ctx, _nodeid, fh, dataOnly) {
      const { fid, node } = fs.handles.file(fh);
      try {
        await dialect.fsync(fid, dataOnly, ctx.signal);
      } catch (error) {
        // a file that no crash leaves behind is as safe as it can be
        if (!node.isUnlinked || !isGone(error)) throw error;
      }
    },
  };
}

/** A read that fills the kernel's pages. It is made again where a lock was granted meanwhile to who did not wait for it. */
async function intoPages(node: Node, offset: number, size: number, ask: () => Promise<ReadData>): Promise<ReadData> {
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
