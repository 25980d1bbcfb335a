// Owns: the fids that questions about renames ask about, made before the rename, and the forms that most questions
// have.
// Guarantees: no fid of Tlcreate is renamed, since Debian's diod ends when one is.

import { Probe } from '../../probe.ts';
import { type Finding, fail, pass } from '../../rule.ts';
import { walk } from '../../steps.ts';
import {
  changing,
  type Files,
  type Known,
  known,
  meaning,
  mkdir,
  open,
  put,
  putOther,
  type Scene,
  seenAt,
} from '../identity.ts';

const { HOME } = Probe;
/** The file in a directory that is renamed. */
export const INNER = 'inner';
/** A file in the directory that gets its old name. */
export const STRANGER = 'stranger';

export interface Question {
  /** Of the rule's name, behind that of the message. */
  readonly suffix: string;
  text(message: string): string;
  /** Makes files and fids; what it returns is run after the rename. */
  begin(scene: Scene): Promise<() => Promise<Finding>>;
}

/** Makes what is renamed, and a fid of it or of what is in it. */
export type FidOf = (scene: Scene) => Promise<number>;

export const unopened: FidOf = async (scene) => {
  await scene.probe.must('Tclunk', { fid: await put(scene, scene.from) });
  return walk(scene.probe, HOME, scene.from);
};

export const opened: FidOf = async (scene) => {
  await scene.probe.must('Tclunk', { fid: await put(scene, scene.from) });
  return open(scene, scene.from);
};

/** The fid of a directory with a file in it. */
export const directory: FidOf = async (scene) => {
  const dir = await mkdir(scene, scene.from);
  await scene.probe.must('Tclunk', { fid: await put(scene, INNER, undefined, dir) });
  return dir;
};

export const openDirectory: FidOf = async (scene) => {
  const fid = await directory(scene);
  await scene.dialect.openDirectory(scene.probe, fid);
  return fid;
};

/** The fid of a file in a directory that is renamed. */
export const below: FidOf = async (scene) => walk(scene.probe, await directory(scene), INNER);

export const belowOpen: FidOf = async (scene) => {
  const fid = await below(scene);
  await scene.dialect.openFile(scene.probe, fid);
  return fid;
};

/** Another directory under the old name, and another file in it of the name that the first one's has. */
export async function secondDirectory(scene: Scene): Promise<Known> {
  return putOther(scene, INNER, await mkdir(scene, scene.from));
}

/** Whose attributes a fid has; where there is `other`, it makes what gets the old name. */
export function looks(fidOf: FidOf, other?: (scene: Scene) => Promise<Known>): Question['begin'] {
  return async (scene) => {
    const fid = await fidOf(scene);
    const file = await known(scene, fid);
    return async () => {
      const second = await other?.(scene);
      return meaning(await scene.dialect.look(scene.probe, fid), file, second?.seen);
    };
  };
}

/** Which file changes when attributes are set through a fid. */
export function changes(fidOf: FidOf, other?: (scene: Scene) => Promise<Known>): Question['begin'] {
  return async (scene) => {
    const fid = await fidOf(scene);
    return async () => {
      const second = await other?.(scene);
      const files: Files = { file: () => seenAt(scene, scene.to) };
      return changing(scene, fid, second === undefined ? files : { ...files, other: () => seenAt(scene, scene.from) });
    };
  };
}

/** Which file a walk from the fid of a renamed directory leads to. */
export async function walking(scene: Scene, fid: number, other?: Known): Promise<Finding> {
  const { probe, dialect } = scene;
  const newfid = probe.fid();
  const answer = await probe.ask('Twalk', { fid, newfid, names: [INNER] });
  if (answer.type !== 'Rwalk' || answer.qids.length !== 1) return fail(answer, 'and the fid is lost with the old name');
  const file = await known(scene, await walk(probe, HOME, scene.to, INNER));
  return meaning(await dialect.look(probe, newfid), file, other?.seen);
}

/** Which directory the entries are from that are read through an open fid. */
export async function listing({ probe, dialect }: Scene, fid: number): Promise<Finding> {
  const { answer, entries } = await dialect.list(probe, fid);
  if (entries === undefined) return fail(answer, 'and the fid is lost with the old name');
  if (entries.some(({ name }) => name === STRANGER)) {
    return fail(answer, 'of another directory: the fid means what has the old name now');
  }
  const isThere = entries.some(({ name }) => name === INNER);
  return isThere ? pass(answer, 'of the directory') : fail(answer, 'without what is in the directory');
}
