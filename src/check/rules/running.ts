// Tflush of a request that runs, and what else may come while one does. Such a request is had from a file that the user names
// (its reads wait until they are flushed), or from a FIFO that nobody writes: opening it waits. Where neither works none
// of these rules applies, and the report says why.

import { NOTAG, OPEN, VERSION } from '../../wire/p9/constants.ts';
import { type Answer, type Heard, isRefusal, show } from '../answers.ts';
import { makeFifo, openOtherEnd } from '../home.ts';
import { Probe } from '../probe.ts';
import { type Finding, fail, must, notApplicable, type Place, pass, type Rule, rulesOf } from '../rule.ts';
import { settle, walk } from '../steps.ts';

const flush = rulesOf('flush(9P)');
const version = rulesOf('version(9P)');
const clunk = rulesOf('clunk(9P)');
const intro = rulesOf('intro(9P)');
const { ROOT, HOME } = Probe;
const ROOT_GETATTR = { fid: ROOT, mask: 0x7ff } as const;
/** Not answered by then, while others are: it runs. */
const RUNS = 150;

interface Running {
  readonly probe: Probe;
  readonly tag: number;
  readonly fid: number;
  /** Lets it end by itself, where that can be done. */
  finish(): Promise<void>;
}

async function isRunning(probe: Probe, tag: number): Promise<boolean> {
  await probe.ask('Tgetattr', ROOT_GETATTR);
  return !(await probe.wait(RUNS, () => probe.untaken(tag).length > 0)) && !probe.over;
}

async function hanging(probe: Probe, names: readonly string[]): Promise<Running | string> {
  const fid = await walk(probe, ROOT, ...names);
  await probe.must('Tlopen', { fid, flags: OPEN.RDONLY });
  const tag = probe.send('Tread', { fid, offset: 0, count: 1 });
  if (await isRunning(probe, tag)) return { probe, tag, fid, finish: async () => undefined };
  return `the Tread that should hang is answered ${show(await probe.answer(tag))}`;
}

async function waitingOpen(place: Place): Promise<Running | string> {
  const probe = await place.open('home');
  const name = place.name();
  const refused = await makeFifo(probe, name);
  if (refused !== undefined) return `making a FIFO is answered ${show(refused)}`;
  const fid = await walk(probe, HOME, name);
  const tag = probe.send('Tlopen', { fid, flags: OPEN.RDONLY });
  if (!(await isRunning(probe, tag))) return `Tlopen of a FIFO is answered ${show(await probe.answer(tag))}`;
  const finish = async () => openOtherEnd(await place.open('home'), name);
  return { probe, tag, fid, finish };
}

/** A rule on a request that runs. */
function running(
  rule: ReturnType<typeof rulesOf>,
  id: string,
  text: string,
  run: (running: Running, place: Place) => Promise<Finding>,
): Rule {
  return rule(id, 'session', text, async (probe, place) => {
    if (place.hang === undefined && !place.writable)
      return notApplicable('no request that runs can be had: name one with -o hang=PATH');
    const had = place.hang === undefined ? await waitingOpen(place) : await hanging(probe, place.hang);
    if (typeof had === 'string') return notApplicable('no request that runs can be had:', had);
    return run(had, place);
  });
}

/** What came behind an answer; some of it may have been there before whoever waited for the answer went on. */
const behind = (probe: Probe, answer: Heard): readonly Heard[] => probe.heard.slice(probe.heard.indexOf(answer) + 1);

/** The answer to a Tflush of the request that runs. */
const flushed = (running: Running): Promise<Answer> => running.probe.ask('Tflush', { oldtag: running.tag });

