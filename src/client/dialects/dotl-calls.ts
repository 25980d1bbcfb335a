// The T-messages that 9P2000.L adds to those of calls.ts, one typed method each, the AbortSignal last.
// Must not retry or fall back, or decide what may leave together: that is dotl.ts and what it is made of.

import type { AbortSignalLike } from '../../common/abort.ts';
import type { Body } from '../../wire/p9/messages.ts';
import type { Qid } from '../../wire/p9/types.ts';
import { Calls, type Reply } from '../calls.ts';
import type { Fid } from '../fids.ts';

export class DotLCalls extends Calls {
  async lopen(fid: Fid, flags: number, signal?: AbortSignalLike): Promise<void> {
    this.opened(fid, await this.call('Tlopen', { fid: fid.number, flags }, [fid], signal));
  }

  /** The fid of the directory becomes the open file. */
  async lcreate(
    fid: Fid,
    name: string,
    flags: number,
    mode: number,
    gid: number,
    signal?: AbortSignalLike,
  ): Promise<void> {
    this.opened(fid, await this.call('Tlcreate', { fid: fid.number, name, flags, mode, gid }, [fid], signal));
  }

  /** Like read(), for directory entries. */
  async readdir(
    fid: Fid,
    offset: bigint,
    buffer: Uint8Array,
    over?: () => void,
    signal?: AbortSignalLike,
  ): Promise<number> {
    const body = { fid: fid.number, offset, count: buffer.length };
    const reply = await this.connection.requests.call('Treaddir', body, { fids: [fid], buffer, over, signal });
    return reply.data.length;
  }

  getattr(fid: Fid, mask: number, signal?: AbortSignalLike): Reply<'Tgetattr'> {
    return this.call('Tgetattr', { fid: fid.number, mask }, [fid], signal);
  }

  async setattr(fid: Fid, set: Omit<Body<'Tsetattr'>, 'fid'>, signal?: AbortSignalLike): Promise<void> {
    await this.call('Tsetattr', { fid: fid.number, ...set }, [fid], signal);
  }

  statfs(fid: Fid, signal?: AbortSignalLike): Reply<'Tstatfs'> {
    return this.call('Tstatfs', { fid: fid.number }, [fid], signal);
  }

  async readlink(fid: Fid, signal?: AbortSignalLike): Promise<string> {
    return (await this.call('Treadlink', { fid: fid.number }, [fid], signal)).target;
  }

  async symlink(dir: Fid, name: string, target: string, gid: number, signal?: AbortSignalLike): Promise<Qid> {
    return (await this.call('Tsymlink', { dfid: dir.number, name, target, gid }, [dir], signal)).qid;
  }

  async mknod(
    dir: Fid,
    name: string,
    mode: number,
    major: number,
    minor: number,
    gid: number,
    signal?: AbortSignalLike,
  ): Promise<Qid> {
    return (await this.call('Tmknod', { dfid: dir.number, name, mode, major, minor, gid }, [dir], signal)).qid;
  }

  async mkdir(dir: Fid, name: string, mode: number, gid: number, signal?: AbortSignalLike): Promise<Qid> {
    return (await this.call('Tmkdir', { dfid: dir.number, name, mode, gid }, [dir], signal)).qid;
  }

  async link(dir: Fid, fid: Fid, name: string, signal?: AbortSignalLike): Promise<void> {
    await this.call('Tlink', { dfid: dir.number, fid: fid.number, name }, [dir, fid], signal);
  }

  async rename(fid: Fid, dir: Fid, name: string, signal?: AbortSignalLike): Promise<void> {
    await this.call('Trename', { fid: fid.number, dfid: dir.number, name }, [fid, dir], signal);
  }

  async renameat(from: Fid, oldname: string, to: Fid, newname: string, signal?: AbortSignalLike): Promise<void> {
    const body = { olddirfid: from.number, oldname, newdirfid: to.number, newname };
    await this.call('Trenameat', body, [from, to], signal);
  }

