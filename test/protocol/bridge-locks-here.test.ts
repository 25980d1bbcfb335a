// Locks among the processes of one mount, whose requests about a file go to the server one after the other: nobody who waits
// misses what is given up while he asks, and a file that is opened again while the server is still being told of locks that
// have ended is asked about behind that, in the same name.

import { describe, expect, test } from 'vitest';
import type { FileHandle, NodeId } from '../../src/common/brand.ts';
import { LOCK_EOF, LOCK_STATUS, LOCK_TYPE } from '../../src/common/locktable.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
import { turn } from '../support/scripted.ts';

type Tlock = Extract<Message, { type: 'Tlock' }>;

const { WRLCK, UNLCK } = LOCK_TYPE;
const FIRST = { start: 0n, end: 9n };
const SECOND = { start: 100n, end: 109n };

const stage = bridgeStage();

const turns = async () => {
  for (let i = 0; i < 20; i++) await turn();
};

const lock = (node: NodeId, fh: FileHandle, owner: bigint, type: number, range: { start: bigint; end: bigint }) =>
  Promise.resolve(
    stage.at.ops.setlk(caller(), node, fh, owner, { type, ...range, pid: Number(owner) }, type !== UNLCK),
  );

/** Every lock is granted, but those that `held` is given, which stay unanswered until it says so. */
function lockServer(holds: (message: Tlock) => boolean): { held: Tlock[]; grant(): void } {
  const held: Tlock[] = [];
  const grant = (message: Tlock) => stage.at.files.say(message, { status: LOCK_STATUS.SUCCESS });
  stage.answer({
    Tgetlock: (message) => stage.at.files.say(message, { ...message, kind: UNLCK }),
    Tlock: (message) => (holds(message) ? held.push(message) > 0 : grant(message)),
  });
  return { held, grant: () => held.splice(0).forEach(grant) };
}

test('what is given up right behind the question of who waits for it is his', async () => {
  const { held, grant } = lockServer(({ start, kind }) => kind === WRLCK && start === SECOND.start);
  const node = await stage.lookup('file');
  const fh = await stage.open(node);
  await lock(node, fh, 1n, WRLCK, FIRST);
  const busy = lock(node, fh, 3n, WRLCK, SECOND);
  await turns();
  expect(held).toHaveLength(1);
  const waiting = lock(node, fh, 2n, WRLCK, FIRST);
  const freeing = lock(node, fh, 1n, UNLCK, FIRST);
  await turns();
  grant();
  await Promise.all([busy, freeing, waiting]);
  expect(stage.got('Tlock').map(({ kind, start }) => [kind, start])).toEqual([
    [WRLCK, 0n],
    [WRLCK, 100n],
    [UNLCK, 0n],
    [WRLCK, 0n],
  ]);
  for (const owner of [2n, 3n]) await lock(node, fh, owner, UNLCK, { start: 0n, end: LOCK_EOF });
});

test('a file that is opened again while its locks are being given back is locked behind that, by the same fid', async () => {
  const { held, grant } = lockServer(({ kind }) => kind === UNLCK);
  const node = await stage.lookup('file');
  const { fh } = await stage.at.ops.open(caller(), node, 2, false);
  await lock(node, fh, 1n, WRLCK, FIRST);
  // as a process that is being killed leaves: nobody waits for the answer
  const freeing = Promise.resolve(stage.at.ops.closeFlush(caller(), node, fh, 1n));
  await turns();
  expect(held).toHaveLength(1);
  await stage.at.ops.release(caller(), node, fh);

  const again = await stage.open(node);
  const taking = lock(node, again, 2n, WRLCK, FIRST);
  await turns();
  expect(stage.got('Tlock')).toHaveLength(2);
  grant();
  await Promise.all([freeing, taking]);
  const sent = stage.got('Tlock');
  expect(sent.map(({ kind }) => kind)).toEqual([WRLCK, UNLCK, WRLCK]);
  expect(new Set(sent.map(({ fid }) => fid)).size).toBe(1);
  const last = lock(node, again, 2n, UNLCK, FIRST);
  await turns();
  grant();
  await last;
});

