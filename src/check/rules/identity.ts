// Owns: telling which of two files a fid means. One file had fids when its name was given to another, or was removed;
// then a message is sent through such a fid, and both files are looked at.
// Guarantees: the files differ in qid, size and contents, so that it does not matter that a server gives the number of
// a removed file to the next one; a file that was changed by mistake is reported also where the message was refused.

import { type Answer, show } from '../answers.ts';
import type { Change, Dialect, Look, Seen } from '../dialects/dialect.ts';
import { dialectOf } from '../dialects/spoken.ts';
import { Probe, Unprepared } from '../probe.ts';
import { type Finding, fail, type Place, pass } from '../rule.ts';
import { find, readAll, sameQid, walk, writeAll } from '../steps.ts';

const { HOME } = Probe;

export const TEXT = 'text';
export const OTHER_TEXT = 'another file';
/** What a server does whose fids are paths. */
const PATH = 'the fid means what has the old name now';

/** A connection and two names that nothing has yet. */
export interface Scene {
  readonly probe: Probe;
  readonly dialect: Dialect;
  readonly from: string;
  readonly to: string;
}

export function sceneOf(probe: Probe, place: Place): Scene {
  return { probe, dialect: dialectOf(probe), from: place.name(), to: place.name() };
}

export async function known({ probe, dialect }: Scene, fid: number): Promise<Seen> {
  const { answer, seen } = await dialect.look(probe, fid);
  if (seen === undefined) throw new Unprepared(`attributes: ${show(answer)}`);
  return seen;
}

/** A new file with a text in it; the fid is open. */
export async function put({ probe, dialect }: Scene, name: string, text = TEXT, dir = HOME): Promise<number> {
  const fid = await dialect.create(probe, dir, name);
  await writeAll(probe, fid, Buffer.from(text));
  return fid;
}

/** A fid of a new directory. */
export async function mkdir({ probe, dialect }: Scene, name: string, dir = HOME): Promise<number> {
  const { answer, isDone } = await dialect.mkdir(probe, dir, name);
  if (!isDone) throw new Unprepared(`a directory: ${show(answer)}`);
  return walk(probe, dir, name);
}

/** A fid that is open for reading and writing. */
export async function open({ probe, dialect }: Scene, name: string, dir = HOME): Promise<number> {
  const fid = await walk(probe, dir, name);
  await dialect.openFile(probe, fid);
  return fid;
}

export interface Known {
  readonly fid: number;
  readonly seen: Seen;
}

/** A new file that may not be taken for the first one. */
export async function putOther(scene: Scene, name = scene.from, dir = HOME): Promise<Known> {
  const fid = await put(scene, name, OTHER_TEXT, dir);
  return { fid, seen: await known(scene, fid) };
}

/** Attributes of what has a name, which something has to have. */
export async function seenAt(scene: Scene, name: string, dir = HOME): Promise<Seen> {
  const fid = await walk(scene.probe, dir, name);
  const seen = await known(scene, fid);
  await scene.probe.must('Tclunk', { fid });
  return seen;
}

/** The contents of what has a name; undefined where nothing has it. */
export async function textAt({ probe, dialect }: Scene, name: string, dir = HOME): Promise<string | undefined> {
  const fid = await find(probe, name, dir);
  if (fid === undefined) return undefined;
  await dialect.openFile(probe, fid);
  const text = (await readAll(probe, fid)).toString('latin1');
  await probe.must('Tclunk', { fid });
  return text;
}

/** Which file the answer to Tgetattr or Tstat is about. */
export function meaning({ answer, seen }: Look, file: Seen, other?: Seen): Finding {
  if (seen === undefined) return fail(answer, 'and the fid is lost with the old name');
  // the size goes first: the number of a file that is gone may have been given to the other one
  if (other !== undefined && seen.size === other.size) return fail(answer, `of another file: ${PATH}`);
  return sameQid(seen.qid, file.qid) ? pass(answer, 'of the file') : fail(answer, 'of another file than it was');
}

export function readFrom({ probe }: Scene, fid: number): Promise<Answer> {
  return probe.ask('Tread', { fid, offset: 0, count: 100 });
}

/** Which file an Rread is from. */
export function source(answer: Answer): Finding {
  if (answer.type !== 'Rread') return fail(answer, 'and the fid is lost with the old name');
  const text = Buffer.from(answer.data).toString('latin1');
  if (text === OTHER_TEXT) return fail(answer, `of another file: ${PATH}`);
  return text === TEXT ? pass(answer, 'of the file') : fail(answer, 'of neither file');
}

/** A new file has neither: in 9P2000 it may have less than the mode that is asked for (open(9P)), but no more. */
const CHANGES: readonly { what: string; change: Change; isIn: (seen: Seen) => boolean }[] = [
  { what: 'size', change: { size: 2 }, isIn: ({ size }) => size === 2 },
  { what: 'mode', change: { mode: 0o700 }, isIn: ({ mode }) => mode === 0o700 },
];

/** Where the two files are looked at. */
export interface Files {
  /** The file that the fid should mean; not looked at where it has no name any more and the server may refuse. */
  readonly file?: () => Promise<Seen>;
  /** The file that should be left alone. */
  readonly other?: () => Promise<Seen>;
}

/** Sets size and mode through a fid, and looks which file has changed. */
export async function changing({ probe, dialect }: Scene, fid: number, { file, other }: Files): Promise<Finding> {
  for (const { what, change, isIn } of CHANGES) {
    const { answer, isDone } = await dialect.change(probe, fid, change);
    if (other !== undefined && isIn(await other())) {
      return fail(`${what}:`, answer, `${isDone ? 'and' : 'and yet'} it changed another file: ${PATH}`);
    }
    if (file === undefined) continue;
    const hasChanged = isIn(await file());
    if (!isDone) return fail(`${what}:`, answer, hasChanged ? 'and yet the file changed' : 'and the file as it was');
    if (!hasChanged) return fail(`${what}:`, answer, 'and the file as it was');
  }
  return pass(file === undefined ? 'the other file as it was' : 'the size and the mode of the file changed');
}

/** What a file is overwritten with. */
const NEWS = 'news';

export interface Texts {
  readonly file?: () => Promise<string | undefined>;
  readonly other?: () => Promise<string | undefined>;
}

/** Writes through a fid, and looks which file has changed. */
export async function writing({ probe }: Scene, fid: number, { file, other }: Texts): Promise<Finding> {
  const answer = await probe.ask('Twrite', { fid, offset: 0, data: Buffer.from(NEWS) });
  if (other !== undefined && (await other()) !== OTHER_TEXT) {
    return fail(answer, `and it is in another file: ${PATH}`);
  }
  if (file === undefined) return pass(answer, 'and the other file as it was');
  if (answer.type !== 'Rwrite') return fail(answer, 'and the fid is lost with the old name');
  const isThere = (await file()) === NEWS;
  return isThere ? pass(answer, 'and it is in the file') : fail(answer, 'and it is not in the file');
}
