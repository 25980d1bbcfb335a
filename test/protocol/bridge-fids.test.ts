// Fids as a cached way to a node: what is asked before and after it is known what they are on a server, how many are kept, and that
// none is ever named on a connection that it does not belong to.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FidCache } from '../../src/bridge/fids/cache.ts';
import { ROOT } from '../../src/bridge/nodes/node.ts';
import { FidFacts } from '../../src/client/fidfacts.ts';
import type { NodeId } from '../../src/common/brand.ts';
import { errno } from '../../src/common/errno.ts';
import { silent } from '../../src/common/log.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { type Bridged, bridged, caller } from '../support/bridged.ts';
import { expectNothingAfterEnd } from '../support/leaks.ts';
import { getattr } from '../support/scripted.ts';

let at: Bridged;

beforeEach(async () => {
  at = await bridged();
});
afterEach(() => expectNothingAfterEnd(at.client));

const lookup = async (name: string, parent = ROOT) => (await at.ops.lookup(caller(), parent, name)).nodeid as NodeId;
const facts = () => at.bridge.session.fidFacts;

/** The types of the requests that `work` sends, without clunks. */
async function sent(work: () => unknown): Promise<string[]> {
  const { length } = at.files.received;
  await work();
  return at.files.received
    .slice(length)
    .map(({ type }) => type)
    .filter((type) => type !== 'Tclunk');
}

/** From now on what was renamed or removed has no attributes by the fids that came by its name. */
function losing(lost: (fid: number) => boolean): void {
  at.files.before = (message: Message) => {
    if (message.type !== 'Tgetattr' || !lost(message.fid)) return false;
    at.files.refuse(message, errno.ENOENT);
    return true;
  };
}

describe('a change in a directory', () => {
  test('is sent by a fid that was walked to until fids are known to mean files, then by the one at hand', async () => {
    const dir = await lookup('dir');
    expect(await sent(() => at.ops.symlink(caller(), dir, 'one', 'x'))).toEqual([
      'Twalk',
      'Tsymlink',
      'Twalk',
      'Tgetattr',
    ]);
    facts().settle('bound', true);
    expect(await sent(() => at.ops.symlink(caller(), dir, 'two', 'x'))).toEqual(['Tsymlink', 'Twalk', 'Tgetattr']);
  });

  test('is not sent where another file has the name of the directory', async () => {
    const dir = await lookup('dir');
    at.files.before = (message) =>
      message.type === 'Twalk' &&
      message.names.at(-1) === 'dir' &&
      at.files.say(message, { qids: [{ type: 0x80, version: 0, path: 99n }] });
    await expect(at.ops.mkdir(caller(), dir, 'new', 0o755, 0)).rejects.toMatchObject({ code: 'ESTALE' });
    await expect(at.ops.unlink(caller(), dir, 'old')).rejects.toMatchObject({ code: 'ESTALE' });
    expect(at.files.received.some(({ type }) => type === 'Tmkdir' || type === 'Tunlinkat')).toBe(false);
  });

  test('a name is looked up through the directory that is meant, in one walk', async () => {
    const dir = await lookup('dir');
    expect(await sent(() => lookup('a', dir))).toEqual(['Twalk', 'Tgetattr']);
    expect(at.files.received.findLast(({ type }) => type === 'Twalk')).toMatchObject({ names: ['dir', 'a'] });
    at.files.before = (message) =>
      message.type === 'Twalk' &&
      message.names.length === 2 &&
      at.files.say(message, {
        qids: [
          { type: 0x80, version: 0, path: 98n },
          { type: 0, version: 0, path: 99n },
        ],
      });
    await expect(lookup('a', dir)).rejects.toMatchObject({ code: 'ESTALE' });
  });

  test('where a server tells nothing of the way, the directory is walked to beside it', async () => {
    const dir = await lookup('dir');
    const qid = { type: 0, version: 0, path: 77n };
    const made = new Set<number>();
    at.files.before = (message) => {
      if (message.type === 'Twalk' && message.names.length === 2) {
        made.add(message.newfid);
        return at.files.say(message, { qids: [qid, qid] });
      }
      return message.type === 'Tgetattr' && made.has(message.fid) && at.files.say(message, { ...getattr, qid });
    };
    expect(await sent(() => lookup('a', dir))).toEqual(['Twalk', 'Twalk', 'Twalk', 'Tgetattr']);
    expect(facts().knows('walkQids')).toBe(false);
    expect(await sent(() => lookup('a', dir))).toEqual(['Twalk', 'Twalk', 'Tgetattr']);
  });
});

