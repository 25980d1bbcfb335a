// Owns: the steps that rules and the runner take in every dialect, each dialect with messages of its own.
// Guarantees: a step that returns Tried or Look has sent its message and says what the server answered; every other
// step has to work, and throws Unprepared when it does not.
// Must not: judge an answer. That is the work of the rules.

import type { Qid } from '../../wire/p9/types.ts';
import type { Answer } from '../answers.ts';
import type { Probe } from '../probe.ts';

/**
 * Which family of messages a rule is about: those of 9P2000.L, or those of 9P2000.u and 9P2000, which are the same
 * ones.
 */
export type DialectName = 'dotl' | 'plan9';

/** A message that the server may refuse. */
export interface Tried {
  readonly answer: Answer;
  readonly isDone: boolean;
}

/** The attributes by which rules tell files apart. */
export interface Seen {
  readonly qid: Qid;
  readonly size: number;
  /** The permissions, without the type of the file. */
  readonly mode: number;
}

/** The answer to Tgetattr or Tstat. */
export interface Look {
  readonly answer: Answer;
  readonly seen: Seen | undefined;
}

export interface Change {
  readonly size?: number;
  readonly mode?: number;
}

export interface Entry {
  readonly name: string;
  readonly isDirectory: boolean;
}

export interface Dialect {
  readonly name: DialectName;
  look(probe: Probe, fid: number): Promise<Look>;
  /** Sets the size or the permissions through a fid. */
  change(probe: Probe, fid: number, change: Change): Promise<Tried>;
  /** Tells the server to bring the file to stable storage. */
  sync(probe: Probe, fid: number): Promise<Tried>;
  openFile(probe: Probe, fid: number): Promise<void>;
  openDirectory(probe: Probe, fid: number): Promise<void>;
  /** One read of an open directory from its beginning: the first entries, without `.` and `..`. */
  list(probe: Probe, fid: number): Promise<{ readonly answer: Answer; readonly entries: readonly Entry[] | undefined }>;
  /** Every entry of an open directory. */
  entries(probe: Probe, fid: number): Promise<readonly Entry[]>;
  /** Makes a file of which a clone of the directory's fid becomes an open fid, and clunks that one. */
  make(probe: Probe, dir: number, name: string): Promise<Tried>;
  /** An open fid of a new file. */
  create(probe: Probe, dir: number, name: string): Promise<number>;
  mkdir(probe: Probe, dir: number, name: string): Promise<Tried>;
  /** Removes a name from the directory of a fid. */
  remove(probe: Probe, dir: number, entry: Entry): Promise<Tried>;
}
