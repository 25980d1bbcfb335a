// A mount without a kernel over each of the older dialects, with the embedded server at the other end: what the bridge does
// so that programs find what they are used to where the dialect has less.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeBridge } from '../../src/bridge/context.ts';
import { cachePolicy } from '../../src/bridge/files/cache.ts';
import { fileSystem } from '../../src/bridge/filesystem.ts';
import { sameIds } from '../../src/bridge/owners/ids.ts';
import { Users } from '../../src/bridge/owners/users.ts';
import type { CacheMode } from '../../src/bridge/settings.ts';
import type { Plan9Calls } from '../../src/client/dialects/plan9-calls.ts';
import type { Version } from '../../src/client/dialects/versions.ts';
import { openSession, type Session } from '../../src/client/session.ts';
import type { FileHandle, NodeId } from '../../src/common/brand.ts';
import { silent } from '../../src/common/log.ts';
import type { Operations } from '../../src/fuse/operations.ts';
import { memoryTree, Server } from '../../src/server/server.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { fopen } from '../../src/wire/fuse/constants.ts';
import { DM, OMODE, OPEN } from '../../src/wire/p9/constants.ts';
import { caller } from '../support/bridged.ts';
import { expectIdle } from '../support/leaks.ts';
import { turn } from '../support/scripted.ts';

const ROOT = 1 as NodeId;

interface Client {
  session: Session;
  ops: Required<Operations>;
}

let server: Server;
let clients: Client[];
let ends: Promise<void>[];

async function attach(version: Version, cache: CacheMode = 'none'): Promise<Client> {
  const [ours, theirs] = memoryPair();
  ends.push(server.serveTransport(theirs));
  const session = await openSession(ours, { version });
  const users = new Users(session, { access: 'client', uname: 'root', uid: 0, aname: '' });
  const rootStat = await session.dialect.stat(await users.root(0));
  const owners = { uids: sameIds, gids: sameIds, dfltuid: 0, dfltgid: 0 };
  const policy = cachePolicy(cache);
  const kernel = { expireAttr: async () => {}, dropPages: async () => {} };
  const bridge = makeBridge({
    ...{ session, users, rootStat, policy, owners, kernel },
    ...{ remoteLocks: true, logger: silent, flushTimeout: 1000 },
  });
  const client = { session, ops: fileSystem(bridge) as Required<Operations> };
  clients.push(client);
  return client;
}

beforeEach(() => {
  server = new Server({ tree: memoryTree() });
  clients = [];
  ends = [];
});
afterEach(async () => {
  for (const { session } of clients) session.close();
  await Promise.all(ends);
  expect(server.stats).toMatchObject({ connections: [], places: 0 });
  await server.close();
});

const DIRECT = { fromCache: false, killSuidGid: false, openFlags: 0, lockOwner: 0n };

async function put({ ops }: Client, name: string, text: string, parent = ROOT, mode = 0o644) {
  const { entry, fh } = await ops.create(caller(), parent, name, OPEN.RDWR | OPEN.EXCL, mode, 0, false);
  await ops.write(caller(), entry.nodeid, fh, 0, Buffer.from(text), DIRECT);
  return { nodeid: entry.nodeid, fh, entry };
}

async function get({ ops }: Client, nodeid: NodeId, fh: FileHandle): Promise<string> {
  const { data, release } = await ops.read(caller(), nodeid, fh, 0, 100, 0);
  const text = Buffer.concat(data instanceof Uint8Array ? [data] : data).toString();
  release?.();
  return text;
}

async function names({ ops }: Client, nodeid: NodeId = ROOT): Promise<string[]> {
  const { fh } = await ops.opendir(caller(), nodeid, 0);
  const found: string[] = [];
  let at = 0n;
  for (let before = -1; before !== found.length; ) {
    before = found.length;
    await ops.readdir(caller(), nodeid, fh, at, 4096, {
      add: (name: string, _ino: bigint, _type: number, offset: bigint) => {
        found.push(name);
        at = offset;
        return true;
      },
    } as Parameters<Operations['readdir']>[5]);
  }
  await ops.releasedir(caller(), nodeid, fh);
  return found.filter((name) => name !== '.' && name !== '..').sort();
}

const codeOf = (work: unknown): Promise<string> =>
  Promise.resolve(work).then(
    () => 'done',
    (error: { code: string }) => error.code,
  );
/** The same of what may throw at once. */
const failing = (work: () => unknown) => codeOf((async () => work())());

