// When answers go out. libfuse ends a thread whenever more than ten of them have nothing to do (lib/fuse_loop_mt.c), starts
// another when the next calls come, and the addon gives back nothing of a thread that has ended: not its memory, and not its
// place in the list that the event loop goes through. So answers that come together are let go as new calls come, or after a
// moment, and as many threads stay as the load needs.
// Guarantees: every answer goes, in order: at once where no more than SPARE calls were there at the same time, and some
// milliseconds later at the most where there were more and none come any more.

/** Threads that may have nothing to do: ten, less what may be on its way between here and there. */
const SPARE = 8;
/** Of what came at once lately, so large a part is thought to come no more for each millisecond in which answers wait. */
const PART = 1 / 16;

export class Pace {
  /** Calls that came and whose answer has not gone. */
  #busy = 0;
  /** How many were at once, lately: so many threads there are. */
  #peak = 0;
  #answers: (() => void)[] = [];
  #clock: NodeJS.Timeout | undefined;

  /** A call has come. */
  came(): void {
    this.#busy++;
    this.#peak = Math.max(this.#peak, this.#busy);
    if (this.#answers.length > 0) this.#go();
  }

  /** Its answer is ready: `go` sends it. */
  answer(go: () => void): void {
    this.#answers.push(go);
    this.#go();
  }

  #go(): void {
    while (this.#answers.length > 0 && this.#busy > this.#peak - SPARE) {
      this.#busy--;
      this.#answers.shift()?.();
    }
    if (this.#answers.length > 0) this.#clock ??= setTimeout(() => this.#lower(), 1);
  }

  #lower(): void {
    this.#clock = undefined;
    this.#peak -= Math.ceil(this.#peak * PART);
    this.#go();
  }
}
