import { expect, test } from 'vitest';
import { distance, nearest } from '../../../src/cli/nearest.ts';

test.each([
  ['', '', 0],
  ['cache', 'cache', 0],
  ['cahce', 'cache', 1],
  ['cach', 'cache', 1],
  ['caches', 'cache', 1],
  ['kitten', 'sitting', 3],
  ['', 'abc', 3],
])('%s to %s is %i', (from, to, edits) => {
  expect(distance(from, to)).toBe(edits);
  expect(distance(to, from)).toBe(edits);
});

test('finds the nearest, and nothing that is far', () => {
  const known = ['aname', 'uname', 'cache', 'allow_other'];
  expect(nearest('anam', known)).toBe('aname');
  expect(nearest('ALLOW-OTHER', known)).toBe('allow_other');
  expect(nearest('zzz', known)).toBeUndefined();
  expect(nearest('x', known)).toBeUndefined();
});
