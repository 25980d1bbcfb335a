// Fid numbers and their lives. A fid is held by every request that names it, closed by its owner, and clunked when both
// have let go; its number is used again only after Rclunk (or the error in its place), because a server with a pool of
// workers may still execute an older request that names it.
// Clunks are sent at once and awaited by nobody, save where their error is the result (closeAwaited).

import type { AbortSignalLike } from '../common/abort.ts';
import type { FidNumber } from '../common/brand.ts';
import { errno } from '../common/errno.ts';
import { ErrnoError, isErrno } from '../common/errors.ts';
import { NOFID } from '../wire/p9/constants.ts';
import type { Qid } from '../wire/p9/types.ts';

/**
 * reserved: named by a request that may create it; live: known to the server; closing: its owner is done, requests still
 * name it; ending: its Tclunk or Tremove is under way, or it was removed, or never made, and requests that named it are not
 * over; gone: the number may belong to another. From `ending` on nothing may name it any more.
 */
export type FidState = 'reserved' | 'live' | 'closing' | 'ending' | 'gone';

export class Fid {
  readonly number: FidNumber;
  /** Of the connection that it belongs to: on a later one the number is another fid's. */
  readonly generation: number;
  state: FidState = 'reserved';
  /** Requests on their way that name it. */
  uses = 0;
  qid: Qid = { type: 0, version: 0, path: 0n };
  /** Largest atomic transfer in bytes as the server said at open; 0: only msize limits it. */
  iounit = 0;
  /** The server has refused to move more than iounit at once: io.ts. */
  insists = false;

  constructor(number: FidNumber, generation: number) {
    this.number = number;
    this.generation = generation;
  }
}

/**
 * Fids that may wait for their Rclunk, or for the answer that makes them. A server that never answers Tclunk would otherwise
 * have the client keep one more for every file that is looked at.
 */
const MOST_LEAVING = 65_536;

/** Of the last table of fids that was made: no two connections have the same. */
let lastGeneration = 0;

export interface FidStats {
  /** Known to the server and owned by somebody. */
  live: number;
  /** Not usable, number not free: reserved, waiting for requests, or for Rclunk. */
  quarantine: number;
}

export class Fids {
  /** Of the connection whose fids these are. A fid of another generation is never named on it, nor clunked. */
  readonly generation = ++lastGeneration;
  /** Numbers are reused before new ones are taken: some servers have a table of a thousand and no more (nfs-ganesha). */
  readonly #free: number[] = [];
  /** Numbers whose clunk was refused, not as one of no fid: the server may have them still, against clunk(9P). */
  readonly #doubtful = new Set<number>();
  #next = 1;
  #inUse = 0;
  readonly #clunk: (fid: Fid, signal?: AbortSignalLike) => Promise<void>;
  #live = 0;
  /** Clunks that nobody awaits; none of them rejects. */
  readonly #clunking = new Set<Promise<void>>();
  #dead = false;

  /** `clunk` sends Tclunk and settles with its reply; its rejection is the reply's error. */
  constructor(clunk: (fid: Fid, signal?: AbortSignalLike) => Promise<void>) {
    this.#clunk = clunk;
  }

