// The benchmark of what cancellation costs where nothing is cancelled: getattrs with and without, in blocks that alternate
// within one run; the ratio of neighbouring blocks, its median, and between what that median lies with 95 % certainty. A mount
// is compared with one that is told to ignore interrupts, both served by one process, since two are never equally fast; there are
// several such pairs, and what is shown is the median of the pairs and their range.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { median, quantile, say, verdict } from './figures.mjs';
import { ninefs, server, unmount } from './peers.mjs';

const CLIENT = fileURLToPath(new URL('getattrs.mjs', import.meta.url));
const MOUNTS = fileURLToPath(new URL('mounts.mjs', import.meta.url));
const BLOCKS = fileURLToPath(new URL('getattrs.py', import.meta.url));
/** Bound of one piece of work, seconds. */
const PATIENCE = 300;
/** What it may cost. */
const MOST = 0.03;
const ROUNDS = 400;
/** Few enough that what else the machine does hits single blocks, which a median does not heed. */
const EACH = 200;
/** Fresh pairs of mounts. */
const PAIRS = 7;

function json(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args.map(String), {
    encoding: 'utf8',
    timeout: PATIENCE * 1000,
  });
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr.trim() || `no end within ${PATIENCE} s`}`);
  return JSON.parse(stdout);
}

/** Of two ways whose blocks were done in turn. */
function compare(title, base, other) {
  const ratios = other.map((seconds, i) => seconds / base[i]);
  // the ranks between which a median lies, by the normal approximation of the binomial distribution
  const reach = 0.98 / Math.sqrt(ratios.length);
  return {
    title,
    without: median(base) / EACH,
    with: median(other) / EACH,
    ratio: median(ratios),
    low: quantile(ratios, 0.5 - reach),
    high: quantile(ratios, 0.5 + reach),
  };
}

function clients(address, rounds) {
  return [1, 16].flatMap((width) => {
    // these blocks are shorter
    const many = width === 1 ? rounds : rounds * 4;
    const { without, own, shared } = json(process.execPath, [CLIENT, address, 'file', many, EACH, width]);
    const how = width === 1 ? 'one at a time' : `${width} in flight`;
    say(`client, ${how}: done`);
    return [
      compare(`client, ${how}: a signal each, as mounts do`, without, own),
      compare(`client, ${how}: one AbortSignal for all`, without, shared),
    ];
  });
}

async function mounts(address, base, rounds) {
  const points = ['off', 'auto'].map((mode) => join(base, mode));
  for (const point of points) mkdirSync(point);
  const pairs = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    const daemon = await server(process.execPath, [MOUNTS, address, ...points]);
    try {
      const files = points.map((point) => join(point, 'file'));
      const [off, auto] = json('python3', [BLOCKS, Math.ceil(rounds / PAIRS), EACH, ...files]);
      pairs.push(compare('', off, auto));
    } finally {
      for (const point of points) unmount(point);
      daemon.stop();
    }
    say(`mounts, pair ${pair + 1} of ${PAIRS}: done`);
  }
  const all = (key) => pairs.map((each) => each[key]);
  return {
    title: 'mount: intr=auto beside intr=off',
    without: median(all('without')),
    with: median(all('with')),
    ratio: median(all('ratio')),
    low: Math.min(...all('ratio')),
    high: Math.max(...all('ratio')),
  };
}

/** Settles with the exit code. */
export async function run({ scale, rounds, json: asJson }) {
  const base = mkdtempSync(join(tmpdir(), 'ninefs-bench-'));
  const dir = join(base, 'export');
  mkdirSync(dir);
  writeFileSync(join(dir, 'file'), 'content\n');
  const many = Math.max(8, Math.ceil((ROUNDS * rounds) / scale));
  const figures = [];
  try {
    const peer = await ninefs('ninefs').start(dir);
    try {
      figures.push(...clients(peer.address, many), await mounts(peer.address, base, many));
    } finally {
      peer.stop();
    }
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
  const percent = (ratio) => `${ratio >= 1 ? '+' : ''}${((ratio - 1) * 100).toFixed(1)} %`;
  if (asJson) console.log(JSON.stringify(figures, undefined, 2));
  else {
    const table = new Table({
      head: ['getattr, nothing cancelled', 'without', 'with', 'costs', '95 %, or the pairs'],
      style: { head: [], border: [] },
    });
    const us = (seconds) => `${(seconds * 1e6).toFixed(1)} us`;
    for (const { title, without, with: other, ratio, low, high } of figures)
      table.push([title, us(without), us(other), percent(ratio), `${percent(low)} to ${percent(high)}`]);
    console.log(table.toString());
    for (const { title, ratio } of figures)
      console.log(verdict(ratio - 1 <= MOST, `${title}: ${percent(ratio)} (at most +3 %)`));
  }
  return figures.every(({ ratio }) => ratio - 1 <= MOST) ? 0 : 1;
}
