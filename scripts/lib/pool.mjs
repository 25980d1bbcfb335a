// The benchmark of receive memory: 64 readers of 1 MiB under caps of 8, 32 and 128 MiB, and 64 processes that are
// interrupted, or killed, while all the memory is taken. The mounts are ordinary ones; what the pool went through is in the
// line that each writes to its log when it ends. Fails when memory exceeded its cap or when somebody did not come back.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { median, say, scaled, verdict } from './figures.mjs';
import { ninefs, unmount, usage } from './peers.mjs';

const WORKLOAD = fileURLToPath(new URL('workload.py', import.meta.url));
const BLOCKED = fileURLToPath(new URL('blocked.py', import.meta.url));
/** Bound of one piece of work, seconds. */
const PATIENCE = 300;
const MIB = 1 << 20;
const CAPS = [8, 32, 128];
const READERS = 64;
/** What a process that is to be interrupted reads; it reads a stream, and streams may have room for eight. */
const PIECE = MIB / 8;
/** MiB that the process may grow beside its receive memory, under load: heap, device buffers, the collector's lag. */
const BESIDE = 64;

/** Mounts, does `work`, unmounts, and waits for the daemon's last word: { result, client } of its statistics. */
async function during(server, base, options, work) {
  const mountpoint = join(base, 'mnt');
  const log = join(base, 'log');
  mkdirSync(mountpoint, { recursive: true });
  rmSync(log, { force: true });
  const pids = server.mount(mountpoint, ['-o', `cache=none,log=${log},loglevel=debug,${options}`]);
  let result;
  try {
    result = work(mountpoint, pids);
  } finally {
    unmount(mountpoint);
  }
  const late = Date.now() + PATIENCE * 1000;
  while (pids.some((pid) => existsSync(`/proc/${pid}`))) {
    if (Date.now() > late) throw new Error(`${mountpoint}: its daemon has not ended`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const last = readFileSync(log, 'utf8')
    .split('\n')
    .find((line) => line.includes('"mount ended"'));
  if (last === undefined) throw new Error(`${log} does not say how the mount ended`);
  return { result, client: JSON.parse(last).client };
}

function python(script, ...args) {
  const { status, stdout, stderr } = spawnSync('python3', [script, ...args.map(String)], {
    encoding: 'utf8',
    input: '\n',
    timeout: PATIENCE * 1000,
  });
  if (status !== 0) throw new Error(`${script} ${args.join(' ')}: ${stderr.trim() || `no end within ${PATIENCE} s`}`);
  return JSON.parse(stdout);
}

async function reading(server, base, cap, scale) {
  const { result, client } = await during(server, base, `rxpool=${cap}m`, (mountpoint, pids) => {
    const before = usage(pids);
    const seconds = python(WORKLOAD, 'readers64', mountpoint, scale);
    const after = usage(pids);
    return { seconds, cpu: after.cpu - before.cpu, before: before.rss, rss: after.rss };
  });
  const { most, waits } = client.pool;
  say(`rxpool=${cap}m: ${result.seconds.toFixed(3)} s`);
  return { ...result, most: most / MIB, waits };
}

async function blocked(server, base, { title, intr, signal, wanted }) {
  const options = `intr=${intr},msize=${PIECE + 24},rxpool=${16 * PIECE}`;
  const { result, client } = await during(server, base, options, (mountpoint) =>
    python(BLOCKED, join(mountpoint, 'hang'), READERS, PIECE, signal),
  );
  say(`${title}: ${result.seconds.toFixed(3)} s`);
  const { pool, tags, quarantine, flushes, fids } = client;
  const left = tags + quarantine + pool.inUse + fids.quarantine;
  const ok = result.results[wanted] === READERS && left === 0 && pool.most <= pool.capacity && pool.streams.waits > 0;
  return { title, ok, ...result, waits: pool.streams.waits, most: pool.most / MIB, flushes, left };
}

const INTERRUPTS = [
  { title: 'interrupted, intr=now', intr: 'now', signal: 'SIGUSR1', wanted: 'EINTR' },
  { title: 'interrupted, intr=auto', intr: 'auto', signal: 'SIGUSR1', wanted: 'EINTR' },
  { title: 'killed, intr=auto', intr: 'auto', signal: 'SIGKILL', wanted: 'SIGKILL' },
];

function fill(file, mib) {
  const fd = openSync(file, 'w');
  const block = Buffer.alloc(MIB);
  for (let i = 0; i < mib; i++) {
    block.writeUInt32LE(i);
    writeSync(fd, block);
  }
}

async function measure({ scale, rounds }) {
  const base = mkdtempSync(join(tmpdir(), 'ninefs-bench-'));
  const peer = ninefs('ninefs');
  const readers = Object.fromEntries(CAPS.map((cap) => [cap, []]));
  const interrupts = [];
  try {
    const dir = join(base, 'export');
    mkdirSync(dir);
    fill(join(dir, 'big'), scaled(512, scale));
    const server = await peer.start(dir);
    try {
      for (let round = 0; round < rounds; round++)
        for (const cap of CAPS) readers[cap].push(await reading(server, base, cap, scale));
    } finally {
      server.stop();
    }
    const faults = await peer.start('faults:');
    try {
      for (const each of INTERRUPTS) interrupts.push(await blocked(faults, base, each));
    } finally {
      faults.stop();
    }
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
  const most = (list, key) => Math.max(...list.map((each) => each[key]));
  return {
    readers: CAPS.map((cap) => ({
      cap,
      rate: scaled(512, scale) / median(readers[cap].map(({ seconds }) => seconds)),
      cpu: median(readers[cap].map(({ cpu }) => cpu)),
      most: most(readers[cap], 'most'),
      rss: most(readers[cap], 'rss'),
      grown: Math.max(...readers[cap].map(({ before, rss }) => rss - before)),
      waits: most(readers[cap], 'waits'),
    })),
    interrupts,
  };
}

/** Settles with the exit code. */
export async function run({ scale, rounds, json }) {
  const { readers, interrupts } = await measure({ scale, rounds });
  const within = readers.map(({ cap, most, grown }) => ({ cap, ok: most <= cap && grown <= cap + BESIDE }));
  if (json) console.log(JSON.stringify({ readers, interrupts }, undefined, 2));
  else {
    const style = { head: [], border: [] };
    const memory = new Table({
      head: [`${READERS} readers of 1 MiB`, 'MiB/s', 's CPU', 'most receive memory', 'peak RSS', 'grown', 'waits'],
      style,
    });
    for (const { cap, rate, cpu, most, rss, grown, waits } of readers) {
      const mib = (n) => `${n.toFixed(0)} MiB`;
      memory.push([`rxpool=${cap}m`, rate.toFixed(0), cpu.toFixed(2), mib(most), mib(rss), mib(grown), waits]);
    }
    console.log(memory.toString());
    const back = new Table({
      head: [`${READERS} that wait, memory for 8`, 'came back with', 'all back after', 'waits', 'flushes', 'left over'],
      style,
    });
    for (const { title, results, seconds, waits, flushes, left } of interrupts) {
      const how = Object.entries(results).map(([what, count]) => `${count} ${what}`);
      back.push([title, how.join(', '), `${(seconds * 1000).toFixed(0)} ms`, waits, flushes, left]);
    }
    console.log(back.toString());
    for (const { cap, ok } of within)
      console.log(verdict(ok, `rxpool=${cap}m: receive memory never above it, resident size with it`));
    for (const { title, ok } of interrupts)
      console.log(verdict(ok, `${title}: everybody came back, nothing is left, memory within its cap`));
  }
  return [...within, ...interrupts].every(({ ok }) => ok) ? 0 : 1;
}
