// What is done when memory is short: connections that hold some and do not move are closed, the oldest first and not all at
// once. One that does not read its replies, or stops in the middle of a write, would keep its part of the memory for ever.
// Guarantees: nobody is closed while there is memory for all, nor one that has moved within the time that it is allowed;
// where one tenant is short of its own share only its own connections are.

import { isShort, type Tenant, type Tenants } from './tenants.ts';

/** How often it is looked while memory is short, in parts of the patience. */
const LOOKS = 5;
/** Of those that may be closed, how many stay for the next look. */
const STAY = 3 / 4;

/** A connection, as far as it may be closed for its memory. */
export interface MemoryHolder {
  readonly tenant: Tenant | undefined;
  /** Milliseconds for which it has held memory without moving; undefined when it holds none. */
  stuckFor(now: number): number | undefined;
  /** Ends it, and says why. */
  expel(): void;
}

/** Since when something has not moved, as far as was looked. */
export class Progress {
  #seen: string | undefined;
  #since = 0;

  /** `at` says how far it is, in any words; undefined where there is nothing that could move. */
  stuckFor(now: number, at: string | undefined): number | undefined {
    if (at !== this.#seen) this.#since = now;
    this.#seen = at;
    return at === undefined ? undefined : now - this.#since;
  }
}

export class Shortage {
  readonly #tenants: Tenants;
  /** In the order in which they came. */
  readonly #holders: Iterable<MemoryHolder>;
  readonly #patience: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(tenants: Tenants, holders: Iterable<MemoryHolder>, patience: number) {
    this.#tenants = tenants;
    this.#holders = holders;
    this.#patience = patience;
  }

  /** Somebody has to wait for memory. It is looked after until nobody has. */
  watch(): void {
    this.#timer ??= setInterval(() => this.#look(), Math.max(10, this.#patience / LOOKS)).unref();
  }

  /** No more is closed. */
  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const short = new Set([...this.#tenants.all].filter(isShort));
    const everybody = this.#tenants.pool.stats.waiting > 0;
    if (short.size === 0 && !everybody) {
      this.end();
      return;
    }
    const now = performance.now();
    const stuck: { holder: MemoryHolder; ms: number }[] = [];
    for (const holder of this.#holders) {
      const ms = holder.stuckFor(now);
      if (ms === undefined || ms < this.#patience) continue;
      if (everybody || (holder.tenant !== undefined && short.has(holder.tenant))) stuck.push({ holder, ms });
    }
    stuck.sort((a, b) => b.ms - a.ms);
    for (const { holder } of stuck.slice(0, stuck.length - Math.floor(stuck.length * STAY))) holder.expel();
  }
}
