// Who a client may be: another user of this machine, with a 9P client of its own, against a server that runs as root and
// tells its clients by the kernel's word. Over TCP of both families and over a unix socket.

import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import {
  type ClientUsers,
  hostTree,
  memoryTree,
  parseUserMap,
  Server,
  type Serving,
  serve,
} from '../../src/server/server.ts';
import type { Address } from '../../src/transport/address.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { connectSocket } from '../../src/transport/socket.ts';
import { DM, NONUNAME, OMODE, OPEN, SETATTR } from '../../src/wire/p9/constants.ts';
import { asRoot } from '../support/eachtree.ts';
import { NOBODY, OtherUser } from '../support/otheruser.ts';
import { Raw9p } from '../support/raw9p.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

const NOTHING = { mode: 0, uid: 0, gid: 0, size: 0, atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0 };
const DAEMON = 1;

let dir: string;
let serving: Serving | undefined;
let other: OtherUser | undefined;

beforeEach(async () => {
  dir = await makeTempDir('users');
  fs.chmodSync(dir, 0o755);
  fs.mkdirSync(join(dir, 'export'));
  fs.chmodSync(join(dir, 'export'), 0o1777);
});

afterEach(async () => {
  await other?.end();
  await serving?.close();
  other = undefined;
  serving = undefined;
  await removeTempDir(dir);
});

const at = (...names: string[]) => join(dir, 'export', ...names);

async function serveHost(users: ClientUsers, address: Address): Promise<Serving> {
  serving = await serve({ address, users, tree: hostTree(at(), { nodev: true, nosuid: true }) });
  return serving;
}

/** Where the server listens, and how a client reaches it. */
const ways: Readonly<Record<string, { listen: () => Address; reach: (address: Address) => Address }>> = {
  'TCP over IPv4': { listen: () => ({ kind: 'tcp', host: '127.0.0.1', port: 0 }), reach: (address) => address },
  'TCP over IPv6': { listen: () => ({ kind: 'tcp', host: '::1', port: 0 }), reach: (address) => address },
  'IPv4 to a socket of both families': {
    listen: () => ({ kind: 'tcp', host: '::', port: 0 }),
    reach: (address) => ({ ...address, host: '127.0.0.1' }) as Address,
  },
  'a socket of both families to IPv4': {
    listen: () => ({ kind: 'tcp', host: '127.0.0.1', port: 0 }),
    reach: (address) => ({ ...address, host: '::ffff:127.0.0.1' }) as Address,
  },
  'a unix socket': { listen: () => ({ kind: 'unix', path: join(dir, 'socket') }), reach: (address) => address },
};

