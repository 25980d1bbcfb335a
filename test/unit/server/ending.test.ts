// The end of a connection that held much: everybody else is answered while it is let go of.

import { expect, test } from 'vitest';
import { Abort } from '../../../src/common/abort.ts';
import { BufferPool } from '../../../src/common/bufpool.ts';
import { memoryTree, Server } from '../../../src/server/server.ts';
import type { Tree } from '../../../src/server/tree.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import { Raw9p } from '../../support/raw9p.ts';
import { slowTree } from '../../support/slowtree.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function connected(server: Server): Promise<{ raw: Raw9p; done: Promise<void> }> {
  const [ours, theirs] = memoryPair();
  const done = server.serveTransport(theirs);
  const raw = new Raw9p(ours);
  await raw.version(1024 * 1024);
  await raw.attach(0, 0);
  return { raw, done };
}

/** Turns of the event loop that the end of the first connection took, and how often the second was answered in them. */
async function endWhileAsking(
  tree: Tree,
  fill: (raw: Raw9p) => Promise<void>,
): Promise<[turns: number, answers: number]> {
  const server = new Server({ tree });
  const full = await connected(server);
  const other = await connected(server);
  await fill(full.raw);
  let over = false;
  const done = full.done.then(() => {
    over = true;
  });
  full.raw.transport.close();
  let [turns, answers] = [0, 0];
  while (!over) {
    await Promise.race([turn(), done]);
    turns++;
    if (over) break;
    await other.raw.getattr(0);
    answers++;
  }
  other.raw.transport.close();
  await other.done;
  await server.close();
  return [turns, answers];
}

test('that had thousands of fids', async () => {
  const tree = memoryTree();
  const [turns, answers] = await endWhileAsking(tree, async (raw) => {
    const walks: Promise<unknown>[] = [];
    for (let newfid = 1; newfid <= 4000; newfid++) walks.push(raw.call('Twalk', { fid: 0, newfid, names: [] }));
    await Promise.all(walks);
  });
  expect(turns).toBeGreaterThan(10);
  expect(answers).toBeGreaterThan(5);
  expect(tree.root.refs).toBe(1);
});

test('that had thousands of requests which were not answered', async () => {
  const tree = slowTree();
  const [turns, answers] = await endWhileAsking(tree, async (raw) => {
    const fid = await raw.create(0, 'f');
    for (let i = 0; i < 4000; i++) raw.send('Tread', { fid, offset: 0, count: 100 });
    await raw.settle();
  });
  expect(tree.calls).toHaveLength(4000);
  expect(tree.calls.every(({ signal }) => signal.aborted)).toBe(true);
  expect(turns).toBeGreaterThan(10);
  expect(answers).toBeGreaterThan(5);
  expect(tree.open).toBe(0);
});

test('whoever gives up waiting for memory records no stack', async () => {
  const pool = new BufferPool(4096);
  const held = await pool.take(4096);
  const abort = new Abort();
  const waits = Array.from({ length: 3 }, () => pool.take(4096, abort));
  abort.abort();
  for (const result of await Promise.allSettled(waits)) {
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'EINTR', name: 'CancelledError' } });
    expect((result as PromiseRejectedResult).reason.stack).not.toContain('\n');
  }
  held.release();
  expect(pool.stats).toMatchObject({ inUse: 0, waiting: 0 });
});
