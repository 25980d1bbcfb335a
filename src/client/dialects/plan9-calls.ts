// The T-messages that 9P2000 and 9P2000.u add to those of calls.ts, one typed method each, the AbortSignal last.
// Must not retry, fall back or combine: that is the dialects'.

import type { AbortSignalLike } from '../../common/abort.ts';
import type { Body } from '../../wire/p9/messages.ts';
import type { Stat } from '../../wire/p9/stat.ts';
import { Calls } from '../calls.ts';
import type { Fid } from '../fids.ts';

export class Plan9Calls extends Calls {
  /** mode: OMODE. */
  async open(fid: Fid, mode: number, signal?: AbortSignalLike): Promise<void> {
    this.opened(fid, await this.call('Topen', { fid: fid.number, mode }, [fid], signal));
  }

  /** The fid of the directory becomes the open file. `extension` may name a fid, which is then `target`. */
  async create(
    fid: Fid,
    body: Omit<Body<'Tcreate'>, 'fid'>,
    target: Fid | undefined,
    signal?: AbortSignalLike,
  ): Promise<void> {
    const named = target === undefined ? [fid] : [fid, target];
    this.opened(fid, await this.call('Tcreate', { fid: fid.number, ...body }, named, signal));
  }

  async stat(fid: Fid, signal?: AbortSignalLike): Promise<Stat> {
    return (await this.call('Tstat', { fid: fid.number }, [fid], signal)).stat;
  }

  async wstat(fid: Fid, stat: Stat, signal?: AbortSignalLike): Promise<void> {
    await this.call('Twstat', { fid: fid.number, stat }, [fid], signal);
  }
}
