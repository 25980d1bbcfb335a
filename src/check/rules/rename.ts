// Owns: the rules about Trename, Trenameat and a Twstat of the name: what has which name afterwards, and what is
// refused. What fids are afterwards is asked in renaming.ts.

import { errno } from '../../common/errno.ts';
import { ecodeOf, isError } from '../answers.ts';
import { wstat } from '../dialects/plan9.ts';
import { Probe } from '../probe.ts';
import { type Finding, fail, must, notApplicable, type Place, type Rule, rulesOf } from '../rule.ts';
import { contents, exists, find, getattr, isMissing, mkdir, open, put, remove, sameQid, walk } from '../steps.ts';
import { known, put as putIn, sceneOf, textAt } from './identity.ts';

const link = rulesOf('9P2000.L');
const at = rulesOf('9P2000.L Trenameat');
const stat = rulesOf('stat(9P)', 'plan9');
const { HOME } = Probe;

const renaming = (oldname: string, newdirfid: number, newname: string) => ({
  olddirfid: HOME,
  oldname,
  newdirfid,
  newname,
});

/** A Trenameat that has to be refused, of a file that has to keep its name. */
async function refused(probe: Probe, place: Place, newdirfid: number): Promise<Finding> {
  const name = place.name();
  await put(probe, name, 'text');
  const answer = await probe.ask('Trenameat', renaming(name, newdirfid, place.name()));
  if (isMissing(answer)) return notApplicable(answer);
  if (!isError(answer)) return fail(answer);
  const isThere = await exists(probe, name);
  return must(isThere, answer, isThere ? 'and the file under its name' : 'and the name is gone');
}