  async unlinkat(dir: Fid, name: string, flags: number, signal?: AbortSignalLike): Promise<void> {
    await this.call('Tunlinkat', { dirfid: dir.number, name, flags }, [dir], signal);
  }

  async fsync(fid: Fid, datasync: boolean, signal?: AbortSignalLike): Promise<void> {
    await this.call('Tfsync', { fid: fid.number, datasync: datasync ? 1 : 0 }, [fid], signal);
  }

  /** Returns the status: LOCK_STATUS. */
  async lock(fid: Fid, lock: Omit<Body<'Tlock'>, 'fid'>, signal?: AbortSignalLike): Promise<number> {
    return (await this.call('Tlock', { fid: fid.number, ...lock }, [fid], signal)).status;
  }

  getlock(fid: Fid, lock: Omit<Body<'Tgetlock'>, 'fid'>, signal?: AbortSignalLike): Reply<'Tgetlock'> {
    return this.call('Tgetlock', { fid: fid.number, ...lock }, [fid], signal);
  }

  /** A new fid from which the attribute's value (or, for an empty name, the list of names) is read, and its size. */
  async xattrwalk(from: Fid, name: string, signal?: AbortSignalLike): Promise<{ fid: Fid; size: number }> {
    const fid = this.connection.fids.reserve();
    let size = 0;
    await this.making(fid, async () => {
      const body = { fid: from.number, newfid: fid.number, name };
      size = (await this.call('Txattrwalk', body, [from, fid], signal)).size;
      return from.qid;
    });
    return { fid, size };
  }

  /** Turns `fid` into one that takes `size` bytes by Twrite; commitXattr() makes them the attribute. */
  async xattrcreate(fid: Fid, name: string, size: number, flags: number, signal?: AbortSignalLike): Promise<void> {
    await this.call('Txattrcreate', { fid: fid.number, name, size, flags }, [fid], signal);
  }

  /**
   * A clone that requests may name as soon as this has returned, behind its own. Undefined: there is no number for it that the
   * server cannot have for another file.
   */
  cloning(from: Fid, signal?: AbortSignalLike): { fid: Fid; made: Promise<Fid> } | undefined {
    const { fids } = this.connection;
    const fid = fids.reserve();
    if (fids.isDoubtful(fid)) {
      fids.notCreated(fid);
      return undefined;
    }
    const made = this.making(fid, async () => {
      const body = { fid: from.number, newfid: fid.number, names: [] };
      const { qids } = await this.call('Twalk', body, [from, fid], signal);
      if (qids.length > 0) throw this.fault(`${qids.length} qids for no names`);
      return from.qid;
    });
    return { fid, made };
  }

  /**
   * Twrite, and the Tclunk right behind it: what became of each. A write that is given up before it is sent is followed by no
   * such clunk, and rejects.
   */
  async writeAndClunk(
    fid: Fid,
    data: Uint8Array,
    signal?: AbortSignalLike,
  ): Promise<[PromiseSettledResult<number>, PromiseSettledResult<void>]> {
    const { fids, requests } = this.connection;
    let clunking: Promise<[PromiseSettledResult<void>]> | undefined;
    const sent = () => {
      clunking = Promise.allSettled([fids.closeBehind(fid, signal)]);
    };
    const writing = requests.call('Twrite', { fid: fid.number, offset: 0, data }, { fids: [fid], signal, sent });
    const [written] = await Promise.allSettled([writing.then(({ count }) => count)]);
    if (clunking !== undefined) return [written, ...(await clunking)];
    fids.close(fid);
    throw (written as PromiseRejectedResult).reason;
  }

  /** The clunk after Txattrcreate: its error is the result. A signal limits the wait, as in remove. */
  commitXattr(fid: Fid, signal?: AbortSignalLike): Promise<void> {
    return this.connection.fids.closeAwaited(fid, signal);
  }
}
