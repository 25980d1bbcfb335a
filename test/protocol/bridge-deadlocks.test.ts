// Waits for record locks that would never end, which need more than the processes of the POSIX checks can be made to do: the
// one that waits is refused when somebody else gets the lock that it waits for, and neither flock(2) nor the locks of open
// files of one process are refused. All locks are among the owners of one mount.

import { beforeEach, expect, test } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import type { FileHandle, NodeId } from '../../src/common/brand.ts';
import { LOCK_STATUS, LOCK_TYPE } from '../../src/common/locktable.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
import { turn } from '../support/scripted.ts';

const { RDLCK, WRLCK, UNLCK } = LOCK_TYPE;
const WHOLE = { start: 0n, end: 9n };
const DEADLOCK = { code: 'EDEADLK' };

interface Asker {
  readonly owner: bigint;
  readonly pid: number;
  readonly flock?: boolean;
}

const stage = bridgeStage();
const [one, two, three]: Asker[] = [1n, 2n, 3n].map((owner) => ({ owner, pid: Number(owner) + 100 }));

let files: { node: NodeId; fh: FileHandle }[];

beforeEach(async () => {
  stage.answer({
    Tgetlock: (message) => stage.at.files.say(message, { ...message, kind: UNLCK }),
    Tlock: (message) => stage.at.files.say(message, { status: LOCK_STATUS.SUCCESS }),
  });
  files = [];
  for (const name of ['x', 'y']) {
    const node = await stage.lookup(name);
    files.push({ node, fh: await stage.open(node) });
  }
});

async function set(asker: Asker | undefined, file: 0 | 1, type: number, waits: boolean, signal?: Abort): Promise<void> {
  const { owner, pid, flock = false } = asker!;
  const { node, fh } = files[file]!;
  await stage.at.ops.setlk(caller(signal), node, fh, owner, { type, ...WHOLE, pid, flock }, waits);
}

const take = (asker: Asker | undefined, file: 0 | 1, type: number = WRLCK) => set(asker, file, type, false);
const free = (asker: Asker | undefined, file: 0 | 1) => set(asker, file, UNLCK, false);

/** Begins to wait; what came of it, once something has. */
async function begin(asker: Asker | undefined, file: 0 | 1, signal?: Abort) {
  const wait: { end?: string } = {};
  const over = set(asker, file, WRLCK, true, signal).then(
    () => {
      wait.end = 'granted';
    },
    (error: { code: string }) => {
      wait.end = error.code;
    },
  );
  await turns();
  return Object.assign(wait, { over });
}

const turns = async () => {
  for (let i = 0; i < 30; i++) await turn();
};

/** Frees all that they may have, which the check for leaks wants. */
async function freeAll(...askers: (Asker | undefined)[]): Promise<void> {
  for (const asker of askers) for (const file of [0, 1] as const) await free(asker, file);
}

test('who waits already is refused when another, who waits for it, gets what it waits for', async () => {
  await take(one, 0, RDLCK);
  await take(two, 1);
  const waiting = await begin(two, 0); // for one
  const another = await begin(three, 1); // a thread of three, for two
  expect([waiting.end, another.end]).toEqual([undefined, undefined]);
  await take(three, 0, RDLCK); // another thread of three reads beside one
  await turns();
  expect([waiting.end, another.end]).toEqual(['EDEADLK', undefined]);
  await free(two, 1);
  await another.over;
  expect(another.end).toBe('granted');
  await freeAll(one, two, three);
});

test('who has a lock in the way and waits for nothing is no deadlock, and what two wait for one of them gets', async () => {
  await take(one, 0);
  const waiting = [await begin(two, 0), await begin(three, 0)];
  expect(waiting.map(({ end }) => end)).toEqual([undefined, undefined]);
  await free(one, 0);
  await turns();
  expect(waiting.map(({ end }) => end).sort()).toEqual(['granted', undefined]);
  const [first, second] = waiting[0]!.end === 'granted' ? [two, three] : [three, two];
  await free(first, 0);
  await Promise.all(waiting.map(({ over }) => over));
  await freeAll(second);
});

test('a wait that was given up is none: nobody is refused for it', async () => {
  await take(one, 0);
  await take(two, 1);
  const interrupt = new Abort();
  const waiting = await begin(one, 1, interrupt);
  interrupt.abort({ dying: false });
  await waiting.over;
  expect(waiting.end).toBe('EINTR');
  const other = await begin(two, 0);
  expect(other.end).toBeUndefined();
  await free(one, 0);
  await other.over;
  await freeAll(one, two);
});

test('who does not want to wait hears EAGAIN, whatever a wait would be', async () => {
  await take(one, 0);
  await take(two, 1);
  const waiting = await begin(one, 1);
  await expect(take(two, 0)).rejects.toMatchObject({ code: 'EAGAIN' });
  await expect(set(two, 0, WRLCK, true)).rejects.toMatchObject(DEADLOCK);
  await free(two, 1);
  await waiting.over;
  await freeAll(one, two);
});

test.each([
  ['flock(2)', [one, two].map((asker) => ({ ...asker!, flock: true }))],
  ['open files of one process', [one, two].map((asker) => ({ ...asker!, pid: 100 }))],
])('%s: they wait, as Linux lets them', async (_what, [a, b]) => {
  await take(a, 0);
  await take(b, 1);
  const waiting = [await begin(a, 1), await begin(b, 0)];
  expect(waiting.map(({ end }) => end)).toEqual([undefined, undefined]);
  await free(a, 0);
  await waiting[1]!.over;
  await free(b, 1);
  await waiting[0]!.over;
  expect(waiting.map(({ end }) => end)).toEqual(['granted', 'granted']);
  await freeAll(a, b);
});
