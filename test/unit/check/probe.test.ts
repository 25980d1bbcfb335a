// The probe: it finds answers by tag, keeps the order in which they came, and never waits, nor keeps, without a bound.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Probe, Silence, Unprepared } from '../../../src/check/probe.ts';
import { errno } from '../../../src/common/errno.ts';
import { ConnectionError } from '../../../src/common/errors.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import type { Transport } from '../../../src/transport/transport.ts';
import { NOTAG } from '../../../src/wire/p9/constants.ts';
import { getattr, Scripted } from '../../support/scripted.ts';

let probe: Probe;
let server: Scripted;
let theirs: Transport;
let deadline: AbortController;

beforeEach(() => {
  const [one, two] = memoryPair();
  deadline = new AbortController();
  theirs = two;
  server = new Scripted(two, 8192);
  probe = new Probe(one, { signal: deadline.signal });
});

afterEach(() => probe.close());

const ask = () => probe.send('Tgetattr', { fid: 0, mask: 0 });

describe('answers', () => {
  test('are found by tag, whichever came first', async () => {
    const [one, two] = [ask(), ask()];
    await server.next('Tgetattr');
    await server.next('Tgetattr');
    server.reply(two, 'Rlerror', { ecode: errno.EIO });
    server.reply(one, 'Rgetattr', getattr);
    expect((await probe.answer(one)).type).toBe('Rgetattr');
    expect((await probe.answer(two)).type).toBe('Rlerror');
    expect(probe.heard.map(({ tag }) => tag)).toEqual([two, one]);
  });

  test('are the same objects that were heard, so that their places can be compared', async () => {
    const tag = ask();
    await server.serve('Tgetattr', 'Rgetattr', getattr);
    expect(probe.heard.indexOf((await probe.answer(tag)) as never)).toBe(0);
  });

  test('with one tag are handed out in the order in which they came', async () => {
    const tag = ask();
    server.reply(tag, 'Rgetattr', getattr);
    server.reply(tag, 'Rflush', {});
    expect((await probe.answer(tag)).type).toBe('Rgetattr');
    expect(probe.untaken(tag).map(({ type }) => type)).toEqual(['Rflush']);
    expect((await probe.answer(tag)).type).toBe('Rflush');
    expect(probe.untaken(tag)).toEqual([]);
  });

  test('that are malformed keep their tag and say why', async () => {
    const tag = ask();
    server.raw(Buffer.from([8, 0, 0, 0, 121, tag, 0, 1]));
    expect(await probe.answer(tag)).toMatchObject({ type: 'garbled', tag, number: 121, why: /1 bytes too many/ });
    server.raw(Buffer.from([7, 0, 0, 0, 222, 9, 0]));
    expect(await probe.answer(9)).toMatchObject({ type: 'garbled', number: 222 });
  });

  test('that must be a certain one are Unprepared where they are another', async () => {
    const call = probe.must('Tclunk', { fid: 1 });
    await server.serve('Tclunk', 'Rlerror', { ecode: errno.EBADF });
    await expect(call).rejects.toThrow(new Unprepared('Tclunk: Rlerror EBADF'));
  });

  test('to bytes are looked for under the tag that was named', async () => {
    const tag = probe.raw(Buffer.from([11, 0, 0, 0, 120, 44, 0, 1, 0, 0, 0]), 'a Tclunk', 44);
    expect((await server.serve('Tclunk', 'Rclunk', {})).tag).toBe(44);
    expect((await probe.answer(tag)).type).toBe('Rclunk');
  });
});

describe('the end', () => {
  test('of the connection answers everything that waits, and all that is asked later', async () => {
    const tag = ask();
    const waiting = probe.answer(tag);
    server.hangUp();
    expect(await waiting).toEqual({ type: 'closed', tag, why: 'hung up' });
    expect(await probe.answer(ask())).toMatchObject({ type: 'closed' });
    expect(probe.over).toBe(true);
  });

  test('by a reset is a hang-up as well', async () => {
    const waiting = probe.answer(ask());
    theirs.close(new ConnectionError('reset'));
    expect(await waiting).toMatchObject({ why: 'hung up' });
  });

  test('by a frame that is none says what it was', async () => {
    const waiting = probe.answer(ask());
    server.raw(Buffer.from([3, 0, 0, 0, 0, 0, 0]));
    expect(await waiting).toMatchObject({ type: 'closed', why: expect.stringContaining('frame of 3 bytes') });
  });

  test('comes to a server that sends without end', async () => {
    const frame = Buffer.from([7, 0, 0, 0, 121, 9, 0]);
    const flood = Buffer.concat(Array.from({ length: 60_000 }, () => frame));
    server.raw(flood);
    await probe.wait(10_000, () => probe.over);
    expect(probe.over).toBe(true);
    expect(probe.heard.length).toBeLessThan(60_000);
  });
});

describe('silence', () => {
  test('ends a wait at the deadline, and names what was not answered', async () => {
    const waiting = probe.answer(ask());
    deadline.abort();
    await expect(waiting).rejects.toThrow(new Silence('no answer to Tgetattr'));
    await expect(probe.answer(ask())).rejects.toThrow(Silence);
  });

  test('leaves what has come', async () => {
    const tag = ask();
    await server.serve('Tgetattr', 'Rgetattr', getattr);
    await probe.wait(10_000, () => probe.heard.length > 0);
    deadline.abort();
    expect((await probe.answer(tag)).type).toBe('Rgetattr');
  });

  test('is waited for, from the last thing that came', async () => {
    const tag = ask();
    const quiet = probe.quiet(20);
    await server.serve('Tgetattr', 'Rgetattr', getattr);
    await quiet;
    expect(probe.untaken(tag).length).toBe(1);
  });
});

test('tags and fids are given out once, and never the two that mean none', () => {
  const tags = Array.from({ length: NOTAG }, () => probe.tag());
  expect(new Set(tags).size).toBe(NOTAG);
  expect(tags).not.toContain(NOTAG);
  const fids = Array.from({ length: 1000 }, () => probe.fid());
  expect(new Set([...fids, Probe.ROOT, Probe.HOME]).size).toBe(1002);
});