describe.runIf(asRoot).each(Object.keys(ways))('peer, over %s', (way) => {
  const { listen, reach } = ways[way]!;
  let address: Address;

  beforeEach(async () => {
    const { address: bound } = await serveHost({ kind: 'peer' }, listen());
    address = reach(bound);
    if (address.kind === 'unix') fs.chmodSync(address.path, 0o777);
  });

  async function connect(version?: string): Promise<OtherUser> {
    other = await OtherUser.connect(address, NOBODY, version);
    return other;
  }

  async function asNobody(): Promise<OtherUser> {
    const user = await connect();
    expect(await user.attach()).toBe(0);
    return user;
  }

  test('another user attaches as itself, and as nobody else', async () => {
    const user = await connect();
    for (const [nUname, uname] of [
      [0, ''],
      [0, 'nobody'],
      [DAEMON, ''],
      [NONUNAME, 'root'],
      [NONUNAME, '0'],
      [NONUNAME, 'daemon'],
    ] as const) {
      expect([nUname, uname, await user.attach(nUname, uname)]).toEqual([nUname, uname, errno.EPERM]);
    }
    for (const [nUname, uname] of [
      [NOBODY, ''],
      [NOBODY, 'root'],
      [NONUNAME, ''],
      [NONUNAME, 'nobody'],
      [NONUNAME, 'no such user here'],
    ] as const) {
      expect([nUname, uname, await user.attach(nUname, uname)]).toEqual([nUname, uname, 0]);
      await user.call('Tclunk', { fid: 0 });
    }
  });

  test('it reads no file that is not for it', async () => {
    fs.writeFileSync(at('secret'), 'secret', { mode: 0o600 });
    fs.mkdirSync(at('closed'), { mode: 0o700 });
    fs.writeFileSync(at('closed', 'open'), 'secret', { mode: 0o666 });
    const user = await asNobody();
    expect(await user.errno('Tlopen', { fid: await user.walk('secret'), flags: OPEN.RDONLY })).toBe(errno.EACCES);
    expect(await user.errno('Twalk', { fid: 0, newfid: 99, names: ['closed', 'open'] })).toBe(0);
    expect(await user.errno('Tlopen', { fid: 99, flags: OPEN.RDONLY })).toBe(errno.EBADF);
    expect(await user.errno('Tlopen', { fid: await user.walk('closed'), flags: OPEN.RDONLY })).toBe(errno.EACCES);
  });

  test('it makes files of its own, and of its own groups', async () => {
    const user = await asNobody();
    const making = (name: string, gid: number) => ({ name, mode: 0o644, gid });
    for (const gid of [0, DAEMON]) {
      const fid = await user.walk();
      expect(await user.errno('Tlcreate', { fid, flags: OPEN.RDWR, ...making('f', gid) })).toBe(errno.EPERM);
      expect(await user.errno('Tmkdir', { dfid: 0, ...making('d', gid) })).toBe(errno.EPERM);
      expect(await user.errno('Tsymlink', { dfid: 0, name: 'l', target: 'f', gid })).toBe(errno.EPERM);
      const fifo = { ...making('p', gid), mode: 0o010644, major: 0, minor: 0 };
      expect(await user.errno('Tmknod', { dfid: 0, ...fifo })).toBe(errno.EPERM);
    }
    expect(fs.readdirSync(at())).toEqual([]);
    const fid = await user.walk();
    await user.call('Tlcreate', { fid, flags: OPEN.RDWR, ...making('mine', NOBODY) });
    expect(fs.statSync(at('mine'))).toMatchObject({ uid: NOBODY, gid: NOBODY });
    for (const [valid, who] of [
      [SETATTR.UID, { uid: 0 }],
      [SETATTR.UID, { uid: DAEMON }],
      [SETATTR.GID, { gid: 0 }],
      [SETATTR.GID, { gid: DAEMON }],
    ] as const) {
      expect(await user.errno('Tsetattr', { ...NOTHING, fid, valid, ...who })).toBe(errno.EPERM);
    }
    expect(fs.statSync(at('mine'))).toMatchObject({ uid: NOBODY, gid: NOBODY });
  });

  test("a directory with the setgid bit gives its group, whatever the client's is", async () => {
    fs.mkdirSync(at('team'));
    fs.chownSync(at('team'), 0, DAEMON);
    fs.chmodSync(at('team'), 0o2777);
    const user = await asNobody();
    const fid = await user.walk('team');
    await user.call('Tmkdir', { dfid: fid, name: 'd', mode: 0o755, gid: DAEMON });
    await user.call('Tlcreate', { fid, name: 'f', flags: OPEN.RDWR, mode: 0o644, gid: 0 });
    expect(fs.statSync(at('team', 'f'))).toMatchObject({ uid: NOBODY, gid: DAEMON });
    expect(fs.statSync(at('team', 'd'))).toMatchObject({ uid: NOBODY, gid: DAEMON });
    expect(fs.statSync(at('team', 'd')).mode & 0o7777).toBe(0o2755);
  });

  test('it leaves no setuid or setgid program, and no device', async () => {
    const user = await asNobody();
    const fid = await user.walk();
    await user.call('Tlcreate', { fid, name: 'f', flags: OPEN.RDWR, mode: 0o6755, gid: NOBODY });
    expect(fs.statSync(at('f')).mode & 0o7777).toBe(0o755);
    await user.call('Tsetattr', { ...NOTHING, fid, valid: SETATTR.MODE, mode: 0o6777 });
    expect(fs.statSync(at('f')).mode & 0o7777).toBe(0o777);
    for (const type of [0o020000, 0o060000]) {
      const node = { name: 'dev', mode: type | 0o666, major: 1, minor: 3, gid: NOBODY };
      expect(await user.errno('Tmknod', { dfid: 0, ...node })).toBe(errno.EPERM);
    }
    expect(fs.readdirSync(at())).toEqual(['f']);
  });

  test('nor by 9P2000.u', async () => {
    const user = await connect('9P2000.u');
    expect(await user.attach(0, 'root')).toBe(errno.EPERM);
    expect(await user.attach(NONUNAME, 'nobody')).toBe(0);
    const making = { mode: OMODE.READ, extension: '' };
    for (const extension of ['b 8 0', 'c 1 3']) {
      const perm = (DM.DEVICE | 0o666) >>> 0;
      expect(await user.errno('Tcreate', { fid: await user.walk(), name: 'dev', perm, mode: 0, extension })).toBe(
        errno.EPERM,
      );
    }
    const perm = (DM.SETUID | DM.SETGID | 0o755) >>> 0;
    await user.call('Tcreate', { fid: await user.walk(), name: 'f', perm, ...making });
    expect(fs.readdirSync(at())).toEqual(['f']);
    expect(fs.statSync(at('f'))).toMatchObject({ uid: NOBODY, gid: NOBODY });
    expect(fs.statSync(at('f')).mode & 0o7777).toBe(0o755);
  });

  test('root attaches as anybody, and does what it could', async () => {
    fs.writeFileSync(at('secret'), 'secret', { mode: 0o600 });
    const raw = new Raw9p(await connectSocket(address));
    await raw.version();
    await raw.attach(0, 0);
    expect((await raw.read(await raw.open('secret'))).toString()).toBe('secret');
    await raw.attach(1, DAEMON);
    const fid = await raw.create(1, 'f', { gid: 12345 });
    expect(fs.statSync(at('f'))).toMatchObject({ uid: DAEMON, gid: 12345 });
    await raw.clunk(fid);
    await raw.attach(2, NONUNAME, '', 'daemon');
    await raw.attach(3, NONUNAME);
    expect(await raw.errno('Tlopen', { fid: await raw.walk('secret', 3), flags: OPEN.RDWR })).toBe(0);
    expect(await raw.errno('Tlopen', { fid: await raw.walk('secret', 2), flags: OPEN.RDWR })).toBe(errno.EACCES);
    await expect(raw.attach(4, NONUNAME, '', 'no such user here')).rejects.toMatchObject({ ecode: errno.EPERM });
    raw.transport.close();
  });
});

