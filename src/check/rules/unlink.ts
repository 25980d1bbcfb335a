// Owns: the rules about Tunlinkat, and about fids of a file whose last name is gone: what they still do in 9P2000.L,
// whose clients expect of an open file what Linux does, and that in no dialect they reach the file that gets the name
// next.

import { errno } from '../../common/errno.ts';
import { AT_REMOVEDIR } from '../../wire/p9/constants.ts';
import type { Qid } from '../../wire/p9/types.ts';
import { ecodeOf, isError, show } from '../answers.ts';
import { Probe } from '../probe.ts';
import { fail, must, mustFail, notApplicable, type Rule, rulesOf } from '../rule.ts';
import { create, remove as drop, exists, getattr, isMissing, mkdir, put, readAll, sameQid, setSize } from '../steps.ts';

const unlinkat = rulesOf('9P2000.L Tunlinkat');
const { HOME } = Probe;

/** An open file of 4 bytes without a name. */
async function unlinked(probe: Probe, name: string): Promise<{ fid: number; qid: Qid }> {
  const fid = await create(probe, name);
  await probe.must('Twrite', { fid, offset: 0, data: Buffer.from('text') });
  const { qid } = await getattr(probe, fid);
  await drop(probe, name);
  return { fid, qid };
}

export const unlinkRules: readonly Rule[] = [
  unlinkat('unlinkat', 'home', 'Tunlinkat removes a name', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const answer = await probe.ask('Tunlinkat', { dirfid: HOME, name, flags: 0 });
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Runlinkat') return fail(answer);
    const there = await exists(probe, name);
    return must(!there, answer, there ? 'and the name is still there' : 'and the name is gone');
  }),

  unlinkat(
    'unlinkat-kind',
    'home',
    'Tunlinkat removes a directory with AT_REMOVEDIR only, and nothing else with it',
    async (probe, place) => {
      const [dir, file] = [place.name(), place.name()];
      await mkdir(probe, dir);
      await put(probe, file, 'text');
      const one = await probe.ask('Tunlinkat', { dirfid: HOME, name: dir, flags: 0 });
      if (isMissing(one)) return notApplicable(one);
      if (!isError(one)) return fail('of a directory without AT_REMOVEDIR:', one);
      const two = await probe.ask('Tunlinkat', { dirfid: HOME, name: file, flags: 0x200 });
      return must(isError(two), `${show(one)} without AT_REMOVEDIR,`, two, 'with it');
    },
  ),

  unlinkat('unlinkat-missing', 'home', 'Tunlinkat of a name that is not there is ENOENT', async (probe, place) => {
    const answer = await probe.ask('Tunlinkat', { dirfid: HOME, name: place.name(), flags: 0 });
    if (isMissing(answer)) return notApplicable(answer);
    return must(ecodeOf(answer) === errno.ENOENT, answer);
  }),

  unlinkat(
    'unlinkat-full-directory',
    'home',
    'Tunlinkat of a directory that is not empty is refused',
    async (probe, place) => {
      const [dir, inner] = [place.name(), place.name()];
      const fid = await mkdir(probe, dir);
      await put(probe, inner, 'text', fid);
      const answer = await probe.ask('Tunlinkat', { dirfid: HOME, name: dir, flags: AT_REMOVEDIR });
      if (isMissing(answer)) return notApplicable(answer);
      if (!isError(answer)) return fail(answer);
      return must(await exists(probe, inner, fid), answer, 'and everything is there');
    },
  ),

  unlinkat(
    'unlinkat-in-removed',
    'home',
    'Tunlinkat in a directory that was removed is refused',
    async (probe, place) => {
      const [dir, name] = [place.name(), place.name()];
      const dirfid = await mkdir(probe, dir);
      await drop(probe, dir, HOME, true);
      const answer = await probe.ask('Tunlinkat', { dirfid, name, flags: 0 });
      return isMissing(answer) ? notApplicable(answer) : mustFail(answer);
    },
  ),

  unlinkat(
    'unlink-open-read',
    'home',
    'an open file is read and written on after its name is gone',
    async (probe, place) => {
      const { fid } = await unlinked(probe, place.name());
      const written = await probe.ask('Twrite', { fid, offset: 4, data: Buffer.from(' more') });
      if (written.type !== 'Rwrite') return fail('Twrite:', written);
      const answer = await probe.ask('Tread', { fid, offset: 0, count: 100 });
      if (answer.type !== 'Rread') return fail('Tread:', answer);
      const right = Buffer.from(answer.data).toString('latin1') === 'text more';
      return must(right, written, 'and', answer);
    },
  ),

  unlinkat(
    'unlink-open-getattr',
    'home',
    'Tgetattr of an open file works after its name is gone',
    async (probe, place) => {
      const { fid, qid } = await unlinked(probe, place.name());
      const answer = await probe.ask('Tgetattr', { fid, mask: 0x7ff });
      if (answer.type !== 'Rgetattr') return fail(answer);
      return must(sameQid(answer.qid, qid), answer);
    },
  ),

  unlinkat(
    'unlink-open-setattr',
    'home',
    'Tsetattr of an open file works after its name is gone',
    async (probe, place) => {
      const { fid } = await unlinked(probe, place.name());
      const answer = await setSize(probe, fid, 2);
      if (answer.type !== 'Rsetattr') return fail(answer);
      const left = (await readAll(probe, fid)).length;
      return must(left === 2, answer, `and a file of ${left} bytes`);
    },
  ),

  unlinkat(
    'unlink-open-write',
    'home',
    'what is written to an open file after its name is gone is read back',
    async (probe, place) => {
      const { fid } = await unlinked(probe, place.name());
      const answer = await probe.ask('Twrite', { fid, offset: 0, data: Buffer.from('TEXT') });
      if (answer.type !== 'Rwrite') return fail(answer);
      const isThere = (await readAll(probe, fid)).toString('latin1') === 'TEXT';
      return must(isThere, answer, isThere ? 'and it is in the file' : 'and it is not in the file');
    },
  ),

  unlinkat('unlink-open-fsync', 'home', 'Tfsync of an open file works after its name is gone', async (probe, place) => {
    const { fid } = await unlinked(probe, place.name());
    const answer = await probe.ask('Tfsync', { fid, datasync: 0 });
    return must(answer.type === 'Rfsync', answer);
  }),
];
