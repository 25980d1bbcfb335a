// The benchmark: every peer does the same work in a directory of its own, mounted afresh for each cold piece, one after
// the other in one run, because machines differ and drift; then the targets, as ratios within this run.
// Other questions than "how fast beside others" have a file of their own: receive memory (pool.mjs), cancellation (cancel.mjs).

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { median, say, scaled, verdict } from './figures.mjs';
import { options } from './options.mjs';
import { unmount, usage } from './peers.mjs';

const WORKLOAD = fileURLToPath(new URL('workload.py', import.meta.url));
const RAW = fileURLToPath(new URL('rawclient.mjs', import.meta.url));
/** Bound of one piece of work, seconds. */
const PATIENCE = 300;

const { special, peers: asked, scale, rounds: times, json } = options();
if (special !== undefined) {
  const { run } = await import(special);
  process.exit(await run({ scale, rounds: times, json }));
}

const MIB = scaled(512, scale);
const FILES = scaled(2000, scale);
const ENTRIES = scaled(10_000, scale);
const GETATTRS = scaled(5000, scale);

/** What is measured: `cold` mounts afresh first. In this order each finds what an earlier one made. */
const WORK = [
  { name: 'seqwrite', title: `write ${MIB} MiB`, cold: true, mib: MIB },
  { name: 'seqread', title: `read ${MIB} MiB cold`, cold: true, mib: MIB },
  { name: 'randread', title: '4 KiB random reads', cold: true, count: scaled(4096, scale) },
  { name: 'readers', title: '16 readers of 1 MiB', cold: true, mib: MIB },
  { name: 'create', title: `create ${FILES} files`, cold: false, count: FILES },
  { name: 'stat', title: `stat ${FILES} files cold`, cold: true, count: FILES },
  { name: 'readsmall', title: `read ${FILES} files cold`, cold: true, count: FILES },
  { name: 'unlink', title: `unlink ${FILES} files`, cold: false, count: FILES },
  { name: 'lsl', title: `ls -l of ${ENTRIES}, cold`, cold: true, count: ENTRIES },
  { name: 'gitclone', title: 'git clone', cold: true },
  { name: 'gitstatus', title: 'git status cold', cold: true },
  { name: 'getattr_forced', title: 'forced getattr', cold: false, count: GETATTRS },
];

