// What rules do on their way: walking, making files, reading them back. Each step has to work, and throws Unprepared
// when it does not; the message that a rule is about is sent by the rule itself.

import { errno } from '../common/errno.ts';
import { AT_REMOVEDIR, OPEN, SETATTR } from '../wire/p9/constants.ts';
import type { Body, Message } from '../wire/p9/messages.ts';
import { type Qid, readDirents } from '../wire/p9/types.ts';
import { type Answer, ecodeOf, show } from './answers.ts';
import { Probe, Unprepared } from './probe.ts';

const { HOME } = Probe;
/** A listing of a directory that rules made ends long before. */
const MAX_ENTRIES = 5000;

/** Answers of servers that do not have a message, or do not have it on this file system. */
const MISSING: readonly number[] = [errno.EOPNOTSUPP, errno.ENOSYS];

/** The words of such servers in 9P2000 and .u: those of strerror(3), and those of Plan 9's lib9p. */
const MISSING_WORDS = /not (?:supported|implemented)|wstat (?:prohibited|not allowed)/i;
const NO_ENTRY_WORDS = /not exist|not found|no such/i;

const says = (answer: Answer, words: RegExp) => answer.type === 'Rerror' && words.test(answer.ename);

/** The server says that it has no such thing. */
export function isMissing(answer: Answer): boolean {
  const ecode = ecodeOf(answer);
  return (ecode !== undefined && MISSING.includes(ecode)) || says(answer, MISSING_WORDS);
}

/** ENOENT; servers of .u send its words with other numbers. */
export function isNoEntry(answer: Answer): boolean {
  return ecodeOf(answer) === errno.ENOENT || says(answer, NO_ENTRY_WORDS);
}

/** A new fid at the end of a walk, which has to lead there. */
export async function walk(probe: Probe, from: number, ...names: string[]): Promise<number> {
  const newfid = probe.fid();
  const { qids } = await probe.must('Twalk', { fid: from, newfid, names });
  if (qids.length < names.length) throw new Unprepared(`Twalk of ${names.length} names: Rwalk of ${qids.length} qids`);
  return newfid;
}

export async function open(probe: Probe, from: number, name: string, flags: number = OPEN.RDONLY): Promise<number> {
  const fid = await walk(probe, from, name);
  await probe.must('Tlopen', { fid, flags });
  return fid;
}

export interface CreateOptions {
  flags?: number;
  mode?: number;
  dir?: number;
}

/** A new file, open for reading and writing. */
export async function create(probe: Probe, name: string, options: CreateOptions = {}): Promise<number> {
  const { flags = OPEN.RDWR, mode = 0o644, dir = HOME } = options;
  const fid = await walk(probe, dir);
  await probe.must('Tlcreate', { fid, name, flags, mode, gid: 0 });
  return fid;
}

/** A new file with this text in it, and no fid. */
export async function put(probe: Probe, name: string, text: string | Uint8Array, dir = HOME): Promise<void> {
  const fid = await create(probe, name, { dir });
  await writeAll(probe, fid, Buffer.from(text));
  await probe.must('Tclunk', { fid });
}

export async function writeAll(probe: Probe, fid: number, bytes: Uint8Array): Promise<void> {
  const most = probe.msize - 24;
  for (let offset = 0; offset < bytes.length; ) {
    const { count } = await probe.must('Twrite', { fid, offset, data: bytes.subarray(offset, offset + most) });
    if (count === 0) throw new Unprepared('Twrite: Rwrite of 0 bytes');
    offset += count;
  }
}

/** A fid of the new directory. */
export async function mkdir(probe: Probe, name: string, dir = HOME): Promise<number> {
  await probe.must('Tmkdir', { dfid: dir, name, mode: 0o755, gid: 0 });
  return walk(probe, dir, name);
}

/** What is in an open file, up to its end. */
export async function readAll(probe: Probe, fid: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for (let offset = 0; ; ) {
    const { data } = await probe.must('Tread', { fid, offset, count: probe.msize - 24 });
    if (data.length === 0) return Buffer.concat(pieces);
    pieces.push(data);
    offset += data.length;
  }
}

