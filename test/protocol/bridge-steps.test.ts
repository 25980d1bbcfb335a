// What an abort does between the steps of an operation, at every step of every operation: before the step that has an effect
// the call ends with EINTR and does nothing more, after it the call is finished as if nobody had interrupted it. In both
// ways in which a server may answer a Tflush: the request cancelled, or carried out after all.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import type { FileHandle, NodeId } from '../../src/common/brand.ts';
import { errno } from '../../src/common/errno.ts';
import type { Operations, RequestContext } from '../../src/fuse/operations.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import type { Message, MessageName } from '../../src/wire/p9/messages.ts';
import { type Bridged, bridged, caller } from '../support/bridged.ts';
import { expectIdle, expectNothingAfterEnd } from '../support/leaks.ts';
import { turn } from '../support/scripted.ts';
import { until } from '../support/until.ts';

const ROOT = 1 as NodeId;
const DATA = Buffer.alloc(20_000, 'y');
const WRITE_FLAGS = { fromCache: false, killSuidGid: false, openFlags: OPEN.WRONLY, lockOwner: 0n };

/**
 * Messages that change something on the server. Txattrcreate and the Twrite after it do not: the clunk does. But some servers set
 * zeros for what they did not get, so that what follows a Txattrcreate is finished as what follows these is.
 */
const EFFECTS: ReadonlySet<MessageName> = new Set<MessageName>([
  'Tlcreate',
  'Tmkdir',
  'Tmknod',
  'Tsymlink',
  'Tlink',
  'Tunlinkat',
  'Tremove',
  'Trenameat',
  'Trename',
  'Tsetattr',
  'Twrite',
]);

function hasEffect(message: Message): boolean {
  return EFFECTS.has(message.type) || (message.type === 'Tlopen' && (message.flags & OPEN.TRUNC) !== 0);
}

interface Prepared {
  file: NodeId;
  dir: NodeId;
  fh: FileHandle;
  dh: FileHandle;
}

interface Case {
  name: string;
  run(ops: Required<Operations>, ctx: RequestContext, at: Prepared): unknown;
  /** Messages that this server does not have: answered by the errno. */
  refused?: Partial<Record<MessageName, number>>;
  /** What it has when it is interrupted is an answer. */
  partial?: boolean;
}

