// Owns: the messages that rename within a directory, for the questions that are asked about each of them.
// Guarantees: a message that names a fid is sent through one of its own, since servers whose fids are paths move the
// fid that Trename or Twstat names and leave the others behind.

import type { Answer } from '../../answers.ts';
import type { DialectName } from '../../dialects/dialect.ts';
import { wstat } from '../../dialects/plan9.ts';
import { Probe } from '../../probe.ts';
import { walk } from '../../steps.ts';
import type { Scene } from '../identity.ts';

const { HOME } = Probe;

/** A message that renames within a directory. */
export interface Renaming {
  readonly message: string;
  /** Of the rules' names. */
  readonly prefix: string;
  readonly section: string;
  readonly dialect: DialectName;
  /** Gives what has the name `from` in HOME the name `to`. */
  move(scene: Scene): Promise<Answer>;
}

/** A new fid of what is renamed, which is none of those that a rule asks about. */
async function through(scene: Scene, send: (fid: number) => Promise<Answer>): Promise<Answer> {
  const fid = await walk(scene.probe, HOME, scene.from);
  const answer = await send(fid);
  await scene.probe.ask('Tclunk', { fid });
  return answer;
}

export const renamings: readonly Renaming[] = [
  {
    message: 'Trename',
    prefix: 'rename',
    section: '9P2000.L Trename',
    dialect: 'dotl',
    move: (scene) => through(scene, (fid) => scene.probe.ask('Trename', { fid, dfid: HOME, name: scene.to })),
  },
  {
    message: 'Trenameat',
    prefix: 'renameat',
    section: '9P2000.L Trenameat',
    dialect: 'dotl',
    move: ({ probe, from, to }) =>
      probe.ask('Trenameat', { olddirfid: HOME, oldname: from, newdirfid: HOME, newname: to }),
  },
  {
    message: 'Twstat',
    prefix: 'wstat',
    section: 'stat(9P)',
    dialect: 'plan9',
    move: (scene) => through(scene, (fid) => wstat(scene.probe, fid, { name: scene.to })),
  },
];
