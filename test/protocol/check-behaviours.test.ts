// `ninefs check` against the embedded server as it behaves like others: of each way the rules fail that it breaks, and
// no others. What is known of Debian's diod is what the server of its kind of fids does.

import { expect, test } from 'vitest';
import { rules } from '../../src/check/rules.ts';
import { check, type Report } from '../../src/check/runner.ts';
import { type BehaviourOptions, memoryTree, Server } from '../../src/server/server.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { outcomesOf } from '../support/checkoutcomes.ts';

/** Nothing is asked that waits. */
const asked = rules.filter(({ id }) => !/running|^tag-in-use$/.test(id));
const TIMEOUT = 10_000;

async function reportOf(behaviour: BehaviourOptions): Promise<Report> {
  const server = new Server({ tree: memoryTree(), ...behaviour });
  const ends: Promise<void>[] = [];
  const dial = async () => {
    const [ours, theirs] = memoryPair();
    ends.push(server.serveTransport(theirs));
    return ours;
  };
  const who = { uname: 'root', aname: '', nUname: 0 };
  const target = { dial, who, msize: 8216, timeout: TIMEOUT, hang: undefined };
  const report = await check({ target, rules: asked, readOnly: false });
  await Promise.all(ends);
  await server.close();
  return report;
}

const failed = ({ results }: Report) => results.filter(({ verdict }) => verdict === 'fail').map(({ rule }) => rule.id);

const times = (prefixes: readonly string[], suffixes: readonly string[]) =>
  prefixes.flatMap((prefix) => suffixes.map((suffix) => `${prefix}-${suffix}`));

const UNOPENED = [
  ...['fid', 'fid-setattr', 'fid-walk', 'below', 'again-getattr', 'again-setattr'],
  ...['again-walk', 'again-create', 'again-remove', 'again-below'],
];
const ATTRIBUTES = ['below-open', 'open-getattr', 'open-setattr', 'again-open-getattr', 'again-open-setattr'];
const CONTENTS = [
  ...['open-read', 'open-write', 'open-fsync', 'open-readdir'],
  ...['again-open-read', 'again-open-write', 'again-open-readdir'],
];
/** Of a removed file whose name another one has. */
const REMOVED = ['unlink', 'remove'];
const REMOVED_UNOPENED = ['again-getattr', 'again-setattr'];
const REMOVED_ATTRIBUTES = [...REMOVED_UNOPENED, 'again-open-getattr', 'again-open-setattr'];

const PATH_IO = [
  'rename-open',
  ...times(['rename', 'wstat'], [...UNOPENED, ...ATTRIBUTES]),
  ...times(['wstat'], ['open-readdir', 'again-open-readdir']), // a listing looks for each entry at the old path
  ...times(['unlink'], ['open-getattr', 'open-setattr']),
  ...times(REMOVED, REMOVED_ATTRIBUTES),
];
const APPEND = ['write-append', 'write-append-turns'];

const breaks: readonly [BehaviourOptions, readonly string[]][] = [
  [{ fids: 'file' }, []],
  [
    { fids: 'path-unopened' },
    [...times(['rename', 'renameat', 'wstat'], UNOPENED), ...times(REMOVED, REMOVED_UNOPENED)],
  ],
  [{ fids: 'path-io' }, PATH_IO],
  // u9fs
  [
    { fids: 'path-io', append: 'offset', fsync: 'path' },
    [...PATH_IO, ...APPEND, ...times(['rename', 'wstat', 'unlink'], ['open-fsync'])],
  ],
  [
    { fids: 'path' },
    [
      'rename-open',
      'remove-other-fids',
      ...times(['rename', 'wstat'], [...UNOPENED, ...ATTRIBUTES, ...CONTENTS]),
      ...times(['unlink'], ['open-read', 'open-write', 'open-getattr', 'open-setattr', 'open-fsync']),
      ...times(REMOVED, [...REMOVED_ATTRIBUTES, 'again-open-read', 'again-open-write']),
    ],
  ],
  [{ append: 'refuse' }, APPEND],
  [{ fsync: 'eisdir' }, ['fsync-directory']],
];

test.concurrent.each(breaks)('%j', async (behaviour, expected) => {
  const report = await reportOf(behaviour);
  expect(failed(report).sort()).toEqual([...expected].sort());
  expect(report).toMatchObject({ left: undefined, counts: { unclear: 0 } });
});

test('diod 1.0 does with each rule about fids what the server does that is told to have its kind', async () => {
  const isAboutFids = (id: string) => /^(rename|unlink)-(fid|below|open-|again)/.test(id);
  const known = [...outcomesOf('diod')].filter(([id, { verdict }]) => isAboutFids(id) && verdict === 'fail');
  const { results } = await reportOf({ fids: 'path-io' });
  const ours = results
    .filter(({ rule, verdict }) => isAboutFids(rule.id) && verdict === 'fail')
    .map(({ rule, did }) => [rule.id, did]);
  expect(ours).toEqual(known.map(([id, { did }]) => [id, did]));
  expect(ours.length).toBeGreaterThan(15);
});