const sink = { add: () => true, fits: () => true };
const cases: Case[] = [
  { name: 'lookup', run: (ops, ctx) => ops.lookup(ctx, ROOT, 'other') },
  { name: 'getattr', run: (ops, ctx, { file }) => ops.getattr(ctx, file, undefined, false) },
  { name: 'truncate', run: (ops, ctx, { file }) => ops.setattr(ctx, file, { size: 1 }) },
  { name: 'chmod of an open file', run: (ops, ctx, { file, fh }) => ops.setattr(ctx, file, { mode: 0o600, fh }) },
  { name: 'readlink', run: (ops, ctx, { file }) => ops.readlink(ctx, file) },
  { name: 'statfs', run: (ops, ctx) => ops.statfs(ctx, ROOT) },
  { name: 'open', run: (ops, ctx, { file }) => ops.open(ctx, file, OPEN.RDONLY, false) },
  { name: 'open to truncate', run: (ops, ctx, { file }) => ops.open(ctx, file, OPEN.RDWR | OPEN.TRUNC, false) },
  { name: 'open to append', run: (ops, ctx, { file }) => ops.open(ctx, file, OPEN.RDWR | OPEN.APPEND, false) },
  { name: 'create', run: (ops, ctx) => ops.create(ctx, ROOT, 'new', OPEN.RDWR | OPEN.EXCL, 0o644, 0, false) },
  {
    name: 'create to append',
    run: (ops, ctx) => ops.create(ctx, ROOT, 'new', OPEN.RDWR | OPEN.APPEND, 0o644, 0, false),
  },
  {
    name: 'create for somebody else',
    run: (ops, ctx) => ops.create({ ...ctx, uid: 7, gid: 7 }, ROOT, 'new', OPEN.WRONLY, 0o644, 0, false),
  },
  { name: 'mkdir', run: (ops, ctx, { dir }) => ops.mkdir(ctx, dir, 'dnew', 0o755, 0) },
  { name: 'mknod', run: (ops, ctx, { dir }) => ops.mknod(ctx, dir, 'fifo', 0o010644, 0, 0) },
  {
    name: 'mknod of a file that has to be created',
    run: (ops, ctx, { dir }) => ops.mknod(ctx, dir, 'new', 0o100644, 0, 0),
    refused: { Tmknod: errno.EINVAL },
  },
  { name: 'symlink', run: (ops, ctx, { dir }) => ops.symlink(ctx, dir, 'new', 'target') },
  { name: 'link', run: (ops, ctx, { file, dir }) => ops.link(ctx, file, dir, 'new') },
  { name: 'unlink', run: (ops, ctx, { dir }) => ops.unlink(ctx, dir, 'a') },
  {
    name: 'unlink by Tremove',
    run: (ops, ctx, { dir }) => ops.unlink(ctx, dir, 'a'),
    refused: { Tunlinkat: errno.EOPNOTSUPP },
  },
  { name: 'rmdir', run: (ops, ctx, { dir }) => ops.rmdir(ctx, dir, 'd2') },
  { name: 'rename', run: (ops, ctx, { dir }) => ops.rename(ctx, ROOT, 'a', dir, 'b', 0) },
  {
    name: 'rename by Trename',
    run: (ops, ctx, { dir }) => ops.rename(ctx, ROOT, 'a', dir, 'b', 0),
    refused: { Trenameat: errno.EOPNOTSUPP },
  },
  { name: 'read', run: (ops, ctx, { file, fh }) => ops.read(ctx, file, fh, 0, DATA.length, 0) },
  { name: 'fsync', run: (ops, ctx, { file, fh }) => ops.fsync(ctx, file, fh, false) },
  { name: 'opendir', run: (ops, ctx, { dir }) => ops.opendir(ctx, dir, 0) },
  { name: 'readdir', run: (ops, ctx, { dir, dh }) => ops.readdir(ctx, dir, dh, 0n, 4096, sink) },
  {
    name: 'readdirplus',
    // names without attributes: the kernel asks when it wants them
    partial: true,
    run: (ops, ctx, { dir, dh }) => ops.readdirplus(ctx, dir, dh, 0n, 4096, { ...sink, add: () => false }),
  },
  { name: 'getxattr', run: (ops, ctx, { file }) => ops.getxattr(ctx, file, 'user.x') },
  { name: 'listxattr', run: (ops, ctx, { file }) => ops.listxattr(ctx, file) },
  { name: 'setxattr', run: (ops, ctx, { file }) => ops.setxattr(ctx, file, 'user.x', Buffer.from('value'), 0) },
  { name: 'removexattr', run: (ops, ctx, { file }) => ops.removexattr(ctx, file, 'user.x') },
];

let at: Bridged;

beforeEach(async () => {
  at = await bridged();
});
afterEach(() => expectNothingAfterEnd(at.client));

