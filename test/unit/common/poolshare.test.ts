// PoolShare against a model that knows only the rules: never more than the share (or one), first come first served among
// those who wait for it, one line in the pool with everybody else, an abort leaves whichever line it is in.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Abort } from '../../../src/common/abort.ts';
import { BufferPool, type Slab, slabSize } from '../../../src/common/bufpool.ts';
import { CancelledError, ErrnoError } from '../../../src/common/errors.ts';
import { PoolShare } from '../../../src/common/poolshare.ts';

const CAPACITY = 64 * 1024;
const SHARE = CAPACITY / 2;
const SMALL = 4096;

/** Promises that are due have run after this. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Step =
  | { do: 'take'; size: number; shared: boolean }
  | { do: 'release'; pick: number }
  | { do: 'abort'; pick: number };

interface Take {
  id: number;
  cls: number;
  shared: boolean;
}

/** What the rules say. */
class Model {
  readonly lent: Take[] = [];
  /** For the share, and for the pool. */
  gate: Take[] = [];
  line: Take[] = [];
  readonly granted: number[] = [];
  readonly cancelled: number[] = [];
  waits = 0;

  get inUse(): number {
    return sum(this.lent);
  }

  /** Of the share. */
  get shared(): number {
    return sum([...this.lent, ...this.line].filter((take) => take.shared));
  }

  take(take: Take): void {
    if (take.shared) this.gate.push(take);
    else this.line.push(take);
    this.#advance();
    if (this.gate.includes(take)) this.waits++;
  }

  release(take: Take): void {
    this.lent.splice(this.lent.indexOf(take), 1);
    this.#advance();
  }

  abort(id: number): void {
    const waits = (take: Take) => take.id === id;
    if (!this.gate.some(waits) && !this.line.some(waits)) return;
    this.cancelled.push(id);
    this.gate = this.gate.filter((take) => take.id !== id);
    this.line = this.line.filter((take) => take.id !== id);
    this.#advance();
  }

  #advance(): void {
    this.#serve();
    for (let next = this.gate[0]; next !== undefined; next = this.gate[0]) {
      if (this.shared > 0 && this.shared + next.cls > SHARE) break;
      this.gate.shift();
      this.line.push(next);
    }
    this.#serve();
  }

  #serve(): void {
    for (let next = this.line[0]; next !== undefined && this.inUse + next.cls <= CAPACITY; next = this.line[0]) {
      this.line.shift();
      this.lent.push(next);
      this.granted.push(next.id);
    }
  }
}

const sum = (takes: readonly Take[]): number => takes.reduce((total, { cls }) => total + cls, 0);

async function agrees(steps: readonly Step[]): Promise<void> {
  const pool = new BufferPool(CAPACITY);
  const share = new PoolShare(pool, SHARE);
  const model = new Model();
  const slabs = new Map<number, Slab>();
  const aborts: Abort[] = [];
  const granted: number[] = [];
  const cancelled: number[] = [];
  const run = (step: Step) => {
    if (step.do === 'take') {
      const id = aborts.length;
      const abort = new Abort();
      aborts.push(abort);
      (step.shared ? share : pool).take(step.size, abort).then(
        (slab) => {
          expect(slab.bytes).toHaveLength(step.size);
          slabs.set(id, slab);
          granted.push(id);
        },
        (error: unknown) => {
          expect(error).toBeInstanceOf(CancelledError);
          cancelled.push(id);
        },
      );
      model.take({ id, cls: slabSize(step.size), shared: step.shared });
    } else if (step.do === 'abort') {
      if (aborts.length === 0) return;
      const id = step.pick % aborts.length;
      aborts[id]?.abort();
      model.abort(id);
    } else {
      const take = model.lent[step.pick % Math.max(1, model.lent.length)];
      if (take === undefined) return;
      const slab = slabs.get(take.id);
      slab?.release();
      expect(() => slab?.release()).toThrow('twice');
      slabs.delete(take.id);
      model.release(take);
    }
  };
  for (const step of steps) {
    run(step);
    await settled();
    const ids = (list: readonly number[]) => list.toSorted((a, b) => a - b);
    expect(ids(granted)).toEqual(ids(model.granted));
    expect(cancelled).toEqual(model.cancelled);
    // in their order among themselves; how the two lines mix within one turn is nobody's promise
    const shared = (list: readonly number[]) =>
      list.filter((id) => model.lent.some((take) => take.id === id && take.shared));
    expect(shared(granted)).toEqual(shared(model.granted));
    expect(pool.stats).toMatchObject({ inUse: model.inUse, waiting: model.line.length });
    expect(pool.stats.most).toBeLessThanOrEqual(CAPACITY);
    expect(share.stats).toEqual({ share: SHARE, inUse: model.shared, waits: model.waits, waiting: model.gate.length });
    const lent = model.lent.filter((take) => take.shared);
    if (lent.length > 1) expect(sum(lent)).toBeLessThanOrEqual(SHARE);
  }
  for (const abort of aborts) abort.abort();
  await settled();
  // also those that an abort before them let through
  for (const slab of slabs.values()) slab.release();
  await settled();
  expect(pool.stats).toMatchObject({ inUse: 0, waiting: 0 });
  expect(share.stats).toMatchObject({ inUse: 0, waiting: 0 });
}

