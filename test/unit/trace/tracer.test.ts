// What a trace says of a conversation: replies with their requests, flushes with what became of them, and what broke the rules.

import { describe, expect, test } from 'vitest';
import { wordsOf } from '../../../src/trace/format.ts';
import { type MessageRecord, type Side, Tracer } from '../../../src/trace/tracer.ts';
import { type Codec, dotlCodec, dotuCodec, legacyCodec } from '../../../src/wire/p9/codec.ts';
import { NOFID, NOTAG } from '../../../src/wire/p9/constants.ts';
import type { Body, MessageName } from '../../../src/wire/p9/messages.ts';
import { rawFrame } from '../wire/p9/frames.ts';

class Conversation {
  readonly tracer = new Tracer();
  codec: Codec = dotlCodec;
  now = 0;
  /** What was said to be wrong, in order. */
  readonly wrong: string[] = [];

  say<N extends MessageName>(name: N, tag: number, body: Body<N>): MessageRecord {
    const { head, payload } = this.codec.encode(name, tag, body);
    const bytes = Buffer.concat(payload === undefined ? [head] : [head, payload.subarray(0, 24)]);
    return this.raw(name.startsWith('T') ? 'client' : 'server', bytes, head.length + (payload?.length ?? 0));
  }

  raw(from: Side, bytes: Buffer, size = bytes.length): MessageRecord {
    this.now += 1;
    const record = this.tracer.see(from, bytes, size, this.now);
    if (record.wrong !== undefined) this.wrong.push(record.wrong);
    return record;
  }

  agree(version: string, codec: Codec): void {
    this.say('Tversion', NOTAG, { msize: 8192, version });
    this.say('Rversion', NOTAG, { msize: 8192, version });
    this.codec = codec;
  }
}

const read = { fid: 3, offset: 0, count: 10 };

test('a reply is paired with its request, by tag, and timed', () => {
  const talk = new Conversation();
  talk.say('Tread', 1, read);
  talk.say('Tclunk', 2, { fid: 9 });
  expect(talk.say('Rclunk', 2, {})).toMatchObject({ request: { type: 'Tclunk', tag: 2 }, latency: 1 });
  const reply = talk.say('Rread', 1, { data: Buffer.alloc(1000, 'a') });
  expect(reply).toMatchObject({ request: { type: 'Tread' }, latency: 3, decoded: { size: 1011 } });
  expect(reply.wrong).toBeUndefined();
  expect(wordsOf(reply).join(' ')).toBe(
    'Rread tag=1 data=1000:"aaaaaaaaaaaaaaaaaaaaaaaa"... of=Tread fid=3 offset=0 count=10',
  );
  expect(talk.tracer.outstanding).toEqual([]);
});

test('an error has the name of its number', () => {
  const talk = new Conversation();
  talk.say('Tclunk', 2, { fid: 9 });
  expect(wordsOf(talk.say('Rlerror', 2, { ecode: 9 }))).toContain('errno=EBADF');
});

describe('a flush', () => {
  test('names the request, and Rflush says that it is cancelled', () => {
    const talk = new Conversation();
    talk.say('Tread', 1, read);
    expect(talk.say('Tflush', 2, { oldtag: 1 }).flush).toMatchObject({
      state: 'outstanding',
      request: { type: 'Tread' },
    });
    expect(talk.say('Rflush', 2, {}).flush).toMatchObject({
      state: 'cancelled',
      oldtag: 1,
      request: { type: 'Tread' },
    });
    expect(talk.tracer.outstanding).toEqual([]);
    expect(talk.say('Tclunk', 1, { fid: 1 }).wrong).toBeUndefined();
  });

  test('that comes too late leaves the reply as it is', () => {
    const talk = new Conversation();
    talk.say('Tread', 1, read);
    talk.say('Tflush', 2, { oldtag: 1 });
    const reply = talk.say('Rread', 1, { data: Buffer.alloc(0) });
    expect(reply.flushed).toBe(true);
    expect(reply.wrong).toBeUndefined();
    expect(talk.say('Rflush', 2, {}).flush?.state).toBe('answered');
  });

  test('of an answered request, of itself, and of nothing', () => {
    const talk = new Conversation();
    talk.say('Tread', 1, read);
    talk.say('Rread', 1, { data: Buffer.alloc(0) });
    expect(talk.say('Tflush', 2, { oldtag: 1 }).flush?.state).toBe('answered');
    expect(talk.say('Tflush', 3, { oldtag: 3 }).flush?.state).toBe('unknown');
    expect(talk.say('Tflush', 4, { oldtag: 99 }).flush?.state).toBe('unknown');
    for (const tag of [2, 3, 4]) expect(talk.say('Rflush', tag, {}).wrong).toBeUndefined();
  });

  test('holds its tag until Rflush, whatever was answered', () => {
    const talk = new Conversation();
    talk.say('Tread', 1, read);
    talk.say('Tflush', 2, { oldtag: 1 });
    talk.say('Rread', 1, { data: Buffer.alloc(0) });
    expect(talk.say('Tread', 1, read).wrong).toBe('tag 1 is used again before the Rflush for it');
  });

  test('repeated: the last Rflush answers for those before it', () => {
    const talk = new Conversation();
    talk.say('Tread', 1, read);
    talk.say('Tflush', 2, { oldtag: 1 });
    talk.say('Tflush', 3, { oldtag: 1 });
    expect(talk.say('Rflush', 3, {}).flush?.state).toBe('cancelled');
    expect(talk.say('Tread', 1, read).wrong).toBeUndefined();
  });

  test('repeated: the first Rflush alone does not free the tag', () => {
    const talk = new Conversation();
    talk.say('Tread', 1, read);
    talk.say('Tflush', 2, { oldtag: 1 });
    talk.say('Tflush', 3, { oldtag: 1 });
    talk.say('Rflush', 2, {});
    expect(talk.say('Tread', 1, read).wrong).toMatch(/before the Rflush/);
  });
});

