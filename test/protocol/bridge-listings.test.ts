// Listings that would never end: what a server's own places (cookies) and names can make of them, and that an honest listing,
// however long, is not taken for one of those.

import { describe, expect, test } from 'vitest';
import { Writer } from '../../src/common/writer.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { direntSize, writeDirent } from '../../src/wire/p9/types.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';

const stage = bridgeStage();

type Entry = [name: string, cookie: number];

/** A reply with these entries. */
function reply(message: Extract<Message, { type: 'Treaddir' }>, entries: readonly Entry[]): true {
  const out = Writer.sized(entries.reduce((sum, [name]) => sum + direntSize(name), 0));
  for (const [name, cookie] of entries) {
    writeDirent(out, { qid: { type: 0, version: 0, path: 9n }, offset: BigInt(cookie), type: 8, name });
  }
  return stage.at.files.say(message, { data: out.bytes });
}

/** What the kernel does for `ls`: asks behind the last entry that it was given, `room` of which fit in a reply. */
async function list(after: (cookie: number) => readonly Entry[], room = 100, most = 1_000_000): Promise<number> {
  stage.answer({ Treaddir: (message) => reply(message, after(Number(message.offset))) });
  const dir = await stage.lookup('dir');
  const { fh } = await stage.at.ops.opendir(caller(), dir, 0);
  let count = 0;
  try {
    for (let [offset, before] = [0n, -1]; count > before && count < most; ) {
      before = count;
      const add = (_name: string, _ino: bigint, _type: number, next: bigint) => {
        if (count - before === room) return false;
        offset = next;
        count++;
        return true;
      };
      await stage.at.ops.readdir(caller(), dir, fh, offset, 4096, { add });
    }
    return count;
  } finally {
    stage.at.ops.releasedir(caller(), dir, fh);
  }
}

/** Five entries a reply, of `count`. */
const honest = (count: number) => (cookie: number) =>
  Array.from({ length: Math.min(5, count - cookie) }, (_, i): Entry => [`name${cookie + i}`, cookie + i + 1]);

describe('a listing', () => {
  test.each([
    ['from its start', 0],
    ['from somewhere within', 1000],
  ])('that comes round to where it was, %s, ends with EIO', async (_where, back) => {
    const round = (cookie: number) => (cookie < 5000 ? honest(5000)(cookie) : honest(5000)(back));
    await expect(list(round)).rejects.toMatchObject({ code: 'EIO' });
    // it is told within a few times its length
    expect(stage.got('Treaddir').length).toBeLessThan(4 * 1000);
  });

  test('of two replies that name each other ends with EIO', async () => {
    await expect(list((cookie) => [['name', cookie === 1 ? 2 : 1]])).rejects.toMatchObject({ code: 'EIO' });
    expect(stage.got('Treaddir').length).toBeLessThan(10);
  });

  test('with the same places again within one reply is not gone through for ever', async () => {
    const again: Entry[] = [
      ['a', 1],
      ['b', 2],
      ['c', 1],
      ['d', 2],
    ];
    for (const room of [1, 2, 3, 4]) {
      stage.at.files.received.length = 0;
      await expect(list(() => again, room)).rejects.toMatchObject({ code: 'EIO' });
      expect(stage.got('Treaddir').length).toBeLessThan(4);
    }
  });

  test('with one place for two names loses neither, and repeats none', async () => {
    const hashed: Entry[] = [
      ['a', 7],
      ['b', 7],
      ['c', 7],
      ['d', 9],
    ];
    for (const room of [1, 2, 3, 4]) expect(await list((cookie) => (cookie === 0 ? hashed : []), room)).toBe(4);
  });

  test('of nothing but names that nobody may see ends with EIO, within one call', async () => {
    await expect(list((cookie) => [['no/name', cookie + 1]])).rejects.toMatchObject({ code: 'EIO' });
    expect(stage.got('Treaddir').length).toBe(10_001);
  });

  test('that is honest is shown whole, whatever its length, and however often it is begun again', async () => {
    expect(await list(honest(20_000))).toBe(20_000);
    const dir = await stage.lookup('dir');
    const { fh } = await stage.at.ops.opendir(caller(), dir, 0);
    for (let i = 0; i < 50; i++) {
      for (const offset of [0n, 5n, 10n, 5n, 0n]) {
        const names: string[] = [];
        await stage.at.ops.readdir(caller(), dir, fh, offset, 4096, { add: (name) => names.push(name) > 0 });
        expect(names[0]).toBe(`name${offset}`);
      }
    }
    stage.at.ops.releasedir(caller(), dir, fh);
  });
});
