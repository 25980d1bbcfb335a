// BufferPool against a model that knows only the rules: never above the capacity, first come first served, an abort
// leaves the line, statistics add up. Then the single promises, each by name.

import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Abort } from '../../../src/common/abort.ts';
import { BufferPool, type Slab } from '../../../src/common/bufpool.ts';
import { CancelledError, ErrnoError } from '../../../src/common/errors.ts';

const CAPACITY = 64 * 1024;
const SMALL = 4096;

const classOf = (size: number): number => {
  let cls = SMALL;
  while (cls < size) cls *= 2;
  return cls;
};
/** Promises that are due have run after this. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Model {
  /** Bytes of each take, by its serial number; the order of `lent` is that in which they were granted. */
  lent: Map<number, number>;
  waiting: { id: number; size: number }[];
  granted: number[];
  cancelled: number[];
  inUse: number;
  peak: number;
  waits: number;
  serial: number;
}

interface Real {
  pool: BufferPool;
  slabs: Map<number, Slab>;
  aborts: Map<number, Abort>;
  granted: number[];
  cancelled: number[];
}

function grant(model: Model, id: number, size: number): void {
  model.lent.set(id, size);
  model.granted.push(id);
  model.inUse += classOf(size);
  model.peak = Math.max(model.peak, model.inUse);
}

function serve(model: Model): void {
  for (let next = model.waiting[0]; next !== undefined; next = model.waiting[0]) {
    if (model.inUse + classOf(next.size) > CAPACITY) return;
    model.waiting.shift();
    grant(model, next.id, next.size);
  }
}

async function agree(model: Model, { pool, slabs, granted, cancelled }: Real): Promise<void> {
  await settled();
  const { kept, most, ...stats } = pool.stats;
  expect(stats).toEqual({
    capacity: CAPACITY,
    inUse: model.inUse,
    peak: model.peak,
    waits: model.waits,
    waiting: model.waiting.length,
  });
  expect(stats.inUse + kept).toBeLessThanOrEqual(most);
  expect(most).toBeLessThanOrEqual(CAPACITY);
  expect(granted).toEqual(model.granted);
  expect(cancelled).toEqual(model.cancelled);
  // lent memory is nobody else's: each slab still holds its own mark
  const memory = new Set<ArrayBufferLike>();
  for (const [id, size] of model.lent) {
    const { bytes } = slabs.get(id)!;
    expect(bytes.length).toBe(size);
    if (size > 0) expect([bytes[0], bytes[size - 1]]).toEqual([id & 0xff, id & 0xff]);
    memory.add(bytes.buffer);
  }
  expect(memory.size).toBe(model.lent.size);
}

function lend(real: Real, id: number, slab: Slab): void {
  slab.bytes.fill(id & 0xff);
  real.slabs.set(id, slab);
  real.granted.push(id);
}

