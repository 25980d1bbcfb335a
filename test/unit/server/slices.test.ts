// Work in slices: how much of it one turn of the event loop gets, however many there are who have some.

import { expect, test } from 'vitest';
import { inSlices, type Steps } from '../../../src/server/slices.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function* count(steps: number, did: () => void): Steps {
  for (let i = 0; i < steps; i++) {
    did();
    yield;
  }
}

test('a little is done at once', async () => {
  await turn();
  let did = 0;
  const done = inSlices(count(10, () => did++));
  expect(did).toBe(10);
  await done;
});

test('much is done in many turns, and much of many is not done in fewer', async () => {
  await turn();
  let did = 0;
  let most = 0;
  let turns = 0;
  let over = false;
  const all = Array.from({ length: 100 }, () => inSlices(count(100, () => did++)));
  const done = Promise.all(all).then(() => {
    over = true;
  });
  for (let before = 0; !over; turns++) {
    await turn();
    most = Math.max(most, did - before);
    before = did;
  }
  await done;
  expect(did).toBe(10_000);
  // those that begin do a few steps at once
  expect(most).toBeLessThan(100 * 16 + 300);
  expect(turns).toBeGreaterThan(20);
});

test('what waits holds nobody up', async () => {
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const did: string[] = [];
  const slow = inSlices(
    (function* (): Steps {
      yield gate;
      did.push('slow');
    })(),
  );
  await inSlices(count(1000, () => did.push('fast')));
  expect(did).toHaveLength(1000);
  go();
  await slow;
  expect(did.at(-1)).toBe('slow');
});

test('what a step throws is that work, and no other', async () => {
  const bad = inSlices(
    count(20, () => {
      throw new Error('mine');
    }),
  );
  let did = 0;
  const good = inSlices(count(20, () => did++));
  await expect(bad).rejects.toThrow('mine');
  await good;
  expect(did).toBe(20);
});