describe.each<Version>(['9P2000.u', '9P2000'])('over %s', (version) => {
  let here: Client;
  let there: Client;
  beforeEach(async () => {
    here = await attach(version);
    there = await attach('9P2000.L');
  });

  test('a file that is removed while it is open is hidden, and gone when it is closed', async () => {
    const { nodeid, fh } = await put(here, 'f', 'content');
    await here.ops.unlink(caller(), ROOT, 'f');
    expect(await names(here)).toEqual([]);
    const [hidden] = await names(there);
    expect(hidden).toMatch(/^\.ninefs-[0-9a-f]{16}$/);
    expect(await failing(() => here.ops.lookup(caller(), ROOT, hidden ?? ''))).toBe('ENOENT');
    expect(await failing(() => here.ops.lookup(caller(), ROOT, 'f'))).toBe('ENOENT');
    expect(await get(here, nodeid, fh)).toBe('content');
    const { attr } = await here.ops.setattr(caller(), nodeid, { size: 4, fh });
    expect(attr).toMatchObject({ nlink: 0, size: 4 });
    expect((await here.ops.getattr(caller(), nodeid, undefined, false)).attr.nlink).toBe(0);
    await here.ops.release(caller(), nodeid, fh);
    expect(await names(there)).toEqual([]);
    here.ops.forget(nodeid, 1);
    await turn(); // fids that somebody may still name are clunked when the event loop has turned
    await expectIdle(here.session.connection, 1);
  });

  test('it stays until the last of several descriptors is closed', async () => {
    const { nodeid, fh } = await put(here, 'f', 'content');
    const second = await here.ops.open(caller(), nodeid, OPEN.RDONLY, false);
    await here.ops.unlink(caller(), ROOT, 'f');
    await here.ops.release(caller(), nodeid, fh);
    expect(await get(here, nodeid, second.fh)).toBe('content');
    await here.ops.release(caller(), nodeid, second.fh);
    expect(await names(there)).toEqual([]);
  });

  test('nothing of it stays where its last descriptor is closed while it is being hidden', async () => {
    for (let turns = 0; turns < 12; turns++) {
      const { nodeid, fh } = await put(here, 'f', 'content');
      const removing = here.ops.unlink(caller(), ROOT, 'f');
      for (let i = 0; i < turns; i++) await turn();
      await here.ops.release(caller(), nodeid, fh);
      await removing;
      expect(await names(there)).toEqual([]);
      here.ops.forget(nodeid, 1);
    }
  });

  test('one that nobody has open is removed at once', async () => {
    const { nodeid, fh } = await put(here, 'f', 'content');
    await here.ops.release(caller(), nodeid, fh);
    await here.ops.unlink(caller(), ROOT, 'f');
    expect(await names(there)).toEqual([]);
  });

  test('a file that is replaced while it is open stays what it was', async () => {
    const old = await put(here, 'target', 'old');
    const young = await put(here, 'source', 'new');
    await here.ops.rename(caller(), ROOT, 'source', ROOT, 'target', 0);
    expect(await names(here)).toEqual(['target']);
    expect(await names(there)).toHaveLength(2);
    expect(await get(here, old.nodeid, old.fh)).toBe('old');
    expect((await here.ops.lookup(caller(), ROOT, 'target')).nodeid).toBe(young.nodeid);
    await here.ops.release(caller(), old.nodeid, old.fh);
    expect(await names(there)).toEqual(['target']);
    await here.ops.release(caller(), young.nodeid, young.fh);
  });

  test('a directory in which there are hidden files only can be removed', async () => {
    const { nodeid: dir } = await here.ops.mkdir(caller(), ROOT, 'd', 0o755, 0);
    const { nodeid, fh } = await put(here, 'f', 'content', dir);
    await here.ops.unlink(caller(), dir, 'f');
    await put(there, 'other', '', (await there.ops.lookup(caller(), ROOT, 'd')).nodeid as NodeId);
    // not while there is something else in it: then nothing is lost
    expect(await failing(() => here.ops.rmdir(caller(), ROOT, 'd'))).toBe('ENOTEMPTY');
    await here.ops.unlink(caller(), dir, 'other');
    await here.ops.rmdir(caller(), ROOT, 'd');
    expect(await names(there)).toEqual([]);
    await here.ops.release(caller(), nodeid, fh);
  });

  test('a rename over an existing file replaces it, also when it has to be done in steps', async () => {
    for (const name of ['a', 'b']) {
      const { nodeid, fh } = await put(here, name, name);
      await here.ops.release(caller(), nodeid, fh);
    }
    const renaming = here.ops.rename(caller(), ROOT, 'a', ROOT, 'b', 0);
    // whoever looks meanwhile finds one or the other
    const looks = Array.from({ length: 5 }, () => failing(() => here.ops.lookup(caller(), ROOT, 'b')));
    await renaming;
    expect(await Promise.all(looks)).toEqual(Array(5).fill('done'));
    expect(await names(there)).toEqual(['b']);
    const { nodeid } = (await here.ops.lookup(caller(), ROOT, 'b')) as { nodeid: NodeId };
    const { fh } = await here.ops.open(caller(), nodeid, OPEN.RDONLY, false);
    expect(await get(here, nodeid, fh)).toBe('a');
    await here.ops.release(caller(), nodeid, fh);
  });

  test('a rename to another directory is EXDEV and changes nothing, also when there is an open file by that name', async () => {
    const { nodeid: dir } = await here.ops.mkdir(caller(), ROOT, 'd', 0o755, 0);
    const source = await put(here, 'f', 'source');
    const target = await put(here, 'g', 'target', dir);
    expect(await failing(() => here.ops.rename(caller(), ROOT, 'f', dir, 'g', 0))).toBe('EXDEV');
    expect(await names(there)).toEqual(['d', 'f']);
    expect(await names(here, dir)).toEqual(['g']);
    expect((await here.ops.getattr(caller(), target.nodeid, undefined, false)).attr.nlink).toBe(1);
    for (const { nodeid, fh } of [source, target]) await here.ops.release(caller(), nodeid, fh);
    expect(await names(here, dir)).toEqual(['g']);
  });

  test('what is made has the mode that was asked for, whatever its directory has', async () => {
    const { nodeid: dir } = await here.ops.mkdir(caller(), ROOT, 'd', 0o700, 0);
    const { entry } = await put(here, 'f', '', dir, 0o666);
    expect(entry.attr.mode & 0o777).toBe(0o666);
    expect((await here.ops.mkdir(caller(), dir, 'sub', 0o777, 0)).attr.mode & 0o777).toBe(0o777);
  });

  test('two mounts that append do so behind each other', async () => {
    const { nodeid, fh } = await put(here, 'log', '');
    await here.ops.release(caller(), nodeid, fh);
    const other = await attach(version);
    const append = OPEN.WRONLY | OPEN.APPEND;
    const writers: [Client, NodeId, FileHandle][] = [];
    for (const client of [here, other]) {
      const { nodeid: at } = (await client.ops.lookup(caller(), ROOT, 'log')) as { nodeid: NodeId };
      writers.push([client, at, (await client.ops.open(caller(), at, append, false)).fh]);
    }
    for (const text of ['one ', 'two ']) {
      // both kernels believe that the file ends at 0
      for (const [{ ops }, at, open] of writers) await ops.write(caller(), at, open, 0, Buffer.from(text), DIRECT);
    }
    const { nodeid: at } = (await there.ops.lookup(caller(), ROOT, 'log')) as { nodeid: NodeId };
    const reading = await there.ops.open(caller(), at, OPEN.RDONLY, false);
    expect(await get(there, at, reading.fh)).toBe('one one two two ');
  });

  test('an append-only file is written at its end, read directly, and stays one after chmod', async () => {
    const { session, ops } = await attach(version, 'auto');
    const calls = session.calls as Plan9Calls;
    const fid = await calls.attach('root', '', 0);
    await calls.create(fid, { name: 'log', perm: DM.APPEND + 0o644, mode: OMODE.WRITE, extension: '' }, undefined);
    await calls.write(fid, 0, Buffer.from('first '));
    calls.clunk(fid);
    const { nodeid } = (await ops.lookup(caller(), ROOT, 'log')) as { nodeid: NodeId };
    await ops.setattr(caller(), nodeid, { mode: 0o600 });
    const { fh, flags } = await ops.open(caller(), nodeid, OPEN.RDWR, false);
    expect(flags & fopen.DIRECT_IO).not.toBe(0);
    await ops.write(caller(), nodeid, fh, 0, Buffer.from('second'), DIRECT);
    expect(await get({ session, ops }, nodeid, fh)).toBe('first second');
    const { attr } = await ops.getattr(caller(), nodeid, undefined, false);
    expect(attr).toMatchObject({ mode: 0o100600, size: 12 });
    await ops.release(caller(), nodeid, fh);
  });

  test('a file for one at a time is busy while somebody has it open', async () => {
    const calls = here.session.calls as Plan9Calls;
    const fid = await calls.attach('root', '', 0);
    await calls.create(fid, { name: 'one', perm: DM.EXCL + 0o644, mode: OMODE.WRITE, extension: '' }, undefined);
    const { nodeid } = (await here.ops.lookup(caller(), ROOT, 'one')) as { nodeid: NodeId };
    expect(await failing(() => here.ops.open(caller(), nodeid, OPEN.RDONLY, false))).toMatch(/^(EBUSY|EAGAIN)$/);
    calls.clunk(fid);
    await turn();
    const { fh } = await here.ops.open(caller(), nodeid, OPEN.RDONLY, false);
    await here.ops.release(caller(), nodeid, fh);
  });

  test('statfs is never zero', async () => {
    const stat = await here.ops.statfs(caller(), ROOT);
    for (const part of ['bsize', 'blocks', 'bfree', 'bavail', 'files', 'ffree', 'namelen'] as const) {
      expect(stat[part]).toBeGreaterThan(0);
    }
  });

  test('a listing has . and .. with the numbers that stat shows', async () => {
    const { nodeid: dir } = await here.ops.mkdir(caller(), ROOT, 'd', 0o755, 0);
    const { fh } = await here.ops.opendir(caller(), dir, 0);
    const inos = new Map<string, bigint>();
    await here.ops.readdir(caller(), dir, fh, 0n, 4096, {
      add: (name: string, ino: bigint) => inos.set(name, ino).size > 0,
    } as unknown as Parameters<Operations['readdir']>[5]);
    expect(inos.get('.')).toBe((await here.ops.getattr(caller(), dir, undefined, false)).attr.ino);
    expect(inos.get('..')).toBe((await here.ops.getattr(caller(), ROOT, undefined, false)).attr.ino);
    await here.ops.releasedir(caller(), dir, fh);
  });
});
