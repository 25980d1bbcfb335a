// Which requests may be forgotten by their caller, and which are never flushed: every message of the three dialects, so that a
// new one is not taken for harmless by accident.

import { expect, test } from 'vitest';
import { hasSideEffects, Request } from '../../../src/client/request.ts';
import { OMODE, OPEN } from '../../../src/wire/p9/constants.ts';
import type { Body, RequestName } from '../../../src/wire/p9/messages.ts';
import { UNTOUCHED } from '../../../src/wire/p9/stat.ts';

const HARMLESS: readonly RequestName[] = [
  ...(['Tread', 'Tgetattr', 'Tstat', 'Twalk', 'Treaddir', 'Treadlink', 'Tstatfs', 'Tgetlock'] as const),
  // they change nothing that a caller who is told EINTR would do twice, or miss
  ...(['Tfsync', 'Txattrwalk', 'Tattach'] as const),
];
const EFFECTS: readonly RequestName[] = [
  ...(['Twrite', 'Tlcreate', 'Tcreate', 'Tmkdir', 'Tmknod', 'Tsymlink', 'Tlink', 'Trename', 'Trenameat'] as const),
  ...(['Tunlinkat', 'Tremove', 'Tsetattr', 'Twstat', 'Tlock', 'Txattrcreate', 'Tclunk'] as const),
];

function made<N extends RequestName>(name: N, body: object = {}): Request {
  const request = new Request(
    name,
    body as Body<N>,
    {},
    () => {},
    () => {},
  );
  return request as unknown as Request;
}

test.each(HARMLESS)('%s has no side effects', (name) => {
  expect(hasSideEffects(made(name))).toBe(false);
});

test.each(EFFECTS)('%s has side effects', (name) => {
  expect(hasSideEffects(made(name, { stat: UNTOUCHED }))).toBe(true);
});

test.each([
  ['Tlopen', { flags: OPEN.RDWR }, false],
  ['Tlopen', { flags: OPEN.RDWR | OPEN.TRUNC }, true],
  ['Tlopen', { flags: OPEN.RDWR | OPEN.CREATE }, true],
  ['Topen', { mode: OMODE.RDWR }, false],
  ['Topen', { mode: OMODE.RDWR | OMODE.TRUNC }, true],
  ['Topen', { mode: OMODE.READ | OMODE.RCLOSE }, true],
] as const)('%s %j: %s', (name, body, effects) => {
  expect(hasSideEffects(made(name, body))).toBe(effects);
});

test('only Tversion, Tclunk, Tremove and Tflush are never flushed', () => {
  for (const name of [...HARMLESS, ...EFFECTS]) {
    expect([name, made(name).traits.flushable]).toEqual([name, name !== 'Tclunk' && name !== 'Tremove']);
  }
  expect([made('Tversion').traits.flushable, made('Tflush').traits.flushable]).toEqual([false, false]);
});
