// Runs the rules one after the other, each on a connection of its own and with a deadline of its own, and judges what
// comes out: an answer that never comes is a failure, what could not be tried is `unclear`, and the next rule runs
// whatever happened.
// Guarantees: the directory in which rules write is removed in the end, also when the run is interrupted; when that
// does not work, the report says what is left where.

import { randomBytes } from 'node:crypto';
import { Abort, type AbortSignalLike } from '../common/abort.ts';
import { ConfigError, ConnectionError } from '../common/errors.ts';
import { type Answer, show } from './answers.ts';
import type { DialectName } from './dialects/dialect.ts';
import { dialectNamed, Greeting } from './greeting.ts';
import { makeHome, removeHome, sweepHome } from './home.ts';
import { Silence, Unprepared } from './probe.ts';
import { type Finding, fail, notApplicable, type Rule, unclear, type Verdict } from './rule.ts';
import { Stage, type Target } from './stage.ts';

export interface Result extends Finding {
  readonly rule: Rule;
  readonly ms: number;
}

export interface CheckOptions {
  readonly target: Target;
  readonly rules: readonly Rule[];
  /** Nothing is made or changed on the server. */
  readonly readOnly: boolean;
  /** Ends the run: what was made is removed first. */
  readonly signal?: AbortSignalLike;
  readonly onResult?: (result: Result) => void;
}

export interface Report {
  readonly results: readonly Result[];
  readonly counts: Readonly<Record<Verdict, number>>;
  /** What the server agreed to, one for each dialect that was asked for. */
  readonly versions: readonly string[];
  /** That of the first of them. */
  readonly msize: number;
  /** What could not be removed from the server, and why. */
  readonly left: string | undefined;
  readonly interrupted: boolean;
}

interface Home {
  readonly name: string | undefined;
  /** Why there is none. */
  readonly why: string;
}

/** What the server did not do, in a sentence; rethrows what is our own mistake. */
function trouble(error: unknown, timeout: number): string {
  if (error instanceof Silence) return `${error.message} within ${timeout / 1000} s`;
  if (error instanceof Unprepared || error instanceof ConnectionError) return error.message;
  throw error;
}

/** One rule on one stage. */
export async function attempt(rule: Rule, stage: Stage): Promise<Finding> {
  try {
    return await rule.run(await stage.open(rule.start), stage);
  } catch (error) {
    const why = trouble(error, stage.timeout);
    return error instanceof Silence ? fail(why) : unclear(why);
  }
}

interface How {
  /** Whether a connection that cannot be made is tried again. */
  readonly patient: boolean;
  /** Whether it goes on when the run is interrupted. */
  readonly heedless: boolean;
  readonly version: string;
}

/** One run over all rules. */
class Run {
  readonly #options: CheckOptions;
  #home: Home = { name: undefined, why: '' };
  readonly #greeting = new Greeting((version) => this.#ask(version));
  #names = 0;
  /** Why no further rule can be tried. */
  #gone: string | undefined;
  /** What may be on the server though nobody said so. */
  #left: string | undefined;

  constructor(options: CheckOptions) {
    this.#options = options;
  }

