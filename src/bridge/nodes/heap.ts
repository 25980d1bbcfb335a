// The memory that many nodes take, beyond what they hold. V8 lets a heap grow to about twice what lives in it before it collects
// all of it, and a process that then has nothing to do does not collect at all: a mount in which a program has looked at every
// file would keep most of that memory for as long as it lives.
// Guarantees: a mount of few files is left alone; with many the heap has little room beside what lives; when most have been
// forgotten, what they took goes back to the system within about two seconds.
// Sources: `node --v8-options` for the flags, which V8 reads whenever it works out when to collect next.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Nodes from which on the heap is kept tight. */
const MANY = 65_536;
/** Fewer are not worth a collection when they go. */
const SOME = 16_384;
/** Milliseconds after most are gone: the kernel forgets in many messages. */
const CALM = 500;
/** A collection at this many per cent more than what was alive after the last; V8's own choice is 0. */
const TIGHT = 20;

export class Heap {
  #peak = 0;
  #state: 'as it comes' | 'tight' = 'as it comes';
  #collecting: NodeJS.Timeout | undefined;

  /** There is one node more. */
  grew(size: number): void {
    if (size > this.#peak) this.#peak = size;
    if (size >= MANY && this.#state === 'as it comes') this.#become('tight');
  }

  /** There is one fewer. */
  shrank(size: number): void {
    if (this.#peak < SOME || size >= this.#peak / 4) return;
    this.#peak = size;
    this.#collecting ??= this.#soon(() => {
      collect();
      // what has become free while the first one ran, and the pages that it has emptied
      this.#collecting = this.#soon(() => {
        this.#collecting = undefined;
        if (this.#peak < MANY && this.#state === 'tight') this.#become('as it comes');
        collect();
      });
    });
  }

  #soon(work: () => void): NodeJS.Timeout {
    return setTimeout(work, CALM).unref();
  }

  #become(state: 'as it comes' | 'tight'): void {
    this.#state = state;
    setFlagsFromString(`--heap-growing-percent=${state === 'tight' ? TIGHT : 0}`);
  }
}

let gc: (() => void) | undefined;

function collect(): void {
  if (gc === undefined) {
    setFlagsFromString('--expose-gc');
    gc = runInNewContext('gc') as () => void;
  }
  gc();
}
