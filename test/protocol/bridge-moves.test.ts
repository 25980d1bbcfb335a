// A file that gets another name while it is on its way into an operation, on a server whose fids are paths and therefore
// lose it: the operation finds it again where it is, and whoever asked for it does not notice.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import type { NodeId } from '../../src/common/brand.ts';
import { errno } from '../../src/common/errno.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { type Bridged, bridged, caller } from '../support/bridged.ts';
import { expectIdle, expectNothingAfterEnd } from '../support/leaks.ts';
import { turn } from '../support/scripted.ts';
import { until } from '../support/until.ts';

const ROOT = 1 as NodeId;
let it: Bridged;
/** The file, which has been renamed once. */
let file: NodeId;
let held: Message | undefined;

/** Whatever name it has, it is the same file; and there is no Trenameat and no Tunlinkat. */
function before(message: Message): boolean {
  if (message.type === 'Twalk' && /^(now|then)$/.test(message.names.at(-1) ?? '')) {
    it.files.answer({ ...message, names: ['file'] });
    return true;
  }
  if (message.type !== 'Trenameat' && message.type !== 'Tunlinkat') return false;
  it.files.refuse(message, errno.EOPNOTSUPP);
  return true;
}

beforeEach(async () => {
  it = await bridged();
  it.bridge.session.fidFacts.settle('unopened', false);
  held = undefined;
  it.files.before = before;
  ({ nodeid: file } = (await it.ops.lookup(caller(), ROOT, 'file')) as { nodeid: NodeId });
  await it.ops.rename(caller(), ROOT, 'file', ROOT, 'now', 0);
});
afterEach(() => expectNothingAfterEnd(it.client));

/** Opens the file, does `meanwhile` when Tlopen is on its way, and has it fail. */
async function openWhile(meanwhile: () => unknown) {
  it.files.before = (message) => {
    if (message.type !== 'Tlopen' || held !== undefined) return before(message);
    held = message;
    return true;
  };
  const opening = Promise.resolve(it.ops.open(caller(), file, OPEN.RDONLY, false));
  const outcome = opening.then(
    (opened) => opened,
    (error: { code: string }) => error.code,
  );
  await until('the Tlopen', () => held !== undefined);
  await meanwhile();
  if (held !== undefined) it.files.refuse(held, errno.ENOENT);
  return outcome;
}

const opens = () => it.files.received.filter(({ type }) => type === 'Tlopen').length;

test('an open goes on by the new name', async () => {
  const opened = await openWhile(() => it.ops.rename(caller(), ROOT, 'now', ROOT, 'then', 0));
  expect(opened).toMatchObject({ fh: expect.anything() });
  expect(it.files.received.some((one) => one.type === 'Twalk' && one.names.at(-1) === 'then')).toBe(true);
  expect(opens()).toBe(2);
  if (typeof opened === 'object') await it.ops.release(caller(), file, opened.fh);
  it.ops.forget(file, 1);
  await turn();
  await expectIdle(it.client, 1);
});

test('an open of a file that somebody else has removed is not made twice', async () => {
  expect(await openWhile(() => undefined)).toBe('ESTALE');
  expect(opens()).toBe(1);
});

test('an open of a file that this client has removed meanwhile finds nothing', async () => {
  expect(await openWhile(() => it.ops.unlink(caller(), ROOT, 'now'))).toBe('ESTALE');
  expect(opens()).toBe(1);
});

test('a file that is open and has no name outlives its directory, too', async () => {
  const { nodeid: dir } = (await it.ops.lookup(caller(), ROOT, 'dir')) as { nodeid: NodeId };
  const { entry, fh } = await it.ops.create(caller(), dir, 'new', OPEN.RDWR, 0o644, 0, false);
  await it.ops.unlink(caller(), dir, 'new');
  const hidden = it.files.received.findLast((one) => one.type === 'Trename');
  let refused = false;
  it.files.before = (message) => {
    if (message.type !== 'Tremove' || refused) return before(message);
    refused = true;
    it.files.refuse(message, errno.ENOTEMPTY);
    return true;
  };
  const start = it.files.received.length;
  await it.ops.rmdir(caller(), ROOT, 'dir');
  const steps = it.files.received.slice(start).filter(({ type }) => type === 'Tremove' || type === 'Trename');
  expect(steps.map(({ type }) => type)).toEqual(['Tremove', 'Trename', 'Tremove']);
  // to the directory above, under the name that it has
  expect(steps[1]).toMatchObject({ name: hidden?.name });
  const [attached] = it.files.received.filter((one) => one.type === 'Tattach');
  expect(steps[1]).toMatchObject({ dfid: attached?.fid });

  await it.ops.release(caller(), entry.nodeid, fh);
  expect(it.files.received.slice(start).filter(({ type }) => type === 'Tremove')).toHaveLength(3);
  for (const nodeid of [entry.nodeid, dir, file]) it.ops.forget(nodeid, 1);
  await turn();
  await expectIdle(it.client, 1);
});

