// What only the host tree promises: the directory is not left, whatever others do to it meanwhile; read-only; names and
// locks of the machine.

import { execFile, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errno } from '../../../src/common/errno.ts';
import { decodeText, encodeText } from '../../../src/common/text.ts';
import { hostTree } from '../../../src/server/server.ts';
import { syscalls } from '../../../src/server/trees/host/syscalls.ts';
import { OPEN, SETATTR } from '../../../src/wire/p9/constants.ts';
import type { Raw9p } from '../../support/raw9p.ts';
import { openBelow, type Served, serveAny, serveTree } from '../../support/served.ts';
import { makeTempDir, removeTempDir } from '../../support/tempdir.ts';

const run = promisify(execFile);
let served: Served;
let raw: Raw9p;
let dir: string;
let outside: string;

beforeEach(async () => {
  outside = await makeTempDir('outside');
  served = await serveTree('host');
  dir = served.directory!;
  raw = await served.connect();
  fs.writeFileSync(join(outside, 'secret'), 'secret');
});

afterEach(async () => {
  await served.end();
  await removeTempDir(outside);
});

const walkErrno = (fid: number, ...names: string[]) => raw.errno('Twalk', { fid, newfid: raw.fid(), names });

describe('the directory is not left', () => {
  test('through a symbolic link, absolute or relative, as a step or at the end', async () => {
    fs.symlinkSync(outside, join(dir, 'abs'));
    fs.symlinkSync(`../${outside.split('/').at(-1)}`, join(dir, 'rel'));
    fs.symlinkSync(join(outside, 'secret'), join(dir, 'file'));
    for (const name of ['abs', 'rel']) {
      const fid = await raw.walk(name);
      expect((await raw.getattr(fid)).mode & 0o170000).toBe(0o120000);
      expect(await walkErrno(fid, 'secret')).toBe(errno.ENOTDIR);
      expect(await raw.errno('Tlopen', { fid, flags: 0 })).toBe(errno.ELOOP);
    }
    const file = await raw.walk('file');
    expect(await raw.errno('Tlopen', { fid: file, flags: OPEN.WRONLY | OPEN.TRUNC })).toBe(errno.ELOOP);
    await raw.setattr(file, { valid: SETATTR.MTIME | SETATTR.MTIME_SET, mtime: 5 });
    await expect(raw.setattr(file, { valid: SETATTR.SIZE, size: 0 })).rejects.toBeDefined();
    await expect(raw.setattr(file, { valid: SETATTR.MODE, mode: 0 })).rejects.toBeDefined();
    expect(
      await raw.errno('Tlcreate', {
        fid: await raw.walk(''),
        name: 'file',
        flags: OPEN.RDWR | OPEN.TRUNC,
        mode: 0o600,
        gid: 0,
      }),
    ).toBe(errno.ELOOP);
    const secret = fs.statSync(join(outside, 'secret'));
    expect(secret.size).toBe(6);
    expect(secret.mode & 0o777).not.toBe(0);
    expect(secret.mtimeMs).not.toBe(5000);
  });

  test('by .. from a directory that was moved away', async () => {
    fs.mkdirSync(join(dir, 'a/b'), { recursive: true });
    const deep = await raw.walk('a/b');
    const a = await raw.walk('a');
    fs.renameSync(join(dir, 'a'), join(outside, 'a'));
    expect(await walkErrno(deep, '..')).toBe(errno.ENOENT);
    expect(await walkErrno(a, '..')).toBe(errno.ENOENT);
    expect(await walkErrno(deep, '..', '..', 'secret')).toBe(errno.ENOENT);
    fs.renameSync(join(outside, 'a'), join(dir, 'a'));
    expect(await walkErrno(deep, '..', '..', '..')).toBe(0);
  });

  test('while a directory is exchanged with a link under a walk', async () => {
    fs.mkdirSync(join(dir, 'd'));
    fs.writeFileSync(join(dir, 'd/secret'), 'public');
    fs.symlinkSync(outside, join(dir, 'l'));
    const swap = spawn('sh', ['-c', `cd ${dir} && while :; do mv -T d x && mv -T l d && mv -T d l && mv -T x d; done`]);
    try {
      for (let i = 0; i < 500; i++) {
        const fid = raw.fid();
        const reply = await raw.reply(raw.send('Twalk', { fid: 0, newfid: fid, names: ['d', 'secret'] }));
        if (reply.type !== 'Rwalk' || reply.qids.length < 2) continue;
        await raw.call('Tlopen', { fid, flags: 0 });
        expect((await raw.read(fid)).toString()).toBe('public');
        await raw.clunk(fid);
      }
    } finally {
      const ended = new Promise((resolve) => swap.on('exit', resolve));
      swap.kill('SIGKILL');
      await ended;
    }
  });

  test('a listing does not tell what lies above', async () => {
    const entries = await raw.list(await raw.open(''));
    const byName = new Map(entries.map((entry) => [entry.name, entry.qid.path]));
    expect(byName.get('..')).toBe(byName.get('.'));
  });
});

