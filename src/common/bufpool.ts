// Bounded pool of byte buffers (slabs) in power-of-two size classes, with first-come waiters and statistics.
// Guarantees: the slabs that exist, lent and kept together, never exceed `capacity` bytes; a waiter is served in order
// of arrival, so a large request is not starved by small ones, and with a reserve small ones need not wait for large ones;
// release() of a slab twice throws.
// Must not be used for what releases others (Tflush, Tclunk and their replies): those have private memory.

import type { AbortSignalLike } from './abort.ts';
import { errno } from './errno.ts';
import { CancelledError, ErrnoError, traceless } from './errors.ts';
import { Line } from './line.ts';
import { relayed } from './relay.ts';

const SMALLEST = 4096;

/** A lent buffer. `bytes` has the length that was asked for; the class it came from may be larger. */
export interface Slab {
  readonly bytes: Buffer;
  /** Gives it back; exactly once. */
  release(): void;
}

export interface PoolStats {
  /** Bytes. */
  capacity: number;
  /** Bytes lent now. */
  inUse: number;
  /** Bytes kept for the next takes; with inUse never above the capacity. */
  kept: number;
  /** Most bytes ever lent at once. */
  peak: number;
  /** Most bytes that there ever were, lent and kept: what the capacity bounds. */
  most: number;
  /** How many takes had to wait, ever. */
  waits: number;
  /** Takes waiting now. */
  waiting: number;
}

interface Waiter {
  size: number;
  grant: (slab: Slab) => void;
}

/** Part of a pool for those who want little; without, all stand in one line. */
export interface Reserve {
  /** Bytes that a take may have to be a little one; at most `bytes`. */
  little: number;
  /** What large takes leave free, and little ones may use though large ones wait. */
  bytes: number;
}

/** Not even a take of nothing is a little one. */
export const NO_RESERVE: Reserve = { little: -1, bytes: 0 };

export class BufferPool {
  readonly #capacity: number;
  readonly #reserve: Reserve;
  readonly #free = new Map<number, Buffer[]>();
  #kept = 0;
  #inUse = 0;
  #peak = 0;
  /** Most bytes lent since the last trim(). */
  #lately = 0;
  #most = 0;
  #waits = 0;
  /** Of #inUse, what little takes have. */
  #littleInUse = 0;
  readonly #little = new Line<Waiter>();
  readonly #large = new Line<Waiter>();

  /** `capacity` in bytes. */
  constructor(capacity: number, reserve: Reserve = NO_RESERVE) {
    this.#capacity = capacity;
    this.#reserve = reserve;
  }

  get stats(): PoolStats {
    return {
      capacity: this.#capacity,
      inUse: this.#inUse,
      kept: this.#kept,
      peak: this.#peak,
      most: this.#most,
      waits: this.#waits,
      waiting: this.#little.length + this.#large.length,
    };
  }

  /**
   * A slab of `size` bytes now, or undefined when it would exceed the capacity or pass somebody who waits. `large`: it counts
   * as a large take whatever its size.
   */
  tryTake(size: number, large: boolean = size > this.#reserve.little): Slab | undefined {
    const cls = slabSize(size);
    if (cls > this.#capacity)
      throw new ErrnoError(errno.ENOBUFS, `a buffer of ${size} bytes in a pool of ${this.#capacity}`);
    if ((large ? this.#large : this.#little).length > 0 || !this.#fits(cls, large)) return undefined;
    return this.#lend(size, cls, large);
  }

  /** A slab of `size` bytes, when there is room. An abort takes the waiter out of the line. */
  async take(size: number, given?: AbortSignalLike, large: boolean = size > this.#reserve.little): Promise<Slab> {
    const signal = given && relayed(given);
    if (signal?.aborted) throw cancelled();
    const now = this.tryTake(size, large);
    if (now !== undefined) return now;
    this.#waits++;
    const line = large ? this.#large : this.#little;
    return new Promise<Slab>((resolve, reject) => {
      const waiter: Waiter = {
        size,
        grant: (slab) => {
          signal?.removeEventListener('abort', cancel);
          resolve(slab);
        },
      };
      const cancel = () => {
        line.leave(place);
        reject(cancelled());
        this.#serve();
      };
      const place = line.enter(waiter);
      signal?.addEventListener('abort', cancel);
    });
  }

  /**
   * Whether there is room for one more. While a large take waits, little ones have no more than the reserve, and leave it the
   * room that it needs: otherwise there would always be one of them in its way.
   */
  #fits(cls: number, large: boolean): boolean {
    if (this.#inUse + cls > this.#capacity) return false;
    const { bytes } = this.#reserve;
    if (large) {
      const others = this.#inUse - this.#littleInUse;
      return others === 0 || others + cls <= this.#capacity - bytes;
    }
    const first = this.#large.first;
    return first === undefined || this.#littleInUse + cls <= Math.min(bytes, this.#capacity - slabSize(first.size));
  }

  #lend(size: number, cls: number, large: boolean): Slab {
    const list = this.#free.get(cls);
    let whole = list?.pop();
    if (whole === undefined) {
      this.#makeRoom(cls);
      whole = Buffer.allocUnsafeSlow(cls);
    } else {
      this.#kept -= cls;
    }
    this.#inUse += cls;
    if (!large) this.#littleInUse += cls;
    if (this.#inUse > this.#lately) this.#lately = this.#inUse;
    if (this.#inUse > this.#peak) this.#peak = this.#inUse;
    if (this.#inUse + this.#kept > this.#most) this.#most = this.#inUse + this.#kept;
    const buffer = whole;
    let lent = true;
    return {
      bytes: buffer.length === size ? buffer : buffer.subarray(0, size),
      release: () => {
        if (!lent) throw new Error('slab released twice');
        lent = false;
        this.#inUse -= cls;
        if (!large) this.#littleInUse -= cls;
        this.#kept += cls;
        const kept = this.#free.get(cls);
        if (kept === undefined) this.#free.set(cls, [buffer]);
        else kept.push(buffer);
        if (this.#little.length > 0 || this.#large.length > 0) this.#serve();
      },
    };
  }

  /** Drops kept slabs of other classes until a new one of `cls` bytes fits below the capacity. */
  #makeRoom(cls: number): void {
    for (const [other, list] of this.#free) {
      while (list.length > 0 && this.#inUse + this.#kept + cls > this.#capacity) {
        list.pop();
        this.#kept -= other;
      }
    }
  }

  /** Forgets kept slabs beyond what was lent at a time since the last call. */
  trim(): void {
    for (const [cls, list] of this.#free) {
      while (list.length > 0 && this.#inUse + this.#kept > this.#lately) {
        list.pop();
        this.#kept -= cls;
      }
    }
    this.#lately = this.#inUse;
  }

  #serve(): void {
    do {
      this.#serveLine(this.#little, false);
    } while (this.#serveLine(this.#large, true));
  }

  /** Whether anybody was served. */
  #serveLine(line: Line<Waiter>, large: boolean): boolean {
    const before = line.length;
    for (let next = line.first; next !== undefined && this.#fits(slabSize(next.size), large); next = line.first) {
      line.shift();
      next.grant(this.#lend(next.size, slabSize(next.size), large));
    }
    return line.length < before;
  }
}

/** What whoever waited for memory is told. */
export function cancelled(): CancelledError {
  return traceless(() => new CancelledError('waiting for a receive buffer'));
}

/** Bytes that a slab for `size` bytes takes of the capacity. */
export function slabSize(size: number): number {
  return size <= SMALLEST ? SMALLEST : 2 ** Math.ceil(Math.log2(size));
}