function sh(command, cwd) {
  const { status, stderr } = spawnSync('sh', ['-ec', command], { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
}

/** What is there before the clock starts: a directory of many names and a repository to clone. */
function prepare(dir) {
  mkdirSync(join(dir, 'many'));
  for (let i = 0; i < ENTRIES; i++) writeFileSync(join(dir, 'many', `entry-${i}`), '');
  mkdirSync(join(dir, 'origin'));
  for (let d = 0; d < 50; d++) {
    mkdirSync(join(dir, 'origin', `d${d}`));
    for (let f = 0; f < scaled(40, scale); f++)
      writeFileSync(join(dir, 'origin', `d${d}`, `f${f}`), `file ${d} ${f}\n`.repeat(50));
  }
  sh(
    'git init -q . && git add . && git -c user.name=b -c user.email=b@example.org commit -qm one',
    join(dir, 'origin'),
  );
}

function work(name, mountpoint) {
  const { status, stdout, stderr } = spawnSync('python3', [WORKLOAD, name, mountpoint, String(scale)], {
    encoding: 'utf8',
    timeout: PATIENCE * 1000,
  });
  if (status !== 0) throw new Error(`${name}: ${stderr.trim() || `no end within ${PATIENCE} s`}`);
  return Number(stdout);
}

async function measure(peer, base) {
  const dir = join(base, `${peer.name}-dir`);
  const mountpoint = join(base, `${peer.name}-mnt`);
  mkdirSync(dir);
  mkdirSync(mountpoint);
  prepare(dir);
  const started = await peer.start(dir);
  const figures = {};
  let mounted = false;
  try {
    let pids = [];
    for (const { name, cold } of WORK) {
      if (cold || !mounted) {
        if (mounted) unmount(mountpoint);
        pids = started.mount(mountpoint);
        mounted = true;
      }
      const before = usage(pids);
      const seconds = work(name, mountpoint);
      const after = usage(pids);
      figures[name] = { seconds, cpu: after.cpu - before.cpu, rss: after.rss };
      say(`${peer.name}: ${name} ${seconds.toFixed(3)} s`);
    }
    if (started.address !== undefined) {
      const raw = spawnSync(process.execPath, [RAW, started.address, 'big', String(GETATTRS)], {
        encoding: 'utf8',
        timeout: PATIENCE * 1000,
      });
      if (raw.status !== 0) throw new Error(`raw client: ${raw.stderr}`);
      figures.raw = JSON.parse(raw.stdout);
    }
  } finally {
    if (mounted) unmount(mountpoint);
    started.stop();
  }
  rmSync(dir, { recursive: true });
  return figures;
}

/** Rounds of figures of the same form into one of medians. */
function medians(rounds) {
  if (typeof rounds[0] === 'number') return median(rounds);
  return Object.fromEntries(Object.keys(rounds[0]).map((key) => [key, medians(rounds.map((each) => each[key]))]));
}

function show({ seconds, cpu, rss }, { mib, count }) {
  const speed = mib
    ? `${(mib / seconds).toFixed(0)} MiB/s`
    : count
      ? `${((seconds / count) * 1e6).toFixed(0)} us each`
      : '';
  return `${seconds.toFixed(2)} s  ${speed}\n${cpu.toFixed(2)} s CPU, ${rss.toFixed(0)} MiB`;
}

function targets(figures) {
  const { raw, getattr_forced, seqread, readers } = figures;
  const getattr = getattr_forced.seconds / GETATTRS / raw.one;
  const read = (MIB * 2 ** 20) / seqread.seconds / raw.rate;
  return [
    verdict(getattr <= 2.5, `a forced getattr takes ${getattr.toFixed(2)} times the raw client's (at most 2.5)`),
    verdict(read >= 0.25, `a cold sequential read has ${read.toFixed(2)} of the raw client's rate (at least 0.25)`),
    verdict(readers.rss < 200, `peak RSS with 16 readers of 1 MiB: ${readers.rss.toFixed(0)} MiB (below 200)`),
  ];
}

const peers = asked.filter((peer) => {
  if (peer.missing?.()) say(`${peer.name} is not installed: left out`);
  return !peer.missing?.();
});
const base = mkdtempSync(join(tmpdir(), 'ninefs-bench-'));
const rounds = Object.fromEntries(peers.map((peer) => [peer.name, []]));
try {
  for (let round = 0; round < times; round++) {
    for (const peer of peers) {
      const here = join(base, String(round));
      mkdirSync(here, { recursive: true });
      rounds[peer.name].push(await measure(peer, here));
    }
  }
} finally {
  rmSync(base, { recursive: true, force: true });
}
const figures = Object.fromEntries(Object.entries(rounds).map(([name, list]) => [name, medians(list)]));
if (json) console.log(JSON.stringify(figures, undefined, 2));
else {
  const table = new Table({ head: ['', ...peers.map((peer) => peer.name)], style: { head: [], border: [] } });
  for (const each of WORK) table.push([each.title, ...peers.map((peer) => show(figures[peer.name][each.name], each))]);
  console.log(table.toString());
  for (const [name, { raw }] of Object.entries(figures)) {
    if (raw === undefined) continue;
    console.log(
      `${name}, the client alone: getattr ${(raw.one * 1e6).toFixed(1)} us one at a time, ${(raw.sixteen * 1e6).toFixed(1)} us with 16 in flight; read ${(raw.rate / 2 ** 20).toFixed(0)} MiB/s`,
    );
    for (const line of targets(figures[name])) console.log(line);
  }
}
