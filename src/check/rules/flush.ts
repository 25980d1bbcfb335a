// Tflush of what is not running: unknown tags, finished ones, and requests that may or may not have ended when the flush
// comes. Which of the two it was cannot be told from outside, so these rules hold what is true of both: a reply that came
// before the Rflush has happened, one that did not come before it never comes and nothing has happened.

import { errno } from '../../common/errno.ts';
import { NOTAG, OPEN } from '../../wire/p9/constants.ts';
import { type Answer, ecodeOf, type Heard } from '../answers.ts';
import { Probe } from '../probe.ts';
import { type Finding, fail, must, pass, type Rule, rulesOf } from '../rule.ts';
import { create, exists, getattr, isFid, put, settle, walk } from '../steps.ts';

const rule = rulesOf('flush(9P)');
const { ROOT, HOME } = Probe;
const ROOT_GETATTR = { fid: ROOT, mask: 0x7ff } as const;
const ROUNDS = 50;
const FEW = 6;
/** A tag that no rule uses. */
const UNKNOWN = 60_000;

const mustFlush = (answer: Answer): Finding => must(answer.type === 'Rflush', answer);

/** The answers to a request that was flushed at once, and the place of its Rflush among them. */
interface Race {
  /** What came for the request ahead of the Rflush, and behind it. */
  before: Heard[];
  after: Heard[];
  flushes: number;
}

/** Sends a request and its Tflush together, `rounds` times, and looks at what came when nothing more comes. */
async function race(probe: Probe, rounds: number, request: (round: number) => number): Promise<Race[]> {
  const pairs: { tag: number; flush: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const tag = request(round);
    pairs.push({ tag, flush: probe.send('Tflush', { oldtag: tag }) });
  }
  for (const { flush } of pairs) await probe.answer(flush);
  await settle(probe);
  return pairs.map(({ tag, flush }) => {
    const at = probe.heard.findIndex((heard) => heard.tag === flush);
    const of = (heard: readonly Heard[]) => heard.filter((each) => each.tag === tag);
    return {
      before: of(probe.heard.slice(0, Math.max(at, 0))),
      after: at < 0 ? [] : of(probe.heard.slice(at)),
      flushes: probe.heard.filter((heard) => heard.tag === flush && heard.type === 'Rflush').length,
    };
  });
}

const raceGetattr = (probe: Probe) => race(probe, ROUNDS, () => probe.send('Tgetattr', ROOT_GETATTR));

/** One request that is flushed at once. True: it was answered as it should be when it is carried out; false: not at all. */
async function happened(probe: Probe, tag: number, reply: Heard['type']): Promise<boolean | Finding> {
  const [one] = await race(probe, 1, () => tag);
  if (one === undefined || one.flushes !== 1) return fail(probe.over ? 'hung up' : 'no Rflush');
  if (one.after[0] !== undefined) return fail('Rflush, and then', one.after[0]);
  const [answer] = one.before;
  if (answer === undefined) return false;
  return answer.type === reply ? true : fail(answer, 'ahead of Rflush');
}

/**
 * A rule on what is left of a request that was flushed at once: `effect` says whether it took place. It is tried several
 * times, since each time either may come to pass.
 */
function consistent(
  id: string,
  text: string,
  reply: Heard['type'],
  attempt: (probe: Probe, name: string) => Promise<{ tag: number; effect: () => Promise<boolean> }>,
): Rule {
  return rule(id, 'home', text, async (probe, place) => {
    for (let i = 0; i < FEW; i++) {
      const { tag, effect } = await attempt(probe, place.name());
      const replied = await happened(probe, tag, reply);
      if (typeof replied === 'object') return replied;
      const took = await effect();
      if (replied && !took) return fail(`${reply}, Rflush, and nothing happened`);
      if (!replied && took) return fail(`Rflush without ${reply}, and it happened all the same`);
    }
    return pass('what was answered happened, and nothing else');
  });
}