export const renameRules: readonly Rule[] = [
  link('rename', 'home', 'Trename gives the file another name, and its fid goes with it', async (probe, place) => {
    const [name, other] = [place.name(), place.name()];
    await put(probe, name, 'text');
    const fid = await walk(probe, HOME, name);
    const answer = await probe.ask('Trename', { fid, dfid: HOME, name: other });
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Rrename') return fail(answer);
    if (await exists(probe, name)) return fail(answer, 'and the old name is still there');
    const after = await probe.ask('Tgetattr', { fid, mask: 0x7ff });
    if (after.type !== 'Rgetattr') return fail(answer, 'then Tgetattr of the fid:', after);
    return must((await contents(probe, other)) === 'text', answer, 'and the file under its new name');
  }),

  link(
    'renameat',
    'home',
    'Trenameat moves a file between directories and replaces what was there',
    async (probe, place) => {
      const [name, dir, other] = [place.name(), place.name(), place.name()];
      await put(probe, name, 'new');
      const newdirfid = await mkdir(probe, dir);
      await put(probe, other, 'old', newdirfid);
      const answer = await probe.ask('Trenameat', { olddirfid: HOME, oldname: name, newdirfid, newname: other });
      if (isMissing(answer)) return notApplicable(answer);
      if (answer.type !== 'Rrenameat') return fail(answer);
      if (await exists(probe, name)) return fail(answer, 'and the old name is still there');
      return must((await contents(probe, other, newdirfid)) === 'new', answer, 'and the file under its new name');
    },
  ),

  at('renameat-within', 'home', 'Trenameat gives a file another name in its directory', async (probe, place) => {
    const [name, other] = [place.name(), place.name()];
    await put(probe, name, 'text');
    const answer = await probe.ask('Trenameat', renaming(name, HOME, other));
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Rrenameat') return fail(answer);
    if (await exists(probe, name)) return fail(answer, 'and the old name is still there');
    const isThere = (await contents(probe, other)) === 'text';
    return must(isThere, answer, isThere ? 'and the file under its new name' : 'and another file under the new name');
  }),

  at('renameat-over', 'home', 'Trenameat over another file takes its place', async (probe, place) => {
    const [name, other] = [place.name(), place.name()];
    await put(probe, name, 'new');
    await put(probe, other, 'old text');
    const { qid } = await getattr(probe, await walk(probe, HOME, name));
    const answer = await probe.ask('Trenameat', renaming(name, HOME, other));
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Rrenameat') return fail(answer);
    if (await exists(probe, name)) return fail(answer, 'and the old name is still there');
    const there = await getattr(probe, await walk(probe, HOME, other));
    if (!sameQid(there.qid, qid)) return fail(answer, 'and another file under the new name');
    return must((await contents(probe, other)) === 'new', answer, 'and the file under its new name');
  }),

  at('renameat-directory', 'home', 'Trenameat moves a directory with what is in it', async (probe, place) => {
    const [name, inner, dir, other] = [place.name(), place.name(), place.name(), place.name()];
    await put(probe, inner, 'text', await mkdir(probe, name));
    const newdirfid = await mkdir(probe, dir);
    const answer = await probe.ask('Trenameat', renaming(name, newdirfid, other));
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Rrenameat') return fail(answer);
    if (await exists(probe, name)) return fail(answer, 'and the old name is still there');
    const moved = await find(probe, other, newdirfid);
    if (moved === undefined) return fail(answer, 'and nothing has the new name');
    const isThere = await exists(probe, inner, moved);
    return must(isThere, answer, isThere ? 'and everything is in it' : 'and an empty directory');
  }),

  at('renameat-missing', 'home', 'Trenameat of a name that is not there is ENOENT', async (probe, place) => {
    const other = place.name();
    const answer = await probe.ask('Trenameat', renaming(place.name(), HOME, other));
    if (isMissing(answer)) return notApplicable(answer);
    if (ecodeOf(answer) !== errno.ENOENT) return fail(answer);
    const made = await exists(probe, other);
    return must(!made, answer, made ? 'and something has the new name' : 'and nothing has the new name');
  }),

  at(
    'renameat-into-removed',
    'home',
    'Trenameat into a directory that was removed is refused',
    async (probe, place) => {
      const dir = place.name();
      const newdirfid = await mkdir(probe, dir);
      await remove(probe, dir, HOME, true);
      return refused(probe, place, newdirfid);
    },
  ),

  at('renameat-unknown-fid', 'home', 'Trenameat to a number that is no fid is an error', (probe, place) =>
    refused(probe, place, probe.fid()),
  ),

  link('rename-open', 'home', 'an open fid goes on working when its file is renamed', async (probe, place) => {
    const [name, other] = [place.name(), place.name()];
    await put(probe, name, 'text');
    const opened = await open(probe, HOME, name);
    const answer = await probe.ask('Trename', { fid: await walk(probe, HOME, name), dfid: HOME, name: other });
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Rrename') return fail(answer);
    const read = await probe.ask('Tread', { fid: opened, offset: 0, count: 10 });
    const after = await probe.ask('Tgetattr', { fid: opened, mask: 0x7ff });
    return must(read.type === 'Rread' && after.type === 'Rgetattr', answer, 'then', read, 'and', after);
  }),
];

export const wstatRules: readonly Rule[] = [
  stat('wstat', 'home', 'Twstat of a name gives the file that name, and its fid goes with it', async (probe, place) => {
    const scene = sceneOf(probe, place);
    await probe.must('Tclunk', { fid: await putIn(scene, scene.from) });
    const fid = await walk(probe, HOME, scene.from);
    const { qid } = await known(scene, fid);
    const answer = await wstat(probe, fid, { name: scene.to });
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Rwstat') return fail(answer);
    if ((await find(probe, scene.from)) !== undefined) return fail(answer, 'and the old name is still there');
    const after = await scene.dialect.look(probe, fid);
    if (after.seen === undefined) return fail(answer, 'then Tstat of the fid:', after.answer);
    if (!sameQid(after.seen.qid, qid)) return fail(answer, 'and the fid is another file');
    const isThere = (await textAt(scene, scene.to)) === 'text';
    return must(isThere, answer, isThere ? 'and the file under its new name' : 'and nothing under its new name');
  }),
];
