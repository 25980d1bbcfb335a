// Corners of the protocol: listings of 9P2000.L, whose places are the server's own numbers.

import { describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { Writer } from '../../src/common/writer.ts';
import { writeDirent } from '../../src/wire/p9/types.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';

const stage = bridgeStage();
const { answer, got, lookup, refuse } = stage;

describe('Readdir .L', () => {
  /** A listing whose cookies are in no order and use all 64 bits; `few`: entries a reply. */
  async function list(few: number, names: readonly string[]) {
    const cookies = names.map((_name, i) => BigInt.asUintN(64, BigInt(i + 1) * 0x9e37_79b9_7f4a_7c15n) | 1n);
    const asked: bigint[] = [];
    answer({
      Treaddir: (message) => {
        asked.push(message.offset);
        const from = message.offset === 0n ? 0 : cookies.indexOf(message.offset) + 1;
        if (message.offset !== 0n && from === 0) return refuse(errno.EINVAL)(message);
        const out = Writer.sized(message.count);
        for (let i = from; i < Math.min(names.length, from + few); i++) {
          const qid = { type: 0, version: 0, path: BigInt(i + 10) };
          writeDirent(out, { qid, offset: cookies[i] ?? 0n, type: 8, name: names[i] ?? '' });
        }
        return stage.at.files.say(message, { data: out.bytes.subarray(0, out.at) });
      },
    });
    const dir = await lookup('dir');
    const { fh } = await stage.at.ops.opendir(caller(), dir, 0);
    const seen: [name: string, next: bigint][] = [];
    for (let offset = 0n; ; ) {
      const before = seen.length;
      const add = (name: string, _ino: bigint, _type: number, next: bigint) => {
        if (seen.length - before === 3) return false;
        seen.push([name, next]);
        return true;
      };
      await stage.at.ops.readdir(caller(), dir, fh, offset, 4096, { add });
      if (seen.length === before) break;
      offset = seen.at(-1)?.[1] ?? 0n;
    }
    return {
      seen,
      asked,
      cookies,
      async from(offset: bigint) {
        const names: string[] = [];
        await stage.at.ops.readdir(caller(), dir, fh, offset, 4096, { add: (name) => names.push(name) > 0 });
        return names;
      },
      end: () => stage.at.ops.releasedir(caller(), dir, fh),
    };
  }
  const names = ['.', '..', ...Array.from({ length: 50 }, (_, i) => `name${i}`)];

  test.each([1, 7, 1000])('Readdir .L: cookies are passed on as they are, beyond 2^53 too, %i a reply', async (few) => {
    const { seen, cookies, asked, end } = await list(few, names);
    expect(seen.map(([name]) => name)).toEqual(names);
    expect(seen.map(([, next]) => next)).toEqual(cookies);
    // nobody asks for a place that the server has not named
    expect(asked.filter((offset) => offset !== 0n && !cookies.includes(offset))).toEqual([]);
    end();
  });

  test('Readdir .L: a place is the same whenever it is asked for', async () => {
    const { cookies, from, end } = await list(5, names);
    for (const i of [40, 3, 17, 0, 50]) expect((await from(cookies[i] ?? 0n))[0]).toBe(names[i + 1]);
    expect(await from(cookies[51] ?? 0n)).toEqual([]);
    expect((await from(0n))[0]).toBe('.');
    end();
  });

  test('Readdir .L: no count is so small that nothing fits, whatever the kernel asks for', async () => {
    const dir = await lookup('dir');
    const { fh } = await stage.at.ops.opendir(caller(), dir, 0);
    await stage.at.ops.readdir(caller(), dir, fh, 0n, 32, { add: () => false });
    const { dialect } = stage.at.bridge.session;
    const fid = await dialect.walk(await stage.at.bridge.users.root(0), ['dir']);
    await dialect.open(fid, 0);
    await dialect.readdir(fid, 0n, 1);
    stage.at.bridge.session.calls.clunk(fid);
    // qid[13] offset[8] type[1] name[s], with a name of 255 bytes
    for (const { count } of got('Treaddir')) expect(count).toBeGreaterThanOrEqual(13 + 8 + 1 + 2 + 255);
    stage.at.ops.releasedir(caller(), dir, fh);
  });

  test('Readdir .L: a server that gives the same place again and again is not asked for ever', async () => {
    answer({
      Treaddir: (message) => {
        const out = Writer.sized(message.count);
        writeDirent(out, { qid: { type: 0, version: 0, path: 9n }, offset: 5n, type: 8, name: 'again' });
        return stage.at.files.say(message, { data: out.bytes.subarray(0, out.at) });
      },
    });
    const dir = await lookup('dir');
    const { fh } = await stage.at.ops.opendir(caller(), dir, 0);
    await stage.at.ops.readdir(caller(), dir, fh, 0n, 4096, { add: () => true });
    await expect(
      Promise.resolve(stage.at.ops.readdir(caller(), dir, fh, 5n, 4096, { add: () => true })),
    ).rejects.toMatchObject({ code: 'EIO' });
    stage.at.ops.releasedir(caller(), dir, fh);
  });
});
