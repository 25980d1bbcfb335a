// The session against a kernel that is played: exactly one reply each, buffers, late and refused replies, the end.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NodeId } from '../../../src/common/brand.ts';
import { Cursor } from '../../../src/common/cursor.ts';
import { errno } from '../../../src/common/errno.ts';
import { ConnectionError, ErrnoError } from '../../../src/common/errors.ts';
import type { Logger } from '../../../src/common/log.ts';
import type { Attr, AttrReply, Operations, RequestContext } from '../../../src/fuse/operations.ts';
import { FuseSession, type SessionOptions } from '../../../src/fuse/session.ts';
import { opcode } from '../../../src/wire/fuse/constants.ts';
import { direntOut, entryOut, initOut } from '../../../src/wire/fuse/replies.ts';
import { Kernel, rawRequest, requestBytes } from '../../support/kernel.ts';
import { ToyFs } from '../../support/toyfs.ts';

let kernel: Kernel;
let toy: ToyFs;
let session: FuseSession;
/** What was logged at warn and above. */
let complaints: string[];

const say = (_: object, message: string): void => void complaints.push(message);
const quiet = (): void => {};
const logger: Logger = {
  level: 'warn',
  error: say,
  warn: say,
  info: quiet,
  debug: quiet,
  trace: quiet,
  isLevelEnabled: () => false,
};

function start(operations: Operations = toy, options: Partial<SessionOptions> = {}): void {
  session = new FuseSession({ fd: kernel.fd, operations, device: kernel.device, logger, drainMs: 20, ...options });
  session.start();
}

/** A toy of which some methods are replaced. */
function but(some: Partial<Operations>): Operations {
  return Object.assign(toy, some);
}

