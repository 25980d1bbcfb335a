// The bounds across connections: who gets how much of what, and that nobody else is the worse for one who wants it all.

import * as fs from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { type ClientUsers, hostTree, type Limits, memoryTree, Server } from '../../../src/server/server.ts';
import type { Tree } from '../../../src/server/tree.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import { connectSocket } from '../../../src/transport/socket.ts';
import { dotlCodec } from '../../../src/wire/p9/codec.ts';
import { DM, NOFID, NONUNAME, NOTAG, OMODE, OPEN } from '../../../src/wire/p9/constants.ts';
import type { Body, MessageName } from '../../../src/wire/p9/messages.ts';
import { Raw9p } from '../../support/raw9p.ts';
import { slowTree } from '../../support/slowtree.ts';
import { makeTempDir, removeTempDir } from '../../support/tempdir.ts';
import { until } from '../../support/until.ts';

const MIB = 1024 * 1024;
const LOOPBACK = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

let server: Server;
const raws: Raw9p[] = [];
const sockets: Socket[] = [];

function begin(limits: Partial<Limits>, tree: Tree = memoryTree({ mode: 0o777 }), users?: ClientUsers): void {
  server = new Server({ tree, limits, msize: MIB, ...(users && { users }) });
}

afterEach(async () => {
  for (const raw of raws.splice(0)) raw.transport.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  await server.close();
  expect(server.stats).toMatchObject({ connections: [], places: 0, memory: { lent: 0, small: 0 } });
});

/** In this process: each such connection is a client of its own. */
function dial(): Raw9p {
  const [ours, theirs] = memoryPair();
  void server.serveTransport(theirs);
  const raw = new Raw9p(ours);
  raws.push(raw);
  return raw;
}

async function enter(raw: Raw9p, version = '9P2000.L'): Promise<Raw9p> {
  await raw.version(MIB, version);
  await raw.attach(0, 0);
  return raw;
}

/** How many calls succeed before one is refused with that errno. */
async function howMany(number: number, call: (i: number) => Promise<unknown>): Promise<number> {
  for (let i = 0; i < 100_000; i++) {
    try {
      await call(i);
    } catch (error) {
      expect(error).toMatchObject({ ecode: number });
      return i;
    }
  }
  return expect.unreachable('no end of it');
}

describe('a connection that has not come in', () => {
  test('is closed when it takes too long to say anything, to attach, or to attach again', async () => {
    begin({ handshake: 30 }, memoryTree(), { kind: 'squash', uid: 0 });
    const inside = await enter(dial());
    const silent = dial();
    const versioned = dial();
    await versioned.version();
    await Promise.all([silent.closed, versioned.closed]);
    const again = dial();
    await again.version();
    await expect(again.attach(0, 0, 'no such tree')).rejects.toMatchObject({ ecode: errno.ENOENT });
    await again.closed;
    await inside.getattr(0);
  });

  test('does not get more time by a Tversion after the other', async () => {
    begin({ handshake: 50 });
    const raw = dial();
    await expect(
      (async () => {
        for (;;) {
          await raw.version();
          await new Promise((resolve) => setImmediate(resolve));
        }
      })(),
    ).rejects.toThrow('connection closed');
  });

  test('has no memory for what it sends: what is longer than a small message ends it', async () => {
    begin({});
    const raw = dial();
    await raw.version(MIB);
    expect(await raw.errno('Twrite', { fid: 1, offset: 0, data: Buffer.alloc(8000) })).toBe(errno.EBADF);
    const { head } = dotlCodec.encode('Twrite', 1, { fid: 1, offset: 0, data: Buffer.alloc(0) });
    head.writeUInt32LE(MIB - 100, 0);
    raw.bytes(head);
    await raw.closed;
    expect(server.stats.memory.lent).toBe(0);
  });
});

