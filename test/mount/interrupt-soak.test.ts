// Interrupted calls, one after the other and many at once, until thousands of requests have been flushed: what is left then
// on the mount, at the server and in the kernel is nothing, and memory does not grow. NINEFS_INTERRUPTS is how many flushes
// there have to be on the embedded server (a tenth of them on diod); scripts/soak-interrupts wants 100,000.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import { TraceProxy } from '../../src/trace/proxy.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { connectSocket, listenSocket } from '../../src/transport/socket.ts';
import { startServer } from '../support/cli.ts';
import { missingPrograms, startDiod } from '../support/debian.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { Raw9p } from '../support/raw9p.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const WANTED = Number(process.env['NINEFS_INTERRUPTS'] ?? '2000');
const PROCESSES = 16;
/** So often that no call which waits is left alone, and so seldom that most get as far as what makes them wait. */
const HZ = 100;
const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
/** Bytes by which memory may differ between the first and the last quarter without growing. */
const NOISE = 24 * 1024 * 1024;

type Calls = [op: string, path: string][];

/** Every message of the faults tree that can hang, and those that make something and answer late. */
const FAULTY: Calls = [
  ['read', 'hang'],
  ['write', 'hang'],
  ['stat', 'ops/hang/Tgetattr/file'],
  ['stat', 'ops/hang/Twalk/file'],
  ['open', 'ops/hang/Tlopen/file'],
  ['open', 'ops/late/Tlopen/file'],
  ['list', 'ops/hang/Treaddir/dir'],
  ['create', 'ops/hang/Tlcreate/new'],
  ['create', 'ops/late/Tlcreate/new'],
  ['mkdir', 'ops/hang/Tmkdir/new'],
  ['mkdir', 'ops/late/Tmkdir/new'],
  ['lock', 'ops/hang/Tlock/file'],
  ['getxattr', 'ops/hang/Txattrwalk/file'],
  ['fsync', 'ops/hang/Tfsync/file'],
  ['read', 'late'],
];
const PLAIN: Calls = [
  ['read', 'file'],
  ['write', 'other'],
  ['stat', 'file'],
  ['open', 'file'],
  ['list', '.'],
  ['create', 'new'],
  ['mkdir', 'newdir'],
  ['fsync', 'file'],
];

interface Tally {
  ok: number;
  interrupted: number;
  failed: string[];
}

async function compile(dir: string): Promise<string> {
  const program = join(dir, 'calls');
  await run('cc', [
    '-O2',
    '-Wall',
    '-Werror',
    '-o',
    program,
    join(import.meta.dirname, '../support/storm/calls.c'),
    '-lrt',
  ]);
  return program;
}

/** PROCESSES at once, each making every call `rounds` times. */
async function calls(program: string, dir: string, what: Calls, rounds: number): Promise<Tally> {
  const args = [String(rounds), String(HZ), ...what.flatMap(([op, path]) => [op, join(dir, path)])];
  const one = () => run(program, args, { cwd: '/', timeout: 600_000, killSignal: 'SIGKILL' });
  const done = await Promise.all(Array.from({ length: PROCESSES }, one));
  const tally: Tally = { ok: 0, interrupted: 0, failed: [] };
  for (const line of done.flatMap(({ stdout }) => stdout.trim().split('\n'))) {
    const [op, ok, interrupted, failed, last] = line.split(' ');
    tally.ok += Number(ok);
    tally.interrupted += Number(interrupted);
    if (failed !== '0') tally.failed.push(`${op}: ${failed} times ${last}`);
  }
  return tally;
}

/** Runs until `wanted` requests were flushed, and says what it came to. */
async function soak(live: Mounted, program: string, what: Calls, wanted: number): Promise<string> {
  const flushes = () => live.mount.stats().client.flushes;
  const rss: number[] = [];
  let [ok, interrupted] = [0, 0];
  let rounds = 2;
  const began = performance.now();
  while (flushes() < wanted) {
    const before = flushes();
    const tally = await calls(program, live.mountpoint, what, rounds);
    expect(tally.failed).toEqual([]);
    ok += tally.ok;
    interrupted += tally.interrupted;
    const came = flushes() - before;
    expect(came).toBeGreaterThan(0);
    // a twentieth of it all at a time, once it is known what a round brings
    rounds = Math.max(2, Math.min(rounds * 4, Math.ceil((rounds * wanted) / 20 / came)));
    rss.push(process.memoryUsage().rss);
  }
  const quarter = Math.ceil(rss.length / 4);
  const mean = (of: number[]) => of.reduce((sum, each) => sum + each, 0) / of.length;
  const [first, last] = [mean(rss.slice(0, quarter)), mean(rss.slice(-quarter))];
  const { client, fuse } = live.mount.stats();
  // the compiler and the heap have settled only in a longer run
  if (wanted >= 10_000) expect(last).toBeLessThan(first + NOISE);
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  return `${client.flushes} flushes (${client.cancelled} cancelled, ${client.lateReplies} late replies) of ${fuse.interrupts} interrupts in ${seconds} s; ${interrupted} calls got EINTR, ${ok} succeeded; memory ${mib(first)} in the first quarter, ${mib(last)} in the last`;
}

describe.skipIf(!able)('thousands of interrupted calls leave nothing', () => {
  it('on the embedded server', { timeout: 1_800_000 }, async ({ annotate }) => {
    const dir = await makeTempDir('soak');
    const server = await startServer('faults:');
    const address = parseAddress(server.address);
    const raw = new Raw9p(await connectSocket(address));
    try {
      await raw.version();
      await raw.attach(0, 0);
      const live = await mounted(dir, { address, intr: 'now', cache: 'none' });
      try {
        await annotate(await soak(live, await compile(dir), FAULTY, WANTED));
        await live.checkLeaks();
        const counter = async (name: string) => {
          const fid = await raw.open(`counters/${name}`);
          const text = (await raw.read(fid)).toString();
          await raw.clunk(fid);
          return text;
        };
        // the mount's root; and ours, with the file that tells
        await until('the server to hold no fid but the roots', async () => Number(await counter('fids')) === 3);
        expect(Number(await counter('tags'))).toBe(1);
      } finally {
        await live.end();
      }
    } finally {
      raw.transport.close();
      await server.kill();
      await removeTempDir(dir);
    }
  });

  const missing = missingPrograms('diod');
  it('on diod, behind a slow link', { timeout: 1_800_000 }, async ({ annotate, skip }) => {
    if (missing !== null) skip(missing);
    const dir = await makeTempDir('soak');
    const exported = join(dir, 'export');
    await mkdir(exported);
    for (const name of ['file', 'other']) await writeFile(join(exported, name), Buffer.alloc(1024 * 1024, name));
    const server = await startDiod(exported);
    const ending = new Abort();
    const proxy = new TraceProxy({
      dial: () => connectSocket(parseAddress(server.address)),
      trouble: { delay: 2 },
      tell: () => true,
      signal: ending,
    });
    const serving: Promise<void>[] = [];
    const listener = await listenSocket({ kind: 'tcp', host: '127.0.0.1', port: 0 }, (client) => {
      serving.push(proxy.accept(client));
    });
    try {
      const settings = { address: listener.address, aname: server.aname, intr: 'now', cache: 'none' } as const;
      const live = await mounted(dir, settings);
      try {
        await annotate(await soak(live, await compile(dir), PLAIN, WANTED / 10));
        await live.checkLeaks();
      } finally {
        await live.end();
      }
    } finally {
      ending.abort();
      await listener.close();
      await Promise.all(serving);
      await server.stop();
      await removeTempDir(dir);
    }
  });
});