describe('with nodev and nosuid', () => {
  test.runIf(asRoot)(
    'root leaves no setuid program either: not by mode, by writing, by cutting, by capabilities',
    async () => {
      const { address } = await serveHost({ kind: 'trust' }, ways['TCP over IPv4']!.listen());
      for (const name of ['written', 'cut', 'kept']) {
        fs.writeFileSync(at(name), 'text');
        fs.chmodSync(at(name), 0o6755);
      }
      const raw = new Raw9p(await connectSocket(address));
      await raw.version();
      await raw.attach(0, 0);
      await raw.create(0, 'f', { mode: 0o4755 });
      await raw.write(await raw.open('written', OPEN.RDWR), 'mine');
      await raw.setattr(await raw.walk('cut'), { valid: SETATTR.SIZE, size: 1 });
      await raw.read(await raw.open('kept', OPEN.RDWR));
      const modeOf = (name: string) => fs.statSync(at(name)).mode & 0o7777;
      expect(['f', 'written', 'cut', 'kept'].map(modeOf)).toEqual([0o755, 0o755, 0o755, 0o6755]);
      const fid = await raw.walk('f');
      await raw.call('Txattrcreate', { fid, name: 'security.capability', size: 20, flags: 0 });
      await raw.write(fid, Buffer.from('0100000201000000000000000000000000000000', 'hex'));
      expect(await raw.errno('Tclunk', { fid })).toBe(errno.EOPNOTSUPP);
      const node = { name: 'dev', mode: 0o020666, major: 1, minor: 3, gid: 0 };
      expect(await raw.errno('Tmknod', { dfid: 0, ...node })).toBe(errno.EPERM);
      expect(await raw.errno('Tmknod', { dfid: 0, ...node, name: 'fifo', mode: 0o010666 })).toBe(0);
      raw.transport.close();
    },
  );
});