describe('connections', () => {
  test('who has attached keeps its place; of the others the oldest makes room for the next', async () => {
    begin({ connections: 3 });
    const first = await enter(dial());
    const strangers = [dial(), dial()];
    const next = dial();
    await strangers[0]!.closed;
    await enter(next);
    await enter(strangers[1]!);
    for (const raw of [first, next, strangers[1]!]) await raw.getattr(0);
    const late = dial();
    await late.closed;
    expect(server.stats).toMatchObject({ accepted: 4, refused: 1 });
    first.transport.close();
    await until('the place to be free', () => server.stats.connections.length === 2);
    await enter(dial());
  });

  test('one client gets half of them, and the others still come in', async () => {
    begin({ connections: 8 });
    const address = await server.listen(LOOPBACK);
    const attach = async () => {
      const raw = new Raw9p(await connectSocket(address));
      raws.push(raw);
      await enter(raw);
    };
    expect(await howMany(errno.EMFILE, attach)).toBe(4);
    await enter(dial());
    await enter(dial());
  });
});

describe('fids', () => {
  const clone = (raw: Raw9p) => raw.call('Twalk', { fid: 0, newfid: raw.fid(), names: [] });

  test('one client gets half of them, on as many connections as it likes, and the next half of the rest', async () => {
    begin({ fids: 64 });
    const address = await server.listen(LOOPBACK);
    let got = 0;
    for (let i = 0; i < 4; i++) {
      const raw = new Raw9p(await connectSocket(address));
      raws.push(raw);
      await raw.version();
      try {
        await raw.attach(0, 0);
        got += 1 + (await howMany(errno.EMFILE, () => clone(raw)));
      } catch (error) {
        expect(error).toMatchObject({ ecode: errno.EMFILE });
      }
    }
    expect(got).toBe(32);
    expect(await howMany(errno.EMFILE, () => clone(raws[0]!))).toBe(0);
    const other = await enter(dial());
    expect(await howMany(errno.EMFILE, () => clone(other))).toBe(15);
  });

  test('are counted as they come and go, also by walks in place and by walks that fail', async () => {
    begin({ fids: 4 });
    const raw = await enter(dial());
    await raw.call('Tmkdir', { dfid: 0, name: 'd', mode: 0o777, gid: 0 });
    for (let i = 0; i < 20; i++) {
      await raw.call('Twalk', { fid: 0, newfid: 1, names: [] });
      await raw.call('Twalk', { fid: 1, newfid: 1, names: ['d'] });
      expect(await raw.errno('Twalk', { fid: 0, newfid: 2, names: [] })).toBe(errno.EMFILE);
      await raw.clunk(1);
      expect(await raw.errno('Twalk', { fid: 0, newfid: 1, names: ['none'] })).toBe(errno.ENOENT);
      await raw.call('Twalk', { fid: 0, newfid: 1, names: ['d'] });
      await raw.call('Tremove', { fid: 1 });
      await raw.call('Tmkdir', { dfid: 0, name: 'd', mode: 0o777, gid: 0 });
    }
    raw.transport.close();
    await until('everything to be let go', () => server.stats.connections.length === 0);
    const next = await enter(dial());
    expect(await howMany(errno.EMFILE, () => clone(next))).toBe(1);
  });
});

