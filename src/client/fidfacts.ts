// What the fids of one connection's server turned out to be. 9P says that a fid names a file (intro(9P)); on many servers it
// names a path, and means whatever has that path when it is used. No message asks, so each fact is learned from what the
// server did, and until then it is unknown: its user takes the way that is safe in both cases.
// Guarantees: a fact that was once found false stays false; each is logged once at info, in words.
// Must not ask the server anything: whoever has a reason to ask tells the result.

import type { Logger } from '../common/log.ts';

/** Each fact as a sentence that is true or false of a server. */
export const FID_FACTS = {
  bound: 'an unopened fid means its file whatever becomes of its name, also without any',
  unopened: 'an unopened fid follows its file through a rename',
  below: 'unopened fids of files below a renamed directory stay good',
  openGetattr: 'Tgetattr through an open fid follows the file through a rename',
  openSetattr: 'Tsetattr through an open fid follows the file through a rename',
  openIo: 'reads and writes through an open fid follow the file through a rename',
  namelessGetattr: 'Tgetattr through an open fid finds the file when its last name is gone',
  namelessSetattr: 'Tsetattr through an open fid finds the file when its last name is gone',
  namelessIo: 'reads and writes through an open fid find the file when its last name is gone',
  namelessFsync: 'Tfsync through an open fid finds the file when its last name is gone',
  walkQids: 'Rwalk gives the qid of each directory on the way',
} as const;

export type FidFact = keyof typeof FID_FACTS;

/** true, false, or undefined: not known yet. */
export type Known = boolean | undefined;

export class FidFacts {
  readonly #known: { [F in FidFact]?: boolean } = {};
  readonly #logger: Logger;
  /** Unopened fids cannot lose their file: no request needs a look at where one leads. */
  sure = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  knows(fact: FidFact): Known {
    return this.#known[fact];
  }

  /** Tells what a server did. A later true does not undo a false: one server may export several file systems. */
  settle(fact: FidFact, is: boolean): void {
    const before = this.#known[fact];
    if (before === is || before === false) return;
    this.#known[fact] = is;
    this.sure = this.#known.bound === true || (this.#known.unopened === true && this.#known.below === true);
    this.#logger.info({ fact, is }, `the server's fids: ${is ? '' : 'it is not so that '}${FID_FACTS[fact]}`);
  }

  /** Whether a request through an open fid reaches its file wherever this client or another has moved it. */
  openFollows(fact: 'openGetattr' | 'openSetattr' | 'openIo'): boolean {
    return this.#known.bound === true || this.#known[fact] === true;
  }

  /** An open file goes on working in everything when its last name is removed. False also where that is not known yet. */
  get openNeedsNoName(): boolean {
    return this.#known.bound === true;
  }

  /** Everything that is known, for statistics. */
  get all(): Readonly<{ [F in FidFact]?: boolean }> {
    return { ...this.#known };
  }
}
