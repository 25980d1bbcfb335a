// One typed method for each T-message of 9P2000.L, the AbortSignal last. Owns what a message means for the fids that it
// names: a call that makes a fid returns it live, or leaves nothing behind, whatever way it ends.
// Must not retry, fall back or combine: that is the dialect's.

import type { AbortSignalLike } from '../common/abort.ts';
import { ErrnoError, ProtocolError } from '../common/errors.ts';
import { NOFID } from '../wire/p9/constants.ts';
import type { Body, Message, ReplyTo, RequestName } from '../wire/p9/messages.ts';
import type { Qid } from '../wire/p9/types.ts';
import type { Connection } from './connection.ts';
import type { Fid } from './fids.ts';

type Signal = AbortSignalLike | undefined;
type Reply<N extends RequestName> = Promise<Message<ReplyTo<N>>>;

export class Calls {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  #call<N extends RequestName>(name: N, body: Body<N>, fids: readonly Fid[], signal: Signal): Reply<N> {
    return this.connection.requests.call(name, body, { fids, signal });
  }

  /** attach(5): a fid for the root of `aname`. */
  async attach(uname: string, aname: string, nUname: number, signal?: AbortSignalLike): Promise<Fid> {
    const fid = this.connection.fids.reserve();
    return this.#making(fid, async () => {
      const body = { fid: fid.number, afid: NOFID, uname, aname, nUname };
      return (await this.#call('Tattach', body, [fid], signal)).qid;
    });
  }

  /**
   * walk(5), at most MAXWELEM names: the new fid, and the qids of the names. A partial walk gives the qids of the names
   * that were found and no fid. No names: a clone.
   */
  async walk(
    from: Fid,
    names: readonly string[],
    signal?: AbortSignalLike,
  ): Promise<{ fid: Fid | undefined; qids: Qid[] }> {
    const { fids, requests } = this.connection;
    const fid = fids.reserve();
    try {
      const body = { fid: from.number, newfid: fid.number, names };
      const { qids } = await requests.call('Twalk', body, { fids: [from, fid], signal });
      if (qids.length > names.length) throw this.#fault(`${qids.length} qids for ${names.length} names`);
      if (qids.length < names.length) {
        // walk(5) says that newfid was not made; diod makes it all the same, so it is clunked to be sure
        fids.close(fid);
        return { fid: undefined, qids };
      }
      fids.created(fid, qids.at(-1) ?? from.qid);
      return { fid, qids };
    } catch (error) {
      this.#unmake(fid, error);
      throw error;
    }
  }

  /** walk(5) with newfid == fid: moves a fid that nobody else uses. Partial: throws nothing, the fid stays where it was. */
  async step(fid: Fid, names: readonly string[], signal?: AbortSignalLike): Promise<Qid[]> {
    const { qids } = await this.#call('Twalk', { fid: fid.number, newfid: fid.number, names }, [fid], signal);
    if (qids.length > names.length) throw this.#fault(`${qids.length} qids for ${names.length} names`);
    const last = qids.at(-1);
    if (qids.length === names.length && last !== undefined) fid.qid = last;
    return qids;
  }

  /** Runs a request that makes `fid`; a failure leaves no fid. */
  async #making(fid: Fid, request: () => Promise<Qid>): Promise<Fid> {
    try {
      this.connection.fids.created(fid, await request());
      return fid;
    } catch (error) {
      this.#unmake(fid, error);
      throw error;
    }
  }

  /** An error from the server means that there is no fid; any other end leaves that open, so that it is clunked. */
  #unmake(fid: Fid, error: unknown): void {
    if (error instanceof ErrnoError && error.name === 'ErrnoError') this.connection.fids.notCreated(fid);
    else this.connection.fids.close(fid);
  }

  #fault(what: string): ProtocolError {
    const error = new ProtocolError(`${this.connection.peer}: ${what}`);
    this.connection.fail(error);
    return error;
  }

  async lopen(fid: Fid, flags: number, signal?: AbortSignalLike): Promise<void> {
    const reply = await this.#call('Tlopen', { fid: fid.number, flags }, [fid], signal);
    fid.qid = reply.qid;
    fid.iounit = reply.iounit;
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
    const reply = await this.#call('Tlcreate', { fid: fid.number, name, flags, mode, gid }, [fid], signal);
    fid.qid = reply.qid;
    fid.iounit = reply.iounit;
  }

  /** Into `buffer`, at most its length; returns how many bytes came. `over` runs when the buffer is free again. */
  async read(
    fid: Fid,
    offset: number,
    buffer: Uint8Array,
    over?: () => void,
    signal?: AbortSignalLike,
  ): Promise<number> {
    const body = { fid: fid.number, offset, count: buffer.length };
    const reply = await this.connection.requests.call('Tread', body, { fids: [fid], buffer, over, signal });
    return reply.data.length;
  }

  /** Returns how many bytes the server took. `taken` runs when `data` may be changed again. */
  async write(
    fid: Fid,
    offset: number,
    data: Uint8Array,
    taken?: () => void,
    signal?: AbortSignalLike,
  ): Promise<number> {
    const body = { fid: fid.number, offset, data };
    const { count } = await this.connection.requests.call('Twrite', body, { fids: [fid], taken, signal });
    if (count > data.length) throw this.#fault(`Rwrite of ${count} bytes, ${data.length} were written`);
    return count;
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

  /** Lets go of a fid: Tclunk leaves as soon as no request names it; nobody waits for the answer. */
  clunk(fid: Fid): void {
    this.connection.fids.close(fid);
  }

  /** remove(5): the fid is gone whatever the answer. */
  async remove(fid: Fid): Promise<void> {
    const { fids, requests } = this.connection;
    fids.retireForRemove(fid);
    let ok = false;
    try {
      await requests.call('Tremove', { fid: fid.number });
      ok = true;
    } finally {
      fids.removed(fid, ok);
    }
  }

  getattr(fid: Fid, mask: number, signal?: AbortSignalLike): Reply<'Tgetattr'> {
    return this.#call('Tgetattr', { fid: fid.number, mask }, [fid], signal);
  }

  async setattr(fid: Fid, set: Omit<Body<'Tsetattr'>, 'fid'>, signal?: AbortSignalLike): Promise<void> {
    await this.#call('Tsetattr', { fid: fid.number, ...set }, [fid], signal);
  }

  statfs(fid: Fid, signal?: AbortSignalLike): Reply<'Tstatfs'> {
    return this.#call('Tstatfs', { fid: fid.number }, [fid], signal);
  }

  async readlink(fid: Fid, signal?: AbortSignalLike): Promise<string> {
    return (await this.#call('Treadlink', { fid: fid.number }, [fid], signal)).target;
  }

  async symlink(dir: Fid, name: string, target: string, gid: number, signal?: AbortSignalLike): Promise<Qid> {
    return (await this.#call('Tsymlink', { dfid: dir.number, name, target, gid }, [dir], signal)).qid;
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
    return (await this.#call('Tmknod', { dfid: dir.number, name, mode, major, minor, gid }, [dir], signal)).qid;
  }

  async mkdir(dir: Fid, name: string, mode: number, gid: number, signal?: AbortSignalLike): Promise<Qid> {
    return (await this.#call('Tmkdir', { dfid: dir.number, name, mode, gid }, [dir], signal)).qid;
  }

  async link(dir: Fid, fid: Fid, name: string, signal?: AbortSignalLike): Promise<void> {
    await this.#call('Tlink', { dfid: dir.number, fid: fid.number, name }, [dir, fid], signal);
  }

  async rename(fid: Fid, dir: Fid, name: string, signal?: AbortSignalLike): Promise<void> {
    await this.#call('Trename', { fid: fid.number, dfid: dir.number, name }, [fid, dir], signal);
  }

  async renameat(from: Fid, oldname: string, to: Fid, newname: string, signal?: AbortSignalLike): Promise<void> {
    const body = { olddirfid: from.number, oldname, newdirfid: to.number, newname };
    await this.#call('Trenameat', body, [from, to], signal);
  }

  async unlinkat(dir: Fid, name: string, flags: number, signal?: AbortSignalLike): Promise<void> {
    await this.#call('Tunlinkat', { dirfid: dir.number, name, flags }, [dir], signal);
  }

  async fsync(fid: Fid, datasync: boolean, signal?: AbortSignalLike): Promise<void> {
    await this.#call('Tfsync', { fid: fid.number, datasync: datasync ? 1 : 0 }, [fid], signal);
  }

  /** Returns the status: LOCK_STATUS. */
  async lock(fid: Fid, lock: Omit<Body<'Tlock'>, 'fid'>, signal?: AbortSignalLike): Promise<number> {
    return (await this.#call('Tlock', { fid: fid.number, ...lock }, [fid], signal)).status;
  }

  getlock(fid: Fid, lock: Omit<Body<'Tgetlock'>, 'fid'>, signal?: AbortSignalLike): Reply<'Tgetlock'> {
    return this.#call('Tgetlock', { fid: fid.number, ...lock }, [fid], signal);
  }

  /** A new fid from which the attribute's value (or, for an empty name, the list of names) is read, and its size. */
  async xattrwalk(from: Fid, name: string, signal?: AbortSignalLike): Promise<{ fid: Fid; size: number }> {
    const fid = this.connection.fids.reserve();
    let size = 0;
    await this.#making(fid, async () => {
      const body = { fid: from.number, newfid: fid.number, name };
      size = (await this.#call('Txattrwalk', body, [from, fid], signal)).size;
      return from.qid;
    });
    return { fid, size };
  }

  /** Turns `fid` into one that takes `size` bytes by Twrite; commitXattr() makes them the attribute. */
  async xattrcreate(fid: Fid, name: string, size: number, flags: number, signal?: AbortSignalLike): Promise<void> {
    await this.#call('Txattrcreate', { fid: fid.number, name, size, flags }, [fid], signal);
  }

  /** The clunk after Txattrcreate: its error is the result. */
  commitXattr(fid: Fid): Promise<void> {
    return this.connection.fids.closeAwaited(fid);
  }
}
