// The rules of `ninefs check` against the embedded server, on each of its trees: all of them pass, or do not apply.

import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { rules } from '../../src/check/rules.ts';
import { check, type Report } from '../../src/check/runner.ts';
import type { Target } from '../../src/check/stage.ts';
import { type DialectName, hostTree, Server } from '../../src/server/server.ts';
import { faultsTree } from '../../src/server/trees/faults.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { serveTree, type TreeKind } from '../support/served.ts';
import { withTempDir } from '../support/tempdir.ts';

const MSIZE = 8216;
const who = { uname: 'root', aname: '', nUname: 0 };
/** Long enough for a rule that passes; what is never answered takes all of it. */
const TIMEOUT = 10_000;
const SHORT = 700;

const target = (dial: () => Transport, timeout: number, hang?: readonly string[]): Target => ({
  dial: async () => dial(),
  who,
  msize: MSIZE,
  timeout,
  hang,
});

const bad = ({ results }: Report) =>
  results
    .filter(({ verdict }) => verdict === 'fail' || verdict === 'unclear')
    .map(({ rule, did }) => `${rule.id}: ${did}`);

const inapplicable = ({ results }: Report) =>
  results.filter(({ verdict }) => verdict === 'n/a').map(({ rule }) => rule.id);

const running = rules.filter(({ id }) => /running|^tag-in-use$/.test(id)).map(({ id }) => id);

test('names are told apart, and every rule says what it asks for', () => {
  expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
  expect(rules.length).toBeGreaterThan(150);
  for (const { id, text, section } of rules) {
    expect(id).toMatch(/^[a-z0-9-]+$/);
    expect(text).toMatch(/\w/);
    expect(section).toMatch(/^\w+\(9P\)$|^9P2000\.L/);
  }
});

describe.each<TreeKind>(['memory', 'host'])('%s tree', (kind) => {
  test('every rule passes that applies', async () => {
    const served = await serveTree(kind);
    const ends: Promise<void>[] = [];
    const dial = () => {
      const [ours, theirs] = memoryPair();
      ends.push(served.server.serveTransport(theirs));
      return ours;
    };
    const report = await check({ target: target(dial, TIMEOUT), rules, readOnly: false });
    expect(bad(report)).toEqual([]);
    expect(report.left).toBeUndefined();
    expect(inapplicable(report).filter((id) => id !== 'qid-version')).toEqual(running);
    await Promise.all(ends);
    await served.end();
  });
});

describe.each<DialectName>(['9P2000.u', '9P2000'])('a server of %s alone', (version) => {
  test('passes the rules of its dialect, and no other applies', () =>
    withTempDir(async (dir) => {
      const server = new Server({ tree: hostTree(dir, {}), dialects: [version] });
      const ends: Promise<void>[] = [];
      const dial = () => {
        const [ours, theirs] = memoryPair();
        ends.push(server.serveTransport(theirs));
        return ours;
      };
      const report = await check({ target: target(dial, TIMEOUT), rules, readOnly: false });
      expect(bad(report)).toEqual([]);
      expect(report).toMatchObject({ left: undefined, versions: [version] });
      expect(inapplicable(report)).toEqual(rules.filter(({ dialect }) => dialect === 'dotl').map(({ id }) => id));
      expect(report.counts.pass).toBeGreaterThan(25);
      expect(report.results[0]?.did).toMatch(/^Tversion 9P2000\.L: Rversion/);
      expect(readdirSync(dir)).toEqual([]);
      await Promise.all(ends);
      await server.close();
    }));
});

/** Files of the faults tree, and the rules on requests that run that it breaks with them. */
const faults: Readonly<Record<string, readonly string[]>> = {
  hang: [],
  late: [],
  'slow/60000': [],
  eintr: ['flush-running-eintr'],
  after: ['flush-running-reply', 'flush-running-tag'],
  mute: [
    ...['flush-running', 'flush-running-reply', 'flush-running-eintr', 'flush-running-tag', 'flush-running-repeated'],
    ...['flush-running-flush', 'flush-running-fid'],
  ],
};

test.concurrent.each(Object.entries(faults))('of a request that runs in %s', async (path, breaks) => {
  const server = new Server({ tree: faultsTree() });
  const ends: Promise<void>[] = [];
  const dial = () => {
    const [ours, theirs] = memoryPair();
    ends.push(server.serveTransport(theirs));
    return ours;
  };
  const only = rules.filter(({ id }) => running.includes(id));
  const timeout = breaks.length > 2 ? SHORT : TIMEOUT;
  const report = await check({ target: target(dial, timeout, path.split('/')), rules: only, readOnly: true });
  expect(report.results.filter(({ verdict }) => verdict === 'fail').map(({ rule }) => rule.id)).toEqual(breaks);
  expect(report.counts).toMatchObject({ pass: running.length - breaks.length, unclear: 0, 'n/a': 0 });
  await Promise.all(ends);
  expect(server.stats).toMatchObject({ connections: [], places: 0 });
  await server.close();
});
