// Which bounds a server has when nobody says, and which cannot be kept.

import { expect, test } from 'vitest';
import { type Limits, limitsOf } from '../../../src/server/limits.ts';

const MIB = 1024 * 1024;

test('when nobody says', () => {
  expect(limitsOf({}, MIB, 1024)).toMatchObject({
    connections: 512,
    memory: 256 * MIB,
    files: 256,
    handshake: 10_000,
  });
  expect(limitsOf({}, MIB, 1_048_576)).toMatchObject({ connections: 1000, files: 262_144 });
  expect(limitsOf({}, 64 * MIB, 1024).memory).toBe(1024 * MIB);
  expect(limitsOf({ connections: 7, fids: 5 }, MIB, 1024)).toMatchObject({ connections: 7, fids: 5, files: 256 });
});

test.each<[Partial<Limits>, string]>([
  [
    { connections: 600 },
    '600 connections: this process may have 1024 descriptors, half of them for connections; say 512',
  ],
  [{ memory: 16 * MIB - 1 }, 'it takes 16777216 at the least'],
  [{ fids: 0 }, 'limit of fids: 0 is not a number above 0'],
  [{ files: Number.NaN }, 'limit of files: NaN'],
  [{ handshake: 1.5 }, 'limit of handshake: 1.5'],
])('%j cannot be kept', (given, says) => expect(() => limitsOf(given, MIB, 1024)).toThrow(says));
