// Appends that end in the middle, by an error, by the end of the connection, or because the caller gives up: what is
// then reported is in the file, and what is learned of the server is right.

import { afterEach, describe, expect, test, vi } from 'vitest';
import { Appending, type AppendOptions } from '../../../src/client/append.ts';
import { Abort } from '../../../src/common/abort.ts';
import { errno } from '../../../src/common/errno.ts';
import type { Message } from '../../../src/wire/p9/messages.ts';
import { type Appender, appender, type Makes, SharedFile } from '../../support/appendpeer.ts';
import { expectCancelled, expectIdle, expectNothingAfterEnd } from '../../support/leaks.ts';
import { turn } from '../../support/scripted.ts';

let file: SharedFile;
let one: Appender;
let appending: Appending;
/** Fids of `one` that live: the root, one with O_APPEND, one without. */
const FIDS = 3;
/** Bytes of one message at msize 4096. */
const CHUNK = 4096 - 24;

const bytes = (text: string) => Buffer.from(text);
const held: AppendOptions['lock'] = (work) => work(true);

async function begin(makes: Makes): Promise<void> {
  one?.client.close();
  file = new SharedFile(makes);
  file.bytes = bytes('abc');
  one = await appender(file);
  appending = new Appending(one.calls, one.dialect);
}

/** Appends at the end that the caller knows, by default as if it knew the real one, under the lock. */
const append = (text: string | Buffer, options: Partial<AppendOptions> = {}) =>
  appending.append(one.fid, Buffer.from(text), { offset: file.bytes.length, lock: held, ...options });

const content = () => file.bytes.toString('latin1');

afterEach(async () => {
  vi.useRealTimers();
  await expectNothingAfterEnd(one.client);
});

describe.each<Makes>(['append', 'offset', 'refuse'])('errors in the middle, on a server of the kind %s', (makes) => {
  test('end a long append with what there is room for', async () => {
    await begin(makes);
    const data = Buffer.alloc(3 * CHUNK, 'xyz');
    const isFull = () => file.bytes.length > CHUNK;
    file.refuses = (_opened, offset, { length }) =>
      isFull() && offset + length > file.bytes.length ? errno.ENOSPC : 0;
    const reopen = async () => one.plain;
    const { count } = await append(data, { reopen });
    expect(count).toBe(CHUNK);
    expect(file.bytes.equals(Buffer.concat([bytes('abc'), data.subarray(0, count)]))).toBe(true);
    await expect(append(data, { reopen })).rejects.toMatchObject({ code: 'ENOSPC' });
    await expectIdle(one.client, FIDS);
  });

  test('end an append that lost its connection', async () => {
    for (let steps = 1; steps <= 7; steps++) {
      await begin(makes);
      let left = steps;
      one.peer.before = () => {
        if (--left === 0) one.client.close();
        return left === 0;
      };
      const ended = await append('first', { reopen: async () => one.plain }).then(
        ({ count }) => count,
        (error: { code: string }) => error.code,
      );
      if (typeof ended === 'number') expect(content()).toBe('abcfirst');
      else expect(ended).toBe('ERR_9P_CONNECTION');
      // whatever had arrived
      expect(content()).toMatch(/^abc(\0*|first\0*)(first)?$/);
    }
  });
});

describe.each<[Makes, number]>([
  ['append', 3],
  ['offset', 6],
  ['refuse', 4],
])('an abort on a server of the kind %s', (makes, messages) => {
  const reopen = async () => one.plain;

  /** Aborts at the n-th message, which the server answers late or drops with its flush. How the append ended. */
  async function aborted(n: number, late: boolean): Promise<number | string> {
    await begin(makes);
    const abort = new Abort();
    let left = n;
    one.peer.before = (message) => {
      if (message.type === 'Tflush' || --left !== 0) return false;
      abort.abort({ dying: false });
      if (late) one.peer.answer(message);
      // what is not flushed goes on: the caller's patience is not at its end
      else void unlessFlushed(message);
      return true;
    };
    const unlessFlushed = async (message: Message) => {
      for (let turns = 0; turns < 20 && flushes === 0; turns++) await turn();
      if (flushes === 0) one.peer.answer(message);
    };
    let flushes = 0;
    const { answer } = one.peer;
    one.peer.answer = (message) => {
      if (message.type === 'Tflush') flushes++;
      answer.call(one.peer, message);
    };
    const ended = await append('first', { reopen, signal: abort }).then(
      ({ count }) => count,
      (error: { code: string }) => error.code,
    );
    await expectIdle(one.client, FIDS);
    return ended;
  }

  test.each(Array.from({ length: messages }, (_, i) => i + 1))('at message %i leaves what is reported', async (n) => {
    for (const late of [false, true]) {
      const ended = await aborted(n, late);
      const count = typeof ended === 'number' ? ended : 0;
      if (typeof ended === 'string') expect(ended).toBe('EINTR');
      expect(content()).toBe(`abc${'first'.slice(0, count)}`);
      // whatever was learned is right
      expect([undefined, makes === 'append']).toContain(appending.appendsAtEnd);
    }
  });

  test('after the last message comes too late', async () => {
    expect(await aborted(messages + 1, true)).toBe(5);
  });
});

test('a caller whose patience ends before the server has said where its bytes went is told so', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  await begin('offset');
  const abort = new Abort();
  let asked = 0;
  let arrived = () => {};
  const waiting = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  one.peer.before = (message) => {
    if (message.type !== 'Tgetattr' || ++asked < 2) return false;
    arrived();
    return true;
  };
  const ending = append('first', { signal: abort }).catch((error: { code: string }) => error.code);
  await waiting;
  abort.abort();
  vi.advanceTimersByTime(one.client.flushTimeout);
  expect(await ending).toBe('ETIMEDOUT');
  expect(appending.appendsAtEnd).toBeUndefined();
  await expectIdle(one.client, FIDS);
});

test('an append that waits for another of the same file can be given up', async () => {
  await begin('offset');
  let kept: Message | undefined;
  one.peer.before = (message) => {
    kept = message;
    return message.type === 'Twrite';
  };
  const first = append('first');
  while (kept?.type !== 'Twrite') await turn();
  const abort = new Abort();
  const second = append('second', { signal: abort });
  abort.abort();
  await expectCancelled(second);
  one.peer.before = () => false;
  one.peer.answer(kept);
  expect(await first).toMatchObject({ count: 5 });
  expect(content()).toBe('abcfirst');
});