test('devices, FIFOs and sockets are shown and never opened', async () => {
  await run('mkfifo', [join(dir, 'p')]);
  const listener = createServer().listen(join(dir, 's'));
  await new Promise((resolve) => listener.on('listening', resolve));
  for (const [name, type] of [
    ['p', 0o010000],
    ['s', 0o140000],
  ] as const) {
    const fid = await raw.walk(name);
    expect((await raw.getattr(fid)).mode & 0o170000).toBe(type);
    for (const flags of [OPEN.RDONLY, OPEN.WRONLY]) expect(await raw.errno('Tlopen', { fid, flags })).toBe(errno.ENXIO);
  }
  await new Promise((resolve) => listener.close(resolve));
});

test('the attributes are those that the machine shows, and ino is its ino', async () => {
  fs.writeFileSync(join(dir, 'f'), 'text');
  const stat = fs.statSync(join(dir, 'f'), { bigint: true });
  const attr = await raw.getattr(await raw.walk('f'));
  const times = (sec: number, nsec: number) => BigInt(sec) * 1_000_000_000n + BigInt(nsec);
  expect(attr.qid.path).toBe(stat.ino);
  expect(BigInt(attr.size)).toBe(stat.size);
  expect(BigInt(attr.blocks)).toBe(stat.blocks);
  expect(BigInt(attr.mode)).toBe(stat.mode);
  expect(BigInt(attr.uid)).toBe(stat.uid);
  expect(times(attr.mtime, attr.mtimeNsec)).toBe(stat.mtimeNs);
  expect(times(attr.ctime, attr.ctimeNsec)).toBe(stat.ctimeNs);
  expect(times(attr.btime, attr.btimeNsec)).toBe(stat.birthtimeNs);
});

test('what others change is seen, under a new version', async () => {
  fs.writeFileSync(join(dir, 'f'), 'text');
  const fid = await raw.open('f');
  const before = await raw.getattr(fid);
  fs.writeFileSync(join(dir, 'f'), 'longer text');
  const after = await raw.getattr(fid);
  expect(after.size).toBe(11);
  expect(after.qid.version).not.toBe(before.qid.version);
  expect((await raw.read(fid)).toString()).toBe('longer text');
  fs.rmSync(join(dir, 'f'));
  expect((await raw.getattr(fid)).nlink).toBe(0);
  fs.writeFileSync(join(dir, 'f'), 'another');
  expect(await raw.errno('Trename', { fid, dfid: 0, name: 'g' })).toBe(errno.ENOENT);
});

test('names that the machine has in any bytes are listed, and found by what the listing says', async () => {
  for (let i = 0; i < 100; i++) fs.writeFileSync(join(dir, `f${i}`), '');
  const odd = [Buffer.from([0x66, 0xff, 0xfe]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('ünïcödé ☃')];
  for (const name of odd) fs.writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), name]), name);
  for (const count of [300, 65536]) {
    const names = (await raw.list(await raw.open(''), count)).map(({ name }) => name);
    expect(names.length).toBe(105);
    expect(names).toEqual(expect.arrayContaining(odd.map(decodeText)));
  }
  for (const name of odd) expect(await raw.read(await raw.open(decodeText(name)))).toEqual(name);
});

