// Nodes of one number: each is there once, in the order in which they came, and of very many only some are looked at.

import { expect, test } from 'vitest';
import { Node } from '../../../src/bridge/nodes/node.ts';
import { Twins } from '../../../src/bridge/nodes/twins.ts';
import type { NodeId } from '../../../src/common/brand.ts';
import { getattr } from '../../support/scripted.ts';

const make = (id: number, path: bigint) => new Node(id as NodeId, { ...getattr, qid: { ...getattr.qid, path } });
const LOOKED_AT = 64;

test('one number is one node, mostly', () => {
  const twins = new Twins();
  const [one, other] = [make(1, 7n), make(2, 8n)];
  twins.add(one);
  twins.add(other);
  expect([...twins.of(7n)]).toEqual([one]);
  expect([twins.includes(7n, one), twins.includes(7n, other), twins.has(9n)]).toEqual([true, false, false]);
  expect([...twins.of(9n)]).toEqual([]);
  twins.delete(make(3, 7n)); // another, of that number, that is not there
  twins.delete(one);
  expect([twins.has(7n), twins.has(8n)]).toEqual([false, true]);
});

test('of ten thousand with one number, the longest known are looked at; all are known', () => {
  const twins = new Twins();
  const all = Array.from({ length: 10_000 }, (_, i) => make(i + 1, 7n));
  for (const node of all) twins.add(node);
  expect([...twins.of(7n)]).toEqual(all.slice(0, LOOKED_AT));
  expect(all.every((node) => twins.includes(7n, node))).toBe(true);
  for (const node of all.slice(0, 9_998)) twins.delete(node);
  expect([...twins.of(7n)]).toEqual(all.slice(9_998));
  for (const node of all) twins.delete(node);
  expect(twins.has(7n)).toBe(false);
});
