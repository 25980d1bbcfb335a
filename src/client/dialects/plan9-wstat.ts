// Twstat in 9P2000 and 9P2000.u, and the modes that fids were last seen with.
// A Twstat says "don't touch" of a mode by 32 ones (stat(9P)). A server that compares them with 64 ones takes them for
// a mode: every file that is renamed, truncated or synced becomes append-only and exclusive (plan9port's ramfs). So the
// first Twstat of a connection that leaves the mode alone is followed by a Tstat.
// Guarantees: a mode that was changed by mistake is put back; where the server makes that mistake, every further Twstat
// names the mode that the file had a moment before. Another client's chmod within that moment is undone.

import { unlessAborted } from '../../common/abort.ts';
import { deferred } from '../../common/deadline.ts';
import { CancelledError, ErrnoError } from '../../common/errors.ts';
import { DM } from '../../wire/p9/constants.ts';
import { type Stat, UNTOUCHED } from '../../wire/p9/stat.ts';
import type { Signal } from '../calls.ts';
import type { Fid } from '../fids.ts';
import type { Plan9Calls } from './plan9-calls.ts';

/** The bits of a mode that was made from "don't touch" and that servers keep, all of which hardly any file has. */
const MISTAKEN = DM.APPEND | DM.EXCL | 0o777;

export class Wstats {
  readonly #calls: Plan9Calls;
  /** Permissions and DM bits by fid, as last seen. */
  readonly #modes = new WeakMap<Fid, number>();
  /** This connection has changed a mode: it may be that of a file that another fid was seen with. */
  #changedModes = false;
  /** Whether the server leaves a mode alone when it is told so; undefined until a Twstat has shown it. */
  #leavesModes: boolean | undefined;
  /**
   * Settles when a Twstat that leaves the mode alone is over, and what is asked with it. Where the server may not leave
   * the mode alone, no other is sent meanwhile: it might take a mistaken mode, or an old one, for the file's own.
   */
  #alone: Promise<void> | undefined;
  /** Twstats that name a mode, under way; none of these promises rejects. */
  readonly #naming = new Set<Promise<void>>();

  constructor(calls: Plan9Calls) {
    this.#calls = calls;
  }

  /** The server's own stat. */
  async look(fid: Fid, signal?: Signal): Promise<Stat> {
    const stat = await this.#calls.stat(fid, signal);
    fid.qid = stat.qid;
    this.#modes.set(fid, stat.mode);
    return stat;
  }

  /** A mode, for its DM bits. The last seen one will do, save where the server changes those bits by mistake. */
  async kindOf(fid: Fid, signal?: Signal): Promise<number> {
    while (this.#alone !== undefined) await unlessAborted(this.#alone, signal);
    const seen = this.#leavesModes === false ? undefined : this.#modes.get(fid);
    return seen ?? (await this.look(fid, signal)).mode;
  }

  /** Changes what `stat` does not leave untouched. */
  async send(fid: Fid, stat: Stat, signal?: Signal): Promise<void> {
    while (this.#alone !== undefined) await unlessAborted(this.#alone, signal);
    if (this.#leavesModes === true) return this.#calls.wstat(fid, stat, signal);
    if (stat.mode !== UNTOUCHED.mode) return this.#name(fid, stat, signal);
    await this.#calls.connection.fids.during([fid], () => this.#leave(fid, stat, signal));
  }

  /** With a mode in it. */
  async #name(fid: Fid, stat: Stat, signal: Signal): Promise<void> {
    this.#changedModes = true;
    const over = deferred<void>();
    this.#naming.add(over.promise);
    try {
      await this.#calls.wstat(fid, stat, signal);
    } finally {
      this.#naming.delete(over.promise);
      over.resolve();
    }
  }

  /** With no mode in it. */
  async #leave(fid: Fid, stat: Stat, signal: Signal): Promise<void> {
    const over = deferred<void>();
    this.#alone = over.promise;
    try {
      await unlessAborted(Promise.all(this.#naming), signal);
      if (this.#leavesModes === undefined) await this.#watch(fid, stat, signal);
      else await this.#calls.wstat(fid, { ...stat, mode: (await this.look(fid, signal)).mode }, signal);
    } finally {
      this.#alone = undefined;
      over.resolve();
    }
  }

  async #watch(fid: Fid, stat: Stat, signal: Signal): Promise<void> {
    const seen = this.#changedModes ? undefined : this.#modes.get(fid);
    const before = seen ?? (await this.look(fid, signal)).mode;
    await this.#calls.wstat(fid, stat, signal);
    // of a file that has all those bits nothing can be learned
    if ((before & MISTAKEN) !== MISTAKEN) await this.#calls.finish(signal, (rest) => this.#check(fid, before, rest));
  }

  /** The Twstat has had its effect: what is wrong after it is no error of it. */
  async #check(fid: Fid, before: number, signal: Signal): Promise<void> {
    const { logger, peer } = this.#calls.connection;
    const at = { peer, fid: fid.number };
    try {
      const { mode, qid } = await this.#calls.stat(fid, signal);
      if ((mode & MISTAKEN) !== MISTAKEN) {
        this.#leavesModes = true;
        return;
      }
      // a fid that is a path may be another file's by now
      if (qid.path !== fid.qid.path) return;
      this.#leavesModes = false;
      logger.info(
        { ...at, mode },
        'the server takes "don\'t touch" for a mode: every Twstat names the mode from now on',
      );
      await this.#calls.wstat(fid, { ...UNTOUCHED, mode: before }, signal);
    } catch (error) {
      if (!(error instanceof ErrnoError) || error instanceof CancelledError) throw error;
      logger.warn(
        { ...at, mode: before, errno: error.code },
        'a mode after a Twstat could not be looked at, or put back',
      );
    }
  }
}
