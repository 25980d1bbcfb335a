// Twalk: how many names, which of them are found, what becomes of newfid, and what no walk may reach.

import { errno } from '../../common/errno.ts';
import { MAXWELEM, NOFID, QT } from '../../wire/p9/constants.ts';
import { ecodeOf, isError, isRefusal } from '../answers.ts';
import { Probe } from '../probe.ts';
import { fail, must, mustFail, mustRefuse, notApplicable, pass, type Rule, rulesOf } from '../rule.ts';
import { create, getattr, isFid, mkdir, put, sameQid, walk } from '../steps.ts';

const rule = rulesOf('walk(9P)');
const { ROOT, HOME } = Probe;
const MISSING = 'ninefs-check-no-such-name';
const UP = '..';

/** A directory with a file in it: the names of both, and a fid of the directory. */
async function family(probe: Probe, dir: string, file: string): Promise<number> {
  const fid = await mkdir(probe, dir);
  await put(probe, file, 'text', fid);
  return fid;
}

export const walkRules: readonly Rule[] = [
  rule(
    'walk-none',
    'session',
    'a walk of no names is answered with no qids and makes newfid the same file',
    async (probe) => {
      const newfid = probe.fid();
      const answer = await probe.ask('Twalk', { fid: ROOT, newfid, names: [] });
      if (answer.type !== 'Rwalk' || answer.qids.length !== 0) return fail(answer);
      const [one, two] = [await getattr(probe, ROOT), await getattr(probe, newfid)];
      return must(
        sameQid(one.qid, two.qid),
        answer,
        sameQid(one.qid, two.qid) ? 'to the same file' : 'to another file',
      );
    },
  ),

  rule(
    'walk-none-in-place',
    'session',
    'a walk of no names with newfid the same as fid leaves the fid as it is',
    async (probe) => {
      const before = await getattr(probe, ROOT);
      const answer = await probe.ask('Twalk', { fid: ROOT, newfid: ROOT, names: [] });
      if (answer.type !== 'Rwalk') return fail(answer);
      return must(sameQid((await getattr(probe, ROOT)).qid, before.qid), answer);
    },
  ),

  rule('walk-file', 'home', 'a walk of no names works from a file as well', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await walk(probe, HOME, name);
    const answer = await probe.ask('Twalk', { fid, newfid: probe.fid(), names: [] });
    return must(answer.type === 'Rwalk', answer);
  }),

  rule('walk-qids', 'home', 'Rwalk has one qid for each name, that of the file there', async (probe, place) => {
    const [dir, file] = [place.name(), place.name()];
    const inner = await family(probe, dir, file);
    const newfid = probe.fid();
    const answer = await probe.ask('Twalk', { fid: HOME, newfid, names: [dir, file] });
    if (answer.type !== 'Rwalk' || answer.qids.length !== 2) return fail(answer);
    const there = [(await getattr(probe, inner)).qid, (await getattr(probe, newfid)).qid];
    const same = answer.qids.every((qid, i) => sameQid(qid, there[i] ?? { type: 0, version: 0, path: -1n }));
    return must(same, answer, same ? 'as Rgetattr has them' : 'that are not those of Rgetattr');
  }),

  rule(`walk-${MAXWELEM}`, 'home', `a walk of ${MAXWELEM} names is carried out`, async (probe, place) => {
    const names = Array.from({ length: MAXWELEM }, () => place.name());
    let dir = HOME;
    for (const name of names) dir = await mkdir(probe, name, dir);
    const newfid = probe.fid();
    const answer = await probe.ask('Twalk', { fid: HOME, newfid, names });
    if (answer.type !== 'Rwalk' || answer.qids.length !== MAXWELEM) return fail(answer);
    const same = sameQid((await getattr(probe, newfid)).qid, (await getattr(probe, dir)).qid);
    return must(same, answer, same ? 'to the last' : 'to another file than the last');
  }),

  rule(`walk-${MAXWELEM + 1}`, 'session', `a walk of ${MAXWELEM + 1} names is refused`, async (probe) => {
    const names = Array.from({ length: MAXWELEM + 1 }, () => UP);
    return mustRefuse(await probe.ask('Twalk', { fid: ROOT, newfid: probe.fid(), names }));
  }),

  rule(
    'walk-first-missing',
    'session',
    'when the first name is not found the answer is the error ENOENT',
    async (probe) => {
      const answer = await probe.ask('Twalk', { fid: ROOT, newfid: probe.fid(), names: [MISSING] });
      return must(ecodeOf(answer) === errno.ENOENT, answer);
    },
  ),

  rule('walk-first-missing-newfid', 'session', 'a walk that is an error makes no fid', async (probe) => {
    const newfid = probe.fid();
    const answer = await probe.ask('Twalk', { fid: ROOT, newfid, names: [MISSING] });
    return must(!(await isFid(probe, newfid)), answer, (await isFid(probe, newfid)) ? 'and a fid' : 'and no fid');
  }),

  rule(
    'walk-later-missing',
    'home',
    'when a later name is not found the answer is Rwalk with the qids of those before',
    async (probe, place) => {
      const dir = place.name();
      await mkdir(probe, dir);
      const answer = await probe.ask('Twalk', { fid: HOME, newfid: probe.fid(), names: [dir, MISSING, MISSING] });
      return must(answer.type === 'Rwalk' && answer.qids.length === 1, answer);
    },
  ),

  rule('walk-partial-newfid', 'home', 'a walk that stops before its last name makes no fid', async (probe, place) => {
    const dir = place.name();
    await mkdir(probe, dir);
    const newfid = probe.fid();
    const answer = await probe.ask('Twalk', { fid: HOME, newfid, names: [dir, MISSING] });
    const made = await isFid(probe, newfid);
    return must(!made, answer, made ? 'and a fid' : 'and no fid');
  }),

  rule(
    'walk-partial-in-place',
    'home',
    'a walk that stops before its last name leaves the fid where it was',
    async (probe, place) => {
      const dir = place.name();
      await mkdir(probe, dir);
      const fid = await walk(probe, HOME);
      const answer = await probe.ask('Twalk', { fid, newfid: fid, names: [dir, MISSING] });
      const same = sameQid((await getattr(probe, fid)).qid, (await getattr(probe, HOME)).qid);
      return must(same, answer, same ? 'and the fid where it was' : 'and the fid elsewhere');
    },
  ),

  rule('walk-in-place', 'home', 'a walk with newfid the same as fid moves the fid', async (probe, place) => {
    const dir = place.name();
    const there = await mkdir(probe, dir);
    const fid = await walk(probe, HOME);
    const answer = await probe.ask('Twalk', { fid, newfid: fid, names: [dir] });
    if (answer.type !== 'Rwalk') return fail(answer);
    const same = sameQid((await getattr(probe, fid)).qid, (await getattr(probe, there)).qid);
    return must(same, answer, same ? 'and the fid there' : 'and the fid elsewhere');
  }),

  rule('walk-up-at-root', 'session', '`..` of the root is the root', async (probe) => {
    const root = await getattr(probe, ROOT);
    const answer = await probe.ask('Twalk', { fid: ROOT, newfid: probe.fid(), names: [UP, UP, UP] });
    if (answer.type !== 'Rwalk' || answer.qids.length !== 3) return fail(answer);
    const same = answer.qids.every((qid) => sameQid(qid, root.qid));
    return must(same, answer, same ? 'of the root' : 'that are not the root');
  }),

  rule('walk-up', 'home', '`..` of a directory is the one that it is in', async (probe, place) => {
    const fid = await mkdir(probe, place.name());
    const newfid = probe.fid();
    const answer = await probe.ask('Twalk', { fid, newfid, names: [UP] });
    if (answer.type !== 'Rwalk' || answer.qids.length !== 1) return fail(answer);
    const same = sameQid((await getattr(probe, newfid)).qid, (await getattr(probe, HOME)).qid);
    return must(same, answer, same ? 'to the directory above' : 'to another file');
  }),

  rule('walk-dot', 'session', '`.` is no name of its own: refused, or the same directory', async (probe) => {
    const newfid = probe.fid();
    const answer = await probe.ask('Twalk', { fid: ROOT, newfid, names: ['.'] });
    if (answer.type !== 'Rwalk') return mustFail(answer);
    const same = sameQid((await getattr(probe, newfid)).qid, (await getattr(probe, ROOT)).qid);
    return must(same, answer, same ? 'to the same directory' : 'to another file');
  }),

  rule('walk-empty-name', 'home', 'an empty name leads nowhere else: refused, or the same directory', async (probe) => {
    const newfid = probe.fid();
    const answer = await probe.ask('Twalk', { fid: HOME, newfid, names: [''] });
    if (answer.type !== 'Rwalk' || answer.qids.length === 0) return mustRefuse(answer);
    const same = sameQid((await getattr(probe, newfid)).qid, (await getattr(probe, HOME)).qid);
    return must(same, answer, same ? 'to the same directory' : 'to another file');
  }),

  rule('walk-slash', 'home', 'a name with a slash is never taken for a path', async (probe, place) => {
    const [dir, file] = [place.name(), place.name()];
    await family(probe, dir, file);
    const answer = await probe.ask('Twalk', { fid: HOME, newfid: probe.fid(), names: [`${dir}/${file}`] });
    return must(isRefusal(answer), answer);
  }),

  rule('walk-slash-up', 'home', 'a name like `../..` does not lead above', async (probe) => {
    return mustRefuse(await probe.ask('Twalk', { fid: HOME, newfid: probe.fid(), names: ['../..'] }));
  }),

  rule('walk-nul', 'home', 'a name with NUL is not cut there', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    return mustRefuse(await probe.ask('Twalk', { fid: HOME, newfid: probe.fid(), names: [`${name}\0x`] }));
  }),

  rule('walk-long-name', 'home', 'a name that is too long is not cut', async (probe, place) => {
    const name = `${place.name()}-`.padEnd(255, 'n');
    await put(probe, name, 'text');
    return mustRefuse(await probe.ask('Twalk', { fid: HOME, newfid: probe.fid(), names: [`${name}x`] }));
  }),

  rule('walk-from-file', 'home', 'nothing is below a file', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await walk(probe, HOME, name);
    return mustFail(await probe.ask('Twalk', { fid, newfid: probe.fid(), names: [MISSING] }));
  }),

  rule('walk-through-file', 'home', 'a walk stops at a file', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const answer = await probe.ask('Twalk', { fid: HOME, newfid: probe.fid(), names: [name, UP] });
    if (isError(answer)) return pass(answer);
    return must(answer.type === 'Rwalk' && answer.qids.length === 1, answer);
  }),

  rule(
    'walk-symlink',
    'home',
    'symbolic links are followed by the client: a walk stops at one',
    async (probe, place) => {
      const [dir, file, name] = [place.name(), place.name(), place.name()];
      await family(probe, dir, file);
      const made = await probe.ask('Tsymlink', { dfid: HOME, name, target: dir, gid: 0 });
      if (made.type !== 'Rsymlink') return notApplicable('Tsymlink:', made);
      const at = await probe.ask('Twalk', { fid: HOME, newfid: probe.fid(), names: [name] });
      if (at.type !== 'Rwalk' || at.qids.length !== 1) return fail(at);
      if (((at.qids[0]?.type ?? 0) & QT.SYMLINK) === 0) return fail(at, 'that is no symbolic link');
      const answer = await probe.ask('Twalk', { fid: HOME, newfid: probe.fid(), names: [name, file] });
      return must(
        isError(answer) || (answer.type === 'Rwalk' && answer.qids.length === 1),
        'Twalk through it:',
        answer,
      );
    },
  ),

  rule(
    'walk-newfid-in-use',
    'home',
    'a newfid that is in use is refused, and stays what it is',
    async (probe, place) => {
      const newfid = await mkdir(probe, place.name());
      const before = await getattr(probe, newfid);
      const answer = await probe.ask('Twalk', { fid: ROOT, newfid, names: [] });
      if (!isError(answer)) return fail(answer);
      return must(sameQid((await getattr(probe, newfid)).qid, before.qid), answer);
    },
  ),

  rule('walk-unknown-fid', 'session', 'a walk from a number that is no fid is an error', async (probe) => {
    return mustFail(await probe.ask('Twalk', { fid: probe.fid(), newfid: probe.fid(), names: [] }));
  }),

  rule('walk-nofid', 'session', 'NOFID is no fid: a walk to it is refused', async (probe) => {
    return mustRefuse(await probe.ask('Twalk', { fid: ROOT, newfid: NOFID, names: [] }));
  }),

  rule(
    'walk-open-fid',
    'home',
    'a walk from an open fid is refused (walk(9P)) or carried out (Linux); the fid stays open',
    async (probe, place) => {
      const fid = await create(probe, place.name());
      const newfid = probe.fid();
      const answer = await probe.ask('Twalk', { fid, newfid, names: [] });
      const still = await probe.ask('Tread', { fid, offset: 0, count: 1 });
      if (still.type !== 'Rread') return fail(answer, 'and then Tread:', still);
      if (answer.type !== 'Rwalk') return mustFail(answer);
      const opened = await probe.ask('Tread', { fid: newfid, offset: 0, count: 1 });
      return must(
        isError(opened),
        answer,
        isError(opened) ? 'to a fid that is not open' : 'to a fid that is open as well',
      );
    },
  ),
];