async function prepare({ ops }: Bridged): Promise<Prepared> {
  const file = (await ops.lookup(caller(), ROOT, 'file')).nodeid as NodeId;
  const dir = (await ops.lookup(caller(), ROOT, 'dir')).nodeid as NodeId;
  const { fh } = await ops.open(caller(), file, OPEN.RDWR, false);
  const { fh: dh } = await ops.opendir(caller(), dir, 0);
  return { file, dir, fh, dh };
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

interface Outcome {
  /** EINTR, or undefined for success. */
  code: string | undefined;
  /** Messages that asked for something, with what became of them. */
  steps: { message: Message; done: boolean }[];
  flushed: number;
}

/** How the server takes the Tflush. */
type Answer = 'cancelled' | 'carried out';

/**
 * Runs one operation and aborts it when its `step`-th request has arrived, which stays unanswered until its Tflush comes.
 * Undefined when it has no such step.
 */
async function interrupted(it: Case, step: number, answer: Answer): Promise<Outcome | undefined> {
  const { ops, files } = at;
  const prepared = await prepare(at);
  const abort = new Abort();
  const steps: Outcome['steps'] = [];
  let held: Message | undefined;
  let flushed = 0;
  const release = (carriedOut: boolean) => {
    if (held === undefined) return;
    const message = held;
    held = undefined;
    const refusal = it.refused?.[message.type];
    steps.push({ message, done: carriedOut && refusal === undefined });
    if (!carriedOut) return;
    if (refusal === undefined) files.answer(message);
    else files.refuse(message, refusal);
  };
  files.before = (message) => {
    if (message.type === 'Tflush') {
      flushed++;
      // others that went beside it have been answered
      if (message.oldtag === held?.tag) release(answer === 'carried out');
      return false;
    }
    if (message.type === 'Tclunk') return false;
    const refusal = it.refused?.[message.type];
    if (steps.length + (held === undefined ? 0 : 1) === step && !abort.aborted) {
      held = message;
      abort.abort({ dying: false });
      // what is past its effect is not flushed
      void turns(20).then(() => release(true));
      return true;
    }
    steps.push({ message, done: refusal === undefined });
    if (refusal !== undefined) files.refuse(message, refusal);
    return refusal !== undefined;
  };
  let code: string | undefined;
  try {
    const result = await it.run(ops, caller(abort), prepared);
    (result as { release?: () => void } | undefined)?.release?.();
    const opened = result as { fh?: FileHandle } | undefined;
    if (opened?.fh !== undefined) {
      if (it.name === 'opendir') await ops.releasedir(caller(), ROOT, opened.fh);
      else await ops.release(caller(), ROOT, opened.fh);
    }
  } catch (error) {
    code = (error as { code?: string }).code ?? String(error);
  }
  // an open or a listing may have been told to several requests at once: all of them are over
  await turns(2);
  files.before = undefined;
  await ops.release(caller(), prepared.file, prepared.fh);
  await ops.releasedir(caller(), prepared.dir, prepared.dh);
  for (const id of [prepared.file, prepared.dir]) ops.forget(id, 1);
  return abort.aborted ? { code, steps, flushed } : undefined;
}

const answers: Answer[] = ['cancelled', 'carried out'];

describe.each(answers)('an abort whose request is %s', (answer) => {
  test.each(cases)('at any step of $name', async (it) => {
    let step = 0;
    for (; ; step++) {
      if (step > 0) at.client.close();
      at = await bridged();
      const outcome = await interrupted(it, step, answer);
      if (outcome === undefined) break;
      const { code, steps, flushed } = outcome;
      const shown = steps.map(({ message, done }) => `${message.type}${done ? '' : '!'}`).join(' ');
      const effect = steps.some(({ message, done }) => done && hasEffect(message));
      // one request was aborted; others that went beside it may have been flushed as well
      if (!effect) expect(flushed, shown).toBeGreaterThan(0);
      if (effect) expect(code, shown).toBeUndefined();
      else if (answer === 'cancelled' && it.partial !== true) expect(code, shown).toBe('EINTR');
      // read and honoured: a reply that came before Rflush is the reply, and may have been all that was missing
      else expect(['EINTR', undefined], shown).toContain(code);
      if (code === 'EINTR') expect(effect, shown).toBe(false);
      expect(at.client.error).toBeUndefined();
      await leaksNothing();
    }
    expect(step).toBeGreaterThan(0);
    await leaksNothing();
  });
});

/** What the kernel may still know is forgotten: the root's fid is all that is left, here and at the server. */
async function leaksNothing(): Promise<void> {
  const { bridge, client, files, ops } = at;
  for (let id = 2; id < 30; id++) ops.forget(id as NodeId, 1000);
  await expectIdle(client, 1);
  expect(files.fids).toBe(1);
  expect(bridge.nodes.size).toBe(1);
  expect(bridge.handles.size).toBe(0);
}

/** What the server does to the flush of a request that it does not answer: answers it, or not that either. */
type Manner = 'answered' | 'not answered';

interface Left {
  /** What the caller gets, undefined for success; `waiting` when he gets nothing. */
  code: string | undefined;
  /** What was done before, and what was never answered. */
  steps: Message[];
  held: Message;
}

/**
 * Runs one operation on a server that never answers the `step`-th request, which interrupts the caller, and lets half a minute
 * pass. Undefined when it has no such step.
 */
async function left(it: Case, step: number, manner: Manner): Promise<Left | undefined> {
  const { ops, files } = at;
  const prepared = await prepare(at);
  const abort = new Abort();
  const steps: Message[] = [];
  let held: Message | undefined;
  let flush: Message | undefined;
  files.before = (message) => {
    if (message.type === 'Tflush') {
      if (message.oldtag !== held?.tag || manner === 'answered') return false;
      flush = message;
      return true;
    }
    if (message.type === 'Tclunk') return false;
    if (steps.length === step && held === undefined) {
      held = message;
      abort.abort({ dying: false });
      return true;
    }
    const refusal = it.refused?.[message.type];
    if (refusal === undefined) steps.push(message);
    else files.refuse(message, refusal);
    return refusal !== undefined;
  };
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  let code: string | undefined = 'waiting';
  let result: unknown;
  const running = Promise.resolve(it.run(ops, caller(abort), prepared)).then(
    (value) => {
      result = value;
      code = undefined;
    },
    (error: { code: string }) => {
      code = error.code;
    },
  );
  for (let ms = 0; ms < 30_000 && code === 'waiting'; ms += 500) {
    await turns(10);
    if (code === 'waiting') vi.advanceTimersByTime(500);
  }
  vi.useRealTimers();
  expect(code, `${it.name}: ${held?.type}`).not.toBe('waiting');
  await running;
  (result as { release?: () => void } | undefined)?.release?.();
  files.before = undefined;
  if (held !== undefined && at.client.error === undefined) {
    // it does in the end: what was in quarantine is free
    if (flush !== undefined) {
      files.answer(held);
      files.answer(flush);
    }
    const opened = result as { fh?: FileHandle } | undefined;
    if (opened?.fh !== undefined) await ops.release(caller(), ROOT, opened.fh);
    await ops.release(caller(), prepared.file, prepared.fh);
    await ops.releasedir(caller(), prepared.dir, prepared.dh);
    for (const id of [prepared.file, prepared.dir]) ops.forget(id, 1);
    await turns(2);
    await leaksNothing();
  }
  return held && { code, steps, held };
}

describe.each<Manner>(['answered', 'not answered'])('a step that is never answered and whose flush is %s', (manner) => {
  test.each(cases)('leaves nobody waiting who was interrupted: $name', async (it) => {
    for (let step = 0; ; step++) {
      at.client.close();
      at = await bridged();
      const outcome = await left(it, step, manner);
      if (outcome === undefined) break;
      const { code, steps, held } = outcome;
      const shown = `${steps.map(({ type }) => type).join(' ')} ${held.type}`;
      // what may have effects and is not known to be cancelled takes the connection along, and nothing else does
      const known = !hasEffect(held) && held.type !== 'Txattrcreate';
      const ends = held.type === 'Tremove' || (manner === 'not answered' && !known);
      expect(at.client.error !== undefined, shown).toBe(ends);
      if (at.client.error !== undefined) expect(code, shown).toBe('ERR_9P_PROTOCOL');
      // done: the caller is not told that nothing has happened
      else if (steps.some(hasEffect) || (held.type === 'Twrite' && steps.some(({ type }) => type === 'Txattrcreate')))
        expect(['ETIMEDOUT', undefined], shown).toContain(code);
      else expect(it.partial ? ['EINTR', undefined] : ['EINTR'], shown).toContain(code);
    }
  });
});

test('a change whose outcome is known does without the look at it', async () => {
  const { ops, files } = at;
  const { file, fh, dir, dh } = await prepare(at);
  const abort = new Abort();
  let held: Message | undefined;
  files.before = (message) => {
    if (message.type !== 'Tgetattr' || held !== undefined) return false;
    held = message;
    abort.abort({ dying: false });
    return true;
  };
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const changing = Promise.resolve(ops.setattr(caller(abort), file, { mode: 0o600, size: 3 }));
  await turns(10);
  vi.advanceTimersByTime(at.bridge.flushTimeout);
  // the kernel asks for the rest, the times and the blocks, as soon as it needs it
  expect(await changing).toMatchObject({ attr: { size: 3, mode: 0o100600 }, attrTtl: 0 });
  vi.useRealTimers();
  files.before = undefined;
  await ops.release(caller(), file, fh);
  await ops.releasedir(caller(), dir, dh);
  await leaksNothing();
});

describe('a write of several messages', () => {
  test('that is interrupted says how much is written, and EINTR when that is nothing', async () => {
    const { ops, files, client } = at;
    const { file, fh, dir, dh } = await prepare(at);
    for (const done of [0, 1]) {
      const abort = new Abort();
      let writes = 0;
      files.before = (message) => {
        if (message.type !== 'Twrite') return false;
        const mine = writes++;
        if (writes === Math.ceil(DATA.length / client.chunk)) queueMicrotask(() => abort.abort({ dying: false }));
        return mine >= done;
      };
      const writing = ops.write(caller(abort), file, fh, 0, DATA, WRITE_FLAGS);
      if (done === 0) await expect(writing).rejects.toMatchObject({ code: 'EINTR' });
      else expect(await writing).toBe(client.chunk);
    }
    files.before = undefined;
    ops.release(caller(), file, fh);
    ops.releasedir(caller(), dir, dh);
    await leaksNothing();
  });
});

describe('a listing', () => {
  test.each([1, 2, 3, 7])(
    'that is interrupted and asked again from before loses and doubles nothing, %i at a time',
    async (room) => {
      const { ops, files } = at;
      files.listing = Array.from({ length: 600 }, (_, i) => `${'name'.repeat(20)}-${i}`);
      const { file, fh, dir, dh } = await prepare(at);
      const seen: string[] = [];
      let offset = 0n;
      let turns = 0;
      for (;;) {
        const abort = new Abort();
        // every third time the answer is on its way, or the request, when the caller goes; every fifth what it got is lost
        if (++turns % 3 === 0) {
          files.before = (message) => {
            if (message.type === 'Treaddir') abort.abort({ dying: false });
            return false;
          };
        }
        const got: { name: string; next: bigint }[] = [];
        const add = (name: string, _ino: bigint, _type: number, next: bigint) =>
          got.length < room && got.push({ name, next }) > 0;
        try {
          await ops.readdir(caller(abort), dir, dh, offset, 4096, { add });
        } catch (error) {
          expect(error).toMatchObject({ code: 'EINTR' });
          continue;
        } finally {
          files.before = undefined;
        }
        if (turns % 5 === 0) continue;
        const last = got.at(-1);
        if (last === undefined) break;
        seen.push(...got.map(({ name }) => name));
        offset = last.next;
        // and back to an older place, as seekdir(3) does
        if (turns % 50 === 0) {
          const again: string[] = [];
          await ops.readdir(caller(), dir, dh, 0n, 4096, { add: (name) => again.length < 2 && again.push(name) > 0 });
          expect(again).toEqual(files.listing.slice(0, 2));
        }
      }
      expect(seen).toEqual(files.listing);
      ops.release(caller(), file, fh);
      ops.releasedir(caller(), dir, dh);
      await leaksNothing();
    },
  );
});

test('a caller that waits for the first attach of its user, with others, is let go alone', async () => {
  at.client.close();
  at = await bridged();
  const { bridge, files, client } = at;
  let held: Message | undefined;
  files.before = (message) => {
    if (message.type !== 'Tattach') return false;
    held = message;
    return true;
  };
  const abort = new Abort();
  const [gone, stays] = [bridge.users.root(5, abort), bridge.users.root(5)];
  await until('a Tattach', () => held !== undefined);
  if (held === undefined) return;
  abort.abort({ dying: true });
  await expect(gone).rejects.toMatchObject({ code: 'EINTR' });
  files.answer(held);
  expect(await stays).toMatchObject({ state: 'live' });
  await expectIdle(client, 2);
});

test('a directory whose fid is replaced keeps the old one for those who rename in it', async () => {
  const { bridge, ops, files } = at;
  const refuse = (message: Message) => {
    if (message.type !== 'Trenameat') return false;
    files.refuse(message, errno.EOPNOTSUPP);
    return true;
  };
  files.before = refuse;
  const prepared = await prepare(at);
  bridge.session.fidFacts.settle('unopened', false);
  await ops.rename(caller(), ROOT, 'x', ROOT, 'y', 0);
  const fidNow = () => bridge.fidCache.peek(bridge.nodes.get(prepared.dir))?.number;
  let walk: Message | undefined;
  files.before = (message) => {
    if (message.type !== 'Twalk' || message.names[0] !== 'a') return false;
    walk = message;
    return true;
  };
  const renaming = ops.rename(caller(), prepared.dir, 'a', prepared.dir, 'b', 0);
  await until('the walk', () => walk !== undefined);
  if (walk === undefined) return;
  const before = fidNow();
  await ops.lookup(caller(), ROOT, 'dir');
  await turns(10);
  expect(fidNow()).not.toBe(before);
  files.before = undefined;
  files.answer(walk);
  await renaming;
  expect(files.received.filter(({ type }) => type === 'Trename')).toMatchObject([{}, { dfid: before, name: 'b' }]);
  ops.release(caller(), prepared.file, prepared.fh);
  ops.releasedir(caller(), prepared.dir, prepared.dh);
  await leaksNothing();
});
