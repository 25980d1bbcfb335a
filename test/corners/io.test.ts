// Corners of the protocol: reads and writes, how they are cut, and what is made of answers that are short or too long.

import { describe, expect, test } from 'vitest';
import { OPEN } from '../../src/wire/p9/constants.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
import { getattr } from '../support/scripted.ts';

const stage = bridgeStage();
const { answer, got, lookup, open } = stage;

describe('iounit 0', () => {
  test.each([
    [0, 8192 - 24],
    [5000, 5000],
    // a page, unless the server has refused it: test/unit/client/turns.test.ts
    [1000, 4096],
    [1_000_000, 8192 - 24],
  ])('iounit 0: where the server says %i, reads and writes are of %i bytes at the most', async (iounit, most) => {
    answer({ Tlopen: (message) => stage.at.files.say(message, { qid: { type: 0, version: 0, path: 2n }, iounit }) });
    const file = await lookup('file');
    const fh = await open(file);
    const { release } = await stage.at.ops.read(caller(), file, fh, 0, 20_000, 0);
    release?.();
    const flags = { fromCache: false, killSuidGid: false, openFlags: OPEN.RDWR, lockOwner: 0n };
    expect(await stage.at.ops.write(caller(), file, fh, 0, Buffer.alloc(20_000), flags)).toBe(20_000);
    expect(Math.max(...got('Tread').map(({ count }) => count))).toBe(most);
    expect(Math.max(...got('Twrite').map(({ data }) => data.length))).toBe(most);
  });
});

describe('Short reads/writes', () => {
  test('Short reads/writes: a read goes on to the end, a write until all is written', async () => {
    const short = 1000;
    answer({
      Tread: (message) =>
        message.count > short &&
        stage.at.files.say(message, { data: Buffer.alloc(message.offset < 100_000 ? short : 0, 'x') }),
      Twrite: (message) => message.data.length > short && stage.at.files.say(message, { count: short }),
    });
    const file = await lookup('file');
    const fh = await open(file);
    const { data, release } = await stage.at.ops.read(caller(), file, fh, 0, 20_000, 0);
    expect(Buffer.concat([data].flat()).length).toBe(20_000);
    release?.();
    const flags = { fromCache: false, killSuidGid: false, openFlags: OPEN.RDWR, lockOwner: 0n };
    expect(await stage.at.ops.write(caller(), file, fh, 0, Buffer.alloc(20_000), flags)).toBe(20_000);
  });

  test('Short reads/writes: what a stream has is the answer', async () => {
    answer({
      Tgetattr: (message) =>
        stage.at.files.say(message, { ...getattr, qid: { type: 0, version: 0, path: 2n }, size: 0 }),
      Tread: (message) => stage.at.files.say(message, { data: Buffer.from('a line\n') }),
    });
    const file = await lookup('stream');
    const fh = await open(file, OPEN.RDONLY);
    const { data, release } = await stage.at.ops.read(caller(), file, fh, 0, 4096, 0);
    expect(Buffer.concat([data].flat()).toString()).toBe('a line\n');
    release?.();
    expect(got('Tread')).toHaveLength(1);
  });

  test('Short reads/writes: more than was asked for, or taken than was sent, ends the connection', async () => {
    answer({ Twrite: (message) => stage.at.files.say(message, { count: message.data.length + 1 }) });
    const file = await lookup('file');
    const fh = await open(file);
    const flags = { fromCache: false, killSuidGid: false, openFlags: OPEN.RDWR, lockOwner: 0n };
    await expect(stage.at.ops.write(caller(), file, fh, 0, Buffer.alloc(10), flags)).rejects.toThrow(
      'Rwrite of 11 bytes',
    );
    expect(stage.at.client.error?.message).toContain('Rwrite');
  });
});
