// Appends on servers that write at the end, that write where they are told, and that refuse O_APPEND: what is learned
// of them, what that costs, and that every byte is in the file, in its order.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Appending, type AppendOptions } from '../../../src/client/append.ts';
import { errno } from '../../../src/common/errno.ts';
import { ErrnoError } from '../../../src/common/errors.ts';
import { QT } from '../../../src/wire/p9/constants.ts';
import type { Message } from '../../../src/wire/p9/messages.ts';
import { type Appender, appender, type Makes, SharedFile } from '../../support/appendpeer.ts';
import { expectIdle, expectNothingAfterEnd } from '../../support/leaks.ts';
import { keepingLogger, type Line } from '../../support/notes.ts';

let file: SharedFile;
let one: Appender;
let appending: Appending;
let lines: Line[];
/** Fids of `one` that live: the root, one with O_APPEND, one without. */
const FIDS = 3;
/** Bytes of one message at msize 4096. */
const CHUNK = 4096 - 24;
/** By so many bytes an append misses the end where that tells something. */
const GAP = 509;

const bytes = (text: string) => Buffer.from(text);
const held: AppendOptions['lock'] = (work) => work(true);
const notHeld: AppendOptions['lock'] = (work) => work(false);

async function begin(makes: Makes, there = 'abc'): Promise<void> {
  one?.client.close();
  const kept = keepingLogger();
  lines = kept.lines;
  file = new SharedFile(makes);
  file.bytes = bytes(there);
  one = await appender(file, { logger: kept.logger });
  appending = new Appending(one.calls, one.dialect);
}

/** Appends at the end that the caller knows, by default as if it knew the real one, under the lock. */
const append = (text: string | Buffer, options: Partial<AppendOptions> = {}) =>
  appending.append(one.fid, Buffer.from(text), { offset: file.bytes.length, lock: held, ...options });

const content = () => file.bytes.toString('latin1');

afterEach(() => expectNothingAfterEnd(one.client));

describe('a server that writes at the end', () => {
  beforeEach(() => begin('append'));

  test('is found out by the first append, and then gets one write an append', async () => {
    expect(await append('first')).toEqual({ count: 5, end: 8 });
    expect(one.peer.came()).toBe(`s w5@${3 + GAP} s`);
    expect(appending).toMatchObject({ appendsAtEnd: true, refusesAppend: false });
    // another client has appended: the offset is behind the times, and does not matter
    file.bytes = Buffer.concat([file.bytes, bytes('other')]);
    expect(await append('second', { offset: 8 })).toEqual({ count: 6, end: 14 });
    expect(one.peer.came()).toBe('w6@8');
    expect(content()).toBe('abcfirstothersecond');
    expect(lines.filter(({ text }) => text.includes('appends'))).toMatchObject([{ level: 'info', appendsAtEnd: true }]);
    await expectIdle(one.client, FIDS);
  });

  test('gets a long append in order, one message after the other', async () => {
    const data = Buffer.alloc(3 * CHUNK + 7, 'xyz');
    expect(await append(data)).toEqual({ count: data.length, end: 3 + data.length });
    const offsets = [3 + GAP, 3 + CHUNK, 3 + 2 * CHUNK];
    const [first, ...others] = offsets.map((offset) => `w${CHUNK}@${offset}`);
    expect(one.peer.came()).toBe(`s ${first} s ${others.join(' ')} w7@${3 + 3 * CHUNK}`);
    expect(file.bytes.equals(Buffer.concat([bytes('abc'), data]))).toBe(true);
  });

  test('is asked for the end, and nothing is learned, without the lock', async () => {
    for (const options of [{ lock: undefined }, { lock: notHeld }]) {
      await append('text', options);
      expect(one.peer.came()).toMatch(/^s w4@\d+$/);
    }
    expect(appending.appendsAtEnd).toBeUndefined();
    await append('x');
    expect(content()).toBe('abctexttextx');
    expect(appending.appendsAtEnd).toBe(true);
  });

  test('is written to at the end while the file is empty, and shows nothing by that', async () => {
    file.bytes = bytes('');
    await append('first');
    expect(one.peer.came()).toBe('s w5@0');
    expect(appending.appendsAtEnd).toBeUndefined();
    await append('second');
    expect(one.peer.came()).toBe(`s w6@${5 + GAP} s`);
    expect(appending.appendsAtEnd).toBe(true);
    expect(content()).toBe('firstsecond');
  });

  test('takes a few bytes at a time', async () => {
    file.limit = (count) => Math.min(count, 2);
    expect(await append('abcdefg')).toEqual({ count: 7, end: 10 });
    expect(appending.appendsAtEnd).toBe(true);
    expect(content()).toBe('abcabcdefg');
  });

  test.each([
    ['less than the gap', GAP - 1, true, 'first'],
    // it looks like a gap: what is to close it is appended as well
    ['just the gap', GAP, undefined, 'firstfirst'],
    ['more than the gap', GAP + 1, undefined, 'first'],
  ])('has the append in one piece where others append %s meanwhile', async (_what, others, learned, ours) => {
    let asked = 0;
    one.peer.before = (message) => {
      if (message.type === 'Tgetattr' && ++asked === 2) file.put(file.bytes.length, Buffer.alloc(others, '.'));
      return false;
    };
    expect(await append('first')).toMatchObject({ count: 5 });
    expect(appending.appendsAtEnd).toBe(learned);
    expect(content().replaceAll('.', '')).toBe(`abc${ours}`);
    expect(content().match(/\./g)).toHaveLength(others);
    await append('second');
    expect(appending.appendsAtEnd).toBe(true);
    expect(content().replaceAll('.', '')).toBe(`abc${ours}second`);
  });

  test('is written to where a fid was opened without O_APPEND as one that does not append', async () => {
    await append('first');
    one.peer.came();
    await appending.append(one.plain, bytes('plain'), { offset: 0, plain: true });
    expect(one.peer.came()).toBe('s w5@8');
    expect(content()).toBe('abcfirstplain');
  });
});

