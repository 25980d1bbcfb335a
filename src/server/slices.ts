// Work of which there may be much, done a little at a time, so that everybody else is answered meanwhile: letting go of what
// a connection held, which may be thousands of requests and hundreds of thousands of fids.
// Guarantees: all such work of a process together gets a few milliseconds of each turn of the event loop, what its steps
// cause to run (the reactions to promises) included; each piece of work is done in order, and one that waits holds up no
// other; the first steps are done at once, so that a little work costs no turn.

/** Of one turn of the loop, milliseconds. */
const SLICE = 3;
/** Steps of one turn at the most: some of what they cause may come later than they are timed. */
const STEPS = 256;
/** Steps after which the clock is looked at. */
const FEW = 16;

/** A step that gives a promise is waited for. */
export type Steps = Iterator<void | Promise<void>, void>;

/** What is left of this turn. */
let left = STEPS;
/** Until when, on the clock of performance.now(); undefined before its first step. */
let until: number | undefined;
let next: Promise<void> | undefined;

function nextTurn(): Promise<void> {
  next ??= new Promise((resolve) => {
    setImmediate(() => {
      next = undefined;
      until = undefined;
      left = STEPS;
      resolve();
    });
  });
  return next;
}

/** Settles when the last step is done; rejects with what a step throws, and does no more of them then. */
export async function inSlices(steps: Steps): Promise<void> {
  for (;;) {
    while (left > 0) {
      if (until === undefined) {
        until = performance.now() + SLICE;
        nextTurn();
      }
      for (let i = 0; i < FEW; i++) {
        left--;
        const { done, value } = steps.next();
        if (done === true) return;
        if (value !== undefined) await value;
      }
      await undefined; // what these steps have caused runs now, and counts
      if (until !== undefined && performance.now() > until) left = 0;
    }
    await nextTurn();
  }
}
