// What a write by somebody who may not keep setuid and setgid says to the server and to the kernel, and in which order; and what
// is given to its maker (access=client) when the name of what was made leads elsewhere already.

import { beforeEach, describe, expect, test } from 'vitest';
import { ROOT } from '../../src/bridge/nodes/node.ts';
import { errno } from '../../src/common/errno.ts';
import { OPEN, SETATTR } from '../../src/wire/p9/constants.ts';
import type { Body, Message } from '../../src/wire/p9/messages.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
import { getattr, turn } from '../support/scripted.ts';

type Of<N extends Message['type']> = Extract<Message, { type: N }>;

const stage = bridgeStage();
const USER = 5;
const WRITE = { fromCache: false, killSuidGid: true, openFlags: OPEN.RDWR, lockOwner: 0n };

const turns = async () => {
  for (let i = 0; i < 20; i++) await turn();
};

describe('a file of mode 6777', () => {
  /** What was asked of the server that can change the file, and what the kernel was told, in their order. */
  let told: string[];
  let mode: number;
  let size: number;

  /** As whom the server acts decides whether it lets the mode be changed. */
  function server(rules: { refusesMode?: boolean; write?: (message: Of<'Twrite'>) => true } = {}): void {
    stage.answer({
      Tgetattr: (message) =>
        stage.at.files.say(message, {
          ...getattr,
          qid: { type: 0, version: 0, path: 2n },
          mode: 0o100000 | mode,
          size,
        }),
      Tsetattr: (message) => {
        if ((message.valid & SETATTR.MODE) === 0) return false;
        told.push(`mode ${message.mode.toString(8)}`);
        return rules.refusesMode === true ? stage.refuse(errno.EPERM)(message) : false;
      },
      Twrite: (message) => {
        told.push('Twrite');
        return rules.write?.(message) ?? false;
      },
      Tlopen: ({ flags }) => {
        if ((flags & OPEN.TRUNC) !== 0) told.push('Tlopen');
        return false;
      },
    });
  }

  beforeEach(() => {
    told = [];
    [mode, size] = [0o6777, 5];
    stage.at.kernel.expireAttr = async () => void told.push('expire');
    server();
  });

  const write = (fh: Awaited<ReturnType<typeof stage.open>>, node: Awaited<ReturnType<typeof stage.lookup>>) =>
    Promise.resolve(stage.at.ops.write(caller(), node, fh, 0, Buffer.from('new'), WRITE));

  async function opened() {
    const node = await stage.lookup('file');
    return { node, fh: await stage.open(node) };
  }

  test('the kernel forgets the mode when the bytes are written, once', async () => {
    const { node, fh } = await opened();
    expect(await write(fh, node)).toBe(3);
    expect(told).toEqual(['mode 777', 'Twrite', 'expire']);
    expect(await write(fh, node)).toBe(3);
    expect(told.slice(3)).toEqual(['Twrite']);
  });

  test('also where the server clears the bits by itself, and refuses us', async () => {
    server({ refusesMode: true });
    const { node, fh } = await opened();
    await write(fh, node);
    expect(told).toEqual(['mode 777', 'Twrite', 'expire']);
  });

  test('also where the write fails: who knows what the server has done before', async () => {
    server({ write: (message) => stage.refuse(errno.ENOSPC)(message) });
    const { node, fh } = await opened();
    await expect(write(fh, node)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(told).toEqual(['mode 777', 'Twrite', 'expire']);
  });

  test('the answer to the write waits for it', async () => {
    const { node, fh } = await opened();
    let forgotten = () => {};
    stage.at.kernel.expireAttr = () =>
      new Promise<void>((resolve) => {
        forgotten = resolve;
      });
    const state = { answered: false };
    const writing = write(fh, node).then(() => {
      state.answered = true;
    });
    await turns();
    expect(state.answered).toBe(false);
    forgotten();
    await writing;
  });

  test('also where another client has cleared them, and the kernel has not heard of it', async () => {
    size = 0;
    const { node, fh } = await opened();
    await stage.at.ops.write(caller(), node, fh, 0, Buffer.from('new'), { ...WRITE, killSuidGid: false });
    [mode, size] = [0o777, 3];
    // a read of what was empty asks whether it is a stream, and sees the mode beside the length
    const { release } = await stage.at.ops.read(caller(), node, fh, 0, 3, OPEN.RDWR);
    release?.();
    told.length = 0;
    await write(fh, node);
    expect(told).toEqual(['Twrite', 'expire']);
  });

  test('a write by somebody who may keep them changes nothing', async () => {
    const { node, fh } = await opened();
    await stage.at.ops.write(caller(), node, fh, 0, Buffer.from('new'), { ...WRITE, killSuidGid: false });
    expect(told).toEqual(['Twrite']);
  });

  test('setgid of a file that its group cannot execute stays, and the kernel asks again after each write', async () => {
    mode = 0o2644;
    const { node, fh } = await opened();
    await write(fh, node);
    await write(fh, node);
    expect(told).toEqual(['Twrite', 'expire', 'Twrite', 'expire']);
  });

  test('cut when it is opened', async () => {
    const node = await stage.lookup('file');
    const { fh } = await stage.at.ops.open(caller(), node, OPEN.WRONLY | OPEN.TRUNC, true);
    stage.opened(node, fh);
    expect(told.filter((what) => what !== 'expire')).toEqual(['mode 777', 'Tlopen']);
    expect(told.at(-1)).toBe('expire');
  });
});

describe('what is made for a user (access=client)', () => {
  const given = () => stage.got('Tsetattr').filter(({ valid }) => (valid & SETATTR.UID) !== 0);
  const looked = (message: Of<'Twalk'>) => message.names.length > 0;
  /** A file as it is made. What is made first has the qid.path 2 to this server. */
  const file = (path: bigint): Body<'Rgetattr'> => ({
    ...getattr,
    qid: { type: 0, version: 0, path },
    mode: 0o100600,
    size: 0,
  });

  /** Released when the test is over. */
  async function create(name: string, flags: number = OPEN.WRONLY, mode = 0o644, killSuidGid = false): Promise<void> {
    const { entry, fh } = await stage.at.ops.create(caller(undefined, USER), ROOT, name, flags, mode, 0, killSuidGid);
    stage.opened(entry.nodeid, fh);
  }

  test('is made by it, or the kernel looks again', async () => {
    stage.answer({ Tlcreate: stage.refuse(errno.EEXIST) });
    await expect(create('new')).rejects.toMatchObject({ code: 'ESTALE' });
    await expect(create('new', OPEN.WRONLY | OPEN.EXCL)).rejects.toMatchObject({ code: 'EEXIST' });
    expect(stage.got('Tlcreate').map(({ flags }) => flags & OPEN.EXCL)).toEqual([OPEN.EXCL, OPEN.EXCL]);
    expect(given()).toEqual([]);
  });

  test.each([
    ['a file', () => create('name')],
    ['a directory', () => stage.at.ops.mkdir(caller(undefined, USER), ROOT, 'name', 0o755, 0)],
    ['a node', () => stage.at.ops.mknod(caller(undefined, USER), ROOT, 'name', 0o100644, 0, 0)],
    ['a link', () => stage.at.ops.symlink(caller(undefined, USER), ROOT, 'name', 'target')],
  ])('%s is given to it', async (_what, make) => {
    stage.answer({ Tgetattr: (message) => stage.at.files.say(message, file(2n)) });
    await make();
    expect(given().map(({ uid, gid }) => [uid, gid])).toEqual([[USER, USER]]);
  });

  test.each([
    ['a file', () => create('name', OPEN.WRONLY | OPEN.TRUNC)],
    ['a node', () => stage.at.ops.mknod(caller(undefined, USER), ROOT, 'name', 0o100644, 0, 0)],
  ])(
    '%s that was there before is not, where the server opens it in spite of O_EXCL, nor is it cut',
    async (_w, make) => {
      for (const was of [{ size: 1 }, { nlink: 2 }]) {
        stage.answer({ Tgetattr: (message) => stage.at.files.say(message, { ...file(2n), ...was }) });
        await expect(make()).rejects.toMatchObject({ code: 'ESTALE' });
      }
      expect(given()).toEqual([]);
      expect(stage.got('Tlcreate').map(({ flags }) => flags & OPEN.TRUNC)).not.toContain(OPEN.TRUNC);
      expect(stage.at.bridge.handles.size).toBe(0);
    },
  );

  test.each([
    ['mkdir', () => stage.at.ops.mkdir(caller(undefined, USER), ROOT, 'name', 0o755, 0)],
    ['mknod', () => stage.at.ops.mknod(caller(undefined, USER), ROOT, 'name', 0o100644, 0, 0)],
    ['symlink', () => stage.at.ops.symlink(caller(undefined, USER), ROOT, 'name', 'target')],
  ])('%s: what another client has put in its place stays whose it is', async (_op, make) => {
    stage.answer({ Tgetattr: (message) => stage.at.files.say(message, file(99n)) });
    await make();
    expect(stage.got('Twalk').filter(looked)).toHaveLength(1);
    expect(given()).toEqual([]);
  });

  test('create: what another client has put in its place is neither given away nor taken for what is open', async () => {
    let path = 99n;
    // by the name there is another file; what is open is asked after that
    stage.answer({
      Tgetattr: (message) => {
        const answer = stage.at.files.say(message, file(path));
        path = 2n;
        return answer;
      },
    });
    await expect(create('name')).rejects.toMatchObject({ code: 'ESTALE' });
    expect(given()).toEqual([]);
    expect(stage.at.bridge.handles.size).toBe(0);
  });

  test('create: a server that says another qid in Rlcreate than in Rgetattr is borne with', async () => {
    stage.answer({ Tgetattr: (message) => stage.at.files.say(message, file(99n)) });
    await create('name');
    expect(given()).toEqual([]);
  });

  test.each([
    ['set-user-id is set again', 0o4755, 0o100755, 0o4755],
    ['both are, beside the permissions that the server gave', 0o6755, 0o100750, 0o6750],
    ['what is still there is not', 0o2644, 0o102644, undefined],
    ['what was not asked for is not', 0o755, 0o100755, undefined],
  ])('of what the change of owner took, %s', async (_what, asked, left, again) => {
    let owned = false;
    stage.answer({
      Tsetattr: ({ valid }) => {
        owned ||= (valid & SETATTR.UID) !== 0;
        return false;
      },
      Tgetattr: (message) =>
        stage.at.files.say(message, { ...file(2n), mode: owned ? left : 0o100000 | asked, uid: owned ? USER : 0 }),
    });
    await create('name', OPEN.WRONLY | OPEN.TRUNC, asked, true);
    const modes = stage.got('Tsetattr').filter(({ valid }) => (valid & SETATTR.MODE) !== 0);
    expect(modes.map(({ mode }) => mode)).toEqual(again === undefined ? [] : [again]);
  });
});