interface Pending<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}
function pending<T>(): Pending<T> {
  let resolve: (value: T) => void = quiet;
  let reject: (error: unknown) => void = quiet;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
const tick = () => new Promise((resolve) => setImmediate(resolve));

const getattr = (unique: number) => requestBytes('GETATTR', { getattrFlags: 0, fh: 0 }, { unique });
const lookup = (unique: number, name: string) => requestBytes('LOOKUP', { name }, { unique });
const read = (unique: number, size = 100) =>
  requestBytes('READ', { fh: 1, offset: 0, size, readFlags: 0, flags: 0 }, { unique });
const write = (unique: number, data: Uint8Array) =>
  requestBytes(
    'WRITE',
    { fh: 1, offset: 0, size: data.length, writeFlags: 0, lockOwner: 0n, flags: 0, data },
    { unique, nodeid: 5 },
  );

beforeEach(() => {
  kernel = new Kernel();
  toy = new ToyFs();
  complaints = [];
});

afterEach(async () => {
  await session.stop();
  expect(session.stats).toMatchObject({ inFlight: 0, slabsLent: 0 });
});

describe('INIT', () => {
  test('is answered with what was negotiated', async () => {
    start();
    kernel.init();
    const [reply] = kernel.take();
    const cursor = new Cursor(reply?.body ?? Buffer.alloc(0));
    expect(initOut.read(cursor)).toMatchObject({ major: 7, minor: 45, maxWrite: 1 << 20, maxPages: 256 });
    expect((await session.ready).flags).toContain('PARALLEL_DIROPS');
  });

  test('locks are not asked for when the file system has none', async () => {
    start(Object.assign(toy, { setlk: undefined }), { settings: { posixLocks: true } });
    kernel.init();
    expect((await session.ready).flags).not.toContain('POSIX_LOCKS');
  });

  test('of a later major is answered with ours, and the repeated one is taken', async () => {
    start();
    kernel.init(0n, 0, 8);
    expect(kernel.take()[0]?.body.readUInt32LE(0)).toBe(7);
    kernel.init();
    await expect(session.ready).resolves.toMatchObject({ minor: 45 });
  });

  test('of a kernel that is too old ends the session with the reason', async () => {
    start();
    kernel.init(0n, 30);
    expect(kernel.take()).toMatchObject([{ error: errno.EPROTO }]);
    expect(await session.done).toMatchObject({ how: 'failed', error: { code: 'ERR_CONFIG' } });
    await expect(session.ready).rejects.toThrow('7.30');
  });
});

describe('one reply each', () => {
  beforeEach(() => {
    start();
    kernel.init();
    kernel.take();
  });

  test('in the same tick for a plain value', () => {
    kernel.send(getattr(2), lookup(4, 'hang'), lookup(6, 'none'));
    expect(kernel.take().map(({ unique, error }) => [unique, error])).toEqual([
      [2, 0],
      [4, 0],
      [6, errno.ENOENT],
    ]);
  });

  test.each<[string, unknown, number]>([
    ['an errno', new ErrnoError(errno.EDQUOT), errno.EDQUOT],
    ['an errno of 511, the last the kernel takes', new ErrnoError(511), 511],
    ['an errno of 512, which would leave the caller hanging', new ErrnoError(512), errno.EIO],
    ['an errno of 0', new ErrnoError(0), errno.EIO],
    ['an errno of 2^31', new ErrnoError(2 ** 31), errno.EIO],
    ["a server's ENOSYS, which the kernel would remember", new ErrnoError(errno.ENOSYS), errno.EOPNOTSUPP],
    ['the end of the connection', new ConnectionError('gone'), errno.EIO],
    ['a mistake of ours', new TypeError('oops'), errno.EIO],
    ['no error at all', undefined, errno.EIO],
  ])('for what is thrown or rejected with: %s', async (_, thrown, expected) => {
    but({
      getattr: () => {
        throw thrown;
      },
      statfs: () => Promise.reject(thrown),
    });
    kernel.send(getattr(2), requestBytes('STATFS', {}, { unique: 4 }));
    await tick();
    expect(kernel.take()).toMatchObject([
      { unique: 2, error: expected },
      { unique: 4, error: expected },
    ]);
  });

  test('for every opcode there is, and for those there are not yet', async () => {
    const silent: number[] = [opcode.FORGET, opcode.BATCH_FORGET, opcode.INTERRUPT, opcode.NOTIFY_REPLY];
    for (let number = 1; number < 70; number++) {
      // A body of zeros is long enough for each, and has empty names.
      kernel.send(rawRequest(number, (writer) => writer.zeros(200), { unique: number * 2 }));
      await tick();
      const replies = kernel.take();
      expect(replies.map(({ unique }) => unique)).toEqual(silent.includes(number) ? [] : [number * 2]);
    }
  });

  test('ENOSYS only where it is meant', async () => {
    const remembered: number[] = [];
    for (let number = 1; number < 70; number++) {
      kernel.send(rawRequest(number, (writer) => writer.zeros(200), { unique: number * 2 }));
      await tick();
      if (kernel.take().some(({ error }) => error === errno.ENOSYS)) remembered.push(number);
    }
    const { LSEEK, FALLOCATE, COPY_FILE_RANGE, COPY_FILE_RANGE_64, BMAP, POLL, SYNCFS, TMPFILE, STATX } = opcode;
    const meant = [LSEEK, FALLOCATE, COPY_FILE_RANGE, COPY_FILE_RANGE_64, BMAP, POLL, SYNCFS, TMPFILE, STATX];
    expect(remembered).toEqual(meant.sort((a, b) => a - b));
  });

  test('the reason of a refusal is logged at debug, once for each opcode on a mount', async () => {
    const polls = (unique: number) => rawRequest(opcode.POLL, (writer) => writer.zeros(24), { unique });
    const unheard = (unique: number, number: number) => rawRequest(number, (writer) => writer.zeros(8), { unique });
    for (const mount of [1, 2]) {
      await session.stop();
      const said: [fields: unknown, message: string][] = [];
      kernel = new Kernel();
      start(toy, { logger: { ...logger, debug: (fields, message) => void said.push([fields, message]) } });
      kernel.init();
      const ioctl = { fh: 1, flags: 0, cmd: 0, arg: 0n, inSize: 0, outSize: 0, data: new Uint8Array(0) };
      kernel.send(polls(2), polls(4), requestBytes('IOCTL', ioctl, { unique: 6 }), unheard(8, 99), unheard(10, 99));
      kernel.send(unheard(12, 100), polls(14));
      kernel.init();
      const refused = said.filter(([, message]) => message.startsWith('refused: '));
      expect([mount, ...refused]).toEqual([
        mount,
        [{ unique: 2, op: 'POLL', errno: 'ENOSYS' }, 'refused: files are then always ready, as regular ones are'],
        [
          { unique: 6, op: 'IOCTL', errno: 'ENOTTY' },
          'refused: that is what programs expect of a file that has no such ioctl',
        ],
        [{ unique: 8, op: 99, errno: 'EOPNOTSUPP' }, 'refused: this driver does not know the opcode'],
        [{ unique: 12, op: 100, errno: 'EOPNOTSUPP' }, 'refused: this driver does not know the opcode'],
        [{ unique: 2, op: 'INIT', errno: 'EOPNOTSUPP' }, 'refused: the mount has begun already'],
      ]);
      const errors = kernel.take().map(({ error }) => error);
      const { ENOSYS, ENOTTY, EOPNOTSUPP } = errno;
      expect(errors).toEqual([0, ENOSYS, ENOSYS, ENOTTY, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, ENOSYS, EOPNOTSUPP]);
    }
  });

  test('what is refused is remembered for a bounded number of opcodes', async () => {
    await session.stop();
    const said: string[] = [];
    kernel = new Kernel();
    start(toy, { logger: { ...logger, debug: (_, message) => void said.push(message) } });
    kernel.init();
    for (let number = 100; number < 600; number++) kernel.send(rawRequest(number, () => {}));
    expect(said.filter((message) => message.startsWith('refused: '))).toHaveLength(256);
  });

  test('a missing xattr method is told to the kernel as ENOSYS, so that it stops asking', () => {
    Object.assign(toy, { getxattr: undefined });
    kernel.send(requestBytes('GETXATTR', { size: 0, name: 'user.x' }));
    expect(kernel.take()).toMatchObject([{ error: errno.ENOSYS }]);
  });

  test('a malformed request', () => {
    const short = getattr(4).subarray(0, 44);
    short.writeUInt32LE(44, 0);
    const lying = getattr(6);
    lying.writeUInt32LE(1000, 0);
    kernel.send(short, lying);
    expect(kernel.take()).toMatchObject([
      { unique: 4, error: errno.EIO },
      { unique: 6, error: errno.EIO },
    ]);
    expect(complaints).toHaveLength(2);
  });

  test('a name that is not UTF-8 comes whole, and a target goes back as its bytes', () => {
    const asked: string[] = [];
    but({
      lookup: (_ctx, _parent, name) => {
        asked.push(name);
        throw new ErrnoError(errno.ENOENT);
      },
      readlink: () => 'a\udcff/\udcedé',
    });
    const odd = lookup(2, 'aaaa');
    odd[41] = 0xff;
    kernel.send(odd, lookup(4, 'caf\udce9'), requestBytes('READLINK', {}, { unique: 6 }));
    expect(kernel.take()).toMatchObject([
      { unique: 2, error: errno.ENOENT },
      { unique: 4, error: errno.ENOENT },
      { unique: 6, error: 0, body: Buffer.from([0x61, 0xff, 0x2f, 0xed, 0xc3, 0xa9]) },
    ]);
    expect(asked).toEqual(['a\udcffaa', 'caf\udce9']);
  });

  test('a reply that cannot be encoded becomes EIO, and its lookup is taken back', () => {
    const forgotten: unknown[] = [];
    but({
      lookup: () => ({ nodeid: 9 as never, generation: 0, entryTtl: 0, attrTtl: 0, attr: { ino: -1n } as never }),
      forget: (...args) => forgotten.push(args),
    });
    kernel.send(lookup(2, 'x'));
    expect(kernel.take()).toMatchObject([{ error: errno.EIO }]);
    expect(forgotten).toEqual([[9, 1]]);
  });

  test('READs of many pieces are one reply, and their buffers are released once', () => {
    let released = 0;
    but({
      read: () => ({
        data: Array.from({ length: 3000 }, (_, i) => Buffer.from([i & 0xff])),
        release: () => released++,
      }),
    });
    kernel.send(read(2, 4096));
    const [reply] = kernel.take();
    expect(reply?.body).toEqual(Buffer.from(Array.from({ length: 3000 }, (_, i) => i & 0xff)));
    expect(released).toBe(1);
  });

  test('xattrs: length, value, too small a buffer', () => {
    but({ getxattr: () => Buffer.from('value') });
    const get = (size: number) => requestBytes('GETXATTR', { size, name: 'user.x' });
    kernel.send(get(0), get(5), get(4));
    const replies = kernel.take();
    expect(replies[0]?.body.readUInt32LE(0)).toBe(5);
    expect(replies[1]?.body.toString()).toBe('value');
    expect(replies[2]?.error).toBe(errno.ERANGE);
  });
});

describe('READDIRPLUS', () => {
  const readdirplus = (size: number) =>
    requestBytes('READDIRPLUS', { fh: 1, offset: 0n, size, readFlags: 0, flags: 0 }, { unique: 2 });

  test('entries are whole, within the size, and dots carry no node', () => {
    but({
      readdirplus: (_ctx, nodeid, _fh, _offset, _size, sink) => {
        const entry = { nodeid, generation: 0, entryTtl: 1, attrTtl: 1, attr: toyAttr() };
        expect(sink.add('.', 1n, 4, 1n, entry)).toBe(true);
        expect(sink.fits('x'.repeat(300))).toBe(false);
        expect(sink.add('x'.repeat(300), 1n, 8, 2n, entry)).toBe(false);
        expect(sink.add('name', 7n, 8, 2n, entry)).toBe(true);
      },
    });
    start();
    kernel.init();
    kernel.take();
    kernel.send(readdirplus(400));
    const body = kernel.take()[0]?.body ?? Buffer.alloc(0);
    expect(body.length).toBe(2 * (128 + 32));
    const cursor = new Cursor(body);
    expect(entryOut.read(cursor).nodeid).toBe(0);
    cursor.at = 160;
    expect(entryOut.read(cursor)).toMatchObject({ nodeid: 1, attrValid: 1 });
    expect(direntOut.read(cursor)).toEqual({ ino: 7n, offset: 2n, namelen: 4, type: 8 });
  });

  test('a name that is not UTF-8 takes the room of its bytes', () => {
    const name = '\udcff'.repeat(255);
    but({
      readdirplus: (_ctx, nodeid, _fh, _offset, _size, sink) => {
        const entry = { nodeid, generation: 0, entryTtl: 1, attrTtl: 1, attr: toyAttr() };
        expect([sink.fits(name), sink.fits(`${name}\udcff\udcff`)]).toEqual([true, false]);
        expect(sink.add(name, 7n, 8, 2n, entry)).toBe(true);
      },
    });
    start();
    kernel.init();
    kernel.take();
    kernel.send(readdirplus(128 + 24 + 256));
    const body = kernel.take()[0]?.body ?? Buffer.alloc(0);
    expect(body.subarray(128 + 24)).toEqual(Buffer.concat([Buffer.alloc(255, 0xff), Buffer.alloc(1)]));
    expect(body.readUInt32LE(128 + 16)).toBe(255);
  });

  test.each(['thrown', 'refused'] as const)('lookups counted by a reply that is %s are taken back', async (how) => {
    const forgotten: unknown[] = [];
    but({
      readdirplus: async (_ctx, _nodeid, _fh, _offset, _size, sink) => {
        for (const nodeid of [7, 8]) {
          const entry = { nodeid: nodeid as never, generation: 0, entryTtl: 0, attrTtl: 0, attr: toyAttr() };
          sink.add(`n${nodeid}`, 1n, 8, BigInt(nodeid), entry);
        }
        if (how === 'thrown') throw new ErrnoError(errno.EIO);
      },
      forget: (nodeid, nlookup) => forgotten.push([nodeid, nlookup]),
    });
    start();
    kernel.init();
    kernel.take();
    if (how === 'refused') kernel.refuse.push(errno.ENOENT);
    kernel.send(readdirplus(4096));
    await tick();
    expect(forgotten).toEqual([
      [7, 1],
      [8, 1],
    ]);
  });
});

function toyAttr(): Attr {
  return (toy.getattr({} as RequestContext, 1 as NodeId) as AttrReply).attr;
}

describe('buffers', () => {
  beforeEach(() => {
    start();
    kernel.init();
    kernel.take();
  });

  test.each([100, 32 * 1024, 32 * 1024 + 1, 1 << 20])(
    'the data of a WRITE of %i bytes stays until it settles',
    async (size) => {
      const kept: { data: Uint8Array; done: Pending<number> }[] = [];
      but({
        write: (_ctx, _nodeid, _fh, _offset, data) => {
          const done = pending<number>();
          kept.push({ data, done });
          return done.promise;
        },
      });
      kernel.send(
        write(2, Buffer.alloc(size, 'a')),
        write(4, Buffer.alloc(size, 'b')),
        getattr(6),
        lookup(8, 'x'.repeat(200)),
      );
      expect(session.stats.slabsLent).toBe(size > 32 * 1024 ? 2 : 0);
      expect(kept.map(({ data }) => [data.length, data[0], data.at(-1)])).toEqual([
        [size, 97, 97],
        [size, 98, 98],
      ]);
      for (const { data, done } of kept) done.resolve(data.length);
      await tick();
      expect(kernel.take().map(({ unique }) => unique)).toEqual([6, 8, 2, 4]);
      expect(session.stats.slabsLent).toBe(0);
    },
  );

  test('the device is read on while a thousand requests wait', async () => {
    const done = pending<never>();
    but({ read: () => done.promise });
    kernel.send(...Array.from({ length: 1000 }, (_, i) => read(2 + 2 * i)), getattr(5000));
    expect(kernel.take().map(({ unique }) => unique)).toEqual([5000]);
    expect(session.stats.inFlight).toBe(1000);
    expect(Math.max(...kernel.batches)).toBe(64);
    done.reject(new ErrnoError(errno.EINTR));
    await tick();
    expect(kernel.take()).toHaveLength(1000);
  });
});

describe('a reply that the kernel does not take', () => {
  beforeEach(() => {
    start();
    kernel.init();
    kernel.take();
  });

  test('ENOENT: what it gave is taken back', async () => {
    kernel.refuse.push(errno.ENOENT, errno.ENOENT, errno.ENOENT);
    const create = { flags: 0x42, mode: 0o644, umask: 0, openFlags: 0, name: 'new' };
    kernel.send(
      lookup(2, 'hang'),
      requestBytes('OPEN', { flags: 0, openFlags: 0 }, { unique: 4, nodeid: 2 }),
      requestBytes('CREATE', create, { unique: 6 }),
    );
    await tick();
    expect(kernel.take()).toEqual([]);
    expect(toy.owed).toBe(0);
    expect(toy.openFiles).toBe(0);
    expect(toy.seen.released).toBe(2);
    expect(session.stats.lateReplies).toBe(3);
    expect(complaints).toEqual([]);
  });

  test('EINVAL is our mistake: said in the log, and the caller gets EIO', async () => {
    kernel.refuse.push(errno.EINVAL);
    kernel.send(lookup(2, 'hang'));
    expect(kernel.take()).toMatchObject([{ unique: 2, error: errno.EIO }]);
    expect(toy.owed).toBe(0);
    expect(complaints).toEqual(['reply refused by the kernel']);
  });
});

describe('INTERRUPT', () => {
  const interrupt = (target: number) => requestBytes('INTERRUPT', { target }, { unique: target | 1, nodeid: 0 });

  test('of what has been answered is nothing', () => {
    start();
    kernel.init();
    kernel.take();
    kernel.send(getattr(2), interrupt(2), interrupt(2), interrupt(1000));
    expect(kernel.take()).toHaveLength(1);
    expect(session.stats.interrupts).toBe(3);
  });

  test.each(['after', 'before'] as const)(
    '%s its request aborts it once, and the answer is what the method says',
    async (order) => {
      const done = pending<never>();
      let ctx: RequestContext | undefined;
      but({
        statfs: (at) => {
          ctx = at;
          return done.promise;
        },
      });
      start(toy, { intr: 'now' });
      kernel.init();
      kernel.take();
      const request = requestBytes('STATFS', {}, { unique: 8 });
      if (order === 'after') kernel.send(request, interrupt(8), interrupt(8));
      else kernel.send(interrupt(8), request, interrupt(8));
      expect(ctx?.signal.aborted).toBe(true);
      expect(ctx?.signal.reason).toEqual({ dying: false });
      expect(kernel.take()).toEqual([]);
      done.reject(new ErrnoError(errno.EINTR));
      await tick();
      expect(kernel.take()).toMatchObject([{ unique: 8, error: errno.EINTR }]);
    },
  );

  test('intr=off leaves it running', () => {
    let ctx: RequestContext | undefined;
    but({
      statfs: (at) => {
        ctx = at;
        return new Promise(() => {});
      },
    });
    start(toy, { intr: 'off' });
    kernel.init();
    kernel.send(requestBytes('STATFS', {}, { unique: 8 }), interrupt(8));
    expect(ctx?.signal.aborted).toBe(false);
  });
});

describe('FORGET', () => {
  test('is counted, has no reply, and its failure ends nothing', () => {
    start();
    kernel.init();
    kernel.take();
    kernel.send(lookup(2, 'hang'), lookup(4, 'hang'), lookup(6, 'stream'));
    kernel.take();
    expect(toy.owed).toBe(3);
    kernel.send(
      requestBytes('FORGET', { nlookup: 2 }, { nodeid: 2 }),
      requestBytes('BATCH_FORGET', {
        list: [
          { nodeid: 3, nlookup: 1 },
          { nodeid: 99, nlookup: 1 },
        ],
      }),
      getattr(8),
    );
    expect(kernel.take()).toHaveLength(1);
    expect(toy.owed).toBe(0);
    expect(session.stats.forgotten).toBe(4);
    expect(complaints).toEqual(['forget failed']);
  });
});

describe('the end', () => {
  test.each([
    [errno.ENODEV, 'unmounted'],
    [errno.ECONNABORTED, 'aborted'],
    [errno.EBADF, 'failed'],
  ])('errno %i of the device: %s', async (number, how) => {
    let reason: unknown;
    but({
      statfs: (at) =>
        new Promise((_, reject) => {
          at.signal.addEventListener('abort', () => {
            reason = at.signal.reason;
            reject(new ErrnoError(errno.EINTR));
          });
        }),
    });
    start();
    kernel.init();
    kernel.take();
    kernel.send(requestBytes('STATFS', {}), errno.ENOENT, errno.EINTR, getattr(4), number);
    expect((await session.done).how).toBe(how);
    expect(reason).toEqual({ dying: true });
    expect(toy.seen.destroyed).toBe(1);
    expect(kernel.closed).toBe(true);
    expect(kernel.take().map(({ unique }) => unique)).toEqual([4]);
  });

  test('before INIT is told to who waits for it', async () => {
    start();
    kernel.send(errno.ENODEV);
    await expect(session.ready).rejects.toMatchObject({ errno: errno.ENODEV });
    expect(await session.done).toEqual({ how: 'unmounted' });
  });

  test('stop() answers what does not settle, refuses what comes, still closes files', async () => {
    const never = pending<never>();
    but({ statfs: () => never.promise });
    start();
    kernel.init();
    kernel.take();
    kernel.send(
      requestBytes('STATFS', {}, { unique: 2 }),
      requestBytes('OPEN', { flags: 0, openFlags: 0 }, { unique: 4, nodeid: 2 }),
    );
    kernel.take();
    const stopped = session.stop();
    const release = { fh: 1, flags: 0, releaseFlags: 0, lockOwner: 0n };
    kernel.send(getattr(6), requestBytes('RELEASE', release, { unique: 8, nodeid: 2 }));
    expect(kernel.take()).toMatchObject([
      { unique: 6, error: errno.EIO },
      { unique: 8, error: 0 },
    ]);
    expect(await stopped).toEqual({ how: 'stopped' });
    expect(kernel.take()).toMatchObject([{ unique: 2, error: errno.EIO }]);
    expect(toy.openFiles).toBe(0);
    never.reject(new Error('late'));
    await tick();
    expect(kernel.take()).toEqual([]);
    expect(session.stats.lateReplies).toBe(1);
  });

  test('a late result gives back what it holds, and undoes nothing after destroy()', async () => {
    const slow = pending<{ data: Uint8Array; release: () => void }>();
    const opening = pending<{ fh: never; flags: number }>();
    let released = 0;
    but({ read: () => slow.promise, open: () => opening.promise });
    start();
    kernel.init();
    kernel.send(read(2), requestBytes('OPEN', { flags: 0, openFlags: 0 }, { unique: 4 }));
    await session.stop();
    slow.resolve({ data: Buffer.alloc(1), release: () => released++ });
    opening.resolve({ fh: 77 as never, flags: 0 });
    await tick();
    expect(released).toBe(1);
    expect(toy.seen.released).toBe(0);
    expect(complaints).toEqual([]);
  });

  test('stop() twice, and after the end, is one end', async () => {
    start();
    kernel.init();
    const [first, second] = await Promise.all([session.stop(), session.stop()]);
    expect(first).toBe(second);
    expect(await session.stop()).toBe(first);
    expect(toy.seen.destroyed).toBe(1);
  });
});
