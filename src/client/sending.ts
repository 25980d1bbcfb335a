// What is waited for before the memory of a write is its caller's again.

import type { AbortSignalLike } from '../common/abort.ts';
import { relayed } from '../common/relay.ts';
import type { Calls } from './calls.ts';

/**
 * Whether the system has taken a payload. It has when an honest server answers; one that answers before it has read all
 * would otherwise be sent what its caller puts into the memory next.
 */
export class Sending {
  done = false;
  #wake: (() => void) | undefined;

  readonly taken = (): void => {
    this.done = true;
    this.#wake?.();
  };

  /**
   * No deadline while the caller has time: a transport takes what it was given, or ends. When the caller gives up, a server that
   * reads no more ends the connection, as one that answers no Tflush does.
   */
  async wait(calls: Calls, given: AbortSignalLike | undefined): Promise<void> {
    const signal = given && relayed(given);
    let timer: NodeJS.Timeout | undefined;
    const limit = () => {
      timer = setTimeout(() => calls.fault('a Twrite was answered and not read'), calls.connection.flushTimeout);
    };
    if (signal?.aborted) limit();
    else signal?.addEventListener('abort', limit);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    signal?.removeEventListener('abort', limit);
    clearTimeout(timer);
  }
}
