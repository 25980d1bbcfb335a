// Fids in general, Tclunk and Tremove: what a number means, and when it stops meaning anything.

import { errno } from '../../common/errno.ts';
import type { Body, RequestName } from '../../wire/p9/messages.ts';
import type { Qid } from '../../wire/p9/types.ts';
import { ecodeOf, isError, show } from '../answers.ts';
import { Probe } from '../probe.ts';
import { fail, must, mustFail, notApplicable, pass, type Rule, rulesOf } from '../rule.ts';
import {
  create,
  remove as drop,
  exists,
  getattr,
  isFid,
  isMissing,
  mkdir,
  open,
  put,
  readAll,
  sameQid,
  setSize,
  walk,
} from '../steps.ts';

const intro = rulesOf('intro(9P)');
const clunk = rulesOf('clunk(9P)');
const remove = rulesOf('remove(9P)');
const { ROOT, HOME } = Probe;
/** The largest number that is not NOFID. */
const HIGHEST = 0xfffffffe;

/** One message of each kind that names a fid and changes nothing. */
const naming = (fid: number): { [N in RequestName]?: Body<N> } => ({
  Tgetattr: { fid, mask: 0x7ff },
  Tstatfs: { fid },
  Tlopen: { fid, flags: 0 },
  Tread: { fid, offset: 0, count: 1 },
  Treaddir: { fid, offset: 0n, count: 512 },
  Treadlink: { fid },
  Tclunk: { fid },
  Tremove: { fid },
});