test("what one thread waits for is its process's, whatever another thread asks meanwhile", async () => {
  const { held, grant } = lockServer(({ start, kind }) => kind === WRLCK && start === SECOND.start);
  const node = await stage.lookup('file');
  const fh = await stage.open(node);
  const waiting = lock(node, fh, 1n, WRLCK, SECOND);
  await turns();
  expect(held).toHaveLength(1);
  const another = await stage.lookup('another');
  await lock(another, await stage.open(another), 1n, UNLCK, FIRST);
  grant();
  await waiting;
  expect(stage.at.bridge.locks.size).toBe(1);
  await lock(node, fh, 1n, UNLCK, SECOND);
  expect(stage.got('Tlock').map(({ kind, start }) => [kind, start])).toEqual([
    [WRLCK, 100n],
    [UNLCK, 100n],
  ]);
  expect(stage.at.bridge.locks.size).toBe(0);
});

test('an open file description that is closed with its lock is forgotten as an owner', async () => {
  lockServer(() => false);
  const node = await stage.lookup('file');
  const { fh } = await stage.at.ops.open(caller(), node, 2, false);
  await lock(node, fh, 1n, WRLCK, FIRST);
  expect(stage.at.bridge.locks.size).toBe(1);
  await stage.at.ops.release(caller(), node, fh);
  await turns();
  expect(stage.got('Tlock').map(({ kind }) => kind)).toEqual([WRLCK, UNLCK]);
  expect(stage.at.bridge.locks.size).toBe(0);
});

describe('whether the server keeps ranges apart is asked as a stranger, for a byte that nobody locks', () => {
  type Found = Partial<Tlock> & { kind: number };
  const { RDLCK } = LOCK_TYPE;
  const ours = (message: { start: bigint }) => message.start <= SECOND.start;

  /** Two ranges are taken, and one is given up: what the server was asked for, but by the stranger. */
  async function taken(
    type: number,
    found: (asked: Tlock) => Found,
    stranger: number = LOCK_STATUS.ERROR,
  ): Promise<(number | bigint)[][]> {
    stage.answer({
      Tgetlock: (message) => stage.at.files.say(message, { ...message, ...found(message as unknown as Tlock) }),
      Tlock: (message) => stage.at.files.say(message, { status: ours(message) ? LOCK_STATUS.SUCCESS : stranger }),
    });
    const node = await stage.lookup('file');
    const fh = await stage.open(node);
    await lock(node, fh, 1n, type, FIRST);
    await lock(node, fh, 1n, type, SECOND);
    await lock(node, fh, 1n, UNLCK, FIRST);
    const sent = stage.got('Tlock').filter(ours);
    await lock(node, fh, 1n, UNLCK, SECOND);
    return sent.map(({ kind, start, length }) => [kind, start, length]);
  }
  const ranges = (type: number) => [
    [type, 0n, 10n],
    [type, 100n, 10n],
    [UNLCK, 0n, 10n],
  ];
  const strangers = () => stage.got('Tlock').filter((message) => !ours(message));

  test('nobody has it: ranges are kept', async () => {
    expect(await taken(WRLCK, () => ({ kind: UNLCK }))).toEqual(ranges(WRLCK));
    expect(stage.got('Tgetlock')).toHaveLength(1);
    expect(strangers()).toEqual([]);
  });

  test.each<[string, (asked: Tlock) => Found]>([
    ['all of the file is said to be locked', () => ({ kind: WRLCK, start: 0n, length: 0n, procId: 7, clientId: 'it' })],
    ['this mount has all of it', ({ procId }) => ({ kind: RDLCK, start: 0n, length: 0n, procId: procId - 1 })],
    ['the question comes back, and the stranger cannot have it (diod)', () => ({ kind: WRLCK })],
  ])('%s: they are not, and a part that is given up leaves the rest', async (_, found) => {
    // one lock of all of the file, which goes with the last of the ranges
    expect(await taken(WRLCK, found, LOCK_STATUS.BLOCKED)).toEqual([[WRLCK, 0n, 10n]]);
    expect(stage.got('Tlock').at(-1)).toMatchObject({ kind: UNLCK, start: 0n, length: 0n });
  });

  test('the question comes back, and the stranger can have it (nfs-ganesha): ranges are kept, and he gives it up', async () => {
    expect(await taken(WRLCK, () => ({ kind: WRLCK }), LOCK_STATUS.SUCCESS)).toEqual(ranges(WRLCK));
    expect(strangers().map(({ kind, length }) => [kind, length])).toEqual([
      [WRLCK, 1n],
      [UNLCK, 1n],
    ]);
  });

  test('somebody else reads all of it, as we do: that says nothing, and is asked again', async () => {
    const other = { kind: RDLCK, start: 0n, length: 0n, procId: 7, clientId: 'other' };
    expect(await taken(RDLCK, () => other)).toEqual(ranges(RDLCK));
    expect(stage.got('Tgetlock')).toHaveLength(2);
  });
});
