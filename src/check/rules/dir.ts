// Treaddir: whole entries, cookies that resume a listing, and an end that is the end.

import { OPEN, QT } from '../../wire/p9/constants.ts';
import { readDirents } from '../../wire/p9/types.ts';
import { isError } from '../answers.ts';
import { Probe } from '../probe.ts';
import { cutOrRefused, fail, must, mustFail, pass, type Rule, rulesOf } from '../rule.ts';
import { entriesOf, isDots, list, mkdir, open, put, remove, sameQid, walk } from '../steps.ts';

const rule = rulesOf('9P2000.L Treaddir');
const { ROOT, HOME } = Probe;
const FILES = 40;
const DT = { DIR: 4, REG: 8, UNKNOWN: 0 } as const;

const fileName = (i: number) => `entry-${String(i).padStart(3, '0')}`;
const NAMES = Array.from({ length: FILES }, (_, i) => fileName(i));

interface Filled {
  /** A fid of the directory, not open. */
  dir: number;
  /** The same, open. */
  fid: number;
}

/** A directory of FILES files. */
async function filled(probe: Probe, name: string): Promise<Filled> {
  const dir = await mkdir(probe, name);
  for (const each of NAMES) await put(probe, each, '', dir);
  return { dir, fid: await listing(probe, dir) };
}

async function listing(probe: Probe, dir: number): Promise<number> {
  const fid = await walk(probe, dir);
  await probe.must('Tlopen', { fid, flags: OPEN.RDONLY });
  return fid;
}

const counted = (names: readonly string[], expected: readonly string[]): string | undefined => {
  const times = new Map<string, number>();
  for (const name of names) if (!isDots(name)) times.set(name, (times.get(name) ?? 0) + 1);
  const missing = expected.filter((name) => !times.has(name)).length;
  const double = [...times.values()].filter((count) => count > 1).length;
  if (missing > 0) return `${missing} of ${expected.length} entries were missing`;
  return double > 0 ? `${double} entries came twice` : undefined;
};