test('a file is walked to anew where its directory gets another name while it is walked to', async () => {
  const { nodeid: dir } = (await it.ops.lookup(caller(), ROOT, 'dir')) as { nodeid: NodeId };
  const { nodeid: inner } = (await it.ops.lookup(caller(), dir, 'inner')) as { nodeid: NodeId };
  const asDir = (message: Message & { type: 'Twalk' }) => message.names.map((name) => (/^d/.test(name) ? 'dir' : name));
  for (const outcome of ['refused', 'answered'] as const) {
    const walks: Message[] = [];
    it.files.before = (message) => {
      if (message.type !== 'Twalk' || message.names.at(-1) !== 'inner') return before(message);
      walks.push(message);
      if (walks.length > 1) it.files.answer({ ...message, names: asDir(message) });
      return true;
    };
    await it.ops.rename(caller(), ROOT, outcome === 'refused' ? 'dir' : 'd2', ROOT, 'd1', 0);
    const asking = it.ops.getattr(caller(), inner, undefined, true);
    await until('the walk', () => walks.length === 1);
    await it.ops.rename(caller(), ROOT, 'd1', ROOT, 'd2', 0);
    const [first] = walks;
    if (first?.type !== 'Twalk') throw new Error('not a walk');
    if (outcome === 'refused') it.files.refuse(first, errno.ENOENT);
    else it.files.answer({ ...first, names: asDir(first) });
    await expect(asking).resolves.toMatchObject({ attr: { size: 100_000 } });
    expect(walks.map((walk) => walk.type === 'Twalk' && walk.names)).toEqual([
      ['d1', 'inner'],
      ['d2', 'inner'],
    ]);
  }
  for (const nodeid of [inner, dir, file]) it.ops.forget(nodeid, 1);
  await until('nothing is left of it', () => it.files.fids === 1);
  await expectIdle(it.client, 1);
});

test('what takes two requests on a fid goes on where a lookup gets the file another one between them', async () => {
  Object.assign(it.bridge.owners, { chownIgnored: true });
  let asked = 0;
  it.files.before = (message) => {
    if (message.type !== 'Tsetattr') return before(message);
    asked++;
    if (held !== undefined) return false;
    held = message;
    return true;
  };
  const changing = it.ops.setattr(caller(), file, { uid: 7, mode: 0o600 });
  await until('the first request', () => held !== undefined);
  await it.ops.lookup(caller(), ROOT, 'now');
  await turn();
  if (held !== undefined) it.files.refuse(held, errno.EPERM);
  await expect(changing).resolves.toMatchObject({ attr: { size: 100_000 } });
  expect(asked).toBe(2);
  it.ops.forget(file, 2);
  await until('nothing is left of it', () => it.files.fids === 1);
  await expectIdle(it.client, 1);
});

test('a listing that is older than the end of a hidden file does not show it', async () => {
  const { entry, fh } = await it.ops.create(caller(), ROOT, 'new', OPEN.RDWR, 0o644, 0, false);
  await it.ops.unlink(caller(), ROOT, 'new');
  const hidden = it.files.received.findLast((one) => one.type === 'Trename')?.name ?? '';
  it.files.listing = ['a', hidden, 'b'];
  const { fh: dh } = await it.ops.opendir(caller(), ROOT, 0);
  await it.ops.release(caller(), entry.nodeid, fh);
  const seen: string[] = [];
  const sink = { add: (name: string) => seen.push(name) > 0, fits: () => true };
  await it.ops.readdir(caller(), ROOT, dh, 0n, 4096, sink);
  expect(seen).toEqual(['a', 'b']);
  await it.ops.releasedir(caller(), ROOT, dh);
});

test.each([true, false])(
  'who is interrupted (killed: %s) while he removes does not wait for the end of what was closed while it was being hidden',
  async (dying) => {
    const { entry, fh } = await it.ops.create(caller(), ROOT, 'new', OPEN.RDWR, 0o644, 0, false);
    const waiting: Message[] = [];
    it.files.before = (message) => {
      if (message.type !== 'Trename' && message.type !== 'Tremove') return before(message);
      return waiting.push(message) > 0;
    };
    const answer = () => {
      for (const message of waiting.splice(0)) it.files.answer(message);
    };
    const abort = new Abort();
    const removing = Promise.resolve(it.ops.unlink(caller(abort), ROOT, 'new'));
    await until('it is being hidden', () => waiting.length === 1);
    await it.ops.release(caller(), entry.nodeid, fh);
    answer();
    await until('its end is asked for', () => waiting.length === 1);

    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    abort.abort({ dying });
    await vi.advanceTimersByTimeAsync(it.bridge.flushTimeout);
    await removing;
    vi.useRealTimers();

    answer();
    for (const nodeid of [entry.nodeid, file]) it.ops.forget(nodeid, 1);
    await until('nothing is left of it', () => it.files.fids === 1);
    await expectIdle(it.client, 1);
  },
);