  get stats(): FidStats {
    return { live: this.#live, quarantine: this.#inUse - this.#live };
  }

  /** A number for a request that may create the fid. Throws ENFILE while too many are on their way out. */
  reserve(): Fid {
    const leaving = this.#inUse - this.#live;
    if (leaving >= MOST_LEAVING) throw new ErrnoError(errno.ENFILE, `${leaving} fids wait for their Rclunk`);
    const number = this.#free.pop() ?? this.#next++;
    if (number >= NOFID) throw new Error('all fids are in use');
    this.#inUse++;
    return new Fid(number as FidNumber, this.generation);
  }

  /** The server has answered that the fid exists. */
  created(fid: Fid, qid: Qid): void {
    if (fid.state === 'reserved') {
      fid.state = 'live';
      this.#live++;
    }
    if (this.#doubtful.size > 0) this.#doubtful.delete(fid.number);
    fid.qid = qid;
  }

  /**
   * The fid was not created, with this error. True: the server may have refused the number, as one that it has kept; it is not
   * used again, and another may be tried.
   */
  isRefused(fid: Fid, error: unknown): boolean {
    if (!this.#doubtful.has(fid.number) || !isErrno(error, errno.EBADF, errno.EEXIST, errno.EINVAL)) return false;
    this.#doubtful.delete(fid.number);
    fid.state = 'gone';
    this.#inUse--;
    return true;
  }

  /** Whether the server may have the number of a reserved fid still, for a file of old: nothing must name it before its answer. */
  isDoubtful({ number }: Fid): boolean {
    return this.#doubtful.has(number);
  }

  /** The server has answered that the fid does not exist: the number is free without a clunk when no request names it. */
  notCreated(fid: Fid): void {
    if (fid.uses === 0) this.#leave(fid);
    else fid.state = 'ending';
  }

  /** A request is to name them. Throws EBADF, with none of them held, for one on its way out, or another connection's. */
  hold(fids: readonly Fid[]): void {
    for (const { state, number, generation } of fids) {
      if (generation !== this.generation) throw new ErrnoError(errno.EBADF, `fid ${number} of another connection`);
      if (state === 'ending' || state === 'gone') throw new ErrnoError(errno.EBADF, `fid ${number}`);
    }
    for (const fid of fids) fid.uses++;
  }

  /** A request that names them is over. */
  drop(fids: readonly Fid[]): void {
    for (const fid of fids) {
      fid.uses--;
      if (fid.uses > 0) continue;
      if (fid.state === 'closing') this.#send(fid);
      else if (fid.state === 'ending') this.#leave(fid);
    }
  }

  /** For work that names them in several requests: their owner may be done with them between two. */
  async during<T>(fids: readonly Fid[], work: () => Promise<T>): Promise<T> {
    this.hold(fids);
    try {
      return await work();
    } finally {
      this.drop(fids);
    }
  }

  /** The owner is done with it: Tclunk leaves now, or when the last request that names it is over. */
  close(fid: Fid): void {
    // what belongs to a connection that has ended has ended with it
    if (fid.generation !== this.generation || !this.#retire(fid)) return;
    if (fid.uses === 0) this.#send(fid);
  }

  /** The same where the clunk's error is the result (after Txattrcreate). No request may name the fid. */
  async closeAwaited(fid: Fid, signal?: AbortSignalLike): Promise<void> {
    if (fid.uses > 0) {
      this.close(fid);
      throw new Error(`fid ${fid.number} is still named by ${fid.uses} requests`);
    }
    if (!this.#retire(fid)) throw new ErrnoError(errno.EBADF, `fid ${fid.number}`);
    fid.state = 'ending';
    try {
      await this.#clunk(fid, signal);
    } finally {
      this.#leave(fid);
    }
  }

  /** Clunks at once, behind requests that name the fid and have been sent. The clunk's error is the result. */
  async closeBehind(fid: Fid, signal?: AbortSignalLike): Promise<void> {
    if (!this.#retire(fid)) throw new ErrnoError(errno.EBADF, `fid ${fid.number}`);
    fid.state = 'ending';
    fid.uses++;
    try {
      await this.#clunk(fid, signal);
    } finally {
      this.drop([fid]);
    }
  }

  /** The fid ends with the Tremove that is sent next. Throws EBADF where its owner has done with it already. */
  retireForRemove(fid: Fid): void {
    if (!this.#retire(fid)) throw new ErrnoError(errno.EBADF, `fid ${fid.number}`);
    fid.state = 'ending';
    fid.uses++;
  }

  /** Tremove was answered: success ends the fid; after an error some servers keep it, so it is clunked to be sure. */
  removed(fid: Fid, ok: boolean): void {
    if (!ok) fid.state = 'closing';
    this.drop([fid]);
  }

  /**
   * Asked when the server has no room for another fid: gives some up and says whether it did. Set by whoever keeps fids
   * that it can do without.
   */
  onShortage: (() => boolean) | undefined;
  #makingRoom: Promise<boolean> | undefined;

  /** Makes room on the server; settles when the numbers that were given up are free. False: there is none to be made. */
  makeRoom(): Promise<boolean> {
    this.#makingRoom ??= this.#giveUp().finally(() => {
      this.#makingRoom = undefined;
    });
    return this.#makingRoom;
  }

  async #giveUp(): Promise<boolean> {
    if (this.onShortage?.() !== true) return false;
    // no deadline: the clunks that it waits for end with their answers or with the connection
    await Promise.all(this.#clunking);
    return true;
  }

  /** The connection is gone and with it every fid. */
  end(): void {
    this.#dead = true;
  }

  #retire(fid: Fid): boolean {
    if (fid.state !== 'reserved' && fid.state !== 'live') return false;
    if (fid.state === 'live') this.#live--;
    fid.state = 'closing';
    return true;
  }

  /** Clunks. The fid is dead whatever the answer (clunk(9P)): an error has no one to go to but the request's log line. */
  #send(fid: Fid): void {
    fid.state = 'ending';
    if (this.#dead) {
      this.#leave(fid);
      return;
    }
    const clunk: Promise<void> = this.#clunk(fid)
      .catch((error: unknown) => {
        if (error instanceof ErrnoError && error.errno !== errno.EBADF) this.#doubtful.add(fid.number);
      })
      .then(() => {
        this.#clunking.delete(clunk);
        this.#leave(fid);
      });
    this.#clunking.add(clunk);
  }

  #leave(fid: Fid): void {
    if (fid.state === 'gone') return;
    if (fid.state === 'live') this.#live--;
    fid.state = 'gone';
    this.#inUse--;
    this.#free.push(fid.number);
  }
}
