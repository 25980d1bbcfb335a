// Txattrwalk and Txattrcreate: a value travels through a fid of its own, and the clunk of that fid commits it.

import { errno } from '../../common/errno.ts';
import { type Answer, ecodeOf, isError } from '../answers.ts';
import { Probe, Unprepared } from '../probe.ts';
import { type Finding, fail, must, notApplicable, type Place, type Rule, rulesOf } from '../rule.ts';
import { getattr, isFid, isMissing, put, sameQid, walk } from '../steps.ts';

const rule = rulesOf('9P2000.L Txattrwalk');
const { HOME, ROOT } = Probe;
const NAME = 'user.ninefs-check';
const VALUE = 'some value';
const [CREATE, REPLACE] = [1, 2];
const READ_HEAD = 24;

interface Setting {
  name?: string;
  value?: string;
  /** What is announced; the length of the value where it is left out. */
  size?: number;
  flags?: number;
}

/** Sets an attribute; the answer is the first that is an error, or that of the clunk. */
async function set(
  probe: Probe,
  file: string,
  { name = NAME, value = VALUE, size, flags = 0 }: Setting = {},
): Promise<Answer> {
  const fid = await walk(probe, HOME, file);
  const created = await probe.ask('Txattrcreate', { fid, name, size: size ?? value.length, flags });
  if (created.type !== 'Rxattrcreate') return created;
  if (value.length > 0) {
    const written = await probe.ask('Twrite', { fid, offset: 0, data: Buffer.from(value) });
    if (written.type !== 'Rwrite') {
      await probe.ask('Tclunk', { fid });
      return written;
    }
  }
  return probe.ask('Tclunk', { fid });
}

/** What Rxattrwalk announced, and nothing beyond it: what a server says to that is for a rule of its own. */
async function readExactly(probe: Probe, fid: number, size: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < size; ) {
    const count = Math.min(size - offset, probe.msize - READ_HEAD);
    const { data } = await probe.must('Tread', { fid, offset, count });
    if (data.length === 0) throw new Unprepared(`Rxattrwalk of ${size} bytes, and ${offset} to read`);
    pieces.push(data);
    offset += data.length;
  }
  return Buffer.concat(pieces);
}

/** The value, or the error. */
async function get(probe: Probe, file: string, name = NAME): Promise<{ answer: Answer; value: string | undefined }> {
  const newfid = probe.fid();
  const answer = await probe.ask('Txattrwalk', { fid: await walk(probe, HOME, file), newfid, name });
  if (answer.type !== 'Rxattrwalk') return { answer, value: undefined };
  const value = (await readExactly(probe, newfid, answer.size)).toString('latin1');
  await probe.must('Tclunk', { fid: newfid });
  return { answer, value };
}

/** A rule about a file that has the attribute. */
function given(id: string, text: string, run: (probe: Probe, file: string, place: Place) => Promise<Finding>): Rule {
  return rule(id, 'home', text, async (probe, place) => {
    const file = place.name();
    await put(probe, file, 'text');
    const answer = await set(probe, file);
    if (isMissing(answer)) return notApplicable(answer);
    if (answer.type !== 'Rclunk') return fail('setting an attribute:', answer);
    return run(probe, file, place);
  });
}

