import { expect, test } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { errorWords, strerror } from '../../../src/common/strerror.ts';

test('every errno has words, and no two the same ones', () => {
  expect(errorWords.size).toBe(Object.keys(errno).length);
  expect(new Set([...errorWords.values()].map((text) => text.toLowerCase())).size).toBe(errorWords.size);
});

test('a number without words is shown as a number', () => {
  expect(strerror(errno.ENOENT)).toBe('No such file or directory');
  expect(strerror(200)).toBe('errno 200');
});
