// The paths of fuse-native against a model of the file system above: every lookup that was counted is taken back once, nothing is
// forgotten that a path, an open file or a call in progress still has.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Abort } from '../../../../src/common/abort.ts';
import type { NodeId, Unique } from '../../../../src/common/brand.ts';
import { errno } from '../../../../src/common/errno.ts';
import { ErrnoError } from '../../../../src/common/errors.ts';
import { type Held, Names, split } from '../../../../src/fuse/drivers/fuse-native/names.ts';
import type { Attr, Entry, NegativeEntry, RequestContext } from '../../../../src/fuse/operations.ts';

const ctx: RequestContext = { unique: 2 as Unique, uid: 0, gid: 0, pid: 0, signal: new Abort() };

/** A tree of directories and files, as a server has it; counts the lookups that are out. */
class Tree {
  readonly children = new Map<number, Map<string, number>>([[1, new Map()]]);
  readonly out = new Map<number, number>();
  entryTtl = 0;
  asked = 0;
  #last = 1;

  add(parent: number, name: string, directory: boolean): number {
    this.#last++;
    if (directory) this.children.set(this.#last, new Map());
    this.children.get(parent)?.set(name, this.#last);
    return this.#last;
  }

  entry(nodeid: number): Entry {
    this.out.set(nodeid, (this.out.get(nodeid) ?? 0) + 1);
    const attr = { mode: this.children.has(nodeid) ? 0o040755 : 0o100644 } as Attr;
    return { nodeid: nodeid as NodeId, generation: 0, entryTtl: this.entryTtl, attrTtl: 0, attr };
  }

  lookup(_ctx: RequestContext, parent: NodeId, name: string): Promise<Entry | NegativeEntry> {
    this.asked++;
    if (parent !== 1 && !this.out.has(parent)) throw new Error(`node ${parent} was forgotten and is used`);
    const found = this.children.get(parent)?.get(name);
    if (found === undefined) return Promise.reject(new ErrnoError(errno.ENOENT));
    const entry = this.entry(found);
    return new Promise((resolve) => setImmediate(() => resolve(entry)));
  }

  forget(nodeid: NodeId, nlookup: number): void {
    const left = (this.out.get(nodeid) ?? 0) - nlookup;
    if (left < 0) throw new Error(`node ${nodeid}: ${nlookup} lookups taken back, of ${this.out.get(nodeid)}`);
    if (left === 0) this.out.delete(nodeid);
    else this.out.set(nodeid, left);
  }
}

test('split', () => {
  expect([split('/a'), split('/a/b'), split('/a/b/c')]).toEqual([
    ['/', 'a'],
    ['/a', 'b'],
    ['/a/b', 'c'],
  ]);
});

describe('a path', () => {
  test('is found by way of those above it, which are asked for once', async () => {
    const tree = new Tree();
    const a = tree.add(1, 'a', true);
    const b = tree.add(a, 'b', true);
    const c = tree.add(b, 'c', false);
    const names = new Names(tree);
    expect(await names.use(ctx, '/a/b/c', (nodeid) => nodeid)).toBe(c);
    expect(await names.use(ctx, '/a/b', (nodeid) => nodeid)).toBe(b);
    expect(tree.asked).toBe(3);
    await names.look(ctx, '/a/b/c');
    expect(tree.asked).toBe(4);
    expect(tree.out.get(c)).toBe(2);
    names.clear();
    expect(tree.out.size).toBe(0);
    expect(names.size).toEqual({ paths: 0, ghosts: 0, nodes: 0 });
  });

  test('that leads nowhere any more is dropped, with what was below it', async () => {
    const tree = new Tree();
    const a = tree.add(1, 'a', true);
    tree.add(a, 'b', false);
    const names = new Names(tree);
    await names.look(ctx, '/a/b');
    tree.children.get(1)?.delete('a');
    await expect(names.look(ctx, '/a')).rejects.toMatchObject({ code: 'ENOENT' });
    expect(names.size).toEqual({ paths: 0, ghosts: 0, nodes: 0 });
    expect(tree.out.size).toBe(0);
  });

  test('that leads elsewhere forgets where it led, but not for whoever has it', async () => {
    const tree = new Tree();
    const old = tree.add(1, 'a', false);
    const names = new Names(tree);
    let held: Held | undefined;
    await names.use(ctx, '/a', (_, found) => {
      held = names.hold(found);
    });
    const other = tree.add(1, 'a', false);
    expect((await names.look(ctx, '/a')).nodeid).toBe(other);
    expect(tree.out.has(old)).toBe(true);
    if (held !== undefined) names.release(held);
    expect(tree.out.has(old)).toBe(false);
    names.clear();
  });

  test('moves with what is below it, over what was there', async () => {
    const tree = new Tree();
    const a = tree.add(1, 'a', true);
    const file = tree.add(a, 'file', false);
    tree.add(1, 'to', true);
    const names = new Names(tree);
    await names.look(ctx, '/a/file');
    await names.look(ctx, '/to');
    names.move('/a', '/to');
    const asked = tree.asked;
    expect(await names.use(ctx, '/to/file', (nodeid) => nodeid)).toBe(file);
    expect(tree.asked).toBe(asked);
    expect([...tree.out.keys()].sort()).toEqual([a, file]);
    names.clear();
  });

  test('with a name like that of another is another', async () => {
    const tree = new Tree();
    tree.add(1, 'a', true);
    tree.add(1, 'ab', false);
    const names = new Names(tree);
    await names.look(ctx, '/a');
    await names.look(ctx, '/ab');
    names.drop('/a');
    expect(names.size.paths).toBe(1);
    names.clear();
  });

  test('holds for as long as its entry says', async () => {
    const tree = new Tree();
    tree.add(1, 'a', false);
    const names = new Names(tree);
    await names.look(ctx, '/a');
    expect(names.isCurrent('/a')).toBe(false);
    tree.entryTtl = 3600;
    await names.look(ctx, '/a');
    expect(names.isCurrent('/a')).toBe(true);
    expect(names.isCurrent('/')).toBe(true);
    expect(names.isCurrent('/b')).toBe(false);
    names.clear();
  });

  test('is one of a bounded number', async () => {
    const tree = new Tree();
    for (let i = 0; i < 50; i++) tree.add(1, `f${i}`, false);
    const names = new Names(tree, 10);
    for (let i = 0; i < 50; i++) await names.look(ctx, `/f${i}`);
    expect(names.size.paths).toBe(10);
    expect(tree.out.size).toBe(10);
    names.clear();
    expect(tree.out.size).toBe(0);
  });
});

test('a ghost leads to the file that it is the ghost of, until it is let go', async () => {
  const tree = new Tree();
  const a = tree.add(1, 'a', false);
  const names = new Names(tree);
  await names.use(ctx, '/a', (_, held) => names.haunt('/a', '/ghost', held));
  tree.children.get(1)?.delete('a');
  expect(names.isGhost('/ghost')).toBe(true);
  expect(await names.use(ctx, '/ghost', (nodeid) => nodeid)).toBe(a);
  await expect(names.look(ctx, '/a')).rejects.toMatchObject({ code: 'ENOENT' });
  expect(tree.out.has(a)).toBe(true);
  names.exorcise('/ghost');
  expect(tree.out.size).toBe(0);
});

describe('whatever is done at once', () => {
  const paths = ['/a', '/b', '/a/x', '/a/y', '/b/x', '/c'];
  const step = fc.oneof(
    fc.record({ do: fc.constant('look' as const), path: fc.constantFrom(...paths) }),
    fc.record({ do: fc.constant('use' as const), path: fc.constantFrom(...paths) }),
    fc.record({ do: fc.constant('open' as const), path: fc.constantFrom(...paths) }),
    fc.record({ do: fc.constant('close' as const), path: fc.constant('') }),
    fc.record({ do: fc.constant('drop' as const), path: fc.constantFrom(...paths) }),
    fc.record({ do: fc.constant('replace' as const), path: fc.constantFrom('/a', '/b', '/c') }),
    fc.record({ do: fc.constant('move' as const), path: fc.constantFrom(...paths), to: fc.constantFrom(...paths) }),
  );

  test('in the end every lookup has been taken back, and none before its time', () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 2, max: 6 }), async (steps, most) => {
        const tree = new Tree();
        const a = tree.add(1, 'a', true);
        const b = tree.add(1, 'b', true);
        for (const parent of [a, b]) for (const name of ['x', 'y']) tree.add(parent, name, false);
        const names = new Names(tree, most);
        const open: Held[] = [];
        const running: Promise<unknown>[] = [];
        const missing = (error: unknown) => expect(error).toMatchObject({ code: 'ENOENT' });
        for (const [at, each] of steps.entries()) {
          const { path } = each;
          if (each.do === 'look') running.push(names.look(ctx, path).catch(missing));
          else if (each.do === 'open') {
            const opened = names.use(ctx, path, (_, held) => void open.push(names.hold(held)));
            running.push(opened.catch(missing));
          } else if (each.do === 'use') {
            const used = names.use(ctx, path, async (nodeid) => {
              await new Promise((resolve) => setImmediate(resolve));
              if (nodeid !== 1) expect(tree.out.has(nodeid)).toBe(true);
            });
            running.push(used.catch(missing));
          } else if (each.do === 'close') {
            const held = open.shift();
            if (held !== undefined) names.release(held);
          } else if (each.do === 'drop') names.drop(path);
          else if (each.do === 'replace') tree.add(1, path.slice(1), at % 2 === 0);
          else if (
            each.path !== each.to &&
            !each.to.startsWith(`${each.path}/`) &&
            !each.path.startsWith(`${each.to}/`)
          ) {
            names.move(each.path, each.to);
          }
          for (const { nodeid } of open) if (nodeid !== 1) expect(tree.out.has(nodeid)).toBe(true);
          if (at % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        await Promise.all(running);
        for (const held of open.splice(0)) names.release(held);
        names.clear();
        expect(names.size).toEqual({ paths: 0, ghosts: 0, nodes: 0 });
        expect([...tree.out]).toEqual([]);
      }),
      { numRuns: 300 },
    ));
});
