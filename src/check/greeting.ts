// Owns: finding out which versions of 9P a server speaks, for the rules of both dialects.
// Guarantees: each version is asked for on a connection of its own, since servers differ in what a second Tversion
// does; the server may agree to less than it is asked for (version(9P)), and is believed.
// Must not: open connections itself. The caller hands in how a version is asked for.

import { ConfigError, ConnectionError } from '../common/errors.ts';
import { type Answer, show } from './answers.ts';
import type { DialectName } from './dialects/dialect.ts';
import { VERSIONS } from './dialects/spoken.ts';
import { Silence } from './probe.ts';

/** The version that the server speaks of a dialect, or what it said instead. */
export type Spoken =
  | { readonly version: string; readonly msize: number }
  | { readonly version: undefined; readonly why: string };

/** Sends Tversion and resolves with its answer. */
export type Ask = (version: string) => Promise<Answer>;

/** The dialect of a version, where it is one that this checker speaks. */
export function dialectNamed(version: string): DialectName | undefined {
  return (['dotl', 'plan9'] as const).find((name) => VERSIONS[name].includes(version));
}

export class Greeting {
  readonly #ask: Ask;
  readonly #spoken = new Map<DialectName, Spoken>();
  /** What became of each version that was asked for and not agreed to. */
  readonly #refused: { readonly version: string; readonly said: string }[] = [];

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** What is known of a dialect. */
  of(dialect: DialectName): Spoken {
    return this.#spoken.get(dialect) ?? { version: undefined, why: 'the server was not asked for this dialect' };
  }

  /** Those that the server agreed to. */
  get agreed(): readonly { readonly version: string; readonly msize: number }[] {
    return [...this.#spoken.values()].filter((each) => each.version !== undefined);
  }

  /**
   * The answer to a version; a server that serves one dialect may hang up, or let nobody in, when asked for another.
   */
  async #answer(version: string): Promise<Answer | Silence | ConnectionError | ConfigError> {
    try {
      return await this.#ask(version);
    } catch (error) {
      if (version === VERSIONS.dotl[0]) throw error;
      if (error instanceof Silence || error instanceof ConnectionError || error instanceof ConfigError) return error;
      throw error;
    }
  }

  /**
   * Asks for a dialect. Of a server that agrees to another one than it is asked for it is not believed that it has
   * nothing better: asked for .L, one that has .u may agree to 9P2000.
   */
  async learn(dialect: DialectName): Promise<void> {
    const before = this.#refused.length;
    for (const version of VERSIONS[dialect]) {
      const answer = await this.#answer(version);
      if (!(answer instanceof Error) && answer.type === 'Rversion' && dialectNamed(answer.version) === dialect) {
        this.#spoken.set(dialect, { version: answer.version, msize: answer.msize });
        return;
      }
      this.#refused.push({ version, said: answer instanceof Error ? answer.message : show(answer) });
    }
    this.#spoken.set(dialect, { version: undefined, why: inWords(this.#refused.slice(before)) });
  }

  /** Throws where the server speaks nothing that this checker does. */
  mustAgree(): void {
    if (this.agreed.length > 0) return;
    throw new ConfigError(`the server agrees to no version of 9P: ${inWords(this.#refused)}`, 1);
  }
}

function inWords(refused: readonly { version: string; said: string }[]): string {
  const [first] = refused;
  const isOne = refused.every(({ said }) => said === first?.said);
  if (isOne && first !== undefined) {
    return `Tversion ${refused.map(({ version }) => version).join(', ')}: ${first.said}`;
  }
  return refused.map(({ version, said }) => `Tversion ${version}: ${said}`).join('; ');
}