describe('a server that writes where it is told', () => {
  beforeEach(() => begin('offset'));

  test('is found out by the first append, which is put right, and then asked for the end', async () => {
    expect(await append('first')).toEqual({ count: 5, end: 8 });
    expect(one.peer.came()).toBe(`s w5@${3 + GAP} s w5@3 s t8`);
    expect(appending).toMatchObject({ appendsAtEnd: false, refusesAppend: false });
    file.bytes = Buffer.concat([file.bytes, bytes('other')]);
    expect(await append('second', { offset: 8 })).toEqual({ count: 6, end: 19 });
    expect(one.peer.came()).toBe('s w6@13');
    expect(content()).toBe('abcfirstothersecond');
    expect(lines.filter(({ text }) => text.includes('append'))).toMatchObject([{ level: 'info', appendsAtEnd: false }]);
    await expectIdle(one.client, FIDS);
  });

  test('is asked before each message of a long append', async () => {
    await append('ab');
    one.peer.came();
    const data = Buffer.alloc(2 * CHUNK + 7, 'xyz');
    expect(await append(data)).toEqual({ count: data.length, end: 5 + data.length });
    expect(one.peer.came()).toBe(`s w${CHUNK}@5 s w${CHUNK}@${5 + CHUNK} s w7@${5 + 2 * CHUNK}`);
  });

  test('gets a long first append whole, also where it takes a few bytes at a time', async () => {
    file.limit = (count) => Math.min(count, 1500);
    const data = Buffer.alloc(2 * CHUNK + 7, 'xyz');
    await append(data);
    expect(file.bytes.equals(Buffer.concat([bytes('abc'), data]))).toBe(true);
  });

  test('appends to what is append-only, and gets one write an append without being asked', async () => {
    one.fid.qid = { ...one.fid.qid, type: QT.APPEND };
    await append('first');
    expect(one.peer.came()).toBe('w5@3');
    expect(appending.appendsAtEnd).toBeUndefined();
  });

  test('is asked in the way that the caller says', async () => {
    const get = vi.fn(async () => file.bytes.length);
    const set = vi.fn(async (length: number) => {
      file.bytes = file.bytes.subarray(0, length);
    });
    await append('first', { length: { get, set } });
    await append('second', { length: { get, set } });
    expect(one.peer.came()).toBe(`w5@${3 + GAP} w5@3 w6@8`);
    expect(get).toHaveBeenCalledTimes(4);
    expect(set.mock.calls).toEqual([[8, undefined]]);
    expect(content()).toBe('abcfirstsecond');
  });

  test('keeps what two appends of one client have written at once, without any lock', async () => {
    await append('ab');
    await Promise.all(['one', 'two', 'three'].map((text) => append(text, { lock: undefined, offset: 0 })));
    expect(content()).toBe('abcabonetwothree');
    await expectIdle(one.client, FIDS);
  });

  test('is not asked what it makes of O_APPEND where the dialect knows', async () => {
    const known = new Appending(one.calls, {
      stat: (fid) => one.dialect.stat(fid),
      change: () => Promise.reject(new Error('nothing is to be cut')),
      appends: false,
    });
    expect(known.appendsAtEnd).toBe(false);
    await known.append(one.fid, bytes('first'), { offset: 0, lock: held });
    expect(one.peer.came()).toBe('s w5@3');
  });

  test('is written to at the end where it refuses what leaves a gap, and nothing is learned', async () => {
    file.refuses = (_opened, offset) => (offset > file.bytes.length ? errno.EINVAL : 0);
    const reopen = vi.fn(async () => one.plain);
    expect(await append('first', { reopen })).toEqual({ count: 5, end: 8 });
    expect(one.peer.came()).toBe(`s w5@${3 + GAP} w5@3`);
    expect(content()).toBe('abcfirst');
    expect(reopen).not.toHaveBeenCalled();
    expect(appending).toMatchObject({ appendsAtEnd: undefined, refusesAppend: false });
  });

  describe('beside a client that does not lock, keeps all of it', () => {
    /** At the n-th look at the length, after the first, such a client appends, or cuts the file. */
    async function disturbed(n: number, disturb: () => void): Promise<void> {
      let asked = -1;
      one.peer.before = (message) => {
        if (message.type === 'Tgetattr' && ++asked === n) disturb();
        return false;
      };
      expect(await append('first')).toMatchObject({ count: 5, end: file.bytes.length });
    }
    const extend = (text: string) => () => file.put(file.bytes.length, bytes(text));

    test('which appends behind the gap: nothing is learned', async () => {
      await disturbed(1, extend('other'));
      expect(content()).toBe(`abc${'\0'.repeat(GAP)}firstother`);
      expect(appending.appendsAtEnd).toBeUndefined();
    });

    test.each([
      ['o', false],
      ['other', undefined],
    ])('which appends %j while it is closed: nothing is cut off', async (text, learned) => {
      await disturbed(2, extend(text));
      expect(content()).toBe(`abcfirst${'\0'.repeat(GAP - 5)}first${text}`);
      expect(appending.appendsAtEnd).toBe(learned);
    });

    test.each([1, 2])('which cuts the file', async (n) => {
      await disturbed(n, () => {
        file.bytes = bytes('ab');
      });
      expect(content()).toBe('ab');
      expect(appending.appendsAtEnd).toBe(n === 1 ? undefined : false);
    });
  });

  test('is not believed to be without a gap where it does not cut it off', async () => {
    one.peer.before = (message) => {
      if (message.type === 'Tsetattr') one.peer.refuse(message, errno.EACCES);
      return message.type === 'Tsetattr';
    };
    await expect(append('first')).rejects.toMatchObject({ code: 'EACCES' });
    expect(appending.appendsAtEnd).toBe(false);
  });
});

