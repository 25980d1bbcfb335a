// The one directory in which rules write: made under the root that is attached, emptied after each rule, removed in the
// end.
// Guarantees: nothing outside it is changed; the names below it are removed one by one, and how deep that goes is
// bounded.

import { OPEN } from '../wire/p9/constants.ts';
import { type Answer, show } from './answers.ts';
import type { Entry, Tried } from './dialects/dialect.ts';
import { dialectOf } from './dialects/spoken.ts';
import { Probe, Unprepared } from './probe.ts';
import { walk } from './steps.ts';

/** Deeper than any rule goes. */
const DEEPEST = 40;
const FIFO = 0o010644;

/** Makes it, in whichever dialect the connection speaks. */
export function makeHome(probe: Probe, name: string): Promise<Tried> {
  return dialectOf(probe).mkdir(probe, Probe.ROOT, name);
}

/** What is added to a FIFO's name for its second one, through which its other end is opened. */
const OTHER_END = '-other-end';

/**
 * A FIFO, and a second name for it: a server may hold on to a name, and to all that comes to it, while it waits in
 * open(2) there. The answer that was no success, or undefined.
 */
export async function makeFifo(probe: Probe, name: string): Promise<Answer | undefined> {
  const made = await probe.ask('Tmknod', { dfid: Probe.HOME, name, mode: FIFO, major: 0, minor: 0, gid: 0 });
  if (made.type !== 'Rmknod') return made;
  const fid = await walk(probe, Probe.HOME, name);
  const linked = await probe.ask('Tlink', { dfid: Probe.HOME, fid, name: `${name}${OTHER_END}` });
  await probe.must('Tclunk', { fid });
  return linked.type === 'Rlink' ? undefined : linked;
}

/** Whoever waits in open(2) for the other end of a FIFO goes on, and with it the server's thread (fifo(7)). */
export async function openOtherEnd(probe: Probe, name: string): Promise<void> {
  const fid = await walk(probe, Probe.HOME, `${name}${OTHER_END}`);
  await probe.ask('Tlopen', { fid, flags: OPEN.RDWR | OPEN.NONBLOCK }); // an error where nobody can have opened it
  await probe.must('Tclunk', { fid });
}

async function remove(probe: Probe, dir: number, entry: Entry): Promise<void> {
  const { answer, isDone } = await dialectOf(probe).remove(probe, dir, entry);
  if (!isDone) throw new Unprepared(`removing: ${show(answer)}`);
}

/** Removes what is in the directory of a fid. */
async function empty(probe: Probe, dir: number, depth = 0): Promise<void> {
  if (depth > DEEPEST) throw new Unprepared(`removing: directories nested more than ${DEEPEST} deep`);
  const dialect = dialectOf(probe);
  const listing = await walk(probe, dir);
  await dialect.openDirectory(probe, listing);
  const entries = await dialect.entries(probe, listing);
  await probe.must('Tclunk', { fid: listing });
  for (const { name } of entries) {
    if (depth === 0 && name.endsWith(OTHER_END)) await openOtherEnd(probe, name.slice(0, -OTHER_END.length));
  }
  for (const entry of entries) {
    if (entry.name === '') continue; // a name that is none could lead anywhere
    if (entry.isDirectory) {
      const inner = await walk(probe, dir, entry.name);
      await empty(probe, inner, depth + 1);
      await probe.must('Tclunk', { fid: inner });
    }
    await remove(probe, dir, entry);
  }
}

/** Empties it, for the next rule. */
export function sweepHome(probe: Probe): Promise<void> {
  return empty(probe, Probe.HOME);
}

/** Removes it with everything in it. */
export async function removeHome(probe: Probe, name: string): Promise<void> {
  await empty(probe, Probe.HOME);
  await probe.must('Tclunk', { fid: Probe.HOME });
  await remove(probe, Probe.ROOT, { name, isDirectory: true });
}
