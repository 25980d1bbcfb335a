// The look of a trace, and the patterns that go by it.

import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/common/errors.ts';
import { asJson, asLine } from '../../../src/trace/format.ts';
import { Histogram } from '../../../src/trace/histogram.ts';
import { parsePattern } from '../../../src/trace/pattern.ts';
import { Summary } from '../../../src/trace/summary.ts';
import { type MessageRecord, Tracer } from '../../../src/trace/tracer.ts';
import { dotlCodec } from '../../../src/wire/p9/codec.ts';
import type { Body, MessageName } from '../../../src/wire/p9/messages.ts';

/** 12:00:00.25 local time. */
const noon = new Date(2026, 0, 2, 12).getTime() + 250;

function talk() {
  const tracer = new Tracer();
  let at = noon;
  return <N extends MessageName>(name: N, tag: number, body: Body<N>): MessageRecord => {
    const { head, payload } = dotlCodec.encode(name, tag, body);
    const bytes = Buffer.concat(payload === undefined ? [head] : [head, payload]);
    at += 0.5;
    return tracer.see(name.startsWith('T') ? 'client' : 'server', bytes, bytes.length, at);
  };
}

const message = (record: MessageRecord, fate: 'passed' | 'held' | 'dropped' = 'passed') =>
  ({ kind: 'message', connection: 1, record, fate }) as const;

describe('a line', () => {
  test('has time, connection, direction, message, request, latency and what became of it', () => {
    const say = talk();
    const lines = [
      message(say('Tread', 5, { fid: 3, offset: 0, count: 20 })),
      message(say('Tflush', 6, { oldtag: 5 }), 'held'),
      message(say('Rread', 5, { data: Buffer.from('a"\n\u00ff') })),
      message(say('Rflush', 6, {}), 'dropped'),
      message(say('Rread', 5, { data: Buffer.alloc(0) })),
    ].map(asLine);
    expect(lines).toEqual([
      '12:00:00.250500 1 -> Tread tag=5 fid=3 offset=0 count=20',
      '12:00:00.251000 1 -> Tflush tag=6 oldtag=5 | flushes Tread tag=5 fid=3 offset=0 count=20 | HELD',
      '12:00:00.251500 1 <- Rread tag=5 data=5:"a\\"\\n\\xc3\\xbf" | of=Tread fid=3 offset=0 count=20 | 1.000 ms | flushed before, and answered',
      '12:00:00.252000 1 <- Rflush tag=6 | of=Tflush oldtag=5 | 1.000 ms | had been answered: Tread tag=5 fid=3 offset=0 count=20 | DROPPED',
      '12:00:00.252500 1 <- Rread tag=5 data=0:"" | of=Tread fid=3 offset=0 count=20 | WRONG: a second reply to Tread',
    ]);
  });

  test('stays one short line, whatever is in a name', () => {
    const say = talk();
    const line = asLine(
      message(say('Txattrwalk', 1, { fid: 1, newfid: 2, name: `\u2028\n\u001b[2J${'x'.repeat(60_000)}` })),
    );
    expect(line).toContain('name="\\u2028\\n\\u001b[2Jxxx');
    expect(line.length).toBeLessThan(400);
    const note = asLine({ kind: 'note', connection: 2, at: noon, what: 'ended', text: 'ended\u0085' });
    expect(note).toBe('12:00:00.250000 2 -- ended\\u0085');
  });

  test('shows bytes that are not UTF-8 as such, and machines are told them as escapes', () => {
    const say = talk();
    const walk = message(say('Twalk', 1, { fid: 1, newfid: 2, names: ['caf\udce9', '\\xe9', 'é'] }));
    expect(asLine(walk)).toContain(String.raw`names=["caf\xe9" "\\xe9" "é"]`);
    expect(asJson(walk)).toContain(String.raw`"names":["caf\udce9","\\xe9","é"]`);
  });

  test('for machines is one object', () => {
    const say = talk();
    say('Treaddir', 1, { fid: 1, offset: 1n << 63n, count: 10 });
    say('Tflush', 2, { oldtag: 1 });
    const reply = JSON.parse(asJson(message(say('Rreaddir', 1, { data: Buffer.from('abc') }), 'held')));
    expect(reply).toMatchObject({
      event: 'message',
      connection: 1,
      from: 'server',
      type: 'Rreaddir',
      tag: 1,
      size: 14,
      fields: { data: { length: 3, head: '616263' } },
      request: { type: 'Treaddir', tag: 1 },
      latency: 1,
      flushed: true,
      fate: 'held',
    });
    expect(JSON.parse(asJson(message(say('Rflush', 2, {}))))).toMatchObject({
      fields: {},
      flush: { state: 'answered', oldtag: 1, type: 'Treaddir' },
    });
    expect(JSON.parse(asJson(message(say('Treaddir', 3, { fid: 1, offset: 1n << 63n, count: 10 }))))).toMatchObject({
      fields: { fid: 1, offset: '9223372036854775808', count: 10 },
    });
  });
});

