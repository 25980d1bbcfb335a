// Real processes on a real mount of a server that misbehaves, and a signal while they wait: what each of them sees, when,
// and what went over the wire, against the table of support/signals.ts. Here every operation, signal, fault and mode, but
// not all with all; NINEFS_SIGNALS=all does the whole product (scripts/soak-signals), and says how fast killed ones go.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { faultsTree, type Serving, serve } from '../../src/server/server.ts';
import { connectSocket } from '../../src/transport/socket.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { Raw9p } from '../support/raw9p.ts';
import {
  type Expected,
  expected,
  FAULTS,
  type Fault,
  hasEffect,
  MESSAGE,
  MODES,
  type Mode,
  OPERATIONS,
  type Operation,
  readmeTable,
  SIGNALS,
  type Signal,
} from '../support/signals.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';
import { type Counts, countsOf, type Outcome, Victims } from '../support/victims.ts';

const GRACE = 400;
const FLUSH_TIMEOUT = 1000;
/** The server's own time, well after the grace. */
const SLOW = 3000;
const all = process.env['NINEFS_SIGNALS'] === 'all';

interface Cell {
  op: Operation;
  fault: Fault;
}

/** Where the message of an operation misbehaves, and the file to try it on there. */
function placeOf({ op, fault }: Cell): { name: string; path: string } {
  if (op === 'read' || op === 'write') {
    const name = fault === 'slow' ? `slow/${SLOW}` : fault;
    return { name, path: name };
  }
  const name = `ops/${fault === 'slow' ? `slow,${SLOW}` : fault}/${MESSAGE[op]}`;
  return { name, path: op === 'readdir' ? `${name}/dir` : `${name}/file` };
}

/** Settles when each of them waits at the server. */
async function arrival(raw: Raw9p, victims: Victims, cells: readonly [id: number, cell: Cell][]): Promise<void> {
  let away: string[] = [];
  const arrived = async () => {
    const counts = await countsOf(raw);
    away = cells.flatMap(([id, cell]) => {
      const there = (counts.get(placeOf(cell).name)?.requests ?? 0) > 0;
      return there ? [] : [`${cell.op}, ${cell.fault}: ${JSON.stringify(victims.outcomes[id])}`];
    });
    return away.length === 0;
  };
  await until('every call to be at the server', arrived).catch((error) => {
    throw new Error(away.join('\n'), { cause: error });
  });
}

/** Milliseconds from the signal to the end, the largest of each kind, for the report. */
const slowest = new Map<string, number>();

