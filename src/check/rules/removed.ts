// Owns: what fids of a removed file reach when another file has got its name. Whether they go on working is the
// server's choice in 9P2000 (remove(9P)); what they may never do is become fids of the other file.

import { isError } from '../answers.ts';
import type { DialectName, Seen } from '../dialects/dialect.ts';
import { Probe } from '../probe.ts';
import { type Finding, pass, type Rule, rulesOf, unclear } from '../rule.ts';
import { walk } from '../steps.ts';
import {
  changing,
  known,
  meaning,
  open,
  put,
  putOther,
  readFrom,
  type Scene,
  sceneOf,
  seenAt,
  source,
  textAt,
  writing,
} from './identity.ts';

const { HOME } = Probe;

interface Removal {
  readonly prefix: string;
  readonly section: string;
  readonly dialect: DialectName;
}

const removals: readonly Removal[] = [
  { prefix: 'unlink', section: '9P2000.L Tunlinkat', dialect: 'dotl' },
  { prefix: 'remove', section: 'remove(9P)', dialect: 'plan9' },
];

interface Question {
  readonly suffix: string;
  readonly text: string;
  readonly isOpen: boolean;
  /** Uses the fid when another file has the name. */
  judge(scene: Scene, fid: number, file: Seen, other: Seen): Promise<Finding>;
}

const look: Question['judge'] = async ({ probe, dialect }, fid, file, other) => {
  const found = await dialect.look(probe, fid);
  return isError(found.answer) ? pass(found.answer) : meaning(found, file, other);
};

const change: Question['judge'] = (scene, fid) => changing(scene, fid, { other: () => seenAt(scene, scene.from) });

const questions: readonly Question[] = [
  {
    suffix: 'again-getattr',
    text: 'an unopened fid of a removed file never becomes one of the next file of its name',
    isOpen: false,
    judge: look,
  },
  {
    suffix: 'again-setattr',
    text: 'nothing that is set through an unopened fid of a removed file hits the next file of its name',
    isOpen: false,
    judge: change,
  },
  {
    suffix: 'again-open-read',
    text: 'an open fid of a removed file never reads the next file of its name',
    isOpen: true,
    async judge(scene, fid) {
      const answer = await readFrom(scene, fid);
      return isError(answer) ? pass(answer) : source(answer);
    },
  },
  {
    suffix: 'again-open-write',
    text: 'no write through an open fid of a removed file hits the next file of its name',
    isOpen: true,
    judge: (scene, fid) => writing(scene, fid, { other: () => textAt(scene, scene.from) }),
  },
  {
    suffix: 'again-open-getattr',
    text: 'an open fid of a removed file never has the attributes of the next file of its name',
    isOpen: true,
    judge: look,
  },
  {
    suffix: 'again-open-setattr',
    text: 'nothing that is set through an open fid of a removed file hits the next file of its name',
    isOpen: true,
    judge: change,
  },
];

function ruleOf({ prefix, section, dialect }: Removal, { suffix, text, isOpen, judge }: Question): Rule {
  return rulesOf(section, dialect)(`${prefix}-${suffix}`, 'home', text, async (probe, place) => {
    const scene = sceneOf(probe, place);
    await probe.must('Tclunk', { fid: await put(scene, scene.from) });
    const fid = isOpen ? await open(scene, scene.from) : await walk(probe, HOME, scene.from);
    const file = await known(scene, fid);
    const { answer, isDone } = await scene.dialect.remove(probe, HOME, { name: scene.from, isDirectory: false });
    if (!isDone) return unclear('removing:', answer);
    const other = await putOther(scene);
    return judge(scene, fid, file, other.seen);
  });
}

/** The rules of one dialect. */
export function removedRules(dialect: DialectName): readonly Rule[] {
  return removals
    .filter((removal) => removal.dialect === dialect)
    .flatMap((removal) => questions.map((question) => ruleOf(removal, question)));
}
