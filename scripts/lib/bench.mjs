// The benchmark: every peer does the same work in a directory of its own, mounted afresh for each cold piece, one after
// the other in one run, because machines differ and drift; then the targets, as ratios within this run.
// Other questions than "how fast beside others" have a file of their own: receive memory (pool.mjs), cancellation (cancel.mjs).

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { median, say } from './figures.mjs';
import { bindfs, custom, ninefs, sshfs, unmount, usage } from './peers.mjs';

const HELP = `usage: scripts/bench [options]
       scripts/bench --pool [options]         receive memory under 64 readers, and 64 interrupts with none left
       scripts/bench --cancel-cost [options]  what cancellation costs where nothing is cancelled

  --peer NAME=COMMAND  measure another mount too; {dir} and {mnt} stand for the directory and the mountpoint
  --only NAME,...      these peers only
  --cache MODE         the cache mode of ninefs (default auto)
  --scale N            divide all sizes by N, for a quick look
  --rounds N           do it all N times and show the median (default 1)
  --json               the figures as JSON`;

const WORKLOAD = fileURLToPath(new URL('workload.py', import.meta.url));
const RAW = fileURLToPath(new URL('rawclient.mjs', import.meta.url));
/** Bound of one piece of work, seconds. */
const PATIENCE = 300;

const { values } = parseArgs({
  options: {
    pool: { type: 'boolean', default: false },
    'cancel-cost': { type: 'boolean', default: false },
    peer: { type: 'string', multiple: true, default: [] },
    only: { type: 'string' },
    cache: { type: 'string', default: 'auto' },
    scale: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const scale = Number(values.scale);
const special = values.pool ? './pool.mjs' : values['cancel-cost'] ? './cancel.mjs' : undefined;
if (special !== undefined) {
  const { run } = await import(special);
  const { rounds, json } = values;
  process.exit(await run({ scale, rounds: Number(rounds), json }));
}

/** What is measured: `cold` mounts afresh first. In this order each finds what an earlier one made. */
const WORK = [
  { name: 'seqwrite', title: `write ${512 / scale} MiB`, cold: true, mib: 512 / scale },
  { name: 'seqread', title: `read ${512 / scale} MiB cold`, cold: true, mib: 512 / scale },
  { name: 'randread', title: '4 KiB random reads', cold: true, count: 4096 / scale },
  { name: 'readers', title: '16 readers of 1 MiB', cold: true, mib: 512 / scale },
  { name: 'create', title: `create ${2000 / scale} files`, cold: false, count: 2000 / scale },
  { name: 'stat', title: `stat ${2000 / scale} files cold`, cold: true, count: 2000 / scale },
  { name: 'readsmall', title: `read ${2000 / scale} files cold`, cold: true, count: 2000 / scale },
  { name: 'unlink', title: `unlink ${2000 / scale} files`, cold: false, count: 2000 / scale },
  { name: 'lsl', title: `ls -l of ${10000 / scale}, cold`, cold: true, count: 10000 / scale },
  { name: 'gitclone', title: 'git clone', cold: true },
  { name: 'gitstatus', title: 'git status cold', cold: true },
  { name: 'getattr_forced', title: 'forced getattr', cold: false, count: 5000 / scale },
];

function sh(command, cwd) {
  const { status, stderr } = spawnSync('sh', ['-ec', command], { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
}

/** What is there before the clock starts: a directory of many names and a repository to clone. */
function prepare(dir) {
  mkdirSync(join(dir, 'many'));
  for (let i = 0; i < 10000 / scale; i++) writeFileSync(join(dir, 'many', `entry-${i}`), '');
  mkdirSync(join(dir, 'origin'));
  for (let d = 0; d < 50; d++) {
    mkdirSync(join(dir, 'origin', `d${d}`));
    for (let f = 0; f < 40 / scale; f++)
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
      const raw = spawnSync(process.execPath, [RAW, started.address, 'big', String(5000 / scale)], {
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
  const getattr = getattr_forced.seconds / (5000 / scale) / raw.one;
  const read = ((512 / scale) * 2 ** 20) / seqread.seconds / raw.rate;
  const line = (ok, text) => `${ok ? 'met   ' : 'MISSED'}  ${text}`;
  return [
    line(getattr <= 2.5, `a forced getattr takes ${getattr.toFixed(2)} times the raw client's (at most 2.5)`),
    line(read >= 0.25, `a cold sequential read has ${read.toFixed(2)} of the raw client's rate (at least 0.25)`),
    line(readers.rss < 200, `peak RSS with 16 readers of 1 MiB: ${readers.rss.toFixed(0)} MiB (below 200)`),
  ];
}

const all = [ninefs('ninefs', ['-o', `cache=${values.cache}`]), sshfs, bindfs, ...values.peer.map(custom)];
const chosen = all.filter((peer) => values.only === undefined || values.only.split(',').includes(peer.name));
const peers = chosen.filter((peer) => {
  if (peer.missing?.()) say(`${peer.name} is not installed: left out`);
  return !peer.missing?.();
});
const base = mkdtempSync(join(tmpdir(), 'ninefs-bench-'));
const rounds = Object.fromEntries(peers.map((peer) => [peer.name, []]));
try {
  for (let round = 0; round < Number(values.rounds); round++) {
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
if (values.json) console.log(JSON.stringify(figures, undefined, 2));
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
