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
/** The server's own time, where it is waited for; and where it has to be still to come when the flush does, on any machine. */
const SLOW = 3000;
const SLOWER = 600_000;
/** Bounds on what hangs, on any machine. */
const PATIENCE = 100_000;
const all = process.env['NINEFS_SIGNALS'] === 'all';

interface Cell {
  op: Operation;
  fault: Fault;
}

/** A call, where its message misbehaves, and the file to try it on there. */
interface Placed extends Cell {
  readonly id: number;
  readonly want: Expected;
  readonly place: string;
  readonly path: string;
  /** It is over in the server's own time, so that the signal has to come before that. */
  readonly isSlow: boolean;
}

function placed(id: number, { op, fault }: Cell, want: Expected): Placed {
  // what is flushed for good comes to no end of its own; what the kernel reads in the background does, and is no leak then
  const isSlow = fault === 'slow' && (want.when === 'in its time' || !want.flushed);
  const ms = isSlow ? SLOW : SLOWER;
  const common = { id, op, fault, want, isSlow };
  if (op === 'read' || op === 'write') {
    const place = fault === 'slow' ? `slow/${ms}` : fault;
    return { ...common, place, path: place };
  }
  const place = `ops/${fault === 'slow' ? `slow,${ms}` : fault}/${MESSAGE[op]}`;
  return { ...common, place, path: op === 'readdir' ? `${place}/dir` : `${place}/file` };
}

/** Settles when each of them waits at the server. */
async function arrival(raw: Raw9p, victims: Victims, cells: readonly Placed[]): Promise<void> {
  // reads and writes of a file are counted together
  const sharing = (name: string) => cells.filter(({ place }) => place === name).length;
  let away: string[] = [];
  const arrived = async () => {
    const counts = await countsOf(raw);
    away = cells.flatMap(({ id, op, fault, place }) => {
      const there = (counts.get(place)?.requests ?? 0) >= sharing(place);
      return there ? [] : [`${op}, ${fault}: ${JSON.stringify(victims.outcomes[id])}`];
    });
    return away.length === 0;
  };
  await until('every call to be at the server', arrived, PATIENCE).catch((error) => {
    throw new Error(away.join('\n'), { cause: error });
  });
}

/** Milliseconds from the signal to the end, the largest of each kind, for the report. */
const slowest = new Map<string, number>();

async function round(mode: Mode, signal: Signal, given: readonly Cell[]): Promise<string[]> {
  const cells = given.map((cell, id) => placed(id, cell, expected(cell.op, signal, cell.fault, mode)));
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
    // one whose flush is never answered takes its connection with it, and everybody who shares it
    const fatal = (cell: Cell) => cell.fault === 'mute' && hasEffect(cell.op);
    const hosts = await Promise.all(cells.map(async (cell) => (fatal(cell) ? undefined : shared)));
    for (const [i, host] of hosts.entries()) hosts[i] = host ?? (await mountOne());
    // who is answered in the end comes last, or he might have left before the others are there
    for (const last of [false, true]) {
      const these = cells.filter(({ isSlow }) => isSlow === last);
      for (const { id, op, path } of these) victims.make(id, op, join(hosts[id]?.mountpoint ?? '', path), signal);
      await arrival(raw, victims, these);
    }
    const sent = performance.now();
    if (signal.storm === true) victims.say({ storm: cells.map((_, id) => id), signal: signal.signal });
    else for (const { pid } of victims.outcomes) if (pid !== undefined) process.kill(pid, signal.signal);

    const ends = cells.filter(({ want }) => want.result !== 'waits');
    const ended = () => ends.every(({ id }) => victims.outcomes[id]?.ended !== undefined);
    await until('those that end to have ended', ended, PATIENCE).catch(() => undefined); // who is missing is told below, one by one
    const counts = await countsOf(raw);
    for (const { id, op, fault, place, want } of cells) {
      const outcome = victims.outcomes[id];
      if (outcome === undefined) continue;
      const got = describeOutcome(outcome, counts.get(place), want.performed !== undefined);
      const should = describeExpected(want);
      const what = `${op}, ${fault}, ${signal.name}, intr=${mode}`;
      if (got !== should) wrong.push(`${what}: ${got}; should be ${should}`);
      const took = (outcome.ended ?? sent) - sent;
      const late = lateness(want, took);
      if (late !== undefined) wrong.push(`${what}: ${late}`);
      if (signal.signal === 'SIGKILL' && want.result === 'killed' && want.when !== 'in its time') {
        const kind = `${hasEffect(op) ? 'a change' : 'a look'}, ${fault}`;
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
    { timeout: 3 * PATIENCE },
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
