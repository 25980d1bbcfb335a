// Tauth and Tattach. Most servers of this dialect have no authentication; one that has it is asked no further than Tauth.

import { NOFID } from '../../wire/p9/constants.ts';
import { isError } from '../answers.ts';
import { Probe } from '../probe.ts';
import { fail, must, mustFail, mustRefuse, notApplicable, pass, type Rule, rulesOf } from '../rule.ts';
import { getattr, isFid, sameQid } from '../steps.ts';

const rule = rulesOf('attach(9P)');
const { ROOT } = Probe;
/** A fid that nothing was walked to. */
const UNUSED = 90;
const NO_TREE = '/ninefs-check/no/such/tree';

export const attachRules: readonly Rule[] = [
  rule('attach-qid', 'session', 'the qid of Rattach is the qid of the root that was attached', async (probe, place) => {
    const fid = probe.fid();
    const answer = await probe.attach(place.who, fid);
    if (answer.type !== 'Rattach') return fail(answer);
    const { qid } = await getattr(probe, fid);
    return must(
      sameQid(qid, answer.qid),
      answer,
      'and Rgetattr with',
      sameQid(qid, answer.qid) ? 'the same qid' : 'another qid',
    );
  }),

  rule(
    'attach-twice',
    'session',
    'two Tattach make two fids, and the end of one is not the end of the other',
    async (probe, place) => {
      const fid = probe.fid();
      const answer = await probe.attach(place.who, fid);
      if (answer.type !== 'Rattach') return fail(answer);
      await probe.must('Tclunk', { fid: ROOT });
      const alive = await isFid(probe, fid);
      return must(alive, answer, alive ? 'and a fid that lives on' : 'and a fid that is gone with the other');
    },
  ),

  rule('attach-fid-in-use', 'session', 'Tattach with a fid that is in use is an error', async (probe, place) => {
    return mustFail(await probe.attach(place.who, ROOT));
  }),

  rule('attach-nofid', 'session', 'NOFID is no fid: Tattach to it is refused', async (probe, place) => {
    return mustRefuse(await probe.attach(place.who, NOFID));
  }),

  rule('attach-unknown-afid', 'session', 'an afid that is no fid is refused', async (probe, place) => {
    const fid = probe.fid();
    return mustRefuse(await probe.ask('Tattach', { fid, afid: UNUSED, ...place.who }));
  }),

  rule('attach-ordinary-afid', 'session', 'an afid that was not made by Tauth is refused', async (probe, place) => {
    const fid = probe.fid();
    return mustRefuse(await probe.ask('Tattach', { fid, afid: ROOT, ...place.who }));
  }),

  rule('attach-unknown-tree', 'session', 'an aname that names no tree is an error', async (probe, place) => {
    const fid = probe.fid();
    const answer = await probe.attach({ ...place.who, aname: NO_TREE }, fid);
    if (answer.type !== 'Rattach') return mustRefuse(answer);
    const root = await getattr(probe, ROOT);
    if (sameQid(answer.qid, root.qid)) return notApplicable('Rattach to the same root: aname means nothing here');
    return fail(answer, 'with a root of its own');
  }),

  rule('attach-failed', 'session', 'a Tattach that failed makes no fid', async (probe, place) => {
    const fid = probe.fid();
    const answer = await probe.ask('Tattach', { fid, afid: UNUSED, ...place.who });
    if (answer.type === 'closed') return pass(answer);
    if (!isError(answer)) return notApplicable('none failed:', answer);
    const made = await isFid(probe, fid);
    return must(!made, answer, made ? 'and a fid' : 'and no fid');
  }),

  rule(
    'auth',
    'session',
    'Tauth is answered with Rauth, or with an error where none is needed',
    async (probe, place) => {
      const { uname, aname, nUname } = place.who;
      const answer = await probe.ask('Tauth', { afid: UNUSED, uname, aname, nUname });
      return must(answer.type === 'Rauth' || isError(answer), answer);
    },
  ),

  rule('auth-failed', 'session', 'a Tauth that failed makes no fid', async (probe, place) => {
    const { uname, aname, nUname } = place.who;
    const answer = await probe.ask('Tauth', { afid: UNUSED, uname, aname, nUname });
    if (answer.type === 'Rauth') return notApplicable(answer);
    if (answer.type === 'closed') return fail(answer);
    if (await isFid(probe, UNUSED)) return fail(answer, 'and a fid');
    const newfid = UNUSED;
    const free = await probe.ask('Twalk', { fid: ROOT, newfid, names: [] });
    return must(free.type === 'Rwalk', answer, 'then for the same number', free);
  }),
];