async function round(mode: Mode, signal: Signal, cells: readonly Cell[]): Promise<string[]> {
  const dir = await makeTempDir('signals');
  const serving: Serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree: faultsTree() });
  const raw = new Raw9p(await connectSocket(serving.address));
  const mounts: Mounted[] = [];
  const victims = new Victims();
  const wrong: string[] = [];
  const mountOne = async () => {
    const settings = { intr: mode, intrGrace: GRACE, flushTimeout: FLUSH_TIMEOUT, cache: 'auto' as const };
    const live = await mounted(join(dir, `${mounts.length}`), { address: serving.address, ...settings });
    mounts.push(live);
    return live;
  };
  try {
    await raw.version();
    await raw.attach(0, 0);
    const shared = await mountOne();
    const wants = cells.map(({ op, fault }) => expected(op, signal, fault, mode));
    // one whose flush is never answered takes its connection with it, and everybody who shares it
    const fatal = (cell: Cell) => cell.fault === 'mute' && hasEffect(cell.op);
    const hosts = await Promise.all(cells.map(async (cell) => (fatal(cell) ? undefined : shared)));
    for (const [i, host] of hosts.entries()) hosts[i] = host ?? (await mountOne());
    // who is answered in the end comes last, or he might have left before the others are there
    for (const isSlow of [false, true]) {
      const these = [...cells.entries()].filter(([, { fault }]) => (fault === 'slow') === isSlow);
      for (const [id, cell] of these) {
        victims.make(id, cell.op, join(hosts[id]?.mountpoint ?? '', placeOf(cell).path), signal);
      }
      await arrival(raw, victims, these);
    }
    const sent = performance.now();
    if (signal.storm === true) victims.say({ storm: cells.map((_, id) => id), signal: signal.signal });
    else for (const { pid } of victims.outcomes) if (pid !== undefined) process.kill(pid, signal.signal);

    const ends = cells.map((_, id) => wants[id]?.result !== 'waits');
    await until('those that end to have ended', () =>
      ends.every((end, id) => !end || victims.outcomes[id]?.ended !== undefined),
    ).catch(() => undefined); // who is missing is told below, one by one
    const counts = await countsOf(raw);
    for (const [id, cell] of cells.entries()) {
      const want = wants[id];
      const outcome = victims.outcomes[id];
      if (want === undefined || outcome === undefined) continue;
      const got = describeOutcome(outcome, counts.get(placeOf(cell).name), want.performed !== undefined);
      const should = describeExpected(want);
      if (got !== should)
        wrong.push(`${cell.op}, ${cell.fault}, ${signal.name}, intr=${mode}: ${got}; should be ${should}`);
      const took = (outcome.ended ?? sent) - sent;
      const late = lateness(want, took);
      if (late !== undefined) wrong.push(`${cell.op}, ${cell.fault}, ${signal.name}, intr=${mode}: ${late}`);
      if (signal.signal === 'SIGKILL' && want.result === 'killed' && want.when !== 'in its time') {
        const kind = `${hasEffect(cell.op) ? 'a change' : 'a look'}, ${cell.fault}`;
        slowest.set(kind, Math.max(slowest.get(kind) ?? 0, took));
      }
    }
    return wrong;
  } finally {
    // who still waits is killed where that can end it; with intr=off only the end of the connection does
    if (mode === 'off') await serving.close();
    await victims.end();
    for (const live of mounts) {
      if (mode !== 'off' && live.mount.stats().client.tags === 0)
        await live.checkLeaks().catch((e) => wrong.push(String(e)));
      await live.mount.unmount({ lazy: true });
    }
    raw.transport.close();
    await serving.close();
    await removeTempDir(dir);
  }
}

function describeOutcome(
  { broken, ret, errno, signal, ended }: Outcome,
  counts: Counts | undefined,
  isKnown: boolean,
): string {
  const flushed = (counts?.flushed ?? 0) > 0 ? ', flushed' : '';
  const performed = isKnown && (counts?.performed ?? 0) > 0 ? ', carried out' : '';
  if (broken !== undefined) return `could not begin: ${broken}`;
  const result =
    ended === undefined
      ? 'waits'
      : typeof signal === 'string'
        ? 'killed'
        : ret !== undefined && ret >= 0
          ? 'success'
          : `${errno}`;
  return `${result}${flushed}${performed}`;
}

function describeExpected({ result, flushed, performed }: Expected): string {
  return `${result}${flushed ? ', flushed' : ''}${performed === true ? ', carried out' : ''}`;
}

/** Too early is wrong on any machine; too late is a matter of the machine, so only what would be another row is. */
function lateness({ when }: Expected, took: number): string | undefined {
  const least = { 'at once': 0, 'after grace': GRACE, 'after a deadline': FLUSH_TIMEOUT, 'in its time': 0, never: 0 }[
    when
  ];
  return took < least * 0.9 ? `after ${took.toFixed(0)} ms, which is not ${when}` : undefined;
}

/** Every operation with every fault; or a part, another one for each signal and mode. */
function cellsFor(mode: Mode, signal: number): Cell[] {
  const cells = OPERATIONS.flatMap((op) => FAULTS.map((fault) => ({ op, fault })));
  if (all || mode === 'auto') return cells;
  return cells.filter((_, i) => (i + signal) % 4 === 0);
}

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
describe.skipIf(!able).each(MODES)('intr=%s', (mode) => {
  // all the faults at once, so that the waiting is done side by side
  it.concurrent.each(SIGNALS.map((signal, i) => ({ signal, i })))(
    '$signal.name',
    { timeout: 60_000 },
    async ({ signal, i }) => {
      expect(await round(mode, signal, cellsFor(mode, i))).toEqual([]);
    },
  );
});

afterAll(() => {
  if (!all) return;
  const rows = [...slowest].sort().map(([kind, ms]) => `${kind}: gone ${ms.toFixed(0)} ms after SIGKILL at the latest`);
  process.stdout.write(`${rows.join('\n')}\nflushtimeout was ${FLUSH_TIMEOUT} ms\n`);
});

it('the README has this table', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
  expect(readme).toContain(readmeTable());
});
