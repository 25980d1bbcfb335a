// The end of a mount, by whoever's hand, while processes wait in it for a server that does not answer: a daemon and a server
// of their own. Everybody is answered, what can be flushed is, the daemon ends by itself in bounded time, nothing stays
// mounted, and no process stays in a call.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { connectSocket } from '../../src/transport/socket.ts';
import { type Cli, ninefs, start, startServer } from '../support/cli.ts';
import { fusectl } from '../support/fusectl.ts';
import { Raw9p } from '../support/raw9p.ts';
import { output } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';
import { whyNoMounts } from '../support/toymount.ts';
import { until } from '../support/until.ts';
import { type Counts, countsOf, type Outcome, Victims } from '../support/victims.ts';

/** Within this a daemon has ended that was told to: far less than what a server may take for a Tflush. */
const BOUND = 30_000;
const OPTIONS = 'cache=none,flushtimeout=120';

interface Place {
  mountpoint: string;
  daemon: Cli;
  server: Cli;
  /** Begins calls, and waits until all of them are at the server. */
  wait(calls: readonly [op: string, file: string][]): Promise<Outcome[]>;
  /** What the server counts; not of a server that is stopped. */
  counts(): Promise<Map<string, Counts>>;
}

/** Whatever the kernel says to whom it takes a mount from. */
const ENDED = /^(EINTR|EIO|ENOTCONN|ECONNABORTED)$/;

async function allEnded(outcomes: readonly Outcome[]): Promise<void> {
  const left = () => outcomes.filter(({ ended }) => ended === undefined);
  await until('every call to have ended', () => left().length === 0);
  for (const { errno } of outcomes) expect(errno).toMatch(ENDED);
}

/** The Tflush of every request that came to these places has come, too. */
async function allFlushed(counts: Place['counts'], names: readonly string[]): Promise<void> {
  let unheard: string[] = [];
  await until('the server to have heard of every flush', async () => {
    const now = await counts();
    unheard = names.filter((name) => now.get(name)?.flushed !== now.get(name)?.requests);
    return unheard.length === 0;
  }).catch((error) => {
    throw new Error(`not flushed: ${unheard.join(', ')}`, { cause: error });
  });
}

function place(options: string, body: (place: Place) => Promise<void>): Promise<void> {
  return withTempDir(async (dir) => {
    const mountpoint = join(dir, 'mnt');
    await mkdir(mountpoint);
    await fusectl();
    const server = await startServer('faults:');
    const daemon = start(['mount', server.address, mountpoint, '-f', '-o', options]);
    const victims = new Victims();
    try {
      await daemon.output(/^mounted /m);
      const counts = async () => {
        const raw = new Raw9p(await connectSocket(parseAddress(server.address)));
        try {
          await raw.version();
          await raw.attach(0, 0);
          return await countsOf(raw);
        } finally {
          raw.transport.close();
        }
      };
      await body({
        mountpoint,
        daemon,
        server,
        async wait(calls) {
          const outcomes = calls.map(([op, file], id) => victims.make(id, op, join(mountpoint, file)));
          // what the daemon has not taken from the kernel yet, nobody hears of when its caller is killed
          const wanted = new Map<string, number>();
          for (const [, file] of calls) wanted.set(placeOf(file), (wanted.get(placeOf(file)) ?? 0) + 1);
          await until('every call to be at the server', async () => {
            const now = await counts();
            return [...wanted].every(([name, count]) => (now.get(name)?.requests ?? 0) >= count);
          });
          return outcomes;
        },
        counts,
      });
    } finally {
      server.process.kill('SIGCONT');
      // a daemon that is not gone yet would keep its victims
      await daemon.kill();
      await victims.end();
      await server.kill();
    }
  });
}

const CALLS: readonly [op: string, file: string][] = [
  ['read', 'FAULT'],
  ['write', 'FAULT'],
  ['stat', 'ops/FAULT/Tgetattr/file'],
  ['create', 'ops/FAULT/Tlcreate/file'],
  ['rename', 'ops/FAULT/Trenameat/file'],
  ['fsync', 'ops/FAULT/Tfsync/file'],
];

/** Where the server counts what is done to a file. */
const placeOf = (file: string): string => file.replace(/\/file$/, '');

const callsOn = (fault: string): [string, string][] => CALLS.map(([op, file]) => [op, file.replace('FAULT', fault)]);