describe('what is wrong is named', () => {
  test('replies that nobody waits for', () => {
    const talk = new Conversation();
    expect(talk.say('Rclunk', 7, {}).wrong).toBe('no request had tag 7');
    talk.say('Tread', 1, read);
    talk.say('Rread', 1, { data: Buffer.alloc(0) });
    expect(talk.say('Rread', 1, { data: Buffer.alloc(0) }).wrong).toBe('a second reply to Tread');
    talk.say('Tread', 2, read);
    talk.say('Tflush', 3, { oldtag: 2 });
    talk.say('Rflush', 3, {});
    expect(talk.say('Rread', 2, { data: Buffer.alloc(0) }).wrong).toBe('a reply after the Rflush for Tread');
    talk.say('Tread', 4, read);
    expect(talk.say('Rclunk', 4, {}).wrong).toBe('Rclunk is no answer to Tread');
    expect(talk.wrong).toHaveLength(4);
  });

  test('requests with a tag in use, and messages from the wrong side', () => {
    const talk = new Conversation();
    talk.say('Tread', 1, read);
    expect(talk.say('Tclunk', 1, { fid: 1 }).wrong).toBe('tag 1 is in use by Tread');
    expect(talk.say('Tclunk', NOTAG, { fid: 1 }).wrong).toMatch(/NOTAG/);
    const { head } = dotlCodec.encode('Rclunk', 5, {});
    expect(talk.raw('client', head).wrong).toBe('a reply, from the client');
    expect(talk.raw('server', dotlCodec.encode('Tclunk', 6, { fid: 1 }).head).wrong).toBe('a request, from the server');
  });

  test('what cannot be decoded, with its first bytes', () => {
    const talk = new Conversation();
    const unknown = talk.raw('client', rawFrame(99, Buffer.from('abcd')));
    expect(unknown).toMatchObject({ decoded: { type: 'type 99', tag: 1 }, wrong: 'message of unknown type 99' });
    expect(wordsOf(unknown)).toContain('bytes=61626364');
    expect(talk.raw('client', rawFrame(120, Buffer.alloc(2))).wrong).toMatch(/Tclunk tag 1: needs 4 bytes/);
    expect(talk.raw('client', rawFrame(24), 100_000).wrong).toBe('it has 100000 bytes, more than it may have');
    const count = Buffer.alloc(8);
    count.writeUInt32LE(9);
    expect(talk.raw('server', rawFrame(117, count)).wrong).toBe('its count is not that of the bytes that follow');
  });
});

describe('the version', () => {
  test.each([
    ['9P2000.u', dotuCodec],
    ['9P2000', legacyCodec],
  ] as const)('%s decides how the rest is read', (version, codec) => {
    const talk = new Conversation();
    talk.agree(version, codec);
    expect(talk.tracer).toMatchObject({ version, msize: 8192 });
    const attach = talk.say('Tattach', 1, { fid: 0, afid: NOFID, uname: 'me', aname: '', nUname: 0 });
    expect(attach.wrong).toBeUndefined();
    expect(wordsOf(attach).some((word) => word.startsWith('nUname='))).toBe(version === '9P2000.u');
    const error = talk.say('Rerror', 1, { ename: 'no "such" user\u202e', ecode: 2 });
    expect(wordsOf(error)).toContain('ename="no \\"such\\" user\\u202e"');
    expect(talk.say('Topen', 2, { fid: 0, mode: 0 }).wrong).toBeUndefined();
  });

  test('that was refused, or is not known, leaves it at .L', () => {
    const talk = new Conversation();
    talk.say('Tversion', NOTAG, { msize: 8192, version: '9P3000' });
    expect(talk.say('Rversion', NOTAG, { msize: 8192, version: 'unknown' }).wrong).toBeUndefined();
    expect(talk.tracer.msize).toBe(0);
    talk.say('Tversion', NOTAG, { msize: 8192, version: '9P3000' });
    expect(talk.say('Rversion', NOTAG, { msize: 8192, version: '9P3000' }).wrong).toMatch(/not known here/);
  });

  test('asked again ends what was outstanding', () => {
    const talk = new Conversation();
    talk.agree('9P2000.L', dotlCodec);
    talk.say('Tread', 1, read);
    talk.agree('9P2000.L', dotlCodec);
    expect(talk.tracer.outstanding).toEqual([]);
    expect(talk.say('Rread', 1, { data: Buffer.alloc(0) }).wrong).toBe('no request had tag 1');
  });
});

test('what is kept of a request is short', () => {
  const talk = new Conversation();
  talk.say('Twalk', 1, { fid: 0, newfid: 1, names: Array.from({ length: 16 }, () => 'x'.repeat(4000)) });
  const { request } = talk.say('Rwalk', 1, { qids: [] });
  expect(JSON.stringify(request).length).toBeLessThan(1000);
});