test('the machine is given the very bytes, and gives them back', async () => {
  // a target may be anything that ends before NUL
  const anyTarget = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    fc
      .array(fc.constantFrom('a', 'é', '€', '😀', '\udc80', '\udcff', '\udcc3', '\udcf0'), { minLength: 1 })
      .map((parts) => new Uint8Array(encodeText(parts.join('')))),
  );
  let count = 0;
  await fc.assert(
    fc.asyncProperty(anyTarget, async (bytes) => {
      const target = Buffer.from(bytes.map((byte) => byte || 1));
      const name = `l${count++}`;
      await raw.call('Tsymlink', { dfid: 0, name, target: decodeText(target), gid: 0 });
      expect(fs.readlinkSync(join(dir, name), { encoding: 'buffer' })).toEqual(target);
      const fid = await raw.walk(name);
      expect((await raw.call('Treadlink', { fid })).target).toBe(decodeText(target));
      await raw.clunk(fid);
    }),
    { numRuns: 300 },
  );
});

test('a string for which there are no bytes reaches no system call', () => {
  const sys = syscalls();
  const fd = sys.root(dir);
  try {
    for (const name of ['\ud800', 'a\udc7f', '\udd00b', '\ud83d\ud83d\ude00']) {
      expect(sys.mkdirat(fd, name, 0o755)).toBe(-errno.EILSEQ);
      expect(sys.symlinkat(name, fd, 'l')).toBe(-errno.EILSEQ);
      expect(sys.renameat(fd, 'a', fd, name)).toBe(-errno.EILSEQ);
    }
    for (const name of ['\udcff/', 'a\0b', 7 as never]) expect(() => sys.mkdirat(fd, name, 0o755)).toThrow(TypeError);
    for (const name of ['\udcff'.repeat(4095), '\udcff'.repeat(10_000), `${'x'.repeat(4102)}😀`, '😀'.repeat(5000)]) {
      expect(sys.mkdirat(fd, name, 0o755)).toBe(-errno.ENAMETOOLONG);
    }
  } finally {
    sys.close(fd);
  }
  expect(fs.readdirSync(dir)).toEqual([]);
});

test('a name too long for the machine is refused, and never taken for the shorter one it begins with', async () => {
  const root = await raw.walk('');
  for (const length of [252, 253, 254, 255]) {
    const short = 'a'.repeat(length);
    fs.writeFileSync(join(dir, short), '');
    for (const more of ['☃', '😀', '😀😀', 'b'.repeat(5000)].filter((tail) => length + Buffer.byteLength(tail) > 255)) {
      const name = short + more;
      expect(await walkErrno(root, name)).toBe(errno.ENAMETOOLONG);
      expect(await raw.errno('Tunlinkat', { dirfid: root, name, flags: 0 })).toBe(errno.ENAMETOOLONG);
      expect(await raw.errno('Tmkdir', { dfid: root, name, mode: 0o700, gid: 0 })).toBe(errno.ENAMETOOLONG);
    }
  }
  expect(fs.readdirSync(dir).length).toBe(4);
});

test('what somebody else makes and removes meanwhile is opened or made, and never missing', async () => {
  const loop = `import os
while True:
    try:
        os.close(os.open(${JSON.stringify(join(dir, 'f'))}, os.O_CREAT | os.O_WRONLY))
        os.unlink(${JSON.stringify(join(dir, 'f'))})
    except FileNotFoundError:
        pass
`;
  const other = spawn('python3', ['-c', loop]);
  const ended = new Promise((resolve) => other.on('exit', resolve));
  try {
    for (let i = 0; i < 2000; i++) {
      const fid = await raw.create(0, 'f', { flags: OPEN.RDWR });
      await raw.write(fid, Buffer.from('x'));
      await raw.clunk(fid);
    }
  } finally {
    other.kill('SIGKILL');
    await ended;
  }
});

