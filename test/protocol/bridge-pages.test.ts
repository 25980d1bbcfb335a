// Reads and writes that are under way when a lock is granted to somebody who does not wait for them: what they leave in the
// kernel's pages is no older than the lock.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import type { FileHandle, NodeId } from '../../src/common/brand.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import type { Message, MessageName } from '../../src/wire/p9/messages.ts';
import { type Bridged, bridged, caller } from '../support/bridged.ts';
import { expectIdle, expectNothingAfterEnd } from '../support/leaks.ts';
import { until } from '../support/until.ts';

const ROOT = 1 as NodeId;
const SIZE = 4096;
const FLAGS = { fromCache: false, killSuidGid: false, openFlags: OPEN.WRONLY, lockOwner: 0n };

let at: Bridged;
let file: NodeId;
let fh: FileHandle;
let dropped: [number, number][];

beforeEach(async () => {
  at = await bridged();
  file = (await at.ops.lookup(caller(), ROOT, 'file')).nodeid as NodeId;
  ({ fh } = await at.ops.open(caller(), file, OPEN.RDWR, false));
  dropped = [];
  at.kernel.dropPages = async (_node, offset, length) => dropped.push([offset, length]);
});
afterEach(async () => {
  await at.ops.release(caller(), file, fh);
  at.ops.forget(file, 1);
  await expectIdle(at.client, 1);
  await expectNothingAfterEnd(at.client);
});

/** Has the next such message wait until a lock was granted meanwhile, or until it is answered without one. */
async function whileUnderWay(type: MessageName, begin: () => unknown, granted: boolean): Promise<unknown> {
  let held: Message | undefined;
  at.files.before = (message) => {
    if (message.type !== type || held !== undefined) return false;
    held = message;
    return true;
  };
  const ending = Promise.resolve(begin());
  await until('it is under way', () => held !== undefined);
  const interrupted = new Abort();
  interrupted.abort({ dying: false });
  if (granted) await at.bridge.nodes.get(file).pages.drop(async () => {}, interrupted);
  if (held !== undefined) at.files.answer(held);
  return ending;
}

const count = (type: MessageName) => at.files.received.filter((message) => message.type === type).length;

test.each([
  [true, 2],
  [false, 1],
])('a read (a lock was granted: %s) is asked for %i times', async (granted, times) => {
  const reading = () => at.ops.read(caller(), file, fh, SIZE, SIZE, 0);
  const { data, release } = (await whileUnderWay('Tread', reading, granted)) as { data: Buffer; release(): void };
  expect(data).toHaveLength(SIZE);
  release();
  expect(count('Tread')).toBe(times);
  expect(dropped).toEqual([]);
});

test.each([
  [true, [[SIZE, 2 * SIZE]]],
  [false, []],
])('the pages of a write (a lock was granted: %s) are dropped: %j', async (granted, pages) => {
  const data = Buffer.alloc(SIZE, 'y');
  const writing = () => at.ops.write(caller(), file, fh, SIZE + 1, data, FLAGS);
  expect(await whileUnderWay('Twrite', writing, granted)).toBe(SIZE);
  expect(count('Twrite')).toBe(1);
  expect(dropped).toEqual(pages);
});