describe('squash', () => {
  test.runIf(asRoot)('everybody is that user, with that group and no other', async () => {
    const { address } = await serveHost({ kind: 'squash', uid: NOBODY, gid: 4242 }, ways['TCP over IPv4']!.listen());
    fs.writeFileSync(at('group'), '', { mode: 0o640 });
    fs.chownSync(at('group'), 0, NOBODY);
    const raw = new Raw9p(await connectSocket(address));
    await raw.version();
    await raw.attach(0, 0, '', 'root');
    await raw.create(0, 'f', { gid: 0 });
    expect(fs.statSync(at('f'))).toMatchObject({ uid: NOBODY, gid: 4242 });
    expect(await raw.errno('Tlopen', { fid: await raw.walk('group'), flags: OPEN.RDONLY })).toBe(errno.EACCES);
    raw.transport.close();
  });
});

describe('a file of who may be whom', () => {
  const uidOf = (name: string) =>
    ({ alice: 1001, bob: 1002, root: 0 })[name] ?? (/^\d+$/.test(name) ? Number(name) : undefined);
  const parse = (text: string) => parseUserMap(text, 'map', uidOf);

  test('grants what its lines say, and to those in no line nothing', () => {
    const map = parse('# who\n\nalice may-be bob, 7\n  1002   may-be *\n5 may-be 5\n');
    const may = (uid: number, wanted: number) => map.mayBe(uid, wanted);
    expect([may(1001, 1001), may(1001, 1002), may(1001, 7), may(1001, 8), may(1001, 0)]).toEqual([
      ...[true, true, true, false, false],
    ]);
    expect([may(1002, 1001), may(1002, 99), may(1002, 0)]).toEqual([true, true, false]);
    expect([may(5, 5), may(5, 6), may(6, 6)]).toEqual([true, false, false]);
  });

  test('* is whoever has no line; root is meant only where it is named', () => {
    const map = parse('* may-be alice\nbob may-be *,root');
    expect([map.mayBe(9, 9), map.mayBe(9, 1001), map.mayBe(9, 1002)]).toEqual([true, true, false]);
    expect([map.mayBe(1002, 0), map.mayBe(1002, 5)]).toEqual([true, true]);
  });

  test.each([
    ['alice bob', "map, line 1: 'alice bob'; write USER may-be USER"],
    ['alice may-be', "map, line 1: 'alice may-be'; write"],
    ['alice may-be bob bob', "map, line 1: 'bob bob'; write"],
    ['alice may-be bob,,root', "map, line 1: 'bob,,root'; write"],
    ['\ncarol may-be bob', "map, line 2: there is no user 'carol' on this machine"],
    ['alice may-be carol', "map, line 1: there is no user 'carol' on this machine"],
    ['alice may-be 5\n1001 may-be 6', 'map, line 2: 1001 has a line above'],
  ])('%j is refused', (text, says) => expect(() => parse(text)).toThrow(says));

  test.runIf(asRoot)('counts at the attach', async () => {
    const map = parseUserMap(`${NOBODY} may-be ${DAEMON}`, 'map', Number);
    const { address } = await serveHost({ kind: 'map', map }, ways['TCP over IPv4']!.listen());
    other = await OtherUser.connect(address);
    expect(await other.attach(0)).toBe(errno.EPERM);
    expect(await other.attach(DAEMON)).toBe(0);
    const making = { fid: await other.walk(), name: 'f', flags: OPEN.RDWR, mode: 0o600 };
    expect(await other.errno('Tlcreate', { ...making, gid: 0 })).toBe(errno.EPERM);
    await other.call('Tlcreate', { ...making, gid: DAEMON });
    expect(fs.statSync(at('f'))).toMatchObject({ uid: DAEMON, gid: DAEMON });
  });
});

test('where the kernel knows nobody, nobody is let in', async () => {
  const server = new Server({ tree: memoryTree(), users: { kind: 'peer' } });
  const [ours, theirs] = memoryPair();
  const done = server.serveTransport(theirs);
  const raw = new Raw9p(ours);
  await raw.version();
  await expect(raw.attach(0, 0)).rejects.toMatchObject({ ecode: errno.EPERM });
  await expect(raw.attach(0, NONUNAME)).rejects.toMatchObject({ ecode: errno.EPERM });
  raw.transport.close();
  await done;
  await server.close();
});