describe('a server that refuses O_APPEND', () => {
  beforeEach(() => begin('refuse'));
  const reopen = () => vi.fn(async () => one.plain);

  test('is found out by the first append, which goes through another fid, as all others do', async () => {
    const opens = reopen();
    expect(await append('first', { reopen: opens })).toEqual({ count: 5, end: 8 });
    expect(one.peer.came()).toBe(`s w5@${3 + GAP} w5@3 w5@3`);
    expect(appending).toMatchObject({ appendsAtEnd: false, refusesAppend: true });
    expect(await append('second', { reopen: opens, offset: 0 })).toEqual({ count: 6, end: 14 });
    expect(one.peer.came()).toBe('s w6@8');
    // as the caller opens it from now on
    await appending.append(one.plain, bytes('third'), { offset: 0, plain: true });
    expect(content()).toBe('abcfirstsecondthird');
    expect(lines.filter(({ text }) => text.includes('refuses'))).toHaveLength(1);
    await expectIdle(one.client, FIDS);
  });

  test('is found out by two first appends at once, to two files', async () => {
    const other = await one.dialect.walk(one.fid, ['append']);
    other.qid = { ...other.qid, path: 8n };
    const opens = reopen();
    const append2 = (fid: typeof other) => appending.append(fid, bytes('xy'), { offset: 0, reopen: opens });
    // the second is refused when the first has found out already
    let kept: Message | undefined;
    one.peer.before = (message) => {
      if (message.type !== 'Twrite' || message.fid !== other.number) return false;
      kept = message;
      return true;
    };
    const second = append2(other);
    await append2(one.fid);
    expect(appending.refusesAppend).toBe(true);
    one.peer.before = () => false;
    one.peer.answer(kept as Message);
    expect(await second).toMatchObject({ count: 2 });
  });

  test('has its word where nothing else can be tried', async () => {
    await expect(append('first')).rejects.toMatchObject({ code: 'EIO' });
    expect(appending.refusesAppend).toBeUndefined();
    const denied = async () => {
      throw new ErrnoError(errno.EACCES);
    };
    await expect(append('first', { reopen: denied })).rejects.toMatchObject({ code: 'EACCES' });
    file.refuses = () => errno.ENOSPC;
    const opens = reopen();
    await expect(append('first', { reopen: opens })).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(opens).not.toHaveBeenCalled();
    expect(appending).toMatchObject({ appendsAtEnd: undefined, refusesAppend: undefined });
    file.refuses = () => errno.EIO;
    await expect(append('first', { reopen: reopen() })).rejects.toMatchObject({ code: 'EIO' });
    expect(appending).toMatchObject({ appendsAtEnd: undefined, refusesAppend: undefined });
    expect(content()).toBe('abc');
    await expectIdle(one.client, FIDS);
  });
});

test('a write that fails later is not taken for a refusal of O_APPEND', async () => {
  await begin('offset');
  await append('first');
  file.refuses = () => errno.EIO;
  const opens = vi.fn(async () => one.plain);
  await expect(append('second', { reopen: opens })).rejects.toMatchObject({ code: 'EIO' });
  expect(opens).not.toHaveBeenCalled();
  expect(appending.refusesAppend).toBe(false);
});
