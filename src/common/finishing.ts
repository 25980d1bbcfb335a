// The signal of what follows a step that had its effect: it has to be finished, and is not aborted with the caller. But a
// caller that is being killed is in the kernel's hands until he is answered, and a server may never answer.

import { Abort, type AbortSignalLike, isDying, onceDying } from './abort.ts';

export class Finishing extends Abort {
  readonly #source: AbortSignalLike;
  readonly #ms: number;
  #timer: NodeJS.Timeout | undefined;

  /** Aborted `ms` milliseconds after the caller, whose signal `source` is, has begun to die. */
  constructor(source: AbortSignalLike, ms: number) {
    super();
    this.#source = source;
    this.#ms = ms;
    if (source.aborted) this.#heed();
    else source.addEventListener('abort', this.#heed);
  }

  /** Nobody needs it any more. Only for a source that lives longer than the one call. */
  done(): void {
    this.#source.removeEventListener('abort', this.#heed);
    clearTimeout(this.#timer);
  }

  readonly #heed = (): void => {
    if (isDying(this.#source)) this.#limit();
    else onceDying(this.#source, this.#limit);
  };

  readonly #limit = (): void => {
    this.#timer = setTimeout(() => this.abort({ dying: true }), this.#ms);
    this.#timer.unref();
  };
}