export const dirRules: readonly Rule[] = [
  rule('readdir', 'home', 'a listing has every name once', async (probe, place) => {
    const { fid } = await filled(probe, place.name());
    const wrong = counted(
      (await list(probe, fid, probe.msize - 24)).map(({ name }) => name),
      NAMES,
    );
    return wrong === undefined ? pass('every name once') : fail(wrong);
  }),

  rule('readdir-pieces', 'home', 'a listing in small pieces has every name once', async (probe, place) => {
    const { fid } = await filled(probe, place.name());
    for (const count of [128, 256, 512]) {
      const wrong = counted(
        (await list(probe, fid, count)).map(({ name }) => name),
        NAMES,
      );
      if (wrong !== undefined) return fail(`in pieces of ${count} bytes`, wrong);
    }
    return pass('every name once, in pieces of 128, 256 and 512 bytes');
  }),

  rule(
    'readdir-whole',
    'home',
    'Rreaddir holds whole entries, and not more bytes than were asked for',
    async (probe, place) => {
      const { fid } = await filled(probe, place.name());
      for (const count of [100, 200, 300, 1000]) {
        const answer = await probe.ask('Treaddir', { fid, offset: 0n, count });
        if (answer.type !== 'Rreaddir') return fail(answer);
        const { entries, fault } = readDirents(answer.data);
        if (fault !== undefined) return fail(answer, 'that ends within an entry');
        if (answer.data.length > count) return fail(`${count} asked for:`, answer);
        if (entries.length === 0) return fail(`${count} asked for:`, answer);
      }
      return pass('whole entries within the count');
    },
  ),

  rule('readdir-resume', 'home', 'the cookie of an entry leads to the entries behind it', async (probe, place) => {
    const { fid } = await filled(probe, place.name());
    const all = await list(probe, fid, probe.msize - 24);
    const half = all[Math.floor(all.length / 2)];
    if (half === undefined) return fail('an empty listing');
    const rest = await list(probe, fid, probe.msize - 24, half.cookie);
    const wanted = all.slice(Math.floor(all.length / 2) + 1).map(({ name }) => name);
    const same = rest.length === wanted.length && rest.every(({ name }, i) => name === wanted[i]);
    return must(same, same ? 'the entries behind it' : `${rest.length} entries, ${wanted.length} are behind it`);
  }),

  rule('readdir-rewind', 'home', 'offset 0 begins again', async (probe, place) => {
    const { fid } = await filled(probe, place.name());
    const [one, two] = [await list(probe, fid, 512), await list(probe, fid, 512)];
    const same = one.length === two.length && one.every(({ name }, i) => name === two[i]?.name);
    return must(same, same ? 'the same listing' : `${one.length} entries, then ${two.length}`);
  }),

  rule('readdir-end', 'home', 'behind the last entry Rreaddir is empty, and stays so', async (probe, place) => {
    const { fid } = await filled(probe, place.name());
    const all = await list(probe, fid, probe.msize - 24);
    const offset = all[all.length - 1]?.cookie ?? 0n;
    for (let i = 0; i < 2; i++) {
      const answer = await probe.ask('Treaddir', { fid, offset, count: 1000 });
      if (answer.type !== 'Rreaddir' || answer.data.length !== 0) return fail(answer);
    }
    return pass('Rreaddir of 0 bytes');
  }),

  rule(
    'readdir-too-small',
    'home',
    'a count too small for the next entry is an error: an empty Rreaddir would be the end',
    async (probe, place) => {
      const { fid } = await filled(probe, place.name());
      const answer = await probe.ask('Treaddir', { fid, offset: 0n, count: 10 });
      return must(isError(answer), answer);
    },
  ),

  rule('readdir-over-msize', 'home', 'a count above msize is cut to msize, or refused', async (probe, place) => {
    const dir = await mkdir(probe, place.name());
    const long = ''.padEnd(200, 'n');
    const tags = Array.from({ length: 60 }, (_, i) =>
      probe.send('Tmkdir', { dfid: dir, name: `${i}-${long}`, mode: 0o755, gid: 0 }),
    );
    for (const tag of tags) await probe.answer(tag);
    const answer = await probe.ask('Treaddir', { fid: await listing(probe, dir), offset: 0n, count: 0xffffffff });
    return cutOrRefused(answer, 'Rreaddir', probe.msize);
  }),

  rule(
    'readdir-removing',
    'home',
    'removing entries that were listed does not hide those that were not',
    async (probe, place) => {
      const { dir, fid } = await filled(probe, place.name());
      const seen: string[] = [];
      for (let offset = 0n; seen.length < 2 * FILES; ) {
        const answer = await probe.ask('Treaddir', { fid, offset, count: 300 });
        if (answer.type !== 'Rreaddir') return fail(answer);
        const entries = entriesOf(answer.data);
        const last = entries[entries.length - 1];
        if (last === undefined) break;
        offset = last.cookie;
        for (const { name } of entries) {
          seen.push(name);
          if (!isDots(name)) await remove(probe, name, dir);
        }
      }
      const wrong = counted(seen, NAMES);
      return wrong === undefined ? pass('every name once') : fail(wrong);
    },
  ),

  rule('readdir-qids', 'home', 'an entry has the qid and the type of the file that it names', async (probe, place) => {
    const dir = await mkdir(probe, place.name());
    await put(probe, 'file', 'text', dir);
    await mkdir(probe, 'directory', dir);
    const entries = await list(probe, await listing(probe, dir), 1000);
    for (const name of ['file', 'directory']) {
      const entry = entries.find((each) => each.name === name);
      if (entry === undefined) return fail('an entry was missing');
      const { qids } = await probe.must('Twalk', { fid: dir, newfid: probe.fid(), names: [name] });
      const [qid] = qids;
      if (qid === undefined || !sameQid(qid, entry.qid)) return fail('an entry with another qid than Rwalk has');
      const type = entry.qid.type & QT.DIR ? DT.DIR : DT.REG;
      if (entry.type !== type && entry.type !== DT.UNKNOWN) return fail(`type ${entry.type} for a ${name}`);
    }
    return pass('the qid of Rwalk, and its type');
  }),

  rule('readdir-not-open', 'session', 'a directory is opened before it is listed', async (probe) => {
    return mustFail(await probe.ask('Treaddir', { fid: ROOT, offset: 0n, count: 1000 }));
  }),

  rule('readdir-file', 'home', 'Treaddir of a file is an error', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    return mustFail(await probe.ask('Treaddir', { fid: await open(probe, HOME, name), offset: 0n, count: 1000 }));
  }),

  rule('readdir-read', 'home', 'Tread of a directory is an error: Treaddir lists it', async (probe) => {
    const fid = await listing(probe, HOME);
    return mustFail(await probe.ask('Tread', { fid, offset: 0, count: 1000 }));
  }),
];