describe('open files', () => {
  test.each(['9P2000.L', '9P2000.u'])('one client gets half of them, in %s', async (version) => {
    begin({ files: 8 });
    const [one, other] = [await enter(dial(), version), await enter(dial(), version)];
    const dotl = version === '9P2000.L';
    const open = async (raw: Raw9p) => {
      const fid = await raw.walk('');
      if (dotl) await raw.call('Tlopen', { fid, flags: OPEN.RDONLY });
      else await raw.call('Topen', { fid, mode: OMODE.READ });
      return fid;
    };
    const create = async (raw: Raw9p, name: string) => {
      const fid = await raw.walk('');
      if (dotl) await raw.call('Tlcreate', { fid, name, flags: OPEN.RDWR, mode: 0o644, gid: 0 });
      else await raw.call('Tcreate', { fid, name, perm: 0o644, mode: OMODE.RDWR, extension: '' });
      return fid;
    };
    const mine = [await open(one), await create(one, 'f')];
    expect(await howMany(errno.EMFILE, () => open(one))).toBe(2);
    await expect(create(one, 'g')).rejects.toMatchObject({ ecode: errno.EMFILE });
    await expect(one.walk('g')).rejects.toMatchObject({ ecode: errno.ENOENT });
    await open(other);
    for (const fid of mine) await one.clunk(fid);
    expect(await howMany(errno.EMFILE, () => open(one))).toBeGreaterThan(0);
  });

  test('what is not opened after all does not count', async () => {
    begin({ files: 2 });
    const raw = await enter(dial(), '9P2000.u');
    for (let i = 0; i < 5; i++) {
      const fid = await raw.walk('');
      expect(await raw.errno('Topen', { fid, mode: OMODE.WRITE })).toBe(errno.EISDIR);
      const perm = (DM.SYMLINK | 0o777) >>> 0;
      await raw.call('Tcreate', { fid, name: `l${i}`, perm, mode: OMODE.READ, extension: 'x' });
    }
    await raw.call('Topen', { fid: await raw.walk(''), mode: OMODE.READ });
  });
});