describe('what fids are is learned', () => {
  test('from a rename: they follow', async () => {
    await lookup('file');
    expect(await sent(() => at.ops.rename(caller(), ROOT, 'file', ROOT, 'new', 0))).toEqual(['Trenameat', 'Tgetattr']);
    expect(facts().all).toMatchObject({ unopened: true });
    expect(await sent(() => at.ops.rename(caller(), ROOT, 'new', ROOT, 'newer', 0))).toEqual(['Trenameat']);
  });

  test('from a rename: they are paths', async () => {
    const file = await lookup('file');
    const fid = at.bridge.fidCache.peek(at.bridge.nodes.get(file))?.number;
    losing((number) => number === fid);
    await at.ops.rename(caller(), ROOT, 'file', ROOT, 'new', 0);
    expect(facts().all).toMatchObject({ unopened: false });
    expect(at.bridge.fidCache.peek(at.bridge.nodes.get(file))).toBeUndefined();
  });

  test('from the rename of an open file: its fid is asked for attributes, a change, and a transfer of nothing', async () => {
    const file = await lookup('file');
    const { fh } = await at.ops.open(caller(), file, OPEN.RDWR, false);
    const steps = await sent(() => at.ops.rename(caller(), ROOT, 'file', ROOT, 'new', 0));
    expect(steps).toEqual(['Trenameat', 'Tgetattr', 'Tgetattr', 'Tsetattr', 'Twrite']);
    const write = at.files.received.findLast((one) => one.type === 'Twrite');
    expect(write?.type === 'Twrite' && write.data.length).toBe(0);
    expect(facts().all).toMatchObject({ openGetattr: true, openSetattr: true, openIo: true });
    await at.ops.release(caller(), file, fh);
  });

  test('from a removal: a fid that shows a file without links is bound to it', async () => {
    await lookup('file');
    const { qid } = at.bridge.nodes.get(2 as NodeId).stat;
    at.files.before = (message) =>
      message.type === 'Tgetattr' && at.files.say(message, { ...getattr, qid, mode: 0o100644, nlink: 0 });
    expect(await sent(() => at.ops.unlink(caller(), ROOT, 'file'))).toEqual(['Tunlinkat', 'Tgetattr', 'Tsetattr']);
    expect(facts().all).toMatchObject({ bound: true });
    expect(facts().sure).toBe(true);
  });

  test('an open file steps aside until that is known, and is asked when its last name has gone', async () => {
    const file = await lookup('file');
    const { fh } = await at.ops.open(caller(), file, OPEN.RDONLY, false);
    expect((await sent(() => at.ops.unlink(caller(), ROOT, 'file')))[0]).toBe('Trenameat');
    expect((await at.ops.getattr(caller(), file, fh, true)).attr.nlink).toBe(0);
    const end = await sent(() => at.ops.release(caller(), file, fh));
    expect(end).toEqual(['Tunlinkat', 'Tgetattr', 'Tsetattr', 'Tfsync', 'Tread']);
    expect(facts().all).toMatchObject({ namelessGetattr: true, namelessIo: true });
  });

  test('a fact that was found false stays false', () => {
    const known = new FidFacts(silent);
    known.settle('unopened', true);
    known.settle('below', true);
    expect(known.sure).toBe(true);
    known.settle('unopened', false);
    known.settle('unopened', true);
    expect(known.knows('unopened')).toBe(false);
    expect(known.sure).toBe(false);
  });
});

describe('the cache', () => {
  test('has fids of so many nodes, and gives up those of the longest unused', async () => {
    const session = at.bridge.session;
    const cache = new FidCache(session, 2);
    const nodes = [];
    for (const name of ['a', 'b', 'c']) nodes.push(at.bridge.nodes.get(await lookup(name)));
    const fids = [];
    for (const node of nodes) {
      const fid = await session.dialect.walk(await at.bridge.users.root(0), [`x${node.id}`]);
      fids.push(fid);
      cache.found(node, 0, fid, true);
    }
    expect(cache.size).toBe(2);
    expect(nodes.map((node) => cache.get(node, 0) !== undefined)).toEqual([false, true, true]);
    expect(fids.map(({ state }) => state)).toEqual(['ending', 'live', 'live']);
  });

  test('a fid of another connection is neither named nor clunked on this one', async () => {
    const other = await bridged();
    const foreign = await other.bridge.session.dialect.walk(await other.bridge.users.root(0), ['file']);
    const { dialect, calls } = at.bridge.session;
    const { length } = at.files.received;
    await expect(dialect.stat(foreign)).rejects.toMatchObject({ code: 'EBADF' });
    calls.clunk(foreign);
    expect(at.files.received).toHaveLength(length);
    expect(foreign.state).toBe('live');
    other.bridge.session.calls.clunk(foreign);
    await expectNothingAfterEnd(other.client);
  });
});
