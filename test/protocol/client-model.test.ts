// The client against a model of what it promises, under random programs (see support/model). A few hundred in an ordinary
// run; scripts/soak-model runs as many as there is patience for. A failure prints the program, cut to what matters, and
// the seed with which NINEFS_MODEL_SEED repeats it.

import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Program, type Step, type World } from '../support/model/program.ts';

const RUNS = Number(process.env['NINEFS_MODEL_RUNS'] ?? 1000);
const SEED = process.env['NINEFS_MODEL_SEED'];
/** Milliseconds for one program at the most, shrinking included. */
const EACH = 100;

const pick = fc.nat(20);
const now = fc.boolean();

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('call' as const),
      kind: fc.constantFrom('getattr', 'walk', 'read', 'write', 'mkdir'),
      shares: fc.nat(3).map((n) => n === 0),
      fid: pick,
      now,
      pick,
    }),
  },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('abort' as const), dying: fc.boolean(), now, pick }) },
  {
    weight: 20,
    arbitrary: fc.record({ do: fc.constant('reply' as const), ok: fc.nat(4).map((n) => n > 0), now, pick }),
  },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('rflush' as const), now, pick }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constantFrom('clunk', 'rclunk', 'late', 'die'), now, pick }) },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('time' as const),
      ms: fc.constantFrom(1, 500, 1000, 9500, 10_000),
      now,
      pick,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('hangUp', 'again', 'stray'), now, pick }) },
);

const world: fc.Arbitrary<World> = fc.record({
  limits: fc
    .record({ maxInFlight: fc.integer({ min: 1, max: 4 }), spare: fc.nat(6), maxQuarantine: fc.nat(4) })
    .map(({ maxInFlight, spare, maxQuarantine }) => ({
      maxInFlight,
      tagWindow: maxInFlight + spare,
      maxQuarantine,
      flushTimeout: 10_000,
      dyingTimeout: 1000,
    })),
  chunks: fc.tuple(
    fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 3 }),
    fc.array(fc.nat(200), { maxLength: 3 }),
  ),
  steps: fc.array(step, { maxLength: 60 }),
});

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test(
  `${RUNS} random programs`,
  async () => {
    let settledBy = 0;
    await fc.assert(
      fc.asyncProperty(world, async (given) => {
        vi.clearAllTimers();
        await new Program(given).run();
        settledBy++;
      }),
      { numRuns: RUNS, ...(SEED !== undefined && { seed: Number(SEED) }) },
    );
    expect(settledBy).toBe(RUNS);
  },
  Math.max(30_000, RUNS * EACH),
);
