// A place where something misbehaves: its fault, and how often what happened there, for counters/.

import type { MessageName } from '../../../wire/p9/messages.ts';
import type { Fault } from '../../fault.ts';
import { isPromise } from '../../tree.ts';
import type { Kind } from './faults.ts';

export interface Counts {
  /** Messages that the fault was asked about. */
  requests: number;
  /** Of those, how many were flushed while they ran, and how many were carried out. */
  flushed: number;
  performed: number;
}

export class Place {
  readonly name: string;
  readonly counts: Counts = { requests: 0, flushed: 0, performed: 0 };
  readonly #messages: ReadonlySet<MessageName>;
  readonly #fault: Fault;

  constructor(name: string, kind: Kind, messages: Iterable<MessageName>) {
    this.name = name;
    this.#messages = new Set(messages);
    this.#fault = this.#counted(kind.make());
  }

  faultOf(type: MessageName): Fault | undefined {
    return this.#messages.has(type) ? this.#fault : undefined;
  }

  #counted(fault: Fault): Fault {
    const { counts } = this;
    return (act) => {
      counts.requests++;
      const flush = () => {
        if (!act.wire.over.aborted) counts.flushed++;
      };
      act.signal.addEventListener('abort', flush);
      const result = fault({
        ...act,
        perform: (message) => {
          counts.performed++;
          return act.perform(message);
        },
      });
      if (isPromise(result)) return result.finally(() => act.signal.removeEventListener('abort', flush));
      act.signal.removeEventListener('abort', flush);
      return result;
    };
  }
}