const size = fc.oneof(fc.nat(CAPACITY), fc.constantFrom(0, 1, SMALL, SMALL + 1, SHARE, SHARE + 1, CAPACITY));
const pick = fc.nat(50);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('take' as const), size, shared: fc.boolean() }),
  fc.record({ do: fc.constant('take' as const), size: fc.nat(SHARE / 2), shared: fc.boolean() }),
  fc.record({ do: fc.constant('release' as const), pick }),
  fc.record({ do: fc.constant('abort' as const), pick }),
);

describe('PoolShare', () => {
  test('does what the model does', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), agrees), { numRuns: 300 });
  });

  test('leaves the rest of the pool to all others, however many wait for the share', async () => {
    const pool = new BufferPool(CAPACITY);
    const share = new PoolShare(pool, SHARE);
    const abort = new Abort();
    const takes = Array.from({ length: 100 }, () => share.take(SMALL, abort).catch(() => undefined));
    await settled();
    expect(share.stats).toEqual({ share: SHARE, inUse: SHARE, waits: 92, waiting: 92 });
    const others = Array.from({ length: SHARE / SMALL }, () => pool.tryTake(SMALL));
    expect(others).not.toContain(undefined);
    abort.abort();
    for (const slab of [...others, ...(await Promise.all(takes))]) slab?.release();
    expect(pool.stats.inUse).toBe(0);
  });

  test('who fits in the share is not overtaken in the pool', async () => {
    const pool = new BufferPool(CAPACITY);
    const share = new PoolShare(pool, SHARE);
    const whole = pool.tryTake(CAPACITY);
    const order: string[] = [];
    const first = share.take(SHARE).then((slab) => {
      order.push('stream');
      return slab;
    });
    await settled();
    const second = pool.take(CAPACITY).then((slab) => {
      order.push('file');
      return slab;
    });
    whole?.release();
    (await first).release();
    (await second).release();
    expect(order).toEqual(['stream', 'file']);
  });

  test('has room for one that is larger than the share, when it is alone', async () => {
    const pool = new BufferPool(CAPACITY);
    const share = new PoolShare(pool, SHARE);
    const large = await share.take(CAPACITY);
    const small = share.take(SMALL);
    await settled();
    expect(share.stats).toMatchObject({ inUse: CAPACITY, waiting: 1 });
    large.release();
    (await small).release();
    expect(share.stats).toMatchObject({ inUse: 0, waits: 1 });
  });

  test('what is larger than the pool is refused, and takes no part of the share', async () => {
    const share = new PoolShare(new BufferPool(CAPACITY), SHARE);
    await expect(share.take(CAPACITY + 1)).rejects.toBeInstanceOf(ErrnoError);
    expect(share.stats).toMatchObject({ inUse: 0, waiting: 0 });
  });
});
