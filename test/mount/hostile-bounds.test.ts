// A mount whose server names numbers, or answers in pieces, of which a client could be made to have any amount under way: what
// is asked stays bounded, the daemon stays small, whoever is killed in the middle of it is gone, and the daemon ends when
// it is told to.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { within } from '../../src/common/deadline.ts';
import { Writer } from '../../src/common/writer.ts';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { direntSize, writeDirent } from '../../src/wire/p9/types.ts';
import { type HostileMount, hostileMount, type Rules } from '../support/hostilemount.ts';
import { getattr, type Scripted } from '../support/scripted.ts';
import { shell } from '../support/shell.ts';
import { until } from '../support/until.ts';

/** Milliseconds within which a killed reader is gone, and a daemon that was told to end has ended. */
const GONE = 10_000;
/** Bytes; a daemon has some 90 MiB before it does anything. */
const SMALL = 250 * 1024 * 1024;
/** Bytes that the server's files have, and pages of them. */
const SIZE = 100_000;
const PAGES = Math.ceil(SIZE / 4096);

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;

/** A process that may have to be killed, with its end. */
function run(command: string, ...args: string[]): { child: ChildProcess; ended: Promise<NodeJS.Signals | null> } {
  const child = spawn(command, args, { stdio: 'ignore', cwd: '/' });
  return { child, ended: once(child, 'exit').then(([, signal]) => signal as NodeJS.Signals | null) };
}

const late = (what: string) => (): never => {
  throw new Error(`${what}: not within ${GONE} ms`);
};

/** It is gone when it is killed, and the daemon when it is told to end. */
async function canBeEnded(
  { daemon, mountpoint, memory }: HostileMount,
  begin: () => Promise<ReturnType<typeof run>>,
): Promise<void> {
  const { child, ended } = await begin();
  expect(await memory()).toBeLessThan(SMALL);
  child.kill('SIGKILL');
  expect(await within(ended, GONE, late('the killed process'))).toBe('SIGKILL');
  const other = await begin();
  const { code } = await daemon.stop('SIGTERM', GONE);
  expect(code).toBe(0);
  expect(await findMount(mountpoint)).toBeUndefined();
  await within(other.ended, GONE, late('who read from it'));
}

/** Answers each Tread with as much as `some` says, and leaves none unanswered. */
function reads(some: (count: number) => number): Rules {
  return {
    Tread: ({ tag, offset, count }, server) => {
      const left = Math.max(0, SIZE - offset);
      server.reply(tag, 'Rread', { data: Buffer.alloc(Math.min(left, some(Math.min(count, left))), 'x') });
      return true;
    },
  };
}

const dd = (mountpoint: string, ...args: string[]) =>
  run('dd', `if=${join(mountpoint, 'file')}`, 'status=none', ...args);

