// What a rule is, and what comes out of it. The rules themselves are tables, one file a family, in rules/. A rule
// returns its finding; what it throws is judged by the runner: Silence is a failure of the server, Unprepared says that
// the rule could not be tried.

import { type Answer, isError, isRefusal, show } from './answers.ts';
import type { DialectName } from './dialects/dialect.ts';
import type { Probe } from './probe.ts';

/** `unclear`: the rule could not be tried, for a reason that is none of its own. */
export type Verdict = 'pass' | 'fail' | 'n/a' | 'unclear';

export interface Finding {
  readonly verdict: Verdict;
  /** What the server did, in protocol words. */
  readonly did: string;
}

/**
 * Where the connection stands when the rule begins: nothing was said; Tversion was agreed and fid ROOT attached; or
 * also fid HOME is a directory to write in, which a server that cannot be written to does not have.
 */
export type Start = 'raw' | 'session' | 'home';

/** What a rule finds beside its connection. */
export interface Place {
  /** Another connection. */
  open(start: Start): Promise<Probe>;
  /** Brings a connection there, or there again. */
  begin(probe: Probe, start: Start, msize?: number): Promise<void>;
  /** A name that was not used before, in the directory that HOME is. */
  name(): string;
  /** How the connections attach. */
  readonly who: { readonly uname: string; readonly aname: string; readonly nUname: number };
  /** What the connections offer. */
  readonly msize: number;
  /** The whole time that a rule has, in milliseconds. */
  readonly timeout: number;
  /** Names that lead to a file whose reads wait until they are flushed, where the user knows one. */
  readonly hang: readonly string[] | undefined;
  /** Whether there is a directory to write in. */
  readonly writable: boolean;
}

export interface Rule {
  readonly id: string;
  /** The manual page, or the part of the dialect. */
  readonly section: string;
  /** Its connections speak this one. A rule of a dialect that the server does not speak does not apply. */
  readonly dialect: DialectName;
  readonly start: Start;
  /** What the server has to do. */
  readonly text: string;
  run(probe: Probe, place: Place): Promise<Finding>;
}

/** One family's rules: they come from one page, in most cases. */
export function rulesOf(
  section: string,
  dialect: DialectName = 'dotl',
): (id: string, start: Start, text: string, run: Rule['run']) => Rule {
  return (id, start, text, run) => ({ id, section, dialect, start, text, run });
}

type Said = Answer | string;
const words = (said: readonly Said[]) => said.map((each) => (typeof each === 'string' ? each : show(each))).join(' ');

export const pass = (...did: Said[]): Finding => ({ verdict: 'pass', did: words(did) });
export const fail = (...did: Said[]): Finding => ({ verdict: 'fail', did: words(did) });
export const notApplicable = (...did: Said[]): Finding => ({ verdict: 'n/a', did: words(did) });
export const unclear = (...did: Said[]): Finding => ({ verdict: 'unclear', did: words(did) });

/** It has to be so. */
export const must = (isSo: boolean, ...did: Said[]): Finding => (isSo ? pass(...did) : fail(...did));

/** It has to be an error; hanging up is none, since the message was well formed. */
export const mustFail = (answer: Answer): Finding => must(isError(answer), answer);

/** The message itself is wrong: an error will do, and so will the end of the connection. */
export const mustRefuse = (answer: Answer): Finding => must(isRefusal(answer), answer);

/** Size, type, tag and count, which an Rread or Rreaddir has before its bytes. */
export const READ_HEAD = 11;

/** The answer to a count above msize: as many bytes as msize has room for, or an error. */
export function cutOrRefused(answer: Answer, type: 'Rread' | 'Rreaddir', msize: number): Finding {
  if (answer.type !== type) return mustFail(answer);
  const fits = answer.data.length <= msize - READ_HEAD && answer.data.length > 0;
  return must(fits, fits ? `${type} of what msize can hold` : answer);
}

/** All of it has to pass; the first finding that does not is the result, otherwise the last one. */
export function all(...findings: readonly [Finding, ...Finding[]]): Finding {
  return findings.find(({ verdict }) => verdict !== 'pass') ?? findings[findings.length - 1] ?? findings[0];
}
