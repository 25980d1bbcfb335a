// Owns: the steps of dialect.ts in the messages of 9P2000.L.
// Guarantees: Tunlinkat falls back to Tremove where the server does not have it.

import { GETATTR, OPEN, QT, SETATTR } from '../../wire/p9/constants.ts';
import { readDirents } from '../../wire/p9/types.ts';
import type { Answer } from '../answers.ts';
import type { Probe } from '../probe.ts';
import { create, isDots, list, setattr, unlink, walk } from '../steps.ts';
import type { Dialect, Entry, Tried } from './dialect.ts';

const PERMISSIONS = 0o777;
const READ_HEAD = 24;

const tried = (answer: Answer, ...types: Answer['type'][]): Tried => ({ answer, isDone: types.includes(answer.type) });

/** The entries of an Rreaddir; undefined where it cannot be taken apart. */
function entriesIn(data: Uint8Array): readonly Entry[] | undefined {
  const { entries, fault } = readDirents(data);
  if (fault !== undefined) return undefined;
  return entries
    .map(({ name = '', qid }) => ({ name, isDirectory: (qid.type & QT.DIR) !== 0 }))
    .filter(({ name }) => !isDots(name));
}

async function lopen(probe: Probe, fid: number, flags: number): Promise<void> {
  await probe.must('Tlopen', { fid, flags });
}

export const dotl: Dialect = {
  name: 'dotl',

  async look(probe, fid) {
    const answer = await probe.ask('Tgetattr', { fid, mask: GETATTR.BASIC });
    if (answer.type !== 'Rgetattr') return { answer, seen: undefined };
    const { qid, size, mode } = answer;
    return { answer, seen: { qid, size, mode: mode & PERMISSIONS } };
  },

  async change(probe, fid, { size, mode }) {
    const valid = (size === undefined ? 0 : SETATTR.SIZE) | (mode === undefined ? 0 : SETATTR.MODE);
    return tried(await setattr(probe, fid, { valid, size: size ?? 0, mode: mode ?? 0 }), 'Rsetattr');
  },

  sync: async (probe, fid) => tried(await probe.ask('Tfsync', { fid, datasync: 0 }), 'Rfsync'),

  openFile: (probe, fid) => lopen(probe, fid, OPEN.RDWR),
  openDirectory: (probe, fid) => lopen(probe, fid, OPEN.RDONLY),

  async list(probe, fid) {
    const answer = await probe.ask('Treaddir', { fid, offset: 0n, count: probe.msize - READ_HEAD });
    return { answer, entries: answer.type === 'Rreaddir' ? entriesIn(answer.data) : undefined };
  },

  async entries(probe, fid) {
    const all = await list(probe, fid, probe.msize - READ_HEAD);
    return all
      .filter(({ name }) => !isDots(name))
      .map(({ name, qid }) => ({ name, isDirectory: (qid.type & QT.DIR) !== 0 }));
  },

  async make(probe, dir, name) {
    const fid = await walk(probe, dir);
    const answer = await probe.ask('Tlcreate', { fid, name, flags: OPEN.RDWR, mode: 0o644, gid: 0 });
    if (answer.type !== 'closed') await probe.must('Tclunk', { fid });
    return tried(answer, 'Rlcreate');
  },

  create: (probe, dir, name) => create(probe, name, { dir }),

  async mkdir(probe, dir, name) {
    return tried(await probe.ask('Tmkdir', { dfid: dir, name, mode: 0o755, gid: 0 }), 'Rmkdir');
  },

  async remove(probe, dir, { name, isDirectory }) {
    return tried(await unlink(probe, name, dir, isDirectory), 'Runlinkat', 'Rremove');
  },
};