describe('a pattern', () => {
  const say = talk();
  const request = say('Tread', 5, { fid: 3, offset: 0, count: 20 });
  const reply = say('Rread', 5, { data: Buffer.from('a') });

  test.each<[string, boolean, boolean]>([
    ['Tread', true, false],
    ['Tread fid=3', true, false],
    ['fid=3  Tread', true, false],
    ['fid=3', true, true],
    ['fid=31', false, false],
    ['Read', false, false],
    ['R* of=Tread', false, true],
    ['T*', true, false],
    ['*', true, true],
    ['Rread fid=3', false, true],
    ['data=1:*', false, true],
    ['count=2.', false, false],
    ['/^Tread .*count=2\\d/', true, false],
    ['/tread/i', true, true],
  ])('%s', (text, ofRequest, ofReply) => {
    const pattern = parsePattern(text);
    expect([pattern(request), pattern(reply)]).toEqual([ofRequest, ofReply]);
  });

  test.each(['', '  ', '/(/'])('%j is none', (text) => {
    expect(() => parsePattern(text)).toThrow(ConfigError);
  });
});

test('the summary counts types, latencies, flushes and what was wrong', () => {
  const say = talk();
  const summary = new Summary();
  summary.add({ kind: 'note', connection: 1, at: 0, what: 'connected', text: '' });
  summary.add(message(say('Tread', 1, { fid: 3, offset: 0, count: 20 })));
  summary.add(message(say('Tflush', 2, { oldtag: 1 }), 'held'));
  summary.add(message(say('Rflush', 2, {})));
  summary.add(message(say('Rread', 1, { data: Buffer.alloc(0) }), 'dropped'));
  expect(JSON.parse(summary.asJson())).toEqual({
    event: 'summary',
    connections: 1,
    types: {
      Tread: { count: 1 },
      Tflush: { count: 1, latency: { least: 0.5, median: 0.5, most: 0.5 } },
      Rflush: { count: 1 },
      Rread: { count: 1 },
    },
    flushes: { sent: 1, cancelled: 1, answered: 0, unknown: 0 },
    held: 1,
    dropped: 1,
    wrong: 1,
  });
  const lines = summary.asLines();
  expect(lines).toContain('1 connections, 1 held, 1 dropped, 1 wrong');
  expect(lines).toContain('1 flushes: 1 cancelled, 0 answered first, 0 of nothing, 0 without an answer');
  expect(lines.find((line) => line.startsWith('Tflush'))).toMatch(/1 +0\.500 ms +0\.500 ms +0\.500 ms/);
});

test('a histogram is exact at its ends and right to one percent in the middle', () => {
  const histogram = new Histogram();
  expect(histogram.median).toBe(0);
  for (let value = 1; value <= 1001; value++) histogram.add(value / 7);
  expect(histogram).toMatchObject({ count: 1001, least: 1 / 7, greatest: 143 });
  expect(Math.abs(histogram.median / (501 / 7) - 1)).toBeLessThan(0.01);
});
