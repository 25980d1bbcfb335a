// Tlopen and Tlcreate: a fid is opened once, permission and mode are settled there, and names that cannot be made are
// refused.

import { errno } from '../../common/errno.ts';
import { OPEN } from '../../wire/p9/constants.ts';
import { ecodeOf, isError } from '../answers.ts';
import { Probe } from '../probe.ts';
import { fail, must, mustFail, mustRefuse, notApplicable, type Rule, rulesOf } from '../rule.ts';
import { contents, create, exists, getattr, isMissing, mkdir, open, put, sameQid, walk } from '../steps.ts';

const rule = rulesOf('open(9P)');
const link = rulesOf('9P2000.L');
const { HOME } = Probe;
/** size, type, tag, fid, offset and count of Twrite: what an iounit cannot have to itself. */
const WRITE_HEAD = 23;
const PERMISSIONS = 0o777;
const TYPE = 0o170000;
const FIFO = 0o010000;

const creating = (fid: number, name: string, flags: number = OPEN.RDWR, mode = 0o644) => ({
  fid,
  name,
  flags,
  mode,
  gid: 0,
});

/** A name that cannot be made by any of the messages that make one. */
async function unmakeable(probe: Probe, name: string): Promise<ReturnType<typeof fail>> {
  const created = await probe.ask('Tlcreate', creating(await walk(probe, HOME), name));
  if (!isError(created)) return fail('Tlcreate:', created);
  const made = await probe.ask('Tmkdir', { dfid: HOME, name, mode: 0o755, gid: 0 });
  return must(isError(made), 'Tlcreate:', created, 'and Tmkdir:', made);
}

