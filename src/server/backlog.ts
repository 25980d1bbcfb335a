// Requests of one connection that wait for its client to take replies: in order, each until it is begun, or is dropped by a
// Tflush, for which it is one that nothing has happened to yet.

import type { Message } from '../wire/p9/messages.ts';
import type { Request } from './flush.ts';
import type { Session } from './session.ts';

export interface Waiting {
  readonly session: Session;
  readonly message: Message;
  readonly request: Request;
}

export class Backlog {
  #waiting: Waiting[] = [];
  #first = 0;

  get length(): number {
    return this.#waiting.length - this.#first;
  }

  push(waiting: Waiting): void {
    this.#waiting.push(waiting);
  }

  /** Begins them, as long as `may` says. */
  begin(may: () => boolean, run: (waiting: Waiting) => void): void {
    while (this.length > 0 && may()) {
      const waiting = this.#waiting[this.#first++]!;
      if (waiting.request.state === 'queued') run(waiting);
    }
    if (this.length === 0) this.clear();
  }

  clear(): void {
    this.#waiting = [];
    this.#first = 0;
  }
}
