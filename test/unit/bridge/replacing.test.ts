// Whoever looks a name up while it is being replaced waits for the end of all that replaces it, however it ends, in whatever
// order, and for nothing else.

import { expect, test } from 'vitest';
import { Replacing } from '../../../src/bridge/names/replacing.ts';
import { Node } from '../../../src/bridge/nodes/node.ts';
import { Abort } from '../../../src/common/abort.ts';
import type { NodeId } from '../../../src/common/brand.ts';
import { deferred } from '../../../src/common/deadline.ts';

const directory = (id: number) =>
  new Node(id as NodeId, { qid: { type: 0x80, version: 0, path: BigInt(id) }, nlink: 2 } as Node['stat']);

test('two that replace one name are waited for until both are over', async () => {
  const replacing = new Replacing();
  const [here, there] = [directory(1), directory(2)];
  const [first, second] = [deferred<void>(), deferred<void>()];
  const ended: string[] = [];
  const one = replacing.during(here, 'name', () => first.promise);
  const other = replacing.during(here, 'name', () => second.promise);
  expect(replacing.end(here, 'other', new Abort())).toBeUndefined();
  expect(replacing.end(there, 'name', new Abort())).toBeUndefined();
  const waiting = replacing.end(here, 'name', new Abort())?.then(() => ended.push('waiter'));

  second.reject(new Error('refused'));
  await expect(other).rejects.toThrow('refused');
  const late = replacing.end(here, 'name', new Abort())?.then(() => ended.push('late waiter'));
  expect(late).toBeDefined();
  ended.push('first');
  first.resolve();
  await Promise.all([one, waiting, late]);
  expect(ended).toEqual(['first', 'waiter', 'late waiter']);
  expect(replacing.end(here, 'name', new Abort())).toBeUndefined();
});

test('who is interrupted waits no longer', async () => {
  const replacing = new Replacing();
  const here = directory(1);
  const work = deferred<void>();
  const working = replacing.during(here, 'name', () => work.promise);
  const abort = new Abort();
  const waiting = replacing.end(here, 'name', abort);
  abort.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'EINTR' });
  work.resolve();
  await working;
});
