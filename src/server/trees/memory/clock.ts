// The time of day with a resolution below the millisecond: the wall clock, refined by the monotonic one between its ticks.

/** How far, in milliseconds, the two may drift apart before the wall clock is believed again. */
const DRIFT = 2;

export class Clock {
  sec = 0;
  nsec = 0;
  #base = performance.timeOrigin;

  /** Reads the time into `sec` and `nsec`. */
  tick(): void {
    const wall = Date.now();
    let now = this.#base + performance.now();
    if (Math.abs(now - wall) > DRIFT) {
      this.#base += wall - now;
      now = wall;
    }
    this.sec = Math.floor(now / 1000);
    this.nsec = Math.min(999_999_999, Math.floor((now - this.sec * 1000) * 1e6));
  }
}