describe.skipIf(!able)('a server that', () => {
  test.each([
    ['answers flushes', true],
    ['answers nothing', false],
  ])('names an iounit of 1, and %s: a read is a bounded number of requests, and can be ended', (_what, flushes) =>
    hostileMount({}, async (mount) => {
      const { mountpoint, got } = mount;
      const rules: Rules = {
        Tlopen: ({ tag }, server) => {
          server.reply(tag, 'Rlopen', { qid: { type: 0, version: 0, path: 2n }, iounit: 1 });
          return true;
        },
        Tread: () => true,
        Tflush: () => !flushes,
      };
      mount.answer(rules);
      let before = 0;
      await canBeEnded(mount, async () => {
        const reader = dd(mountpoint, 'bs=128k', 'count=1');
        await until('it to have been asked for', () => got('Tread').length >= before + PAGES);
        // others are served meanwhile, and nothing more of it has come before them
        const { client } = await mount.stats();
        expect(client).toMatchObject({ queued: 0, chunks: { inFlight: PAGES, waiting: 0 } });
        expect((await shell(`stat ${mountpoint}/other`)).code).toBe(0);
        before += PAGES;
        expect(got('Tread').length).toBe(before);
        return reader;
      });
    }),
  );

  test('agrees to messages of 4096 bytes is asked for the 258 of a mebibyte 64 at a time, and can be ended', () =>
    hostileMount({ msize: 4096 }, async (mount) => {
      const { mountpoint, got } = mount;
      mount.answer({
        Tgetattr: ({ tag, fid }, server) => {
          if (fid === 1) return false;
          server.reply(tag, 'Rgetattr', { ...getattr, qid: { type: 0, version: 0, path: 2n }, size: 2 ** 30 });
          return true;
        },
        Tread: () => true,
      });
      let before = 0;
      await canBeEnded(mount, async () => {
        const reader = dd(mountpoint, 'bs=1M', 'count=1');
        await until('it to have been asked for', () => got('Tread').length >= before + 64);
        expect((await mount.stats()).client).toMatchObject({ queued: 0, chunks: { inFlight: 64, waiting: 0 } });
        before += 64;
        expect(got('Tread').length).toBe(before);
        return reader;
      });
    }));

  test('refuses to read or write more than one byte at once is asked for single ones, some at a time', () =>
    hostileMount({}, async (mount) => {
      const { mountpoint, got, files } = mount;
      let most = 0;
      mount.answer({
        Tlopen: ({ tag }, server) => {
          server.reply(tag, 'Rlopen', { qid: { type: 0, version: 0, path: 2n }, iounit: 1 });
          return true;
        },
        Tread: (message, server) => {
          if (message.count > 1) files.refuse(message, 90);
          else reads((count) => count).Tread?.(message, server);
          return true;
        },
        Twrite: (message, server) => {
          if (message.data.length > 1) files.refuse(message, 90);
          else server.reply(message.tag, 'Rwrite', { count: 1 });
          return true;
        },
      });
      const copied =
        await shell(`dd if=${mountpoint}/file bs=3000 count=1 iflag=fullblock status=none | tr -d x | wc -c; \
        head -c 3000 /dev/zero | dd of=${mountpoint}/file conv=notrunc bs=3000 status=none`);
      expect(copied).toMatchObject({ code: 0, stdout: '0\n' });
      expect(got('Twrite').filter(({ data }) => data.length === 1)).toHaveLength(3000);
      await canBeEnded(mount, async () => {
        const asked = got('Tread').length;
        const reader = dd(mountpoint, 'bs=64k');
        await until('it to be under way', () => got('Tread').length > asked + 1000);
        most = Math.max(most, (await mount.stats()).client.chunks.peak);
        return reader;
      });
      expect(most).toBeLessThanOrEqual(64);
    }));

  test('answers every read with one byte is asked for the next one then, and no sooner', () =>
    hostileMount({}, async (mount) => {
      const { mountpoint, got } = mount;
      let held: (() => void) | undefined;
      mount.answer({
        Tread: (message, server) => {
          if (held !== undefined) throw new Error('two at once');
          held = () => {
            held = undefined;
            reads(() => 1).Tread?.(message, server);
          };
          setImmediate(() => held?.());
          return true;
        },
        Tflush: () => {
          held = undefined;
          return false;
        },
      });
      const part = await shell(
        `dd if=${mountpoint}/file bs=2000 count=1 iflag=fullblock status=none | tr -d x | wc -c`,
      );
      expect(part).toMatchObject({ code: 0, stdout: '0\n' });
      expect(got('Tread')).toHaveLength(2000);
      await canBeEnded(mount, async () => {
        const asked = got('Tread').length;
        const reader = dd(mountpoint, 'bs=100000', 'count=1');
        await until('it to be under way', () => got('Tread').length > asked + 100);
        return reader;
      });
    }));

  test('takes one byte of every write is given the next ones then, and no sooner', () =>
    hostileMount({}, async (mount) => {
      const { mountpoint, got } = mount;
      mount.answer({
        Twrite: ({ tag }, server) => {
          server.reply(tag, 'Rwrite', { count: 1 });
          return true;
        },
      });
      const write = `dd if=/dev/zero of=${mountpoint}/file conv=notrunc status=none`;
      expect(await shell(`${write} bs=2000 count=1`)).toMatchObject({ code: 0, stderr: '' });
      expect(got('Twrite').map(({ offset, data }) => [offset, data.length])).toEqual(
        Array.from({ length: 2000 }, (_, i) => [i, 2000 - i]),
      );
      await canBeEnded(mount, async () => {
        const asked = got('Twrite').length;
        const args = ['if=/dev/zero', `of=${mountpoint}/file`, 'conv=notrunc', 'bs=1M', 'count=1'];
        const writer = run('dd', ...args, 'status=none');
        await until('it to be under way', () => got('Twrite').length > asked + 100);
        return writer;
      });
    }));

  test.each([11, 5000])('stops within a reply, %i bytes into it, keeps nobody', (bytes) =>
    hostileMount({}, async (mount) => {
      const { mountpoint, got } = mount;
      let cut = false;
      const cutReply = (server: Scripted, tag: number, length: number) => {
        const head = Buffer.alloc(11);
        head.writeUInt32LE(11 + length, 0);
        head[4] = 117;
        head.writeUInt16LE(tag, 5);
        head.writeUInt32LE(length, 7);
        server.raw(Buffer.concat([head, Buffer.alloc(bytes - 11)]));
      };
      mount.answer({
        Tread: ({ tag, count }, server) => {
          if (!cut) cutReply(server, tag, count);
          cut = true;
          return true;
        },
        Tflush: () => true,
      });
      await canBeEnded(mount, async () => {
        const asked = got('Tread').length;
        const reader = dd(mountpoint, 'bs=64k', 'count=1');
        await until('it to have been asked for', () => got('Tread').length > asked || cut);
        return reader;
      });
    }),
  );

  test('lists names without end is listed for as long as somebody wants them', () =>
    hostileMount({}, async (mount) => {
      const { mountpoint, got } = mount;
      mount.answer({
        Treaddir: ({ tag, offset, count }, server) => {
          const name = 'n'.repeat(200);
          const out = Writer.sized(count);
          for (let next = offset + 1n; out.left >= direntSize(name); next++) {
            writeDirent(out, { qid: { type: 0, version: 0, path: next + 10n }, offset: next, type: 8, name });
          }
          server.reply(tag, 'Rreaddir', { data: out.bytes.subarray(0, out.at) });
          return true;
        },
      });
      await canBeEnded(mount, async () => {
        const asked = got('Treaddir').length;
        const lister = run('ls', '-f', join(mountpoint, 'dir'));
        await until('it to be under way', () => got('Treaddir').length > asked + 100);
        return lister;
      });
    }));

  test('names the largest numbers that there are has them shown, and programs go on', () =>
    hostileMount({}, async (mount) => {
      const most = Number.MAX_SAFE_INTEGER;
      const times = { atime: most, mtime: most, ctime: most, atimeNsec: most, mtimeNsec: most, ctimeNsec: most };
      mount.answer({
        Tgetattr: ({ tag, fid }, server) => {
          if (fid === 1) return false;
          const sizes = { size: most, blocks: most, blksize: 2 ** 31, nlink: most, rdev: most };
          server.reply(tag, 'Rgetattr', { ...getattr, qid: { type: 0, version: 0, path: 2n }, ...sizes, ...times });
          return true;
        },
        Tstatfs: ({ tag }, server) => {
          const space = { blocks: most, bfree: most, bavail: most, files: most, ffree: most };
          const rest = { fsType: 0xffffffff, bsize: 0xffffffff, fsid: 2n ** 64n - 1n, namelen: 0xffffffff };
          server.reply(tag, 'Rstatfs', { ...space, ...rest });
          return true;
        },
      });
      const { mountpoint } = mount;
      expect((await shell(`stat -c '%s %h %o' ${mountpoint}/file`)).stdout).toBe(`${most} 4294967295 4096\n`);
      expect((await shell(`stat -f -c '%s %S %l' ${mountpoint}`)).stdout).toBe('4096 4096 255\n');
      expect((await shell(`df -B1 --output=size ${mountpoint} | tail -n 1`)).stdout.trim()).toBe(
        `${2n ** 63n - 4096n}`,
      );
      expect((await shell(`ls -l ${mountpoint}/file`)).code).toBe(0);
      expect((await shell(`head -c 100000 ${mountpoint}/file | wc -c`)).stdout).toBe('100000\n');
      expect(await mount.memory()).toBeLessThan(SMALL);
      await mount.daemon.stop('SIGTERM', GONE);
    }));
});