  /** The version that connections of a dialect ask for; where the server does not speak it, the one that it speaks. */
  #versionOf(dialect: DialectName): string {
    const version = this.#greeting.of(dialect).version ?? this.#greeting.agreed[0]?.version;
    if (version === undefined) throw new Error('no version was agreed to');
    return version;
  }

  /** Runs `body` with a stage that has a rule's time; its connections are closed afterwards. */
  async #staged<T>(body: (stage: Stage) => Promise<T>, how: Partial<How> = {}): Promise<T> {
    const { patient = true, heedless = false, version = this.#versionOf('dotl') } = how;
    const { target } = this.#options;
    const heed = heedless ? undefined : this.#options.signal;
    const deadline = new Abort(); // an AbortSignal warns of more than ten connections
    const end = () => deadline.abort();
    const clock = setTimeout(end, target.timeout);
    heed?.addEventListener('abort', end, { once: true });
    if (heed?.aborted) end();
    const name = () => `f${++this.#names}`;
    const stage = new Stage({ target, signal: deadline, version, home: this.#home.name, name, patient });
    try {
      return await body(stage);
    } finally {
      clearTimeout(clock);
      heed?.removeEventListener('abort', end);
      stage.close();
    }
  }

  /** The answer to one Tversion, and where it is agreed to, whether the server lets this client in. */
  async #ask(version: string): Promise<Answer> {
    const { target } = this.#options;
    const asking = async (stage: Stage) => {
      const probe = await stage.open('raw');
      const answer = await probe.version(target.msize, version);
      if (answer.type !== 'Rversion' || dialectNamed(answer.version) === undefined) return answer;
      const attached = await probe.attach(target.who);
      if (attached.type === 'Rattach') return answer;
      const { aname } = target.who;
      const hint = aname === '' ? 'name a tree with -o aname=NAME' : `is aname=${aname} right?`;
      throw new ConfigError(`the server refuses Tattach: ${show(attached)}; ${hint}`, 1);
    };
    return this.#staged(asking, { patient: false, version });
  }

  /** What the server agrees to. Rejects with the one line that says why nothing can be checked. */
  async greet(): Promise<{ versions: readonly string[]; msize: number }> {
    const greeting = this.#greeting;
    try {
      await greeting.learn('dotl');
      const isWanted = this.#options.rules.some(({ dialect }) => dialect === 'plan9');
      if (isWanted || greeting.agreed.length === 0) await greeting.learn('plan9');
    } catch (error) {
      if (!(error instanceof Silence)) throw error;
      throw new ConnectionError(`${trouble(error, this.#options.target.timeout)}; is it a 9P server?`);
    }
    greeting.mustAgree();
    return { versions: greeting.agreed.map(({ version }) => version), msize: greeting.agreed[0]?.msize ?? 0 };
  }

  /** Makes the directory in which rules write. No interrupt ends this: it would not be known whether there is one. */
  async prepare(): Promise<void> {
    if (this.#options.readOnly) {
      this.#home = { name: undefined, why: 'it writes, and --readonly was given' };
      return;
    }
    const name = `ninefs-check-${randomBytes(6).toString('hex')}`;
    try {
      const make = async (stage: Stage) => makeHome(await stage.open('session'), name);
      const { answer, isDone } = await this.#staged(make, { heedless: true });
      if (isDone) this.#home = { name, why: '' };
      else this.#home = { name: undefined, why: `it writes, and making a directory is answered ${show(answer)}` };
    } catch (error) {
      this.#home = {
        name: undefined,
        why: `it writes, and making a directory did not work: ${trouble(error, this.#options.target.timeout)}`,
      };
      this.#left = `${name} may be left on the server: ${trouble(error, this.#options.target.timeout)}`;
    }
  }

  /**
   * Runs one rule, and looks whether the server is still there: what brings it down has failed, whatever it answered.
   */
  async rule(rule: Rule): Promise<Result> {
    const began = performance.now();
    const done = (finding: Finding): Result => ({ ...finding, rule, ms: Math.round(performance.now() - began) });
    if (this.#gone !== undefined) return done(unclear(this.#gone));
    const spoken = this.#greeting.of(rule.dialect);
    if (spoken.version === undefined) return done(notApplicable(spoken.why));
    if (rule.start === 'home' && this.#home.name === undefined) return done(notApplicable(this.#home.why));
    const { finding, wrote } = await this.#try(rule);
    if (this.#options.signal?.aborted) return done(finding);
    if (await this.#visit(wrote)) return done(finding);
    const isBack = await this.#returns();
    // an interrupt broke these off, too: that says nothing of the server, which has still to be tidied up
    if (this.#options.signal?.aborted) return done(finding);
    if (!isBack) this.#gone = `not tried: nobody is answered since ${rule.id}`;
    return done(fail(`${finding.did}; and then nobody is answered`));
  }

  async #try(rule: Rule): Promise<{ finding: Finding; wrote: boolean }> {
    const how = { version: this.#versionOf(rule.dialect) };
    return this.#staged(async (stage) => {
      const finding = await attempt(rule, stage);
      return { finding, wrote: stage.wrote };
    }, how);
  }

  /**
   * A new connection, through which the directory is emptied; whether there was one. What stays there is for the end.
   */
  async #visit(wrote: boolean): Promise<boolean> {
    let opened = false;
    try {
      await this.#staged(
        async (stage) => {
          const probe = await stage.open(wrote ? 'home' : 'session');
          opened = true;
          if (wrote) await sweepHome(probe);
        },
        { patient: false },
      );
    } catch (error) {
      trouble(error, this.#options.target.timeout);
      return opened || error instanceof Unprepared;
    }
    return true;
  }

  /** Whether a server that went away comes back in the time of a rule. */
  async #returns(): Promise<boolean> {
    try {
      await this.#staged((stage) => stage.open('session'));
      return true;
    } catch (error) {
      trouble(error, this.#options.target.timeout);
      return false;
    }
  }

  /**
   * Removes the directory; resolves with what is left. An interrupted run does that as well, in the time of one rule.
   */
  async leave(): Promise<string | undefined> {
    const { name } = this.#home;
    if (name === undefined) return this.#left;
    if (this.#gone !== undefined) return `${name} is left on the server, which answers nobody`;
    try {
      const end = async (stage: Stage) => removeHome(await stage.open('home'), name);
      await this.#staged(end, { heedless: true });
      return undefined;
    } catch (error) {
      return `${name} is left on the server: ${trouble(error, this.#options.target.timeout)}`;
    }
  }
}

/** Runs every rule. Rejects when the server cannot be reached, or lets nobody in. */
export async function check(options: CheckOptions): Promise<Report> {
  const { rules, signal, onResult } = options;
  const run = new Run(options);
  const results: Result[] = [];
  const counts: Record<Verdict, number> = { pass: 0, fail: 0, 'n/a': 0, unclear: 0 };
  const agreed = await run.greet();
  let left: string | undefined;
  try {
    if (signal?.aborted !== true) await run.prepare();
    for (const rule of rules) {
      if (signal?.aborted) break;
      const result = await run.rule(rule);
      if (signal?.aborted) break; // what was under way says nothing any more
      results.push(result);
      counts[result.verdict]++;
      onResult?.(result);
    }
  } finally {
    left = await run.leave();
  }
  return { results, counts, ...agreed, left, interrupted: signal?.aborted === true };
}