export const fidRules: readonly Rule[] = [
  intro('fid-unknown', 'session', 'a number that is no fid is an error in every message', async (probe) => {
    const fid = probe.fid();
    for (const [name, body] of Object.entries(naming(fid))) {
      const answer = await probe.ask(name as 'Tgetattr', body as Body<'Tgetattr'>);
      if (!isError(answer)) return fail(`${name}:`, answer);
    }
    return pass('an error for each of', Object.keys(naming(fid)).join(' '));
  }),

  intro('fid-highest', 'session', 'every number but NOFID can be a fid', async (probe) => {
    const answer = await probe.ask('Twalk', { fid: ROOT, newfid: HIGHEST, names: [] });
    if (answer.type !== 'Rwalk') return fail(answer);
    const there = await isFid(probe, HIGHEST);
    return must(there, answer, there ? `and ${HIGHEST} is a fid` : `and ${HIGHEST} is no fid`);
  }),

  intro('fid-many', 'session', 'five hundred fids can be had at once', async (probe) => {
    const fids = Array.from({ length: 500 }, () => probe.fid());
    const tags = fids.map((newfid) => probe.send('Twalk', { fid: ROOT, newfid, names: [] }));
    for (const tag of tags) {
      const answer = await probe.answer(tag);
      if (answer.type !== 'Rwalk') return fail(answer);
    }
    const last = fids[fids.length - 1] ?? ROOT;
    return must(await isFid(probe, last), 'Rwalk for each');
  }),

  intro('fid-connections', 'session', 'a fid of one connection means nothing on another', async (probe, place) => {
    const fid = 777;
    await probe.must('Twalk', { fid: ROOT, newfid: fid, names: [] });
    const other = await place.open('session');
    return mustFail(await other.ask('Tgetattr', { fid, mask: 0x7ff }));
  }),

  clunk('clunk', 'session', 'after Rclunk the number is no fid, and free', async (probe) => {
    const fid = await walk(probe, ROOT);
    const answer = await probe.ask('Tclunk', { fid });
    if (answer.type !== 'Rclunk') return fail(answer);
    if (await isFid(probe, fid)) return fail(answer, 'and the number is still a fid');
    const again = await probe.ask('Twalk', { fid: ROOT, newfid: fid, names: [] });
    return must(again.type === 'Rwalk', answer, 'then for the number as newfid', again);
  }),

  clunk('clunk-twice', 'session', 'the second Tclunk of a fid is an error', async (probe) => {
    const fid = await walk(probe, ROOT);
    await probe.must('Tclunk', { fid });
    return mustFail(await probe.ask('Tclunk', { fid }));
  }),

  clunk('clunk-others', 'home', 'other fids of the file live on, open ones open', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const [one, two] = [await open(probe, HOME, name), await open(probe, HOME, name)];
    const answer = await probe.ask('Tclunk', { fid: one });
    const read = await probe.ask('Tread', { fid: two, offset: 0, count: 10 });
    return must(answer.type === 'Rclunk' && read.type === 'Rread', answer, 'then Tread of the other:', read);
  }),

  clunk(
    'clunk-pipelined',
    'home',
    'a Tclunk right behind a Tread of the same fid: both are answered, once',
    async (probe, place) => {
      const name = place.name();
      await put(probe, name, 'text');
      const fid = await open(probe, HOME, name);
      const read = probe.send('Tread', { fid, offset: 0, count: 10 });
      const tag = probe.send('Tclunk', { fid });
      const [data, clunked] = [await probe.answer(read), await probe.answer(tag)];
      await probe.quiet();
      const more = [...probe.untaken(read), ...probe.untaken(tag)];
      const rightly = data.type === 'Rread' || isError(data);
      return must(rightly && clunked.type === 'Rclunk' && more.length === 0, data, 'and', clunked, ...more);
    },
  ),

  remove('remove', 'home', 'Tremove removes the file', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const answer = await probe.ask('Tremove', { fid: await walk(probe, HOME, name) });
    if (answer.type !== 'Rremove') return fail(answer);
    const there = await exists(probe, name);
    return must(!there, answer, there ? 'and the name is still there' : 'and the name is gone');
  }),

  remove('remove-directory', 'home', 'Tremove removes an empty directory', async (probe, place) => {
    const name = place.name();
    const answer = await probe.ask('Tremove', { fid: await mkdir(probe, name) });
    if (answer.type !== 'Rremove') return fail(answer);
    const there = await exists(probe, name);
    return must(!there, answer, there ? 'and the name is still there' : 'and the name is gone');
  }),

  remove('remove-clunks', 'home', 'Tremove is a Tclunk as well', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await walk(probe, HOME, name);
    const answer = await probe.ask('Tremove', { fid });
    if (answer.type !== 'Rremove') return fail(answer);
    const clunked = await probe.ask('Tclunk', { fid });
    return must(isError(clunked), answer, 'then Tclunk:', clunked);
  }),

  remove('remove-failed-clunks', 'home', 'a Tremove that fails clunks the fid all the same', async (probe, place) => {
    const fid = await mkdir(probe, place.name());
    await mkdir(probe, place.name(), fid);
    const answer = await probe.ask('Tremove', { fid });
    if (!isError(answer)) return fail('Tremove of a directory that is not empty:', answer);
    const clunked = await probe.ask('Tclunk', { fid });
    return must(isError(clunked), answer, 'then Tclunk:', clunked);
  }),

  remove('remove-full-directory', 'home', 'a directory that is not empty is not removed', async (probe, place) => {
    const [name, inner] = [place.name(), place.name()];
    await put(probe, inner, 'text', await mkdir(probe, name));
    const answer = await probe.ask('Tremove', { fid: await walk(probe, HOME, name) });
    if (!isError(answer)) return fail(answer);
    const dir = await walk(probe, HOME, name);
    return must(await exists(probe, inner, dir), answer, 'and everything is there');
  }),

  remove(
    'remove-other-fids',
    'home',
    'another open fid of a removed file reads on, or fails; it never reads something else',
    async (probe, place) => {
      const name = place.name();
      await put(probe, name, 'old text');
      const reader = await open(probe, HOME, name);
      await probe.must('Tremove', { fid: await walk(probe, HOME, name) });
      await put(probe, name, 'new text');
      const answer = await probe.ask('Tread', { fid: reader, offset: 0, count: 8 });
      if (answer.type !== 'Rread') return mustFail(answer);
      const text = Buffer.from(answer.data).toString('latin1');
      return must(text === 'old text', answer, text === 'old text' ? 'of the old file' : 'of another file');
    },
  ),
];
