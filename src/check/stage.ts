// The connections of one rule: opened to the point where the rule begins, all of them closed when it is over.
// Guarantees: nothing waits beyond the rule's deadline; a server that is down for a moment, because the last rule made
// it fall over, is tried again until then.

import type { AbortSignalLike } from '../common/abort.ts';
import { ConnectionError } from '../common/errors.ts';
import type { Transport } from '../transport/transport.ts';
import { show } from './answers.ts';
import { Probe, Silence, Unprepared } from './probe.ts';
import type { Place, Start } from './rule.ts';

/** Between two tries to connect: there is no event that says that somebody listens again. */
const RETRY = 100;

/** Where the rules run, and how. */
export interface Target {
  dial(signal: AbortSignalLike): Promise<Transport>;
  readonly who: Place['who'];
  /** Offered in Tversion. */
  readonly msize: number;
  /** Milliseconds for one rule. */
  readonly timeout: number;
  readonly hang: readonly string[] | undefined;
}

export interface StageOptions {
  readonly target: Target;
  readonly signal: AbortSignalLike;
  /** What Tversion asks for on connections that are more than raw. */
  readonly version: string;
  /** The directory to write in, below the root that is attached. */
  readonly home: string | undefined;
  readonly name: () => string;
  /** Whether a connection that cannot be made is tried again. */
  readonly patient: boolean;
}

export class Stage implements Place {
  readonly #options: StageOptions;
  readonly #probes: Probe[] = [];
  /** Whether a connection went where rules write. */
  wrote = false;

  constructor(options: StageOptions) {
    this.#options = options;
  }

  get who(): Place['who'] {
    return this.#options.target.who;
  }

  get msize(): number {
    return this.#options.target.msize;
  }

  get timeout(): number {
    return this.#options.target.timeout;
  }

  get hang(): readonly string[] | undefined {
    return this.#options.target.hang;
  }

  get writable(): boolean {
    return this.#options.home !== undefined;
  }

  name(): string {
    return this.#options.name();
  }

  async open(start: Start): Promise<Probe> {
    const { signal, patient } = this.#options;
    for (;;) {
      try {
        return await this.#connect(start);
      } catch (error) {
        if (signal.aborted && !(error instanceof Silence)) throw new Silence('no connection');
        if (!patient || !(error instanceof ConnectionError)) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY));
        if (signal.aborted) throw new Silence(`no connection (${error.message})`);
      }
    }
  }

  async #connect(start: Start): Promise<Probe> {
    const { target, signal } = this.#options;
    const probe = new Probe(await target.dial(signal), { signal });
    this.#probes.push(probe);
    await this.begin(probe, start);
    return probe;
  }

  /** Rejects with ConnectionError when the server hangs up on what nobody may refuse. */
  async begin(probe: Probe, start: Start, msize = this.msize): Promise<void> {
    if (start === 'raw') return;
    const version = await probe.version(msize, this.#options.version);
    if (version.type === 'closed') throw new ConnectionError(`Tversion: ${show(version)}`);
    if (version.type !== 'Rversion' || version.version !== this.#options.version) {
      throw new Unprepared(`Tversion: ${show(version)}`);
    }
    const attached = await probe.attach(this.who);
    if (attached.type === 'closed') throw new ConnectionError(`Tattach: ${show(attached)}`);
    if (attached.type !== 'Rattach') throw new Unprepared(`Tattach: ${show(attached)}`);
    if (start === 'session') return;
    this.wrote = true;
    await this.#enter(probe);
  }

  async #enter(probe: Probe): Promise<void> {
    const { home } = this.#options;
    if (home === undefined) throw new Unprepared('there is no directory to write in');
    const answer = await probe.ask('Twalk', { fid: Probe.ROOT, newfid: Probe.HOME, names: [home] });
    if (answer.type !== 'Rwalk' || answer.qids.length !== 1) {
      throw new Unprepared(`Twalk to the directory that was made: ${show(answer)}`);
    }
  }

  close(): void {
    for (const probe of this.#probes.splice(0)) probe.close();
  }
}
