// The client against a model of what it promises, under random programs (see support/model). Two thousand in an ordinary
// run; scripts/soak-model runs as many as there is patience for. A failure prints the program, cut to what matters, and
// the seed with which NINEFS_MODEL_SEED repeats it.

import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { kindNames } from '../support/model/kinds.ts';
import { Program, type Step, type Tally, type World } from '../support/model/program.ts';
import { forbidden } from '../support/model/whims.ts';

const RUNS = Number(process.env['NINEFS_MODEL_RUNS'] ?? 2000);
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
      kind: fc.constantFrom(...kindNames),
      shares: fc.nat(3).map((n) => n === 0),
      platform: fc.boolean(),
      fid: pick,
      now,
      pick,
    }),
  },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('abort' as const), dying: fc.boolean(), now, pick }) },
  {
    weight: 20,
    arbitrary: fc.record({
      do: fc.constant('reply' as const),
      how: fc.constantFrom('ok', 'ok', 'ok', 'short', 'refused', 'interrupted'),
      now,
      pick,
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant('rflush' as const), ok: fc.nat(4).map((n) => n > 0), now, pick }),
  },
  { weight: 12, arbitrary: fc.record({ do: fc.constantFrom('clunk', 'rclunk', 'late', 'die'), now, pick }) },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('time' as const),
      ms: fc.constantFrom(1, 375, 500, 1000, 3000, 9500, 10_000),
      now,
      pick,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('hangUp', 'stray', ...forbidden),
      now,
      pick,
    }),
  },
);

const world: fc.Arbitrary<World> = fc.record({
  version: fc.constantFrom('9P2000.L', '9P2000.L', '9P2000.u', '9P2000'),
  limits: fc
    .record({
      maxInFlight: fc.integer({ min: 1, max: 4 }),
      spare: fc.nat(6),
      maxQuarantine: fc.nat(4),
      timeout: fc.constantFrom(0, 0, 3000),
    })
    .map(({ maxInFlight, spare, maxQuarantine, timeout }) => ({
      maxInFlight,
      tagWindow: maxInFlight + spare,
      maxQuarantine,
      flushTimeout: 10_000,
      dyingTimeout: 1000,
      timeout,
    })),
  chunks: fc.tuple(
    fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 3 }),
    fc.array(fc.nat(200), { maxLength: 3 }),
  ),
  steps: fc.array(step, { maxLength: 60, size: 'max' }),
  end: fc.constantFrom('answers', 'answers', 'silence'),
});

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Without any of these a run would say nothing about it. What is forbidden is rare: a few runs may miss some of it. */
const TO_BE_SEEN = [
  ...['ok', 'refused', 'cancelled', 'timed out', 'impossible', 'ended'].map((outcome) => `calls: ${outcome}`),
  ...(RUNS < 10_000 ? [] : forbidden).map((what) => `said: ${what}`),
  ...['Tflush', 'late replies', 'looks at a quarantine'],
  ...['9P2000.L', '9P2000.u', '9P2000'].map((version) => `programs: ${version}`),
];

test(
  `${RUNS} random programs`,
  async () => {
    const tally: Tally = new Map();
    await fc.assert(
      fc.asyncProperty(world, async (given) => {
        vi.clearAllTimers();
        await new Program(given, tally).run();
      }),
      { numRuns: RUNS, ...(SEED !== undefined && { seed: Number(SEED) }) },
    );
    expect(tally.get('programs')).toBe(RUNS);
    expect(TO_BE_SEEN.filter((what) => !tally.has(what))).toEqual([]);
    if (process.env['NINEFS_MODEL_RUNS'] !== undefined) {
      for (const [what, times] of [...tally].sort()) console.info(`${what}: ${times}`);
    }
  },
  Math.max(30_000, RUNS * EACH),
);
