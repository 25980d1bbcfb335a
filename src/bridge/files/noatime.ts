// The mount option noatime at the server: files and directories are opened with O_NOATIME, so that reading them leaves their
// access times alone. open(2) grants that to the owner of the file and to root; others are not asked for it.
// Owns which users the server has refused it to although it should not have: they are not asked for it again.

import { errno } from '../../common/errno.ts';
import { isErrno } from '../../common/errors.ts';
import type { Logger } from '../../common/log.ts';
import type { RequestContext } from '../../fuse/operations.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import type { Users } from '../owners/users.ts';

/** EPERM is what open(2) says; a server that does not know the flag says something else. */
const REFUSALS = [errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP] as const;

export interface NoAtimeOptions {
  wanted: boolean;
  users: Pick<Users, 'atServer'>;
  logger: Logger;
}

export class NoAtime {
  readonly #options: NoAtimeOptions;
  /** By their numbers at the server. */
  readonly #refused = new Set<number>();

  constructor(options: NoAtimeOptions) {
    this.#options = options;
  }

  /**
   * Runs `open` with `flags`, and O_NOATIME where the caller may have it. `owner` is the server's number of the owner of the
   * file; undefined: the caller makes it. Where the server refuses the flag, `open` is run once more without it.
   */
  async opening<T>(
    ctx: Pick<RequestContext, 'uid'>,
    owner: number | undefined,
    flags: number,
    open: (flags: number) => Promise<T>,
  ): Promise<T> {
    if (!this.#options.wanted || (flags & OPEN.ACCMODE) === OPEN.WRONLY) return open(flags);
    const user = this.#options.users.atServer(ctx);
    if (this.#refused.has(user) || (user !== 0 && owner !== undefined && owner !== user)) return open(flags);
    try {
      return await open(flags | OPEN.NOATIME);
    } catch (error) {
      if (!isErrno(error, ...REFUSALS)) throw error;
    }
    const opened = await open(flags);
    this.#refused.add(user);
    this.#options.logger.info({ uid: user }, 'the server refuses O_NOATIME to this user: access times move');
    return opened;
  }
}
