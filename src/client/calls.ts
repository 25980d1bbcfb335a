// One typed method for each T-message that every dialect has, the AbortSignal last; what a dialect adds is beside it in
// dialects/. Owns what a message means for the fids that it names: a call that makes a fid returns it live, or leaves
// nothing behind, whatever way it ends.
// Must not retry, fall back or combine: that is the dialect's.

import type { AbortSignalLike } from '../common/abort.ts';
import { ErrnoError, ProtocolError } from '../common/errors.ts';
import { finish } from '../common/finishing.ts';
import { relayed } from '../common/relay.ts';
import { NOFID } from '../wire/p9/constants.ts';
import type { Body, Message, ReplyTo, RequestName } from '../wire/p9/messages.ts';
import type { Qid } from '../wire/p9/types.ts';
import type { Connection } from './connection.ts';
import type { Fid } from './fids.ts';

export type Signal = AbortSignalLike | undefined;
export type Reply<N extends RequestName> = Promise<Message<ReplyTo<N>>>;

export class Calls {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Any request; `fids` are those that it names. */
  call<N extends RequestName>(name: N, body: Body<N>, fids: readonly Fid[], signal: Signal): Reply<N> {
    return this.connection.requests.call(name, body, { fids, signal });
  }

  /** attach(5): a fid for the root of `aname`. */
  async attach(uname: string, aname: string, nUname: number, signal?: AbortSignalLike): Promise<Fid> {
    const fid = this.connection.fids.reserve();
    return this.making(fid, async () => {
      const body = { fid: fid.number, afid: NOFID, uname, aname, nUname };
      return (await this.call('Tattach', body, [fid], signal)).qid;
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
      if (qids.length > names.length) throw this.fault(`${qids.length} qids for ${names.length} names`);
      if (qids.length < names.length) {
        // walk(5) says that newfid was not made; diod makes it all the same, so it is clunked to be sure
        fids.close(fid);
        return { fid: undefined, qids };
      }
      fids.created(fid, qids.at(-1) ?? from.qid);
      return { fid, qids };
    } catch (error) {
      if (fids.isRefused(fid, error)) return this.walk(from, names, signal);
      this.#unmake(fid, error);
      throw error;
    }
  }

  /** walk(5) with newfid == fid: moves a fid that nobody else uses. Partial: throws nothing, the fid stays where it was. */
  async step(fid: Fid, names: readonly string[], signal?: AbortSignalLike): Promise<Qid[]> {
    const { qids } = await this.call('Twalk', { fid: fid.number, newfid: fid.number, names }, [fid], signal);
    if (qids.length > names.length) throw this.fault(`${qids.length} qids for ${names.length} names`);
    const last = qids.at(-1);
    if (qids.length === names.length && last !== undefined) fid.qid = last;
    return qids;
  }

  /** Runs a request that makes `fid`; a failure leaves no fid. */
  async making(fid: Fid, request: () => Promise<Qid>): Promise<Fid> {
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

  /** What follows a step that had its effect (common/finishing.ts). */
  finish<T>(signal: Signal, work: (rest: Signal) => Promise<T>): Promise<T> {
    return signal === undefined ? work(undefined) : finish(relayed(signal), this.connection.flushTimeout, work);
  }

  /** Ends the connection: the server has broken the protocol. */
  fault(what: string): ProtocolError {
    const error = new ProtocolError(`${this.connection.peer}: ${what}`);
    this.connection.fail(error);
    return error;
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
    if (count > data.length) throw this.fault(`Rwrite of ${count} bytes, ${data.length} were written`);
    return count;
  }

  /** A fid is an open file from now on, as the server's answer says. */
  protected opened(fid: Fid, { qid, iounit }: { qid: Qid; iounit: number }): void {
    fid.qid = qid;
    fid.iounit = iounit;
  }

  /** Lets go of a fid: Tclunk leaves as soon as no request names it; nobody waits for the answer. */
  clunk(fid: Fid): void {
    this.connection.fids.close(fid);
  }

  /** remove(5): the fid is gone whatever the answer. Never flushed: a signal only limits how long that is waited for. */
  async remove(fid: Fid, signal?: AbortSignalLike): Promise<void> {
    const { fids, requests } = this.connection;
    fids.retireForRemove(fid);
    let ok = false;
    try {
      await requests.call('Tremove', { fid: fid.number }, { ...(signal && { signal }) });
      ok = true;
    } finally {
      fids.removed(fid, ok);
    }
  }
}
