// The signal of what follows a step that had its effect: it has to be finished, and is not aborted with the caller. But he is
// in the kernel's hands until he is answered, and a server may never answer: when he has waited long enough, it is aborted.

import { Abort, type AbortSignalLike } from './abort.ts';
import { errno } from './errno.ts';
import { CancelledError, ErrnoError } from './errors.ts';

export class Finishing extends Abort {
  readonly #source: AbortSignalLike;
  readonly #ms: number;
  #timer: NodeJS.Timeout | undefined;

  /** Aborted `ms` milliseconds after the caller, whose signal `source` is, as if he were dying: he has waited already. */
  constructor(source: AbortSignalLike, ms: number) {
    super();
    this.#source = source;
    this.#ms = ms;
    if (source.aborted) this.#limit();
    else source.addEventListener('abort', this.#limit);
  }

  /** Nobody needs it any more. */
  done(): void {
    this.#source.removeEventListener('abort', this.#limit);
    clearTimeout(this.#timer);
  }

  readonly #limit = (): void => {
    this.#timer = setTimeout(() => this.abort({ dying: true }), this.#ms);
    this.#timer.unref();
  };
}

/**
 * What follows a step that had its effect. A caller who has given it up in the end gets ETIMEDOUT: EINTR would say that
 * nothing has happened, and who asked again would hear that it is there already.
 */
export async function finish<T>(
  source: AbortSignalLike,
  ms: number,
  work: (rest: Finishing) => T | Promise<T>,
): Promise<T> {
  const rest = new Finishing(source, ms);
  try {
    return await work(rest);
  } catch (error) {
    if (!rest.aborted || !(error instanceof CancelledError)) throw error;
    throw new ErrnoError(errno.ETIMEDOUT, 'done, but the server has not told the result');
  } finally {
    rest.done();
  }
}