export const openRules: readonly Rule[] = [
  rule(
    'open-qid',
    'home',
    'Rlopen has the qid of the file, and an iounit that fits in msize, or 0',
    async (probe, place) => {
      const name = place.name();
      await put(probe, name, 'text');
      const fid = await walk(probe, HOME, name);
      const { qid } = await getattr(probe, fid);
      const answer = await probe.ask('Tlopen', { fid, flags: OPEN.RDONLY });
      if (answer.type !== 'Rlopen') return fail(answer);
      if (answer.iounit > probe.msize - WRITE_HEAD) return fail(answer, 'with an iounit that no message can hold');
      const same = sameQid(qid, answer.qid);
      return must(same, answer, same ? 'with the qid of the file' : 'with another qid');
    },
  ),

  rule('open-twice', 'home', 'a fid that is open cannot be opened again', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await open(probe, HOME, name);
    const answer = await probe.ask('Tlopen', { fid, flags: OPEN.RDONLY });
    if (!isError(answer)) return fail(answer);
    const read = await probe.ask('Tread', { fid, offset: 0, count: 4 });
    return must(read.type === 'Rread', answer, 'and Tread goes on:', read);
  }),

  rule('open-directory-write', 'home', 'a directory cannot be opened for writing', async (probe, place) => {
    const fid = await mkdir(probe, place.name());
    return mustFail(await probe.ask('Tlopen', { fid, flags: OPEN.RDWR }));
  }),

  rule('open-truncate', 'home', 'Tlopen with O_TRUNC empties the file', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await walk(probe, HOME, name);
    const answer = await probe.ask('Tlopen', { fid, flags: OPEN.WRONLY | OPEN.TRUNC });
    if (answer.type !== 'Rlopen') return fail(answer);
    const { size } = await getattr(probe, fid);
    return must(size === 0, answer, `and a file of ${size} bytes`);
  }),

  rule('open-read-only', 'home', 'a fid that was opened for reading is not written through', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await open(probe, HOME, name);
    return mustFail(await probe.ask('Twrite', { fid, offset: 0, data: Buffer.from('x') }));
  }),

  rule('open-write-only', 'home', 'a fid that was opened for writing is not read through', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await open(probe, HOME, name, OPEN.WRONLY);
    return mustFail(await probe.ask('Tread', { fid, offset: 0, count: 4 }));
  }),

  rule('open-not-yet', 'home', 'a fid that is not open is neither read nor written through', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await walk(probe, HOME, name);
    const read = await probe.ask('Tread', { fid, offset: 0, count: 4 });
    if (!isError(read)) return fail('Tread:', read);
    const written = await probe.ask('Twrite', { fid, offset: 0, data: Buffer.from('x') });
    return must(isError(written), 'Tread:', read, 'and Twrite:', written);
  }),

  rule('open-clone', 'home', 'opening a fid does not open its clone', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await walk(probe, HOME, name);
    const clone = await walk(probe, fid);
    await probe.must('Tlopen', { fid, flags: OPEN.RDONLY });
    return mustFail(await probe.ask('Tread', { fid: clone, offset: 0, count: 4 }));
  }),

  rule(
    'create',
    'home',
    'Tlcreate makes the file, and the fid of the directory becomes that of the file, open',
    async (probe, place) => {
      const name = place.name();
      const fid = await walk(probe, HOME);
      const answer = await probe.ask('Tlcreate', creating(fid, name));
      if (answer.type !== 'Rlcreate') return fail(answer);
      const { qid } = await getattr(probe, fid);
      if (!sameQid(qid, answer.qid)) return fail(answer, 'and the fid is another file');
      const written = await probe.ask('Twrite', { fid, offset: 0, data: Buffer.from('text') });
      if (written.type !== 'Rwrite') return fail(answer, 'then Twrite:', written);
      return must((await contents(probe, name)) === 'text', answer, 'and the file under its name');
    },
  ),

  rule(
    'create-mode',
    'home',
    'a new file and a new directory have the permissions that were asked for',
    async (probe, place) => {
      const fid = await create(probe, place.name(), { mode: 0o640 });
      const name = place.name();
      await probe.must('Tmkdir', { dfid: HOME, name, mode: 0o750, gid: 0 });
      const [file, dir] = [await getattr(probe, fid), await getattr(probe, await walk(probe, HOME, name))];
      const modes = [file.mode & PERMISSIONS, dir.mode & PERMISSIONS];
      return must(modes[0] === 0o640 && modes[1] === 0o750, ...modes.map((mode) => `mode 0${mode.toString(8)}`));
    },
  ),

  rule(
    'create-exclusive',
    'home',
    'Tlcreate with O_EXCL of a name that is there is EEXIST, and the fid stays the directory',
    async (probe, place) => {
      const name = place.name();
      await put(probe, name, 'text');
      const fid = await walk(probe, HOME);
      const answer = await probe.ask('Tlcreate', creating(fid, name, OPEN.RDWR | OPEN.EXCL));
      if (ecodeOf(answer) !== errno.EEXIST) return fail(answer);
      const same = sameQid((await getattr(probe, fid)).qid, (await getattr(probe, HOME)).qid);
      return must(same, answer, same ? 'and the fid of the directory' : 'and the fid elsewhere');
    },
  ),

  rule('create-dots', 'home', '`.` and `..` cannot be created', async (probe) => {
    const dot = await unmakeable(probe, '.');
    return dot.verdict === 'pass' ? unmakeable(probe, '..') : dot;
  }),

  rule('create-slash', 'home', 'a name with a slash cannot be created', async (probe, place) => {
    const dir = place.name();
    await mkdir(probe, dir);
    return unmakeable(probe, `${dir}/${place.name()}`);
  }),

  rule('create-empty-name', 'home', 'an empty name cannot be created', async (probe) => unmakeable(probe, '')),

  rule('create-long-name', 'home', 'a name that is too long is refused, not cut', async (probe, place) => {
    return unmakeable(probe, place.name().padEnd(300, 'n'));
  }),

  rule('create-nul', 'home', 'a name with NUL is refused, not cut', async (probe, place) => {
    const name = place.name();
    const answer = await probe.ask('Tmkdir', { dfid: HOME, name: `${name}\0x`, mode: 0o755, gid: 0 });
    return mustRefuse(answer);
  }),

  rule('create-in-file', 'home', 'nothing is created in a file', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await walk(probe, HOME, name);
    return mustFail(await probe.ask('Tlcreate', creating(fid, place.name())));
  }),

  link('mkdir-there', 'home', 'Tmkdir of a name that is there is EEXIST', async (probe, place) => {
    const name = place.name();
    await mkdir(probe, name);
    const answer = await probe.ask('Tmkdir', { dfid: HOME, name, mode: 0o755, gid: 0 });
    return must(ecodeOf(answer) === errno.EEXIST, answer);
  }),

  link('symlink', 'home', 'Treadlink gives back what Tsymlink was given', async (probe, place) => {
    const name = place.name();
    const target = '../there is/no such file';
    const made = await probe.ask('Tsymlink', { dfid: HOME, name, target, gid: 0 });
    if (isMissing(made)) return notApplicable(made);
    if (made.type !== 'Rsymlink') return fail(made);
    const answer = await probe.ask('Treadlink', { fid: await walk(probe, HOME, name) });
    if (answer.type !== 'Rreadlink') return fail(answer);
    return must(answer.target === target, answer, answer.target === target ? 'with the target' : 'with another target');
  }),

  link('readlink-file', 'home', 'Treadlink of what is no symbolic link is an error', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    return mustFail(await probe.ask('Treadlink', { fid: await walk(probe, HOME, name) }));
  }),

  link('link', 'home', 'Tlink makes a second name of the same file', async (probe, place) => {
    const [name, second] = [place.name(), place.name()];
    await put(probe, name, 'text');
    const fid = await walk(probe, HOME, name);
    const answer = await probe.ask('Tlink', { dfid: HOME, fid, name: second });
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Rlink') return fail(answer);
    const [one, two] = [await getattr(probe, fid), await getattr(probe, await walk(probe, HOME, second))];
    if (!sameQid(one.qid, two.qid)) return fail(answer, 'and two qids');
    return must(two.nlink === 2, answer, `and a link count of ${two.nlink}`);
  }),

  link('mknod', 'home', 'Tmknod makes a FIFO', async (probe, place) => {
    const name = place.name();
    const answer = await probe.ask('Tmknod', { dfid: HOME, name, mode: FIFO | 0o644, major: 0, minor: 0, gid: 0 });
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Rmknod') return fail(answer);
    const { mode } = await getattr(probe, await walk(probe, HOME, name));
    return must((mode & TYPE) === FIFO, answer, `and mode 0${mode.toString(8)}`);
  }),
];