class TryTake implements fc.AsyncCommand<Model, Real> {
  readonly #size: number;
  constructor(size: number) {
    this.#size = size;
  }
  check(): boolean {
    return true;
  }
  async run(model: Model, real: Real): Promise<void> {
    const id = model.serial++;
    const slab = real.pool.tryTake(this.#size);
    const fits = model.waiting.length === 0 && model.inUse + classOf(this.#size) <= CAPACITY;
    expect(slab !== undefined).toBe(fits);
    if (fits) grant(model, id, this.#size);
    if (slab !== undefined) lend(real, id, slab);
    await agree(model, real);
  }
  toString(): string {
    return `tryTake(${this.#size})`;
  }
}

class Take implements fc.AsyncCommand<Model, Real> {
  readonly #size: number;
  constructor(size: number) {
    this.#size = size;
  }
  check(): boolean {
    return true;
  }
  async run(model: Model, real: Real): Promise<void> {
    const id = model.serial++;
    const abort = new Abort();
    real.aborts.set(id, abort);
    real.pool.take(this.#size, abort).then(
      (slab) => lend(real, id, slab),
      (error: unknown) => {
        expect(error).toBeInstanceOf(CancelledError);
        real.cancelled.push(id);
      },
    );
    model.waiting.push({ id, size: this.#size });
    serve(model);
    if (!model.lent.has(id)) model.waits++;
    await agree(model, real);
  }
  toString(): string {
    return `take(${this.#size})`;
  }
}

class Release implements fc.AsyncCommand<Model, Real> {
  readonly #pick: number;
  constructor(pick: number) {
    this.#pick = pick;
  }
  check(model: Model): boolean {
    return model.lent.size > 0;
  }
  async run(model: Model, real: Real): Promise<void> {
    const [id, size] = [...model.lent][this.#pick % model.lent.size]!;
    model.lent.delete(id);
    model.inUse -= classOf(size);
    serve(model);
    const slab = real.slabs.get(id)!;
    slab.release();
    expect(() => slab.release()).toThrow('twice');
    await agree(model, real);
  }
  toString(): string {
    return `release(${this.#pick})`;
  }
}

/** Aborts any take that there ever was: one that waits leaves the line, for the others it changes nothing. */
class AbortTake implements fc.AsyncCommand<Model, Real> {
  readonly #pick: number;
  constructor(pick: number) {
    this.#pick = pick;
  }
  check(model: Model): boolean {
    return model.serial > 0;
  }
  async run(model: Model, real: Real): Promise<void> {
    const id = this.#pick % model.serial;
    const at = model.waiting.findIndex((waiter) => waiter.id === id);
    if (at >= 0) {
      model.waiting.splice(at, 1);
      model.cancelled.push(id);
      serve(model);
    }
    real.aborts.get(id)?.abort();
    await agree(model, real);
  }
  toString(): string {
    return `abort(${this.#pick})`;
  }
}

const size = fc.oneof(
  fc.nat(CAPACITY),
  fc.constantFrom(0, 1, SMALL, SMALL + 1, CAPACITY / 2, CAPACITY / 2 + 1, CAPACITY),
);

describe('BufferPool', () => {
  test('does what the model does', async () => {
    const commands = fc.commands(
      [
        size.map((bytes) => new TryTake(bytes)),
        size.map((bytes) => new Take(bytes)),
        fc.nat(50).map((pick) => new Release(pick)),
        fc.nat(50).map((pick) => new Release(pick)),
        fc.nat(50).map((pick) => new AbortTake(pick)),
      ],
      { maxCommands: 40 },
    );
    await fc.assert(
      fc.asyncProperty(commands, async (steps) => {
        const model: Model = {
          lent: new Map(),
          waiting: [],
          granted: [],
          cancelled: [],
          inUse: 0,
          peak: 0,
          waits: 0,
          serial: 0,
        };
        const real: Real = {
          pool: new BufferPool(CAPACITY),
          slabs: new Map(),
          aborts: new Map(),
          granted: [],
          cancelled: [],
        };
        await fc.asyncModelRun(() => ({ model, real }), steps);
        // when nobody waits and all is given back, everything is free again; from the end, so that no abort serves another
        for (const { id } of model.waiting.toReversed()) real.aborts.get(id)?.abort();
        for (const id of model.lent.keys()) real.slabs.get(id)?.release();
        await settled();
        expect(real.pool.stats).toMatchObject({ inUse: 0, waiting: 0 });
      }),
      { numRuns: 150 },
    );
  });

  test('memory is used again, not made again', () => {
    const make = vi.spyOn(Buffer, 'allocUnsafeSlow');
    try {
      const pool = new BufferPool(CAPACITY);
      for (let i = 0; i < 20; i++) {
        const slabs = [pool.tryTake(5000 + i), pool.tryTake(100), pool.tryTake(8192)];
        for (const slab of slabs) slab?.release();
      }
      expect(make).toHaveBeenCalledTimes(3);
    } finally {
      make.mockRestore();
    }
  });

  test('slabs of other sizes that are kept make room for a new one', () => {
    const pool = new BufferPool(CAPACITY);
    const small = Array.from({ length: CAPACITY / SMALL }, () => pool.tryTake(SMALL)!);
    for (const slab of small) slab.release();
    expect(pool.stats).toMatchObject({ inUse: 0, kept: CAPACITY, most: CAPACITY });
    const whole = pool.tryTake(CAPACITY);
    expect(whole?.bytes).toHaveLength(CAPACITY);
    expect(pool.stats).toMatchObject({ inUse: CAPACITY, kept: 0, most: CAPACITY });
  });

  test('a large waiter is not starved by small ones, nor overtaken by tryTake', async () => {
    const pool = new BufferPool(CAPACITY);
    const first = pool.tryTake(SMALL)!;
    const order: string[] = [];
    const large = pool.take(CAPACITY).then((slab) => {
      order.push('large');
      slab.release();
    });
    const small = Array.from({ length: 5 }, () =>
      pool.take(SMALL).then((slab) => {
        order.push('small');
        slab.release();
      }),
    );
    // there is room for small ones all the time, but somebody waits
    expect(pool.tryTake(SMALL)).toBeUndefined();
    expect(pool.stats).toMatchObject({ waiting: 6, waits: 6, inUse: SMALL });
    first.release();
    await Promise.all([large, ...small]);
    expect(order).toEqual(['large', ...Array(5).fill('small')]);
    expect(pool.stats).toMatchObject({ inUse: 0, waiting: 0, waits: 6, peak: CAPACITY });
  });

  test('when the waiter that blocked the line is aborted, those behind it are served', async () => {
    const pool = new BufferPool(CAPACITY);
    const held = pool.tryTake(SMALL)!;
    const abort = new Abort();
    const large = pool.take(CAPACITY, abort);
    const small = pool.take(SMALL);
    abort.abort();
    await expect(large).rejects.toMatchObject({ name: 'CancelledError', code: 'EINTR' });
    (await small).release();
    held.release();
    expect(pool.stats).toMatchObject({ inUse: 0, waiting: 0 });
  });

  test('a signal that is aborted already takes nothing and does not wait', async () => {
    const pool = new BufferPool(CAPACITY);
    await expect(pool.take(1, AbortSignal.abort())).rejects.toBeInstanceOf(CancelledError);
    expect(pool.stats).toMatchObject({ inUse: 0, waits: 0, waiting: 0 });
  });

  test('a granted take heeds its signal no more', async () => {
    const pool = new BufferPool(CAPACITY);
    const held = pool.tryTake(CAPACITY)!;
    const abort = new AbortController();
    const taken = pool.take(1, abort.signal);
    const behind = pool.take(CAPACITY);
    held.release();
    const slab = await taken;
    abort.abort();
    expect(pool.stats).toMatchObject({ inUse: SMALL, waiting: 1 });
    slab.release();
    (await behind).release();
  });

  test('what can never fit is refused at once', async () => {
    const pool = new BufferPool(CAPACITY);
    expect(() => pool.tryTake(CAPACITY + 1)).toThrow(ErrnoError);
    await expect(pool.take(CAPACITY + 1)).rejects.toMatchObject({ code: 'ENOBUFS' });
    // the classes are powers of two: what rounds up past the capacity does not fit either
    expect(() => new BufferPool(SMALL * 3).tryTake(SMALL * 2 + 1)).toThrow(ErrnoError);
    expect(pool.stats.waiting).toBe(0);
  });
});