export const runningRules: readonly Rule[] = [
  running(
    flush,
    'flush-running',
    'Tflush of a request that runs is answered, without waiting for what the request waits for',
    async (it) => {
      const answer = await flushed(it);
      return must(answer.type === 'Rflush', answer);
    },
  ),

  running(
    flush,
    'flush-running-reply',
    'after that Rflush there is no reply to the request, also when what it waited for comes',
    async (it) => {
      const answer = await flushed(it);
      if (answer.type !== 'Rflush') return fail(answer);
      await it.finish();
      await settle(it.probe);
      const late = behind(it.probe, answer).find(({ tag }) => tag === it.tag);
      return late === undefined ? pass(answer, 'and nothing behind it') : fail(answer, 'and then', late);
    },
  ),

  running(
    flush,
    'flush-running-eintr',
    'the request that was flushed is not answered with an error of its own',
    async (it) => {
      const answer = await flushed(it);
      if (answer.type !== 'Rflush') return fail(answer);
      const early = it.probe.heard.find(({ tag }) => tag === it.tag);
      return early !== undefined && isRefusal(early) ? fail(early, 'ahead of Rflush') : pass(answer);
    },
  ),

  running(flush, 'flush-running-tag', 'after that Rflush the tag is free for another request', async (it) => {
    const answer = await flushed(it);
    if (answer.type !== 'Rflush') return fail(answer);
    while (it.probe.untaken(it.tag).length > 0) await it.probe.answer(it.tag); // a reply ahead of Rflush is one
    it.probe.send('Tgetattr', ROOT_GETATTR, it.tag);
    const next = await it.probe.answer(it.tag);
    if (next.type !== 'Rgetattr') return fail(answer, 'then for a Tgetattr with the tag:', next);
    await it.finish();
    await settle(it.probe);
    const [more] = it.probe.untaken(it.tag);
    return more === undefined ? pass(answer, 'then', next) : fail('with the tag', next, 'and', more);
  }),

  running(
    flush,
    'flush-running-repeated',
    'several Tflush of a request that runs: the last is answered, in order with the others',
    async (it) => {
      const tags = [1, 2, 3].map(() => it.probe.send('Tflush', { oldtag: it.tag }));
      const last = await it.probe.answer(tags[2] ?? 0);
      if (last.type !== 'Rflush') return fail(last);
      await settle(it.probe);
      const order = it.probe.heard.map(({ tag }) => tags.indexOf(tag)).filter((at) => at >= 0);
      const sorted = order.every((at, i) => i === 0 || at > (order[i - 1] ?? -1));
      return must(sorted, sorted ? 'Rflush in order' : 'Rflush out of order');
    },
  ),

  running(flush, 'flush-running-flush', 'a Tflush that waits may be flushed: both are answered', async (it) => {
    const first = it.probe.send('Tflush', { oldtag: it.tag });
    const second = await it.probe.ask('Tflush', { oldtag: first });
    if (second.type !== 'Rflush') return fail('the second:', second);
    const answer = await it.probe.answer(first);
    return must(answer.type === 'Rflush', 'for the first', answer, 'and for the second', second);
  }),

  running(
    flush,
    'flush-running-others',
    'other requests are answered while one runs, and after its flush',
    async (it) => {
      const before = await it.probe.ask('Tgetattr', ROOT_GETATTR);
      it.probe.send('Tflush', { oldtag: it.tag });
      const after = await it.probe.ask('Tgetattr', ROOT_GETATTR);
      return must(before.type === 'Rgetattr' && after.type === 'Rgetattr', before, 'and', after);
    },
  ),

  running(flush, 'flush-running-fid', 'the fid of a request that was flushed can be clunked', async (it) => {
    const answer = await flushed(it);
    if (answer.type !== 'Rflush') return fail(answer);
    const clunked = await it.probe.ask('Tclunk', { fid: it.fid });
    return must(clunked.type === 'Rclunk', answer, 'then', clunked);
  }),

  running(clunk, 'clunk-running', 'Tclunk is answered also while a request runs on the fid', async (it) => {
    const answer = await it.probe.ask('Tclunk', { fid: it.fid });
    return must(answer.type === 'Rclunk', answer);
  }),

  running(
    version,
    'version-running',
    'Tversion ends a request that runs: Rversion comes, and no reply behind it',
    async (it, place) => {
      const answer = await it.probe.answer(
        it.probe.send('Tversion', { msize: place.msize, version: VERSION.dotl }, NOTAG),
      );
      if (answer.type !== 'Rversion') return fail(answer);
      await it.finish();
      await it.probe.quiet();
      const [late] = behind(it.probe, answer);
      return late === undefined ? pass(answer) : fail(answer, 'and then', late);
    },
  ),

  running(intro, 'tag-in-use', 'a request with the tag of one that runs is refused', async (it) => {
    it.probe.send('Tgetattr', ROOT_GETATTR, it.tag);
    const answer = await it.probe.answer(it.tag);
    return must(isRefusal(answer), answer);
  }),

  running(
    intro,
    'hang-up-running',
    'a connection that ends while a request runs takes nobody else with it',
    async (it, place) => {
      it.probe.close();
      const answer = await (await place.open('session')).ask('Tgetattr', ROOT_GETATTR);
      return must(answer.type === 'Rgetattr', 'on another connection', answer);
    },
  ),
];
