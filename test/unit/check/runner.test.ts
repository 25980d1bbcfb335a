// The runner: what becomes of a rule that is not answered, of a server that goes away, of a run that is interrupted,
// and of what was made on the server. Its rules are of the test's own making.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { Unprepared } from '../../../src/check/probe.ts';
import { fail, notApplicable, pass, type Rule, rulesOf } from '../../../src/check/rule.ts';
import { type CheckOptions, check, type Report } from '../../../src/check/runner.ts';
import { create, mkdir, put } from '../../../src/check/steps.ts';
import { ConnectionError } from '../../../src/common/errors.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import type { Raw9p } from '../../support/raw9p.ts';
import { type Served, serveTree } from '../../support/served.ts';

const rule = rulesOf('intro(9P)');
const passing = rule('passing', 'session', 'it passes', async () => pass('well'));

let served: Served;
let witness: Raw9p;
let ends: Promise<void>[];
/** What a connection gets; undefined: nobody listens. */
let listening: boolean;

beforeEach(async () => {
  served = await serveTree('memory');
  witness = await served.connect();
  ends = [];
  listening = true;
});

afterEach(async () => {
  await Promise.all(ends);
  await served.end();
});

function run(rules: readonly Rule[], options: Partial<CheckOptions> = {}, timeout = 400): Promise<Report> {
  const dial = async () => {
    if (!listening) throw new ConnectionError('nothing is listening there');
    const [ours, theirs] = memoryPair();
    ends.push(served.server.serveTransport(theirs));
    return ours;
  };
  const who = { uname: 'root', aname: '', nUname: 0 };
  return check({ target: { dial, who, msize: 8216, timeout, hang: undefined }, rules, readOnly: false, ...options });
}

const names = async () =>
  (await witness.list(await witness.open('/'))).map(({ name }) => name).filter((name) => !name.startsWith('.'));

const outcome = (report: Report) => report.results.map(({ rule: { id }, verdict, did }) => `${id} ${verdict} ${did}`);

test('findings are counted, in the order of the rules', async () => {
  const report = await run([
    passing,
    rule('failing', 'session', 'it fails', async () => fail('badly')),
    rule('idle', 'raw', 'it does not apply', async () => notApplicable('why')),
    rule('unprepared', 'raw', 'it cannot be tried', async () => {
      throw new Unprepared('a step');
    }),
  ]);
  expect(outcome(report)).toEqual([
    'passing pass well',
    'failing fail badly',
    'idle n/a why',
    'unprepared unclear a step',
  ]);
  expect(report).toMatchObject({
    counts: { pass: 1, fail: 1, 'n/a': 1, unclear: 1 },
    versions: ['9P2000.L'],
    msize: 8216,
    left: undefined,
    interrupted: false,
  });
});

test('a rule that is not answered fails at its deadline, and the next one runs', async () => {
  const waits = rule('waits', 'session', 'it waits', async (probe) => pass(await probe.answer(99)));
  expect(outcome(await run([waits, passing]))).toEqual([
    'waits fail no answer to what was sent within 0.4 s',
    'passing pass well',
  ]);
});

test('a mistake of ours is not the fault of the server', async () => {
  const wrong = rule('wrong', 'session', 'it throws', async () => {
    throw new TypeError('ours');
  });
  await expect(run([wrong])).rejects.toThrow('ours');
  expect(await names()).toEqual([]);
});

test('what rules make is gone before the next one, and in the end with the directory', async () => {
  const seen: string[][] = [];
  const makes = rule('makes', 'home', 'it makes', async (probe, place) => {
    const [home = ''] = await names();
    seen.push((await witness.list(await witness.open(home))).map(({ name }) => name));
    await put(probe, place.name(), 'text');
    await put(probe, place.name(), 'text', await mkdir(probe, place.name(), await mkdir(probe, place.name())));
    await create(probe, place.name());
    return pass('well');
  });
  const report = await run([makes, makes]);
  expect(report.counts.pass).toBe(2);
  expect(seen).toEqual([
    ['.', '..'],
    ['.', '..'],
  ]);
  expect(await names()).toEqual([]);
});

test('nothing is made on a server that is not to be written to', async () => {
  const writes = rule('writes', 'home', 'it writes', async () => pass('well'));
  const report = await run([writes, passing], { readOnly: true });
  expect(outcome(report)).toEqual(['writes n/a it writes, and --readonly was given', 'passing pass well']);
});

test('an interrupt ends the run, and what was made is removed', async () => {
  const interrupt = new AbortController();
  const interrupts = rule('interrupts', 'home', 'it is interrupted', async (probe, place) => {
    await put(probe, place.name(), 'text');
    interrupt.abort();
    return pass(await probe.answer(99));
  });
  const report = await run([passing, interrupts, passing], { signal: interrupt.signal }, 20_000);
  expect(outcome(report)).toEqual(['passing pass well']);
  expect(report).toMatchObject({ interrupted: true, left: undefined });
  expect(await names()).toEqual([]);
});

test('a rule that brings the server down has failed; when it comes back the next one runs', async () => {
  const kills = rule('kills', 'session', 'it kills', async () => {
    listening = false;
    return pass('well');
  });
  const restarted = new AbortController();
  const comesBack = setInterval(() => {
    if (listening || restarted.signal.aborted) return;
    listening = true;
    restarted.abort();
  }, 150);
  try {
    const report = await run([kills, passing], {}, 5000);
    expect(outcome(report)).toEqual(['kills fail well; and then nobody is answered', 'passing pass well']);
  } finally {
    clearInterval(comesBack);
  }
  expect(await names()).toEqual([]);
});

test('when it does not come back the others are not tried, and what is left is told', async () => {
  const kills = rule('kills', 'session', 'it kills', async () => {
    listening = false;
    return pass('well');
  });
  const report = await run([kills, passing]);
  expect(outcome(report)).toEqual([
    'kills fail well; and then nobody is answered',
    'passing unclear not tried: nobody is answered since kills',
  ]);
  expect(report.left).toMatch(/^ninefs-check-[0-9a-f]{12} is left on the server, which answers nobody$/);
  const [left = ''] = await names();
  await witness.call('Tunlinkat', { dirfid: 0, name: left, flags: 0x200 });
});

test('the connections of a rule are closed when it is over', async () => {
  const opens = rule('opens', 'session', 'it opens', async (_, place) => {
    for (let i = 0; i < 5; i++) await place.open('session');
    return pass('well');
  });
  await run([opens]);
  await Promise.all(ends);
  expect(served.server.stats.connections.length).toBe(1);
});

test('a server that lets nobody in, or is not there, is one error', async () => {
  const who = { uname: 'root', aname: '/nowhere', nUname: 0 };
  const [ours, theirs] = memoryPair();
  ends.push(served.server.serveTransport(theirs));
  const target = { dial: async () => ours, who, msize: 8216, timeout: 400, hang: undefined };
  await expect(run([passing], { target })).rejects.toThrow('the server refuses Tattach: Rlerror ENOENT');
  listening = false;
  await expect(run([passing])).rejects.toThrow('nothing is listening there');
});
