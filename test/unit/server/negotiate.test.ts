// Which dialect a Tversion leads to, by what the server offers.

import { expect, test } from 'vitest';
import { agree, DIALECT_NAMES, type DialectName, dialectsOf } from '../../../src/server/dialects/negotiate.ts';

const ALL = [...DIALECT_NAMES];

test.each<[asked: string, offered: readonly DialectName[], answer: string | undefined]>([
  ['9P2000.L', ALL, '9P2000.L'],
  ['9P2000.u', ALL, '9P2000.u'],
  ['9P2000', ALL, '9P2000'],
  ['9P2000.L.x', ALL, '9P2000.L'],
  ['9P2000.u.x.y', ALL, '9P2000.u'],
  ['9P2000.X', ALL, '9P2000'],
  ['9P2000.', ALL, '9P2000'],
  ['9P2000.l', ALL, '9P2000'],
  ['9P2000L', ALL, undefined],
  ['9P2001', ALL, undefined],
  ['9P', ALL, undefined],
  ['', ALL, undefined],
  ['.', ALL, undefined],
  ['.9P2000', ALL, undefined],
  ['9P2000.L', ['9P2000.u', '9P2000'], '9P2000'],
  ['9P2000.L', ['9P2000.u'], undefined],
  ['9P2000.u', ['9P2000.L'], undefined],
  ['9P2000', ['9P2000.L', '9P2000.u'], undefined],
  ['9P2000.u', ['9P2000'], '9P2000'],
  ['9P2000', [], undefined],
])('%j of %j is %s', (asked, offered, answer) => {
  expect(agree(asked, dialectsOf(offered))?.version).toBe(answer);
});

test('every name has its dialect, in the order of preference', () => {
  expect(dialectsOf(ALL).map(({ version }) => version)).toEqual(ALL);
  expect(dialectsOf(['9P2000', '9P2000.L']).map(({ version }) => version)).toEqual(['9P2000.L', '9P2000']);
});

test.each(dialectsOf(ALL))('$version serves only messages that it can read', ({ codec, handlerOf }) => {
  for (let number = 0; number < 256; number++) {
    const name = codec.nameOf(number);
    if (name?.startsWith('R')) expect(handlerOf(name)).toBeUndefined();
    else if (name !== undefined && name !== 'Tversion' && name !== 'Tflush') expect(handlerOf(name)).toBeDefined();
  }
});