test('read-only refuses every change and shows everything', async () => {
  const locked = await serveTree('host', { readOnly: true });
  try {
    fs.writeFileSync(join(locked.directory!, 'f'), 'text');
    fs.mkdirSync(join(locked.directory!, 'd'));
    const ro = await locked.connect();
    const fid = await ro.walk('f');
    const none = { mode: 0, uid: 0, gid: 0, size: 0, atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0 };
    const refused = [
      ro.errno('Tlopen', { fid, flags: OPEN.WRONLY }),
      ro.errno('Tlopen', { fid, flags: OPEN.RDONLY | OPEN.TRUNC }),
      ro.errno('Tlcreate', { fid: await ro.walk(''), name: 'g', flags: OPEN.RDWR, mode: 0o600, gid: 0 }),
      ro.errno('Tlcreate', { fid: await ro.walk(''), name: 'f', flags: OPEN.RDWR, mode: 0o600, gid: 0 }),
      ro.errno('Tmkdir', { dfid: 0, name: 'x', mode: 0o700, gid: 0 }),
      ro.errno('Tsymlink', { dfid: 0, name: 'x', target: 'f', gid: 0 }),
      ro.errno('Tmknod', { dfid: 0, name: 'x', mode: 0o010600, major: 0, minor: 0, gid: 0 }),
      ro.errno('Tlink', { dfid: 0, fid, name: 'x' }),
      ro.errno('Tunlinkat', { dirfid: 0, name: 'f', flags: 0 }),
      ro.errno('Trenameat', { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'g' }),
      ro.errno('Trename', { fid, dfid: 0, name: 'g' }),
      ro.errno('Tsetattr', { fid, valid: SETATTR.MODE, ...none }),
      ro.errno('Tremove', { fid: await ro.walk('d') }),
    ];
    expect(await Promise.all(refused)).toEqual(refused.map(() => errno.EROFS));
    const set = await ro.walk('f');
    await ro.call('Txattrcreate', { fid: set, name: 'user.a', size: 0, flags: 1 });
    expect(await ro.errno('Tclunk', { fid: set })).toBe(errno.EROFS);
    expect((await ro.read(await ro.open('f'))).toString()).toBe('text');
    expect((await ro.read(await ro.create(0, 'f', { flags: OPEN.RDONLY }))).toString()).toBe('text');
  } finally {
    await locked.end();
  }
});

describe('with fewer descriptors than files', () => {
  const LIMIT = 16;
  let tree: ReturnType<typeof hostTree>;
  let few: ReturnType<typeof serveAny>;
  let client: Raw9p;

  beforeEach(async () => {
    tree = hostTree(dir, { descriptors: LIMIT });
    few = serveAny(tree);
    client = await few.connect();
  });

  afterEach(async () => {
    await few.end(() => expect(tree).toMatchObject({ nodes: 1, descriptors: 1 }));
  });

  /** Fids of 200 files in 20 directories, each holding its index. */
  async function fill(): Promise<number[]> {
    const fids: number[] = [];
    for (let i = 0; i < 200; i++) {
      fs.mkdirSync(join(dir, `d${i % 20}`), { recursive: true });
      fs.writeFileSync(join(dir, `d${i % 20}/f${i}`), `${i}`);
      fids.push(await client.walk(`d${i % 20}/f${i}`));
    }
    return fids;
  }

  async function contentOf(fid: number): Promise<string> {
    const open = await client.walk('', fid);
    await client.call('Tlopen', { fid: open, flags: 0 });
    const text = (await client.read(open)).toString();
    await client.clunk(open);
    return text;
  }

  test('every fid goes on meaning its file', async () => {
    const fids = await fill();
    expect(tree.nodes).toBe(221);
    for (const order of [fids, [...fids].reverse()]) {
      for (const fid of order) {
        expect(await contentOf(fid)).toBe(`${fids.indexOf(fid)}`);
        expect(tree.descriptors).toBeLessThan(LIMIT + 8);
      }
    }
  });

  test('what this server renames, replaces and removes is kept', async () => {
    const fids = await fill();
    const at = async (i: number) => client.walk(`d${i}`);
    await client.call('Trenameat', { olddirfid: await at(0), oldname: 'f0', newdirfid: await at(1), newname: 'f1' });
    await client.call('Trenameat', { olddirfid: 0, oldname: 'd2', newdirfid: await at(3), newname: 'moved' });
    await client.call('Tunlinkat', { dirfid: await at(4), name: 'f4', flags: 0 });
    for (const fid of fids.slice(5)) await client.getattr(fid);
    expect(await contentOf(fids[0]!)).toBe('0');
    expect(await contentOf(fids[2]!)).toBe('2');
    expect(await contentOf(fids[22]!)).toBe('22');
    for (const gone of [1, 4]) {
      expect((await client.getattr(fids[gone]!)).nlink).toBe(0);
      expect(await contentOf(fids[gone]!)).toBe(`${gone}`);
    }
  });

  test('what others rename or replace is stale, and never another file', async () => {
    const fids = await fill();
    for (let i = 0; i < 20; i++) {
      fs.renameSync(join(dir, `d${i}/f${i}`), join(dir, `other${i}`));
      fs.writeFileSync(join(dir, `d${i}/f${i}`), 'another');
      fs.rmSync(join(dir, `d${i}/f${i + 20}`));
      fs.writeFileSync(join(dir, `d${i}/f${i + 20}`), 'another');
    }
    let stale = 0;
    for (const fid of fids.slice(0, 40)) {
      const index = fids.indexOf(fid);
      const text = await contentOf(fid).catch((error) => error.ecode as number);
      expect([errno.ESTALE, `${index}`]).toContain(text);
      if (text === errno.ESTALE) stale++;
    }
    expect(stale).toBeGreaterThan(0);
    expect(await contentOf(await client.walk('d0/f0'))).toBe('another');
    expect(await contentOf(await client.walk('other0'))).toBe('0');
  });

  test('an open file stays open, whoever removes it', async () => {
    const fids = await fill();
    await client.call('Tlopen', { fid: fids[0]!, flags: OPEN.RDWR });
    for (const fid of fids.slice(1)) await client.getattr(fid);
    fs.rmSync(join(dir, 'd0/f0'));
    expect((await client.getattr(fids[0]!)).nlink).toBe(0);
    await client.setattr(fids[0]!, { valid: SETATTR.SIZE, size: 5 });
    expect((await client.read(fids[0]!)).toString('latin1')).toBe('0\0\0\0\0');
  });
});

