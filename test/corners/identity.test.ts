// Corners of the protocol: what a qid says of a file, its version and its path, and what it does not say.

import { describe, expect, test } from 'vitest';
import { ROOT } from '../../src/bridge/nodes/node.ts';
import type { NodeId } from '../../src/common/brand.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import type { Body } from '../../src/wire/p9/messages.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
import { getattr } from '../support/scripted.ts';

const stage = bridgeStage();
const { answer, lookup, open, opened } = stage;

describe('qid.version as cache validator', () => {
  const KEEP_CACHE = 2;

  /** Whether the second open of a file may keep its pages. */
  async function keeps(first: object, second: object): Promise<boolean> {
    stage.at.files.collide = 9n;
    let stat: Body<'Rgetattr'> = { ...getattr, qid: { type: 0, version: 0, path: 9n }, size: 5, mtime: 5, ctime: 5 };
    answer({ Tgetattr: (message) => stage.at.files.say(message, stat) });
    stat = merged(stat, first);
    const file = await lookup('file');
    await open(file, OPEN.RDONLY);
    stat = merged(stat, second);
    const { fh, flags } = await stage.at.ops.open(caller(), file, OPEN.RDONLY, false);
    opened(file, fh);
    return (flags & KEEP_CACHE) !== 0;
  }

  function merged(stat: Body<'Rgetattr'>, { version, ...rest }: { version?: number }): Body<'Rgetattr'> {
    return { ...stat, ...rest, qid: { ...stat.qid, version: version ?? stat.qid.version } };
  }

  test.each([
    ['nothing has changed', {}, {}, true],
    ['the version has moved and nothing else', { version: 1 }, { version: 2 }, false],
    ['the version is always the same and the size is another', { version: 7 }, { version: 7, size: 6 }, false],
    ['a version is 0 once, which is none', { version: 3 }, { version: 0 }, true],
    ['the version is 0 and the mtime is another', {}, { mtimeNsec: 1 }, false],
    ['the version is 0 and only the ctime is another', {}, { ctimeNsec: 1 }, false],
  ])('qid.version as cache validator: where %s', async (_what, first, second, kept) => {
    expect(await keeps(first, second)).toBe(kept);
  });
});

describe('qid.path uniqueness', () => {
  interface Seen {
    nodeid: NodeId;
    generation: number;
    attr: { ino: bigint; size: number };
  }
  const PATH = 4242n;

  /** Every file has the same qid.path, and its name's length as its size. */
  async function colliding(): Promise<(name: string, parent?: NodeId) => Promise<Seen>> {
    const names = new Map<number, string>();
    await lookup('dir');
    stage.at.files.collide = PATH;
    answer({
      Twalk: (message) => {
        names.set(message.newfid, message.names.at(-1) ?? names.get(message.fid) ?? '');
        return undefined;
      },
      Tgetattr: (message) => {
        const name = names.get(message.fid) ?? '';
        if (name === '' || name.startsWith('d')) return undefined;
        const qid = { type: 0, version: 0, path: PATH };
        return stage.at.files.say(message, { ...getattr, qid, size: name.length });
      },
    });
    return async (name, parent = ROOT) => (await stage.at.ops.lookup(caller(), parent, name)) as Seen;
  }

  test('qid.path uniqueness: two files of one qid are two files, each with its number', async () => {
    const look = await colliding();
    const [one, three] = [await look('a'), await look('abc')];
    expect(three.nodeid).not.toBe(one.nodeid);
    expect(three.attr.ino).not.toBe(one.attr.ino);
    expect(one.attr.ino).toBe(PATH);
    expect(await look('a')).toMatchObject({ nodeid: one.nodeid, attr: { ino: one.attr.ino, size: 1 } });
    expect(await look('abc')).toMatchObject({ nodeid: three.nodeid, attr: { ino: three.attr.ino, size: 3 } });
  });

  test('qid.path uniqueness: the number stays when the kernel has forgotten the file, and when it is renamed', async () => {
    const look = await colliding();
    const [one, three] = [await look('a'), await look('abc')];
    for (const { nodeid } of [one, three]) stage.at.ops.forget(nodeid, 1);
    // the other way round
    expect((await look('abc')).attr.ino).toBe(three.attr.ino);
    expect((await look('a')).attr.ino).toBe(one.attr.ino);
    await stage.at.ops.rename(caller(), ROOT, 'abc', await lookup('dir'), 'xyz', 0);
    expect((await look('xyz', await lookup('dir'))).attr.ino).toBe(three.attr.ino);
    // and when the kernel has forgotten it since
    const moved = await look('xyz', await lookup('dir'));
    stage.at.ops.forget(moved.nodeid, 1000);
    const found = await look('xyz', await lookup('dir'));
    expect(found.nodeid).not.toBe(moved.nodeid);
    expect(found.attr.ino).toBe(three.attr.ino);
    // what gets its old name is another
    const next = await look('abc');
    expect([one.attr.ino, three.attr.ino]).not.toContain(next.attr.ino);
    expect((await look('a')).attr.ino).toBe(one.attr.ino);
  });

  test('qid.path uniqueness: a node id is never that of a second file, so that no generation is needed', async () => {
    const look = await colliding();
    const seen = new Set<NodeId>();
    for (let i = 0; i < 20; i++) {
      const { nodeid, generation } = await look(i % 2 === 0 ? 'a' : 'abc');
      expect(generation).toBe(0);
      expect(seen.has(nodeid)).toBe(false);
      seen.add(nodeid);
      stage.at.ops.forget(nodeid, 1);
    }
  });

  test('qid.path uniqueness: what has the number of a file that was removed here is another', async () => {
    const look = await colliding();
    const one = await look('a');
    const fh = await open(one.nodeid);
    await stage.at.ops.unlink(caller(), ROOT, 'a');
    const again = await look('a');
    expect(again.nodeid).not.toBe(one.nodeid);
    expect(fh).toBeDefined();
  });
});
