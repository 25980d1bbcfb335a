// Waiting for a lock that another client has: the server is asked again, after pauses that grow from a hundredth of a second
// to one, and not before; an interrupt ends a pause as well as a question, and then nothing is asked any more.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import type { FileHandle, NodeId } from '../../src/common/brand.ts';
import { LOCK_EOF, LOCK_STATUS, LOCK_TYPE } from '../../src/common/locktable.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { type Bridged, bridged, caller } from '../support/bridged.ts';
import { expectNothingAfterEnd } from '../support/leaks.ts';
import { turn } from '../support/scripted.ts';

const ROOT = 1 as NodeId;
const WHOLE = { type: LOCK_TYPE.WRLCK, start: 0n, end: LOCK_EOF, pid: 7 };

let at: Bridged;
let file: NodeId;
let fh: FileHandle;
let asked: number;
let status: number;

beforeEach(async () => {
  at = await bridged({}, 'none');
  file = (await at.ops.lookup(caller(), ROOT, 'file')).nodeid as NodeId;
  fh = (await at.ops.open(caller(), file, OPEN.RDWR, false)).fh;
  asked = 0;
  status = LOCK_STATUS.BLOCKED;
  at.files.before = (message: Message) => {
    if (message.type !== 'Tlock') return false;
    asked++;
    at.files.say(message, { status });
    return true;
  };
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(async () => {
  vi.useRealTimers();
  await expectNothingAfterEnd(at.client);
});

const settle = async () => {
  for (let i = 0; i < 30; i++) await turn();
};

/** How long it is until the next question, milliseconds: not asked a moment before. */
async function nextAfter(ms: number): Promise<void> {
  const before = asked;
  await vi.advanceTimersByTimeAsync(ms - 1);
  await settle();
  expect(asked).toBe(before);
  await vi.advanceTimersByTimeAsync(1);
  await settle();
  expect(asked).toBe(before + 1);
}

test('asks after 10 ms, and then twice as late each time, up to a second', async () => {
  const taking = at.ops.setlk(caller(), file, fh, 1n, WHOLE, true);
  await settle();
  expect(asked).toBe(1);
  for (const ms of [10, 20, 40, 80, 160, 320, 640, 1000, 1000]) await nextAfter(ms);
  status = LOCK_STATUS.SUCCESS;
  await nextAfter(1000);
  await expect(taking).resolves.toBeUndefined();
});

test('an interrupt ends the pause, and nothing is asked any more', async () => {
  const abort = new Abort();
  const taking = Promise.resolve(at.ops.setlk(caller(abort), file, fh, 1n, WHOLE, true));
  const ended = expect(taking).rejects.toMatchObject({ code: 'EINTR' });
  await settle();
  abort.abort({ dying: false });
  await ended;
  await vi.advanceTimersByTimeAsync(5000);
  await settle();
  expect(asked).toBe(1);
});

test('who does not want to wait is told at once', async () => {
  await expect(at.ops.setlk(caller(), file, fh, 1n, WHOLE, false)).rejects.toMatchObject({ code: 'EAGAIN' });
  expect(asked).toBe(1);
});
