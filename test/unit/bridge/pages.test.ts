// What is dropped of a file's pages when a lock is granted, and when: what is not in use at once, the rest as soon as it is not.

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { Pages, type PageUse } from '../../../src/bridge/files/pages.ts';
import { Abort } from '../../../src/common/abort.ts';
import { deferred } from '../../../src/common/deadline.ts';

const PAGE = 4096;
/** Promises that are due have run after this. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Begins to drop; what was dropped so far, and whether it is done. */
function dropping(pages: Pages, signal = new Abort(), stuck: Promise<void> = Promise.resolve()) {
  const at = { ranges: [] as [number, number][], done: false };
  const invalidate = (offset: number, length: number) => {
    at.ranges.push([offset, length === 0 ? Number.POSITIVE_INFINITY : offset + length]);
    return stuck;
  };
  void pages.drop(invalidate, signal).then(() => {
    at.done = true;
  });
  return at;
}

test('a file that nobody uses is dropped whole', async () => {
  const at = dropping(new Pages());
  await settled();
  expect(at).toEqual({ ranges: [[0, Number.POSITIVE_INFINITY]], done: true });
});

test('what is in use is spared until it is not, and waited for', async () => {
  const pages = new Pages();
  const [read, write] = [pages.begin(2 * PAGE, PAGE), pages.begin(4 * PAGE + 10, 100)];
  const at = dropping(pages);
  await settled();
  const others = [
    [0, 2 * PAGE],
    [3 * PAGE, 4 * PAGE],
    [5 * PAGE, Number.POSITIVE_INFINITY],
  ];
  expect(at).toEqual({ ranges: others, done: false });
  pages.end(read);
  await settled();
  expect(at.done).toBe(false);
  pages.end(write);
  await settled();
  expect(at).toEqual({ ranges: [...others, [2 * PAGE, 3 * PAGE], [4 * PAGE, 5 * PAGE]], done: true });
  expect([read.stale, write.stale]).toEqual([false, false]);
});

test('what ends while the rest is being dropped is not waited for any longer', async () => {
  const pages = new Pages();
  const use = pages.begin(0, PAGE);
  const { promise, resolve } = deferred<void>();
  const at = dropping(pages, new Abort(), promise);
  await settled();
  pages.end(use);
  resolve();
  await settled();
  const ranges = [
    [PAGE, Number.POSITIVE_INFINITY],
    [0, PAGE],
  ];
  expect(at).toEqual({ ranges, done: true });
});

test('who is interrupted waits for nobody: what is still in use is stale, what is not is dropped', async () => {
  const pages = new Pages();
  const [over, under] = [pages.begin(0, PAGE), pages.begin(PAGE, PAGE)];
  const abort = new Abort();
  const at = dropping(pages, abort);
  await settled();
  pages.end(over);
  abort.abort({ dying: false });
  await settled();
  expect(at).toEqual({
    ranges: [
      [2 * PAGE, Number.POSITIVE_INFINITY],
      [0, PAGE],
    ],
    done: true,
  });
  expect([over.stale, under.stale]).toEqual([false, true]);
  // what begins from now on is newer than the lock
  expect(pages.begin(0, PAGE).stale).toBe(false);
});

test('who is interrupted waits a moment for a kernel that is stuck, and not longer', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const abort = new Abort();
    const at = dropping(new Pages(), abort, new Promise(() => {}));
    await vi.advanceTimersByTimeAsync(1000);
    expect(at.done).toBe(false);
    abort.abort({ dying: false });
    await vi.advanceTimersByTimeAsync(10);
    expect(at.done).toBe(true);
  } finally {
    vi.useRealTimers();
  }
});

test('whatever is in use, nothing of it is dropped before it ends, and everything in the end', async () => {
  const uses = fc.array(fc.record({ offset: fc.nat(40 * PAGE), size: fc.nat(9 * PAGE) }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(uses, async (asked) => {
      const pages = new Pages();
      const busy: PageUse[] = asked.map(({ offset, size }) => pages.begin(offset, size));
      const at = dropping(pages);
      await settled();
      const touches = (byte: number) => at.ranges.some(([from, to]) => from <= byte && byte < to);
      for (let byte = 0; byte < 60 * PAGE; byte += PAGE / 2) {
        expect(touches(byte)).toBe(!busy.some(({ from, to }) => from <= byte && byte < to));
      }
      for (const use of busy) pages.end(use);
      await settled();
      expect(at.done).toBe(true);
      for (let byte = 0; byte < 60 * PAGE; byte += PAGE / 2) expect(touches(byte)).toBe(true);
    }),
    { numRuns: 50 },
  );
});
