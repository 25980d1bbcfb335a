// Owns: the steps of dialect.ts in the messages that 9P2000.u and 9P2000 share.
// Guarantees: what is made by Tcreate is made through a clone of the directory's fid, which stays what it is.

import { DM, OMODE, QT } from '../../wire/p9/constants.ts';
import { readStats, type Stat, UNTOUCHED } from '../../wire/p9/stat.ts';
import type { Answer } from '../answers.ts';
import { type Probe, Unprepared } from '../probe.ts';
import { isDots, walk } from '../steps.ts';
import type { Dialect, Entry, Tried } from './dialect.ts';

const PERMISSIONS = 0o777;
const READ_HEAD = 24;
/** A listing of a directory that rules made ends long before. */
const MAX_ENTRIES = 5000;

const tried = (answer: Answer, type: Answer['type']): Tried => ({ answer, isDone: answer.type === type });

export function wstat(probe: Probe, fid: number, changes: Partial<Stat>): Promise<Answer> {
  return probe.ask('Twstat', { fid, stat: { ...UNTOUCHED, ...changes } });
}

/** The entries of a directory's Rread; undefined where it cannot be taken apart. */
function entriesIn(probe: Probe, data: Uint8Array): readonly Entry[] | undefined {
  const { entries, fault } = readStats(data, probe.isExtended);
  if (fault !== undefined) return undefined;
  return entries
    .map(({ name = '', qid }) => ({ name, isDirectory: (qid.type & QT.DIR) !== 0 }))
    .filter(({ name }) => !isDots(name));
}

async function topen(probe: Probe, fid: number, mode: number): Promise<void> {
  await probe.must('Topen', { fid, mode });
}

function tcreate(probe: Probe, fid: number, name: string, perm: number, mode: number): Promise<Answer> {
  return probe.ask('Tcreate', { fid, name, perm: perm >>> 0, mode, extension: '' });
}

/** Through a clone of the directory's fid, of which nothing is left. */
async function made(probe: Probe, dir: number, name: string, perm: number, mode: number): Promise<Tried> {
  const fid = await walk(probe, dir);
  const answer = await tcreate(probe, fid, name, perm, mode);
  if (answer.type !== 'closed') await probe.must('Tclunk', { fid });
  return tried(answer, 'Rcreate');
}

export const plan9: Dialect = {
  name: 'plan9',

  async look(probe, fid) {
    const answer = await probe.ask('Tstat', { fid });
    if (answer.type !== 'Rstat') return { answer, seen: undefined };
    const { qid, length, mode } = answer.stat;
    return { answer, seen: { qid, size: length, mode: mode & PERMISSIONS } };
  },

  async change(probe, fid, { size, mode }) {
    const changes = { ...(size !== undefined && { length: size }), ...(mode !== undefined && { mode }) };
    return tried(await wstat(probe, fid, changes), 'Rwstat');
  },

  sync: async (probe, fid) => tried(await wstat(probe, fid, {}), 'Rwstat'),

  openFile: (probe, fid) => topen(probe, fid, OMODE.RDWR),
  openDirectory: (probe, fid) => topen(probe, fid, OMODE.READ),

  async list(probe, fid) {
    const answer = await probe.ask('Tread', { fid, offset: 0, count: probe.msize - READ_HEAD });
    return { answer, entries: answer.type === 'Rread' ? entriesIn(probe, answer.data) : undefined };
  },

  async entries(probe, fid) {
    const all: Entry[] = [];
    for (let offset = 0; all.length < MAX_ENTRIES; ) {
      const { data } = await probe.must('Tread', { fid, offset, count: probe.msize - READ_HEAD });
      if (data.length === 0) return all;
      const entries = entriesIn(probe, data);
      if (entries === undefined) throw new Unprepared('Tread of a directory: Rread of what are no whole entries');
      all.push(...entries);
      offset += data.length;
    }
    throw new Unprepared(`Tread of a directory: more than ${MAX_ENTRIES} entries, and no end`);
  },

  make: (probe, dir, name) => made(probe, dir, name, 0o644, OMODE.RDWR),

  async create(probe, dir, name) {
    const fid = await walk(probe, dir);
    await probe.must('Tcreate', { fid, name, perm: 0o644, mode: OMODE.RDWR, extension: '' });
    return fid;
  },

  mkdir: (probe, dir, name) => made(probe, dir, name, DM.DIR | 0o755, OMODE.READ),

  async remove(probe, dir, { name }) {
    const newfid = probe.fid();
    const walked = await probe.ask('Twalk', { fid: dir, newfid, names: [name] });
    if (walked.type !== 'Rwalk' || walked.qids.length !== 1) return { answer: walked, isDone: false };
    return tried(await probe.ask('Tremove', { fid: newfid }), 'Rremove');
  },
};