export const xattrRules: readonly Rule[] = [
  given('xattr', 'what was written through Txattrcreate is read through Txattrwalk', async (probe, file) => {
    const { answer, value } = await get(probe, file);
    return must(value === VALUE, answer, value === VALUE ? 'with the value' : 'with another value');
  }),

  given('xattr-read-long', 'a read longer than the value is answered with the value', async (probe, file) => {
    const newfid = probe.fid();
    await probe.must('Txattrwalk', { fid: await walk(probe, HOME, file), newfid, name: NAME });
    const answer = await probe.ask('Tread', { fid: newfid, offset: 0, count: VALUE.length + 100 });
    if (answer.type !== 'Rread') return fail(answer);
    const right = Buffer.from(answer.data).toString('latin1') === VALUE;
    return must(right, answer, right ? 'with the value' : 'with another value');
  }),

  given('xattr-read-end', 'a read at the end of the value is answered with no bytes', async (probe, file) => {
    const newfid = probe.fid();
    const { size } = await probe.must('Txattrwalk', { fid: await walk(probe, HOME, file), newfid, name: NAME });
    const answer = await probe.ask('Tread', { fid: newfid, offset: size, count: 100 });
    return must(answer.type === 'Rread' && answer.data.length === 0, answer);
  }),

  given('xattr-list', 'Txattrwalk of an empty name lists the names, each with a NUL behind it', async (probe, file) => {
    const { answer, value } = await get(probe, file, '');
    if (value === undefined) return fail(answer);
    const listed = value.split('\0').includes(NAME) && value.endsWith('\0');
    return must(listed, answer, listed ? 'with the name' : 'without the name');
  }),

  given('xattr-missing', 'an attribute that is not there is ENODATA, and newfid stays free', async (probe, file) => {
    const newfid = probe.fid();
    const answer = await probe.ask('Txattrwalk', { fid: await walk(probe, HOME, file), newfid, name: `${NAME}-not` });
    if (ecodeOf(answer) !== errno.ENODATA) return fail(answer);
    const made = await isFid(probe, newfid);
    return must(!made, answer, made ? 'and a fid' : 'and no fid');
  }),

  given('xattr-newfid-in-use', 'a newfid that is in use is refused, and stays what it is', async (probe, file) => {
    const fid = await walk(probe, HOME, file);
    const newfid = await walk(probe, ROOT);
    const answer = await probe.ask('Txattrwalk', { fid, newfid, name: NAME });
    if (!isError(answer)) return fail(answer);
    return must(sameQid((await getattr(probe, newfid)).qid, (await getattr(probe, ROOT)).qid), answer);
  }),

  given('xattr-replace', 'a second value takes the place of the first', async (probe, file) => {
    const answer = await set(probe, file, { value: 'short' });
    if (answer.type !== 'Rclunk') return fail(answer);
    const { value } = await get(probe, file);
    return must(value === 'short', answer, value === 'short' ? 'and the second value' : 'and another value');
  }),

  given('xattr-flag-create', 'with XATTR_CREATE one that is there is EEXIST, and kept', async (probe, file) => {
    const answer = await set(probe, file, { value: 'other', flags: CREATE });
    if (ecodeOf(answer) !== errno.EEXIST) return fail(answer);
    const kept = (await get(probe, file)).value === VALUE;
    return must(kept, answer, kept ? 'and the value as it was' : 'and another value');
  }),

  given('xattr-flag-replace', 'with XATTR_REPLACE one that is not there is ENODATA', async (probe, file) => {
    const answer = await set(probe, file, { name: `${NAME}-not`, flags: REPLACE });
    return must(ecodeOf(answer) === errno.ENODATA, answer);
  }),

  given('xattr-remove', 'a size of 0 removes the attribute', async (probe, file) => {
    const answer = await set(probe, file, { value: '' });
    if (answer.type !== 'Rclunk') return fail(answer);
    const after = await get(probe, file);
    return must(isError(after.answer), answer, 'then Txattrwalk:', after.answer);
  }),

  given('xattr-short', 'a value of which a part was written is not committed', async (probe, file) => {
    const answer = await set(probe, file, { value: 'short', size: VALUE.length });
    const { value } = await get(probe, file);
    const kept = value === VALUE;
    return must(kept, 'Tclunk:', answer, kept ? 'and the value as it was' : 'and another value');
  }),

  given('xattr-over', 'a value longer than was announced is refused', async (probe, file) => {
    const answer = await set(probe, file, { value: 'a longer value', size: 4 });
    const { value } = await get(probe, file);
    const kept = value === VALUE;
    return must(isError(answer) && kept, answer, kept ? 'and the value as it was' : 'and another value');
  }),

  given('xattr-fid', 'a fid that reads an attribute is no file', async (probe, file) => {
    const newfid = probe.fid();
    await probe.must('Txattrwalk', { fid: await walk(probe, HOME, file), newfid, name: NAME });
    const answer = await probe.ask('Tlopen', { fid: newfid, flags: 0 });
    return must(isError(answer), 'Tlopen:', answer);
  }),
];