export const flushRules: readonly Rule[] = [
  rule('flush-unknown', 'session', 'Tflush of a tag that is not in use is answered with Rflush', async (probe) => {
    return mustFlush(await probe.ask('Tflush', { oldtag: UNKNOWN }));
  }),

  rule('flush-notag', 'session', 'Tflush of NOTAG is answered with Rflush', async (probe) => {
    return mustFlush(await probe.ask('Tflush', { oldtag: NOTAG }));
  }),

  rule('flush-own', 'session', 'Tflush of its own tag is answered with Rflush', async (probe) => {
    const tag = probe.tag();
    return mustFlush(await probe.answer(probe.send('Tflush', { oldtag: tag }, tag)));
  }),

  rule('flush-finished', 'session', 'Tflush of a request that was answered is answered with Rflush', async (probe) => {
    const tag = probe.send('Tgetattr', ROOT_GETATTR);
    await probe.answer(tag);
    return mustFlush(await probe.ask('Tflush', { oldtag: tag }));
  }),

  rule('flush-flush', 'session', 'Tflush of a Tflush is answered with Rflush, and so is that', async (probe) => {
    const first = probe.send('Tflush', { oldtag: UNKNOWN });
    const second = await probe.ask('Tflush', { oldtag: first });
    const answer = await probe.answer(first);
    return must(answer.type === 'Rflush' && second.type === 'Rflush', answer, 'and', second);
  }),

  rule(
    'flush-answered',
    'session',
    'a request and its Tflush sent together: one Rflush, never an error',
    async (probe) => {
      const races = await raceGetattr(probe);
      const wrong = races.find(({ flushes }) => flushes !== 1);
      return wrong === undefined
        ? pass('Rflush for each')
        : fail(wrong.flushes === 0 ? 'no Rflush' : 'more than one Rflush');
    },
  ),

  rule(
    'flush-order',
    'session',
    'the reply to a flushed request comes ahead of the Rflush, or never',
    async (probe) => {
      const late = (await raceGetattr(probe)).find(({ after }) => after.length > 0);
      return late?.after[0] === undefined
        ? pass('no reply behind an Rflush')
        : fail(late.after[0], 'behind its Rflush');
    },
  ),

  rule('flush-once', 'session', 'a flushed request is answered once at the most', async (probe) => {
    const twice = (await raceGetattr(probe)).find(({ before, after }) => before.length + after.length > 1);
    return must(twice === undefined, twice === undefined ? 'one reply or none' : 'two replies');
  }),

  rule('flush-eintr', 'session', 'a flushed request does not fail because of the flush', async (probe) => {
    for (const { before, after } of await raceGetattr(probe)) {
      const spurious = [...before, ...after].find((heard) => ecodeOf(heard) !== undefined);
      if (spurious === undefined) continue;
      return fail(spurious, ecodeOf(spurious) === errno.EINTR ? 'as if the file had been interrupted' : '');
    }
    return pass('no error');
  }),

  rule(
    'flush-burst',
    'session',
    'many requests, then the flushes of all of them: each Rflush comes, each reply ahead of its own',
    async (probe) => {
      const tags = Array.from({ length: ROUNDS }, () => probe.send('Tgetattr', ROOT_GETATTR));
      const flushes = tags.map((oldtag) => probe.send('Tflush', { oldtag }));
      for (const flush of flushes) {
        const answer = await probe.answer(flush);
        if (answer.type !== 'Rflush') return fail(answer);
      }
      await settle(probe);
      for (const [i, tag] of tags.entries()) {
        const at = probe.heard.findIndex((heard) => heard.tag === flushes[i]);
        const last = probe.heard.findLastIndex((heard) => heard.tag === tag);
        const late = probe.heard[last];
        if (last > at && late !== undefined) return fail(late, 'behind its Rflush');
      }
      return pass(`${ROUNDS} Rflush`);
    },
  ),

  rule(
    'flush-repeated',
    'session',
    'several Tflush of one request: the last is answered, and none ahead of an earlier one',
    async (probe) => {
      const tag = probe.send('Tgetattr', ROOT_GETATTR);
      const flushes = [1, 2, 3].map(() => probe.send('Tflush', { oldtag: tag }));
      const last = await probe.answer(flushes[2] ?? 0);
      if (last.type !== 'Rflush') return fail(last);
      await settle(probe);
      const order = probe.heard.map((heard) => flushes.indexOf(heard.tag)).filter((at) => at >= 0);
      const sorted = order.every((at, i) => i === 0 || at > (order[i - 1] ?? -1));
      return must(sorted, sorted ? 'Rflush in order' : 'Rflush out of order');
    },
  ),

  rule('flush-tag', 'session', 'after Rflush the tag of the request is free for another', async (probe) => {
    for (let round = 0; round < ROUNDS; round++) {
      const tag = probe.tag();
      probe.send('Tgetattr', ROOT_GETATTR, tag);
      const flushed = await probe.ask('Tflush', { oldtag: tag });
      if (flushed.type !== 'Rflush') return fail(flushed);
      if (probe.untaken(tag).length > 0) await probe.answer(tag);
      const answer = await probe.answer(probe.send('Twalk', { fid: ROOT, newfid: ROOT, names: [] }, tag));
      if (answer.type !== 'Rwalk') return fail('for a Twalk with the tag:', answer);
    }
    await settle(probe);
    return pass('Rwalk for each Twalk with the tag');
  }),

  consistent(
    'flush-walk',
    'a flushed Twalk has made newfid if it was answered, and only then',
    'Rwalk',
    async (probe) => {
      const newfid = probe.fid();
      const tag = probe.send('Twalk', { fid: ROOT, newfid, names: [] });
      return { tag, effect: () => isFid(probe, newfid) };
    },
  ),

  consistent(
    'flush-open',
    'a flushed Tlopen has opened the fid if it was answered, and only then',
    'Rlopen',
    async (probe, name) => {
      await put(probe, name, 'text');
      const fid = await walk(probe, HOME, name);
      const tag = probe.send('Tlopen', { fid, flags: OPEN.RDONLY });
      return { tag, effect: async () => (await probe.ask('Tread', { fid, offset: 0, count: 1 })).type === 'Rread' };
    },
  ),

  consistent(
    'flush-mkdir',
    'a flushed Tmkdir has made the directory if it was answered, and only then',
    'Rmkdir',
    async (probe, name) => {
      const tag = probe.send('Tmkdir', { dfid: HOME, name, mode: 0o755, gid: 0 });
      return { tag, effect: () => exists(probe, name) };
    },
  ),

  consistent(
    'flush-create',
    'a flushed Tlcreate has made the file if it was answered, and only then',
    'Rlcreate',
    async (probe, name) => {
      const fid = await walk(probe, HOME);
      const tag = probe.send('Tlcreate', { fid, name, flags: OPEN.RDWR, mode: 0o644, gid: 0 });
      return { tag, effect: () => exists(probe, name) };
    },
  ),

  consistent(
    'flush-write',
    'a flushed Twrite has written if it was answered, and only then',
    'Rwrite',
    async (probe, name) => {
      const fid = await create(probe, name);
      const tag = probe.send('Twrite', { fid, offset: 0, data: Buffer.from('text') });
      return { tag, effect: async () => (await getattr(probe, fid)).size === 4 };
    },
  ),

  consistent(
    'flush-clunk',
    'a flushed Tclunk has clunked if it was answered, and only then',
    'Rclunk',
    async (probe) => {
      const fid = await walk(probe, ROOT);
      const tag = probe.send('Tclunk', { fid });
      return { tag, effect: async () => !(await isFid(probe, fid)) };
    },
  ),

  consistent(
    'flush-remove',
    'a flushed Tremove has removed the file if it was answered, and only then',
    'Rremove',
    async (probe, name) => {
      await put(probe, name, 'text');
      const fid = await walk(probe, HOME, name);
      const tag = probe.send('Tremove', { fid });
      return { tag, effect: async () => !(await exists(probe, name)) };
    },
  ),
];