describe.skipIf(whyNoMounts() !== undefined)('while calls wait', () => {
  test.each([
    ['hang', 'SIGTERM'],
    ['mute', 'SIGTERM'],
    ['stopped', 'SIGINT'],
  ] as const)('for a server that is %s, %s ends the daemon and all of them', (fault, signal) =>
    place(OPTIONS, async ({ wait, counts, daemon, server, mountpoint }) => {
      const waiting = await wait(callsOn(fault === 'stopped' ? 'hang' : fault));
      if (fault === 'stopped') server.process.kill('SIGSTOP');
      const { code, stderr } = await daemon.stop(signal, BOUND);
      expect(code).toBe(0);
      expect(stderr).toMatch(/is busy(, in use by .*)?: detached all the same/);
      expect(await findMount(mountpoint)).toBeUndefined();
      await allEnded(waiting);
      if (fault === 'stopped') server.process.kill('SIGCONT');
      // the server hears of each before it loses the connection, but what it hears on another may come first
      const names = callsOn(fault === 'stopped' ? 'hang' : fault).map(([, file]) => placeOf(file));
      if (fault !== 'stopped') await allFlushed(counts, names);
      const after = await counts();
      for (const name of names) expect([name, after.get(name)?.performed]).toEqual([name, 0]);
    }),
  );

  test('a second signal does not make it worse', () =>
    place(OPTIONS, async ({ wait, daemon, mountpoint }) => {
      const waiting = await wait(callsOn('mute'));
      daemon.process.kill('SIGTERM');
      await daemon.output(/detached all the same/, 'stderr');
      expect(await daemon.stop('SIGTERM', BOUND)).toMatchObject({ code: 0, signal: null });
      expect(await findMount(mountpoint)).toBeUndefined();
      await allEnded(waiting);
    }));

  test('umount is refused, umount -l detaches at once, and the last to leave ends the daemon', () =>
    place(OPTIONS, async ({ wait, daemon, mountpoint, counts }) => {
      const waiting = await wait([
        ['read', 'hang'],
        ['write', 'hang'],
      ]);
      const refused = await ninefs(['umount', mountpoint]);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(/^ninefs: .* is busy, in use by .*\n$/);
      expect(waiting.every(({ ended }) => ended === undefined)).toBe(true);
      expect(await ninefs(['umount', '-l', mountpoint])).toMatchObject({ code: 0, stderr: '' });
      expect(await findMount(mountpoint)).toBeUndefined();
      // they are served as before
      expect(waiting.every(({ ended }) => ended === undefined)).toBe(true);
      for (const { pid } of waiting) if (pid !== undefined) process.kill(pid, 'SIGKILL');
      expect(await daemon.ended(BOUND)).toMatchObject({ code: 0, signal: null });
      await until('both to be gone', () => waiting.every(({ signal }) => signal === 'SIGKILL'));
      await allFlushed(counts, ['hang']);
      expect((await counts()).get('hang')).toEqual({ requests: 2, flushed: 2, performed: 0 });
    }));

  test('a signal after umount -l ends the daemon, and those who still wait', () =>
    place(OPTIONS, async ({ wait, daemon, mountpoint }) => {
      const waiting = await wait([
        ['read', 'mute'],
        ['write', 'mute'],
      ]);
      expect(await ninefs(['umount', '-l', mountpoint])).toMatchObject({ code: 0, stderr: '' });
      expect((await daemon.stop('SIGTERM', BOUND)).code).toBe(0);
      await allEnded(waiting);
    }));

  test('a daemon that is killed leaves nobody waiting, and umount clears its mount', () =>
    place(`${OPTIONS},keepdead`, async ({ wait, daemon, mountpoint }) => {
      const waiting = await wait(callsOn('mute'));
      await daemon.kill();
      await allEnded(waiting);
      expect(await ninefs(['umount', mountpoint])).toMatchObject({ code: 0, stderr: '' });
      expect(await findMount(mountpoint)).toBeUndefined();
    }));

  test('only for pages that nobody wants any more, umount is not refused', () =>
    place('flushtimeout=120', async ({ wait, daemon, mountpoint, counts }) => {
      const [reader] = await wait([['read', 'hang']]);
      // in the background: the reader is gone at once, what was read for him stays
      process.kill(reader?.pid ?? 0, 'SIGKILL');
      await until('the reader to be gone', () => reader?.signal === 'SIGKILL');
      expect(await ninefs(['umount', mountpoint])).toMatchObject({ code: 0, stderr: '' });
      expect(await daemon.ended(BOUND)).toMatchObject({ code: 0, signal: null });
      await allFlushed(counts, ['hang']);
      expect(await output(`grep -c ' ${mountpoint} ' /proc/mounts || true`)).toBe('0\n');
    }));
});