describe('memory', () => {
  test('for values of extended attributes', async () => {
    begin({ memory: 16 * MIB });
    const [one, other] = [await enter(dial()), await enter(dial())];
    const value = async (raw: Raw9p) => {
      const fid = await raw.walk('');
      await raw.call('Txattrcreate', { fid, name: 'user.a', size: 65536, flags: 0 });
      return fid;
    };
    let last = 0;
    const count = await howMany(errno.ENOSPC, async () => {
      last = await value(one);
    });
    expect(count).toBe(32); // a quarter of the memory, and half of that
    await value(other);
    expect(await one.errno('Tclunk', { fid: last })).toBe(errno.EINVAL);
    await value(one);
  });

  test('for requests that are not answered: those of one client are refused, those of others are begun', async () => {
    const tree = slowTree();
    begin({ memory: 16 * MIB }, tree);
    const [one, other] = [await enter(dial()), await enter(dial())];
    const fid = await one.create(0, 'f');
    for (let i = 0; i < 3000; i++) one.send('Tread', { fid, offset: 0, count: 10 });
    await one.settle();
    const refused = one.arrived.filter((message) => message.type === 'Rlerror' && message.ecode === errno.ENOBUFS);
    expect(refused.length).toBe(3000 - 64 - 2048);
    expect(tree.calls).toHaveLength(64 + 2048);
    expect(server.stats.memory.small).toBe(2 * MIB);
    const theirs = await other.create(0, 'g');
    other.send('Tread', { fid: theirs, offset: 0, count: 10 });
    await other.settle();
    expect(tree.calls).toHaveLength(64 + 2048 + 1);
    for (const call of tree.calls) call.fail(errno.EIO);
    await one.clunk(fid);
    expect(server.stats.memory.small).toBe(0);
  });

  describe('for reads', () => {
    let dir: string;

    beforeEach(async () => {
      dir = await makeTempDir('limits');
      fs.writeFileSync(join(dir, 'f'), Buffer.alloc(MIB - 24, 7));
    });
    afterEach(() => removeTempDir(dir));

    const frame = <N extends MessageName>(name: N, tag: number, body: Body<N>) =>
      dotlCodec.encode(name, tag, body).head;

    /** A client at an address of its own that asks for much and reads nothing. */
    async function hog(port: number, localAddress: string): Promise<Socket> {
      const socket = connect({ port, host: '127.0.0.1', localAddress });
      sockets.push(socket);
      socket.on('error', () => undefined); // it may be closed
      socket.pause();
      await new Promise((resolve) => socket.once('connect', resolve));
      socket.write(
        Buffer.concat([
          frame('Tversion', NOTAG, { msize: MIB, version: '9P2000.L' }),
          frame('Tattach', 0, { fid: 0, afid: NOFID, uname: '', aname: '', nUname: 0 }),
          frame('Twalk', 1, { fid: 0, newfid: 1, names: ['f'] }),
          frame('Tlopen', 2, { fid: 1, flags: 0 }),
          ...Array.from({ length: 1000 }, (_, i) => frame('Tread', 3 + i, { fid: 1, offset: 0, count: MIB })),
        ]),
      );
      return socket;
    }

    async function reader(port: number, localAddress: string): Promise<Raw9p> {
      const socket = connect({ port, host: '127.0.0.1', localAddress });
      sockets.push(socket);
      await new Promise((resolve) => socket.once('connect', resolve));
      const raw = new Raw9p({
        peer: 'reader',
        closed: new Promise((resolve) => socket.once('close', () => resolve(undefined))),
        onDrain: undefined,
        start: (receiver) => socket.on('data', (chunk) => receiver.push(chunk)),
        send: (head, payload) => socket.write(head) && (payload === undefined || socket.write(payload)),
        pause: () => socket.pause(),
        resume: () => socket.resume(),
        close: () => socket.destroy(),
      });
      return enter(raw);
    }

    test('one client has half of it on all its connections together, and the next is served', async () => {
      begin({ memory: 32 * MIB, patience: 3_600_000 }, hostTree(dir));
      const { port } = (await server.listen(LOOPBACK)) as { port: number };
      for (let i = 0; i < 8; i++) await hog(port, '127.0.0.2');
      const half = 12 * MIB;
      await until('the memory of one to be used up', () => server.stats.memory.lent === half);
      const raw = await reader(port, '127.0.0.3');
      const fid = await raw.open('f');
      for (let i = 0; i < 50; i++) {
        expect((await raw.read(fid, 0, MIB - 24)).length).toBe(MIB - 24);
        expect(server.stats.memory.lent).toBeLessThanOrEqual(half + MIB);
      }
      // what it asked for beyond that is not even looked at
      for (const { tags } of server.stats.connections) expect(tags).toBeLessThan(200);
    });

    test('when all of it is taken, those who read nothing are closed, and who waits is served', async () => {
      begin({ memory: 16 * MIB, patience: 50 }, hostTree(dir));
      const { port } = (await server.listen(LOOPBACK)) as { port: number };
      const raw = await reader(port, '127.0.0.9');
      const fid = await raw.open('f');
      const ends = [];
      for (let i = 2; i < 6; i++) {
        for (let k = 0; k < 2; k++) {
          const socket = await hog(port, `127.0.0.${i}`);
          ends.push(new Promise((resolve) => socket.resume().once('close', resolve)));
          socket.pause();
        }
      }
      for (let i = 0; i < 50; i++) expect((await raw.read(fid, 0, MIB - 24)).length).toBe(MIB - 24);
      await until('one to be closed', () => server.stats.connections.length < 9);
      await raw.getattr(0);
    });
  });
});

test('what nobody needs any more is given back', async () => {
  begin({ memory: 16 * MIB });
  const raw = await enter(dial());
  const fid = await raw.create(0, 'f');
  await Promise.all(Array.from({ length: 6 }, (_, i) => raw.write(fid, Buffer.alloc(MIB / 2, 1), i)));
  expect(server.stats.memory.kept).toBeGreaterThan(0);
  await until('it to be given back', () => server.stats.memory.kept === 0);
}, 60_000);

test('an attach that names nobody is refused before anything is counted', async () => {
  begin({ fids: 2 });
  const raw = dial();
  await raw.version();
  for (let i = 0; i < 5; i++) {
    await expect(raw.attach(0, NONUNAME, '', 'no such user here')).rejects.toMatchObject({ ecode: errno.EPERM });
  }
  await raw.attach(0, 0);
});