test('locks meet those of the machine', async () => {
  fs.writeFileSync(join(dir, 'f'), 'x');
  const holder = spawn('python3', [
    '-c',
    `import fcntl, sys
f = open(${JSON.stringify(join(dir, 'f'))}, 'r+')
fcntl.lockf(f, fcntl.LOCK_EX, 10, 5)
print('held', flush=True)
sys.stdin.readline()
`,
  ]);
  try {
    await new Promise((resolve, reject) => {
      holder.stdout.once('data', resolve);
      holder.once('exit', reject);
    });
    const fid = await raw.open('f', OPEN.RDWR);
    const base = { fid, kind: 1, flags: 0, procId: 1, clientId: 'c' };
    expect((await raw.call('Tlock', { ...base, start: 0n, length: 6n })).status).toBe(1);
    expect((await raw.call('Tlock', { ...base, start: 0n, length: 5n })).status).toBe(0);
    const found = await raw.call('Tgetlock', { fid, kind: 1, start: 0n, length: 0n, procId: 1, clientId: 'c' });
    expect(found).toMatchObject({ kind: 1, start: 5n, length: 10n, clientId: 'host', procId: holder.pid });
    const tried = run('python3', [
      '-c',
      `import fcntl; fcntl.lockf(open(${JSON.stringify(join(dir, 'f'))}, 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0)`,
    ]);
    await expect(tried).rejects.toThrow();
    await raw.clunk(fid);
    await run('python3', [
      '-c',
      `import fcntl; fcntl.lockf(open(${JSON.stringify(join(dir, 'f'))}, 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0)`,
    ]);
  } finally {
    const ended = new Promise((resolve) => holder.on('exit', resolve));
    holder.stdin.end('\n');
    await ended;
  }
});

test.runIf(process.geteuid?.() === 0)('a large write by another than root clears setuid as well', async () => {
  fs.writeFileSync(join(dir, 'f'), '');
  fs.chmodSync(join(dir, 'f'), 0o6777);
  fs.chmodSync(dir, 0o755);
  const alice = await served.connect({ uid: 4001, msize: 1024 * 1024 });
  const fid = await alice.open('f', OPEN.RDWR);
  const data = Buffer.alloc(500_000, 7);
  expect(await alice.write(fid, data)).toBe(data.length);
  expect((await alice.getattr(fid)).mode).toBe(0o100777);
  expect((await alice.read(fid, 0, 1_000_000)).equals(data)).toBe(true);
});

