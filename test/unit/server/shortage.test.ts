// Which connections are closed when memory is short, and when.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { limitsOf } from '../../../src/server/limits.ts';
import { type MemoryHolder, Progress, Shortage } from '../../../src/server/shortage.ts';
import { type Tenant, Tenants } from '../../../src/server/tenants.ts';

const PATIENCE = 1000;
const MIB = 1024 * 1024;

class Holder implements MemoryHolder {
  readonly tenant: Tenant;
  readonly #progress = new Progress();
  /** How far it is; undefined when it holds nothing. */
  at: string | undefined = '';
  expelled = false;

  constructor(tenant: Tenant) {
    this.tenant = tenant;
  }

  stuckFor(now: number): number | undefined {
    return this.#progress.stuckFor(now, this.expelled ? undefined : this.at);
  }

  expel(): void {
    this.expelled = true;
  }
}

let tenants: Tenants;
let holders: Holder[];
let shortage: Shortage;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  tenants = new Tenants(limitsOf({ memory: 16 * MIB }, MIB, 1024));
  holders = [];
  shortage = new Shortage(tenants, holders, PATIENCE);
});
afterEach(() => {
  shortage.end();
  vi.useRealTimers();
});

const add = (tenant: Tenant) => holders[holders.push(new Holder(tenant)) - 1]!;
const expelled = () => holders.map((holder) => holder.expelled);

/** Takes more than its share of what is not for payloads. */
function starve(tenant: Tenant): void {
  tenant.bytes.add(3 * MIB);
}

test('nobody while nobody is short, however long they are stuck', () => {
  add(tenants.enter('a'));
  shortage.watch();
  vi.advanceTimersByTime(100 * PATIENCE);
  expect(expelled()).toEqual([false]);
  expect(vi.getTimerCount()).toBe(1); // the one that gives memory back
});

test('those that do not move, the one that is longest at it first, and not all at once', () => {
  const tenant = tenants.enter('a');
  for (let i = 0; i < 4; i++) add(tenant);
  const [still, moving, late, idle] = holders as [Holder, Holder, Holder, Holder];
  idle.at = undefined;
  starve(tenant);
  shortage.watch();
  for (let i = 0; i < 4; i++) {
    vi.advanceTimersByTime(PATIENCE / 5);
    moving.at = `${i}`;
    if (i === 2) late.at = 'further';
  }
  expect(expelled()).toEqual([false, false, false, false]);
  vi.advanceTimersByTime(PATIENCE / 2.5);
  expect([still.expelled, moving.expelled, late.expelled, idle.expelled]).toEqual([true, false, false, false]);
  moving.at = 'on';
  vi.advanceTimersByTime(PATIENCE);
  expect([moving.expelled, late.expelled, idle.expelled]).toEqual([false, true, false]);
});

test('of many a quarter at a time', () => {
  const tenant = tenants.enter('a');
  for (let i = 0; i < 16; i++) add(tenant);
  starve(tenant);
  shortage.watch();
  const counts = [];
  for (let i = 0; i < 9; i++) {
    vi.advanceTimersByTime(PATIENCE / 5);
    counts.push(expelled().filter(Boolean).length);
  }
  expect(counts).toEqual([0, 0, 0, 0, 0, 4, 7, 10, 12]);
});

test('only those of a tenant that is short, unless all are', async () => {
  const [a, b] = [tenants.enter('a'), tenants.enter('b')];
  add(a);
  add(b);
  starve(a);
  shortage.watch();
  vi.advanceTimersByTime(5 * PATIENCE);
  expect(expelled()).toEqual([true, false]);
  a.bytes.give(3 * MIB);
  const slabs = Array.from({ length: 12 }, () => tenants.pool.tryTake(MIB)!);
  void b.memory.take(MIB).then((slab) => slab.release());
  await Promise.resolve();
  shortage.watch();
  vi.advanceTimersByTime(5 * PATIENCE);
  expect(expelled()).toEqual([true, true]);
  for (const slab of slabs) slab.release();
});

test('it is looked after no longer than memory is short', () => {
  const tenant = tenants.enter('a');
  add(tenant);
  starve(tenant);
  shortage.watch();
  vi.advanceTimersByTime(PATIENCE / 5);
  tenant.bytes.give(3 * MIB);
  vi.advanceTimersByTime(PATIENCE / 5);
  expect(vi.getTimerCount()).toBe(1);
  tenants.leave(tenant);
  vi.advanceTimersByTime(10 * PATIENCE);
  expect(vi.getTimerCount()).toBe(0);
  expect(expelled()).toEqual([false]);
});
