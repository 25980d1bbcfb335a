// Tgetattr, Tsetattr, Tstatfs, and what qids have to say of files.

import { GETATTR, QT, SETATTR } from '../../wire/p9/constants.ts';
import { isError } from '../answers.ts';
import { Probe } from '../probe.ts';
import { fail, must, notApplicable, pass, type Rule, rulesOf } from '../rule.ts';
import {
  create,
  getattr,
  isMissing,
  mkdir,
  put,
  readAll,
  sameQid,
  setattr,
  setSize,
  walk,
  writeAll,
} from '../steps.ts';

const rule = rulesOf('9P2000.L');
const intro = rulesOf('intro(9P)');
const { ROOT, HOME } = Probe;
const PERMISSIONS = 0o7777;
const TYPE = 0o170000;
const DIRECTORY = 0o040000;
/** Before and after what 32 bits of seconds can hold. */
const TIMES = [1_000_000_000, 5_000_000_000] as const;

export const attrRules: readonly Rule[] = [
  rule(
    'getattr',
    'session',
    'Rgetattr is valid in what was asked for, and its mode and qid say the same',
    async (probe) => {
      const answer = await probe.ask('Tgetattr', { fid: ROOT, mask: GETATTR.BASIC });
      if (answer.type !== 'Rgetattr') return fail(answer);
      const asked = (answer.valid & GETATTR.BASIC) === GETATTR.BASIC;
      if (!asked) return fail(answer, `with valid 0x${answer.valid.toString(16)}`);
      const isDirectory = (answer.mode & TYPE) === DIRECTORY;
      return must(isDirectory === ((answer.qid.type & QT.DIR) !== 0), answer);
    },
  ),

  rule('setattr-size', 'home', 'Tsetattr of size cuts and extends the file', async (probe, place) => {
    const fid = await create(probe, place.name());
    await writeAll(probe, fid, Buffer.from('text'));
    const cut = await setSize(probe, fid, 2);
    if (cut.type !== 'Rsetattr') return fail('to 2:', cut);
    const longer = await setSize(probe, fid, 4);
    if (longer.type !== 'Rsetattr') return fail('to 4:', longer);
    const right = (await readAll(probe, fid)).equals(Buffer.from('te\0\0'));
    return must(right, longer, right ? 'and the file with zeros' : 'and other bytes in the file');
  }),

  rule('setattr-mode', 'home', 'Tsetattr of mode changes the permissions, and nothing else', async (probe, place) => {
    const fid = await create(probe, place.name());
    await writeAll(probe, fid, Buffer.from('text'));
    const answer = await setattr(probe, fid, { valid: SETATTR.MODE, mode: 0o751 });
    if (answer.type !== 'Rsetattr') return fail(answer);
    const { mode, size } = await getattr(probe, fid);
    return must((mode & PERMISSIONS) === 0o751 && size === 4, answer, `and mode 0${(mode & PERMISSIONS).toString(8)}`);
  }),

  rule('setattr-times', 'home', 'Tsetattr of times sets them, beyond 2038 as well', async (probe, place) => {
    const fid = await create(probe, place.name());
    for (const time of TIMES) {
      const valid = SETATTR.ATIME | SETATTR.ATIME_SET | SETATTR.MTIME | SETATTR.MTIME_SET;
      const answer = await setattr(probe, fid, { valid, atime: time, mtime: time + 1 });
      if (answer.type !== 'Rsetattr') return fail(answer);
      const { atime, mtime } = await getattr(probe, fid);
      if (atime !== time || mtime !== time + 1) return fail(answer, `and other times than ${time} and one more`);
    }
    return pass('Rsetattr and the times');
  }),

  rule('setattr-nothing', 'home', 'Tsetattr of nothing changes nothing', async (probe, place) => {
    const fid = await create(probe, place.name());
    await writeAll(probe, fid, Buffer.from('text'));
    const before = await getattr(probe, fid);
    const answer = await setattr(probe, fid, {});
    if (answer.type !== 'Rsetattr') return fail(answer);
    const { mode, size, mtime } = await getattr(probe, fid);
    return must(mode === before.mode && size === before.size && mtime === before.mtime, answer);
  }),

  rule('setattr-directory-size', 'home', 'the size of a directory cannot be set', async (probe, place) => {
    const answer = await setSize(probe, await mkdir(probe, place.name()), 0);
    return must(isError(answer), answer);
  }),

  rule('statfs', 'session', 'Tstatfs is answered, with a block size', async (probe) => {
    const answer = await probe.ask('Tstatfs', { fid: ROOT });
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Rstatfs') return fail(answer);
    return must(answer.bsize > 0, answer, ...(answer.bsize > 0 ? [] : ['with a block size of 0']));
  }),

  intro('qid-distinct', 'home', 'different files have different qids, the same file has one', async (probe, place) => {
    const names = Array.from({ length: 20 }, () => place.name());
    for (const name of names) await put(probe, name, name);
    const paths = new Set<bigint>();
    for (const name of names) {
      const [one, two] = [
        await getattr(probe, await walk(probe, HOME, name)),
        await getattr(probe, await walk(probe, HOME, name)),
      ];
      if (!sameQid(one.qid, two.qid)) return fail('two qids for one file');
      paths.add(one.qid.path);
    }
    return must(paths.size === names.length, `${paths.size} different qids for ${names.length} files`);
  }),

  intro(
    'qid-version',
    'home',
    'qid.version changes with the file, where the server keeps one',
    async (probe, place) => {
      const name = place.name();
      const fid = await create(probe, name);
      await writeAll(probe, fid, Buffer.from('text'));
      const [before] = (await probe.must('Twalk', { fid: HOME, newfid: probe.fid(), names: [name] })).qids;
      await writeAll(probe, fid, Buffer.from('more text'));
      const [after] = (await probe.must('Twalk', { fid: HOME, newfid: probe.fid(), names: [name] })).qids;
      if (before?.version === 0 && after?.version === 0) return notApplicable('it is always 0: none is kept');
      const moved = before?.version !== after?.version;
      return must(moved, moved ? 'another version after a write' : 'the same version after a write');
    },
  ),

  intro('qid-type', 'home', 'the type of a qid says what is a directory', async (probe, place) => {
    const [file, dir] = [place.name(), place.name()];
    await put(probe, file, 'text');
    const directory = (await getattr(probe, await mkdir(probe, dir))).qid;
    const plain = (await getattr(probe, await walk(probe, HOME, file))).qid;
    const right = (directory.type & QT.DIR) !== 0 && (plain.type & QT.DIR) === 0;
    return must(
      right,
      `type 0x${directory.type.toString(16)} for a directory, 0x${plain.type.toString(16)} for a file`,
    );
  }),
];
