import { expect, test } from 'vitest';
import { Inos } from '../../../src/bridge/nodes/inos.ts';

const qid = (path: bigint) => ({ type: 0, version: 0, path });
const never = (): string => {
  throw new Error('nobody has to know the name');
};

test('a file that collides with none has its qid.path, and is not asked for its name', () => {
  expect(new Inos().of(qid(7n), never, false)).toBe(7n);
});

test('0 would hide the file from listings', () => {
  expect(new Inos().of(qid(0n), never, false)).toBe(1n);
});

test('the first of those that collide keeps the number; the others have their own, always the same', () => {
  const inos = new Inos();
  inos.collides(qid(7n), 'a/first');
  const second = inos.of(qid(7n), () => 'b/second', true);
  const third = inos.of(qid(7n), () => 'b/third', true);
  expect(new Set([7n, second, third]).size).toBe(3);
  // found again in another order, and before it is known that they are still there
  expect(inos.of(qid(7n), () => 'b/third', false)).toBe(third);
  expect(inos.of(qid(7n), () => 'a/first', false)).toBe(7n);
  inos.collides(qid(7n), 'b/third');
  expect(inos.of(qid(7n), () => 'b/second', true)).toBe(second);
  for (const ino of [second, third]) expect(ino > 0n && ino < 1n << 63n).toBe(true);
});

test('what collides with a file of another number has another number too', () => {
  const inos = new Inos();
  expect(inos.of(qid(7n), () => 'name', true)).not.toBe(inos.of(qid(8n), () => 'name', true));
});
