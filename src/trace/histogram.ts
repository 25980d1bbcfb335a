// Durations of any number, kept as counts of steps of one in a hundred: the least and the greatest are exact, the median is right
// to one percent. Memory is bounded by the range.

const STEP = Math.log(1.01);
/** Below a microsecond all is one. */
const LEAST = 0.001;

export class Histogram {
  count = 0;
  least = Number.POSITIVE_INFINITY;
  greatest = 0;
  readonly #steps = new Map<number, number>();

  /** Milliseconds. */
  add(value: number): void {
    this.count++;
    this.least = Math.min(this.least, value);
    this.greatest = Math.max(this.greatest, value);
    const step = Math.round(Math.log(Math.max(value, LEAST)) / STEP);
    this.#steps.set(step, (this.#steps.get(step) ?? 0) + 1);
  }

  /** 0 where there is nothing. */
  get median(): number {
    let left = Math.ceil(this.count / 2);
    for (const [step, count] of [...this.#steps].sort(([a], [b]) => a - b)) {
      left -= count;
      if (left <= 0) return Math.min(this.greatest, Math.max(this.least, Math.exp(step * STEP)));
    }
    return 0;
  }
}
