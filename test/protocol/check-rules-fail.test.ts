// Every rule of `ninefs check` can fail: for each there is a server that breaks it, made of the embedded one and of
// somebody in the middle who changes what it says. The same server without the change passes, which check-rules.test.ts
// shows.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Finding } from '../../src/check/rule.ts';
import { rules } from '../../src/check/rules.ts';
import { attempt } from '../../src/check/runner.ts';
import { Stage } from '../../src/check/stage.ts';
import { Abort } from '../../src/common/abort.ts';
import { memoryTree, Server } from '../../src/server/server.ts';
import { faultsTree } from '../../src/server/trees/faults.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { inTheMiddle, type Tampering } from '../support/middle.ts';
import { Raw9p } from '../support/raw9p.ts';
import { MSIZE, wrong } from '../support/wrongs.ts';

/**
 * For each rule, what it says of the server that breaks it: that it failed is not enough, it has to be for this reason.
 */
const corpus = new Map(
  readFileSync(join(import.meta.dirname, '../corpus/check.txt'), 'utf8')
    .split('\n')
    .map((line) => /^(\S+)\s+(.*)$/.exec(line))
    .flatMap((match) => (match === null ? [] : [[match[1] ?? '', match[2] ?? '']])),
);

const HOME = 'home';
/** What is never answered takes all of it. */
const TIMEOUT = 700;

const memory = new Server({ tree: memoryTree() });
const hanging = new Server({ tree: faultsTree() });
let names = 0;

beforeAll(async () => {
  const [ours, theirs] = memoryPair();
  void memory.serveTransport(theirs);
  const raw = new Raw9p(ours);
  await raw.version();
  await raw.attach(0, 0);
  await raw.call('Tmkdir', { dfid: 0, name: HOME, mode: 0o755, gid: 0 });
  ours.close();
});

afterAll(async () => {
  await memory.close();
  await hanging.close();
});

async function outcome(id: string, tampering: Tampering): Promise<Finding> {
  const rule = rules.find((each) => each.id === id);
  if (rule === undefined) throw new Error(`no rule ${id}`);
  const runs = /running|^tag-in-use$/.test(id);
  const server = runs ? hanging : memory;
  const dial = inTheMiddle((transport) => void server.serveTransport(transport), tampering);
  const deadline = new Abort();
  const clock = setTimeout(() => deadline.abort(), TIMEOUT);
  const stage = new Stage({
    target: {
      dial: async () => dial(),
      who: { uname: 'root', aname: '', nUname: 0 },
      msize: MSIZE,
      timeout: TIMEOUT,
      hang: runs ? ['hang'] : undefined,
    },
    signal: deadline,
    version: rule.dialect === 'dotl' ? '9P2000.L' : '9P2000.u',
    home: runs ? undefined : HOME,
    name: () => `n${++names}`,
    patient: false,
  });
  try {
    return await attempt(rule, stage);
  } finally {
    clearTimeout(clock);
    stage.close();
  }
}

test('every rule has its server that breaks it', () => {
  expect([...corpus.keys()]).toEqual(rules.map(({ id }) => id));
  expect(Object.keys(wrong).sort()).toEqual(rules.map(({ id }) => id).sort());
});

test.concurrent.each(Object.entries(wrong))('%s fails where it should', async (id, tampering) => {
  const finding = await outcome(id, tampering);
  expect(finding).toEqual({ verdict: 'fail', did: corpus.get(id) });
});