/** What is in a file, by its name. */
export async function contents(probe: Probe, name: string, dir = HOME): Promise<string> {
  const fid = await open(probe, dir, name);
  const bytes = await readAll(probe, fid);
  await probe.must('Tclunk', { fid });
  return bytes.toString('latin1');
}

export function getattr(probe: Probe, fid: number): Promise<Message<'Rgetattr'>> {
  return probe.must('Tgetattr', { fid, mask: 0x7ff });
}

export function setattr(probe: Probe, fid: number, changes: Partial<Body<'Tsetattr'>>): Promise<Answer> {
  const none = { valid: 0, mode: 0, uid: 0, gid: 0, size: 0, atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0 };
  return probe.ask('Tsetattr', { ...none, ...changes, fid });
}

export const setSize = (probe: Probe, fid: number, size: number): Promise<Answer> =>
  setattr(probe, fid, { valid: SETATTR.SIZE, size });

/** Whether a fid means anything; an unused number does not. */
export async function isFid(probe: Probe, fid: number): Promise<boolean> {
  return (await probe.ask('Tgetattr', { fid, mask: 0x7ff })).type === 'Rgetattr';
}

/** A new fid of a name, or undefined where nothing has it. */
export async function find(probe: Probe, name: string, dir = HOME): Promise<number | undefined> {
  const newfid = probe.fid();
  const answer = await probe.ask('Twalk', { fid: dir, newfid, names: [name] });
  if (answer.type === 'Rwalk' && answer.qids.length === 1) return newfid;
  if (answer.type === 'Rwalk' || isNoEntry(answer)) return undefined;
  throw new Unprepared(`Twalk to a name that may be there: ${show(answer)}`);
}

/** Whether a name leads somewhere. */
export async function exists(probe: Probe, name: string, dir = HOME): Promise<boolean> {
  const fid = await find(probe, name, dir);
  if (fid === undefined) return false;
  await probe.ask('Tclunk', { fid });
  return true;
}

export interface Entry {
  readonly name: string;
  readonly cookie: bigint;
  readonly type: number;
  readonly qid: Qid;
}

/** The entries of an Rreaddir; Unprepared where they cannot be taken apart. */
export function entriesOf(data: Uint8Array): Entry[] {
  const { entries, fault } = readDirents(data);
  if (fault !== undefined) throw new Unprepared(`Rreaddir: ${fault}`);
  return entries.map(({ name = '', offset, type, qid }) => ({ name, cookie: offset, type, qid }));
}

/** The rest of a listing, in calls of `count` bytes, with `.` and `..` where the server sends them. */
export async function list(probe: Probe, fid: number, count: number, from = 0n): Promise<Entry[]> {
  const listed: Entry[] = [];
  for (let offset = from; listed.length < MAX_ENTRIES; ) {
    const { data } = await probe.must('Treaddir', { fid, offset, count });
    const entries = entriesOf(data);
    if (entries.length === 0) return listed;
    listed.push(...entries);
    offset = entries[entries.length - 1]?.cookie ?? offset;
  }
  throw new Unprepared(`Treaddir: more than ${MAX_ENTRIES} entries, and no end`);
}

export const isDots = (name: string): boolean => name === '.' || name === '..';

/** Removes a name by whichever message the server has; resolves with the answer. */
export async function unlink(probe: Probe, name: string, dir = HOME, directory = false): Promise<Answer> {
  const answer = await probe.ask('Tunlinkat', { dirfid: dir, name, flags: directory ? AT_REMOVEDIR : 0 });
  if (!isMissing(answer)) return answer;
  return probe.ask('Tremove', { fid: await walk(probe, dir, name) });
}

/** The same, which has to work. */
export async function remove(probe: Probe, name: string, dir = HOME, directory = false): Promise<void> {
  const answer = await unlink(probe, name, dir, directory);
  if (answer.type !== 'Runlinkat' && answer.type !== 'Rremove') throw new Unprepared(`removing: ${show(answer)}`);
}

/** Two round trips, and a while in which nothing comes: what a server still had to say is here. */
export async function settle(probe: Probe): Promise<void> {
  for (let round = 0; round < 2 && !probe.over; round++) await probe.ask('Tgetattr', { fid: Probe.ROOT, mask: 0x7ff });
  await probe.quiet();
}

export const sameQid = (a: Qid, b: Qid): boolean => a.path === b.path && a.type === b.type;
