// A mount whose server says what no server may: the connection is given up (or the entry dropped), what was in flight
// and what comes after gets EIO, nothing hangs, nothing is left, the mount can be unmounted and its daemon ends.

import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Logger, silent } from '../../src/common/log.ts';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { formatAddress, parseAddress } from '../../src/transport/address.ts';
import { ninefs } from '../support/cli.ts';
import { type Exported, exported } from '../support/exported.ts';
import { connectionOf } from '../support/fuseconnection.ts';
import { mounted } from '../support/mounted.ts';
import { output, shell } from '../support/shell.ts';
import { type Tamper, type TamperProxy, tamperProxy } from '../support/tamper.ts';
import { withTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';

const Rlerror = 7;
const Rreadlink = 23;
const Rgetattr = 25;
const Rreaddir = 41;
const Rwalk = 111;
const Rread = 117;

let server: Exported;
let proxy: TamperProxy;

beforeAll(async () => {
  server = await exported('hostile', 'memory');
  // once for all: the mounts come and go, the tree stays
  const { mountpoint } = await server.mount();
  await output(`cd ${mountpoint} && mkdir list && echo content > file && ln -s file link && touch list/aaa list/bbb`);
  proxy = await tamperProxy(formatAddress(server.serving.address));
});
afterAll(async () => {
  await proxy.close();
  await server.end();
});

/** Mounts through the proxy a tree of `file`, `link` and `list/{aaa,bbb}`; `log` is what the mount has logged. */
async function through(body: (mountpoint: string, log: string[]) => Promise<void>): Promise<void> {
  await withTempDir(async (dir) => {
    proxy.tamper = undefined;
    const log: string[] = [];
    const say = (_fields: object, message: string) => void log.push(message);
    const logger: Logger = { ...silent, error: say, warn: say, info: say };
    const live = await mounted(dir, { address: parseAddress(proxy.address), cache: 'none', logger });
    try {
      await body(live.mountpoint, log);
    } finally {
      proxy.tamper = undefined;
      await live.end();
    }
    await until('the proxy has no connection left', () => proxy.connections === 0);
  });
}

/** Changes the first frame of a type, and lets everything else through. */
function once(type: number, change: Tamper): Tamper {
  let done = false;
  return (frame) => {
    if (done || frame[4] !== type) return frame;
    done = true;
    return change(frame);
  };
}

function edit(change: (copy: Buffer) => void): (frame: Buffer) => Buffer {
  return (frame) => {
    const copy = Buffer.from(frame);
    change(copy);
    return copy;
  };
}

function rlerror(frame: Buffer, number: number): Buffer {
  const reply = Buffer.alloc(11);
  reply.writeUInt32LE(11, 0);
  reply[4] = Rlerror;
  frame.copy(reply, 5, 5, 7);
  reply.writeUInt32LE(number, 7);
  return reply;
}

/** An Rreadlink whose text is these bytes. */
function target(frame: Buffer, text: Buffer): Buffer {
  const reply = Buffer.concat([frame.subarray(0, 7), Buffer.alloc(2), text]);
  reply.writeUInt32LE(reply.length, 0);
  reply.writeUInt16LE(text.length, 7);
  return reply;
}

const fatal: [name: string, tamper: () => Tamper, command: string][] = [
  [
    'a frame shorter than its header',
    () =>
      once(
        Rgetattr,
        edit((f) => f.writeUInt32LE(6, 0)),
      ),
    'stat file',
  ],
  [
    'a frame longer than msize',
    () =>
      once(
        Rgetattr,
        edit((f) => f.writeUInt32LE(0x7fffffff, 0)),
      ),
    'stat file',
  ],
  [
    'a frame of unknown type',
    () =>
      once(
        Rgetattr,
        edit((f) => f.fill(251, 4, 5)),
      ),
    'stat file',
  ],
  [
    'a T-message in answer',
    () =>
      once(
        Rgetattr,
        edit((f) => f.fill(24, 4, 5)),
      ),
    'stat file',
  ],
  [
    'a reply to another request',
    () =>
      once(
        Rgetattr,
        edit((f) => f.fill(Rwalk, 4, 5)),
      ),
    'stat file',
  ],
  [
    'a tag that is not outstanding',
    () =>
      once(
        Rgetattr,
        edit((f) => f.writeUInt16LE(777, 5)),
      ),
    'stat file',
  ],
  ['the same reply twice', () => once(Rgetattr, (f) => [f, f]), 'stat file; stat file; stat file'],
  ['more data than was asked for', () => once(Rread, (f) => bigger(f)), 'cat file'],
  [
    'a count that is not that of the data',
    () =>
      once(
        Rread,
        edit((f) => f.writeUInt32LE(3, 7)),
      ),
    'cat file',
  ],
  [
    'more qids than names',
    () =>
      once(
        Rwalk,
        edit((f) => f.writeUInt16LE(999, 7)),
      ),
    'stat list/aaa',
  ],
  ['text with a NUL', () => once(Rreadlink, (f) => target(f, Buffer.from('fi\0e'))), 'readlink link'],
  ['a listing that ends within an entry', () => once(Rreaddir, (f) => shorter(f)), 'ls list'],
];

/** An Rread that claims and holds a mebibyte. */
function bigger(frame: Buffer): Buffer {
  const reply = Buffer.alloc(11 + 2 ** 20 - 24 * 1024);
  frame.copy(reply, 0, 0, 11);
  reply.writeUInt32LE(reply.length, 0);
  reply.writeUInt32LE(reply.length - 11, 7);
  return reply;
}

/** An Rreaddir in which another name of three bytes stands for `aaa`. */
function renamed(frame: Buffer, name: Buffer): Buffer {
  const copy = Buffer.from(frame);
  const at = copy.indexOf('aaa');
  if (at > 0) copy.set(name, at);
  return copy;
}

function shorter(frame: Buffer): Buffer {
  const reply = Buffer.from(frame.subarray(0, frame.length - 2));
  reply.writeUInt32LE(reply.length, 0);
  reply.writeUInt32LE(reply.length - 11, 7);
  return reply;
}

/** Every call fails with EIO, at once, for good. */
async function isDead(mountpoint: string): Promise<void> {
  for (const command of ['stat', 'cat', 'ls', 'touch']) {
    const { code, stderr } = await shell(`${command} ${mountpoint}/file`);
    expect(code, command).not.toBe(0);
    expect(stderr, command).toContain('Input/output error');
  }
  // the kernel tells of a close when nobody waits for it any more
  const kernel = await connectionOf(mountpoint);
  await until('nothing to wait in the kernel', async () => (await kernel?.waiting()) === 0);
}

describe.skipIf(!existsSync('/dev/fuse'))('a server that sends', () => {
  test.each(fatal)('%s loses the connection, and the mount answers EIO', (_name, tamper, command) =>
    through(async (mountpoint, log) => {
      proxy.tamper = tamper();
      await shell(`cd ${mountpoint} && ${command}`);
      await isDead(mountpoint);
      await until('the log to say so', () => log.includes('connection ended'));
    }),
  );

  test.each([0, 4096, 2 ** 31])('errno %i has that one call fail, and no more', (number) =>
    through(async (mountpoint) => {
      proxy.tamper = (frame) => (frame[4] === Rgetattr ? rlerror(frame, number) : frame);
      const { code, stderr } = await shell(`stat ${mountpoint}/file`);
      expect(code).not.toBe(0);
      expect(stderr).toContain('Protocol error');
      proxy.tamper = undefined;
      expect((await shell(`cat ${mountpoint}/file`)).stdout).toBe('content\n');
    }),
  );

  test.each([1, 4, 7, 11, 100])('only %i bytes of a reply and hangs up', (count) =>
    through(async (mountpoint) => {
      proxy.tamper = (frame) => (frame[4] === Rgetattr ? { last: frame.subarray(0, count) } : frame);
      expect((await shell(`cd ${mountpoint} && stat file`)).code).not.toBe(0);
      await isDead(mountpoint);
    }),
  );

  test.each([
    ['a slash', 'a/a'],
    ['a NUL', 'a\0a'],
  ])('a name with %s in a listing has that entry dropped, and no more', (_what, name) =>
    through(async (mountpoint) => {
      proxy.tamper = (frame) => (frame[4] === Rreaddir ? renamed(frame, Buffer.from(name)) : frame);
      const { code, stdout } = await shell(`cd ${mountpoint} && ls -U list`);
      expect({ code, stdout }).toEqual({ code: 0, stdout: 'bbb\n' });
      proxy.tamper = undefined;
      expect((await shell(`cd ${mountpoint} && ls list`)).stdout).toBe('aaa\nbbb\n');
    }),
  );

  test('names and targets that are not UTF-8 has them passed on as they are', () =>
    through(async (mountpoint) => {
      const odd = Buffer.from([0xff, 0xfe, 0x61]);
      proxy.tamper = (frame) => (frame[4] === Rreaddir ? renamed(frame, odd) : frame);
      const { code, stdout } = await shell(`cd ${mountpoint} && LC_ALL=C ls -U -b list`);
      expect({ code, stdout }).toEqual({ code: 0, stdout: '\\377\\376a\nbbb\n' });
      proxy.tamper = (frame) => (frame[4] === Rreadlink ? target(frame, Buffer.from([0xc3, 0x28])) : frame);
      expect((await shell(`cd ${mountpoint} && readlink -n link | od -An -tx1`)).stdout).toBe(' c3 28\n');
    }));

  test('no reply any more has a mount in the background end all the same', () =>
    withTempDir(async (dir) => {
      const [mountpoint, log] = [join(dir, 'mnt'), join(dir, 'log')];
      await mkdir(mountpoint);
      proxy.tamper = undefined;
      const options = `cache=none,log=${log},loglevel=info`;
      expect((await ninefs(['mount', proxy.address, mountpoint, '-o', options])).stderr).toBe('');
      proxy.tamper = (frame) => ({ last: frame.subarray(0, 4) });
      // not by the cwd option: spawn would wait for the mount, and the server that it needs runs in this process
      expect((await shell(`stat ${mountpoint}/file`)).code).not.toBe(0);
      proxy.tamper = undefined;
      await isDead(mountpoint);
      const told = () => readFile(log, 'utf8');
      await until('the log to say so', async () => (await told()).includes('connection ended'));
      expect(await ninefs(['umount', mountpoint])).toMatchObject({ code: 0, stderr: '' });
      expect(await findMount(mountpoint)).toBeUndefined();
      const [first = '{}'] = (await told()).split('\n');
      const { pid } = JSON.parse(first) as { pid: number };
      await until(`the daemon ${pid} has ended`, () => !existsSync(`/proc/${pid}`));
      await until('the proxy has no connection left', () => proxy.connections === 0);
    }));
});