test('the process that serves is itself again after every call', async () => {
  const alice = await served.connect({ uid: 4001 });
  fs.chmodSync(dir, 0o700);
  expect(await alice.errno('Tlopen', { fid: await alice.walk(''), flags: 0 })).toBeGreaterThanOrEqual(0);
  expect(await alice.errno('Tmkdir', { dfid: 0, name: 'x', mode: 0o700, gid: 4001 })).toBeGreaterThanOrEqual(0);
  fs.mkdirSync(join(dir, 'mine'));
  expect(fs.statSync(join(dir, 'mine')).uid).toBe(process.geteuid?.());
});

describe('an open file', () => {
  test('has one descriptor, however many fids stand at it, and so has it when it is closed', async () => {
    const [nodes, files]: [number[], number[]] = [[], []];
    for (let i = 0; i < 20; i++) {
      files.push(await raw.create(0, `f${i}`));
      nodes.push(await raw.walk(`f${i}`));
      if (i % 2 === 0) continue;
      await raw.clunk(files.pop()!);
      files.push(await raw.open(`f${i}`, OPEN.RDWR));
    }
    expect(openBelow(dir)).toHaveLength(21);
    files.push(await raw.open('f0', OPEN.RDWR));
    expect(openBelow(dir)).toHaveLength(22);
    for (const fid of files) await raw.clunk(fid);
    expect(openBelow(dir)).toHaveLength(21);
    for (const fid of nodes) await raw.clunk(fid);
    expect(openBelow(dir)).toHaveLength(1);
  });

  test('and its node outlive its name, in whatever order they are closed', async () => {
    const first = await raw.create(0, 'f');
    await raw.write(first, 'text');
    const node = await raw.walk('f');
    const second = await raw.open('f');
    await raw.call('Tunlinkat', { dirfid: 0, name: 'f', flags: 0 });
    fs.writeFileSync(join(dir, 'f'), 'another');
    for (const fid of [first, second]) {
      await raw.clunk(fid);
      expect(await raw.getattr(node)).toMatchObject({ nlink: 0, size: 4 });
      await raw.setattr(node, { valid: SETATTR.MODE, mode: 0o600 });
    }
    const again = await raw.walk('', node);
    await raw.call('Tlopen', { fid: again, flags: OPEN.RDONLY });
    expect((await raw.read(again)).toString()).toBe('text');
    expect(fs.statSync(join(dir, 'f')).mode & 0o777).not.toBe(0o600);
  });

  test('of any kind serves its node in all that is asked of it', async () => {
    fs.mkdirSync(join(dir, 'd'));
    const listed = await raw.open('d');
    const below = await raw.walk('d');
    await raw.call('Tmkdir', { dfid: below, name: 'x', mode: 0o755, gid: 0 });
    await raw.call('Trenameat', { olddirfid: below, oldname: 'x', newdirfid: below, newname: 'y' });
    const file = await raw.create(below, 'f', { flags: OPEN.WRONLY, mode: 0o200 });
    const node = await raw.walk('f', below);
    await raw.call('Tlink', { dfid: below, fid: node, name: 'g' });
    await raw.setattr(node, { valid: SETATTR.SIZE | SETATTR.MODE, size: 10, mode: 0o644 });
    await raw.call('Txattrcreate', { fid: await raw.walk('', node), name: 'user.a', size: 0, flags: 1 });
    const read = await raw.open('d/g');
    expect((await raw.read(read)).length).toBe(10);
    expect(await raw.errno('Tread', { fid: file, offset: 0, count: 1 })).toBe(errno.EBADF);
    expect(await walkErrno(below, '..')).toBe(0);
    expect((await raw.list(listed)).map(({ name }) => name).sort()).toEqual(['.', '..', 'f', 'g', 'y']);
    expect((await raw.getattr(node)).nlink).toBe(2);
  });
});
