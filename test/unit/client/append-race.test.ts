// Two clients that append to one file at once, each message of theirs at any moment: no byte of either is lost, and
// where a lock keeps them apart, every append is whole.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Appending, type AppendOptions } from '../../../src/client/append.ts';
import { appender, type Makes, SharedFile, SharedLock } from '../../support/appendpeer.ts';
import { turn } from '../../support/scripted.ts';

const held: AppendOptions['lock'] = (work) => work(true);
const notHeld: AppendOptions['lock'] = (work) => work(false);

interface World {
  makes: Makes;
  msize: number;
  limit: number;
  texts: [string[], string[]];
  delays: number[];
}
/**
 * What client `i` appends, told from the other's by its letters: lines, and more than a message takes. All lengths are
 * even, and all that a server takes at once, so that no growth of the file looks like a gap, which is odd.
 */
const texts = (i: number) =>
  fc.array(
    fc
      .oneof(fc.constant(1), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 2000, max: 4500 }))
      .map((half) => Array.from({ length: 2 * half }, (_, n) => String.fromCharCode((i === 0 ? 97 : 65) + (n % 26))))
      .map((letters) => letters.join('')),
    { minLength: 1, maxLength: 5 },
  );
const worlds = (kinds: Makes[]) =>
  fc.record({
    makes: fc.constantFrom(...kinds),
    msize: fc.constantFrom(4096, 8192),
    limit: fc.constantFrom(8, 1000, 100_000),
    texts: fc.tuple(texts(0), texts(1)),
    delays: fc.array(fc.nat(4), { minLength: 1, maxLength: 30 }),
  });

/** Two clients append all that they have; every message waits for some turns before it is carried out. */
async function run({ makes, msize, limit, texts, delays }: World, lock: AppendOptions['lock']) {
  const shared = new SharedFile(makes);
  shared.bytes = Buffer.from('-');
  shared.limit = (count) => Math.min(count, limit);
  let n = 0;
  const clients = await Promise.all([appender(shared, { msize }), appender(shared, { msize })]);
  for (const { peer } of clients) {
    peer.before = (message) => {
      void (async () => {
        for (let left = delays[n++ % delays.length]!; left > 0; left--) await turn();
        peer.answer(message);
      })();
      return true;
    };
  }
  const states = clients.map(({ calls, dialect }) => new Appending(calls, dialect));
  await Promise.all(
    clients.map(async ({ fid, plain }, i) => {
      for (const text of texts[i]!) {
        const { count } = await states[i]!.append(fid, Buffer.from(text), {
          offset: 0,
          lock,
          reopen: async () => plain,
        });
        expect(count).toBe(text.length);
      }
    }),
  );
  for (const { client } of clients) client.close();
  return { content: shared.bytes.toString('latin1'), states };
}

/** All that a client has appended, in its order, with nothing lost and nothing twice. */
function expectAll(content: string, texts: [string[], string[]]): void {
  expect(content.replaceAll(/[^a-z]/g, '')).toBe(texts[0].join(''));
  expect(content.replaceAll(/[^A-Z]/g, '')).toBe(texts[1].join(''));
  expect(content).toMatch(/^-[a-zA-Z]*$/);
}

/** Appends of up to so many bytes are in one piece. */
function expectWhole(content: string, texts: [string[], string[]], upTo: number): void {
  for (const [i, own] of [/[a-z]/, /[A-Z]/].entries()) {
    const places = [...content].flatMap((letter, at) => (own.test(letter) ? [at] : []));
    let from = 0;
    for (const { length } of texts[i]!) {
      const to = from + length - 1;
      if (length <= upTo) expect(places[to]! - places[from]!).toBe(to - from);
      from = to + 1;
    }
  }
}

/** What a server takes at once, and thus keeps together where it finds the end itself. */
const atOnce = ({ limit, msize }: World) => Math.min(limit, msize - 24);

test('lose nothing of each other under a lock', async () => {
  await fc.assert(
    fc.asyncProperty(worlds(['append', 'offset', 'refuse']), async (world) => {
      const lock = new SharedLock();
      const { content, states } = await run(world, lock.hold);
      expectAll(content, world.texts);
      const appends = world.makes === 'append';
      expectWhole(content, world.texts, appends ? atOnce(world) : Number.POSITIVE_INFINITY);
      for (const { appendsAtEnd } of states) expect([undefined, appends]).toContain(appendsAtEnd);
    }),
    { numRuns: 60 },
  );
});

test('lose nothing of each other on a server that appends, whether a lock keeps them apart or not', async () => {
  await fc.assert(
    fc.asyncProperty(
      worlds(['append']),
      // none; one that says that it could not be got; one that keeps nobody away, as that of a server which grants all
      fc.constantFrom(undefined, notHeld, held),
      async (world, lock) => {
        const { content, states } = await run(world, lock);
        expectAll(content, world.texts);
        expectWhole(content, world.texts, atOnce(world));
        for (const state of states) expect(state.appendsAtEnd).not.toBe(false);
      },
    ),
    { numRuns: 60 },
  );
});
