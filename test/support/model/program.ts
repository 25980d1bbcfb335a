// Random programs of calls, aborts, time and a server's whims, run on a real client and on the model side by side. After
// each step that lets messages arrive, both must agree on every caller's outcome and on every count; the server's book
// checks each message. At the end everything is answered, and nothing may be left.

import { vi } from 'vitest';
import type { Version } from '../../../src/client/dialects/versions.ts';
import type { Fid } from '../../../src/client/fids.ts';
import { MAX_CLUNKS } from '../../../src/client/limits.ts';
import { Abort, type AbortSignalLike } from '../../../src/common/abort.ts';
import { ErrnoError } from '../../../src/common/errors.ts';
import { type Attached, attached, turn } from '../scripted.ts';
import { Book, type Entry } from './book.ts';
import { callsOf, indexOf, type Kind, READ, type Startable } from './kinds.ts';
import { type Limits, type ModelCall, type Outcome, Reference } from './reference.ts';
import { type Forbidden, forbidden, type How, pick, Whims } from './whims.ts';

/** Numbers choose among what there is; where there is nothing, the step is none. `now`: before anything sent arrives. */
export type Step = { now: boolean; pick: number } & (
  | { do: 'call'; kind: Kind; shares: boolean; platform: boolean; fid: number }
  | { do: 'abort'; dying: boolean }
  | { do: 'reply'; how: How }
  | { do: 'rflush'; ok: boolean }
  | { do: 'time'; ms: number }
  | { do: 'die' | 'clunk' | 'late' | 'rclunk' | 'hangUp' | 'stray' }
  | { do: Forbidden }
);

export interface World {
  version: Version;
  limits: Limits;
  chunks: [number[], number[]];
  steps: Step[];
  /** How it comes to its end: the server answers everything after all, or says nothing more and all callers give up. */
  end: 'answers' | 'silence';
}

/** A caller's signal, and what may be learnt later of its caller: it is being killed. */
interface Caller {
  signal: AbortSignalLike;
  abort(reason: unknown): void;
  reason: { dying: boolean; onDying?: () => void };
}

interface Call {
  model: ModelCall;
  kind: Startable;
  caller: Caller;
  outcome: Outcome | undefined;
  over: number;
  taken: number;
  buffer: Buffer | undefined;
}

/** What a server does on purpose with what the client has seen, and what takes time. */
const AFTER_ALL: ReadonlySet<Step['do']> = new Set<Step['do']>([
  ...(['time', 'late', 'stray', 'hangUp'] as const),
  ...forbidden,
]);

const FREE = 0xee;

function newCaller(platform: boolean): Caller {
  const reason = { dying: false };
  if (platform) {
    const controller = new AbortController();
    return { signal: controller.signal, abort: (why) => controller.abort(why), reason };
  }
  const signal = new Abort();
  return { signal, abort: (why) => signal.abort(why), reason };
}

/** What the programs of a run came to, by name: how often. A run that never comes to something does not test it. */
export type Tally = Map<string, number>;

export class Program {
  readonly #world: World;
  readonly #tally: Tally;
  readonly #model: Reference;
  #there!: Attached;
  #kindOf!: (kind: Kind) => Startable;
  #book!: Book;
  #whims!: Whims;
  #calls: Call[] = [];
  #held: Fid[] = [];
  /** Fids that end with a call, and the call. */
  #ending = new Map<number, ModelCall>();
  /** What the client will have seen when the messages on their way have arrived. */
  #arriving: (() => void)[] = [];
  #fault: Error | undefined;

  constructor(world: World, tally: Tally) {
    this.#world = world;
    this.#tally = tally;
    // the attach of the root
    this.#model = new Reference(world.limits, 1);
  }

  async run(): Promise<void> {
    const { version, limits, chunks, steps } = this.#world;
    const cut = { chunks: chunks[0] };
    this.#there = await attached({ version, msize: 4096, requests: limits, cut: [cut, { chunks: chunks[1] }] });
    this.#kindOf = callsOf(version, this.#there.client);
    const { tagWindow } = limits;
    this.#book = new Book(this.#there.root.number, { first: tagWindow, size: tagWindow + MAX_CLUNKS });
    this.#whims = new Whims({
      version,
      server: this.#there.server,
      book: this.#book,
      model: this.#model,
      ending: this.#ending,
      callOf: (entry) => this.#of(entry),
      arrives: (seen) => this.#arriving.push(seen),
      count: (what) => this.#count(what),
    });
    this.#there.server.answer = (message) => {
      try {
        this.#book.receive(message);
      } catch (error) {
        this.#fault ??= error as Error;
      }
    };
    for (const step of steps) {
      if (AFTER_ALL.has(step.do)) await this.#settle();
      // nothing may be awaited here: messages arrive in microtasks
      this.#step(step);
      if (!step.now || AFTER_ALL.has(step.do)) await this.#settle();
    }
    await this.#settle();
    await this.#finish();
    this.#count(`programs: ${version}`);
    this.#count('programs');
    this.#count('Tflush', this.#model.flushed);
    this.#count('late replies', this.#model.lateReplies);
    for (const { model } of this.#calls) this.#count(`calls: ${model.outcome}`);
  }

  #count(what: string, times = 1): void {
    this.#tally.set(what, (this.#tally.get(what) ?? 0) + times);
  }

  #step(step: Step): void {
    const { server, client } = this.#there;
    switch (step.do) {
      case 'call':
        this.#call(step);
        return;
      case 'abort':
        this.#abort(pick(this.#abortable, step.pick), step.dying);
        return;
      case 'die':
        this.#die(pick(this.#calls, step.pick));
        return;
      case 'clunk': {
        const fid = this.#take(this.#held, step.pick);
        if (fid !== undefined) this.#there.calls.clunk(fid);
        return;
      }
      case 'reply':
        this.#whims.reply(pick(this.#book.open, step.pick), step.how);
        return;
      case 'rflush':
        this.#whims.rflush(pick(this.#book.flushing, step.pick), step.ok);
        return;
      case 'rclunk':
        this.#whims.rclunk(step.pick);
        return;
      case 'time':
        vi.advanceTimersByTime(step.ms);
        this.#model.advance(step.ms);
        return;
      case 'late':
        this.#whims.late(pick(this.#book.flushed, step.pick));
        return;
      case 'stray':
        if (client.error !== undefined) return;
        server.reply(60_000, 'Rclunk', {});
        this.#arriving.push(() => this.#model.end());
        return;
      case 'hangUp':
        server.hangUp();
        this.#arriving.push(() => this.#model.end());
        return;
      default:
        this.#whims.forbidden(step.do, step.pick);
    }
  }

  // --- the client's side ---

  #call(step: Extract<Step, { do: 'call' }>): void {
    const kind = this.#kindOf(step.kind);
    const { root, client } = this.#there;
    let fid = pick([root, ...this.#held], step.fid) ?? root;
    if (kind.ends) {
      // an awaited clunk is for a fid that nothing names
      const own = this.#held.filter(({ uses }) => step.kind !== 'commit' || uses === 0);
      const ended = this.#take(own, step.fid);
      if (ended === undefined) return;
      this.#held.splice(this.#held.indexOf(ended), 1);
      fid = ended;
    }
    const last = this.#calls.at(-1)?.caller;
    const caller = step.shares && last !== undefined ? last : newCaller(step.platform);
    // the end of a connection is noticed with the message that causes it
    const model = this.#model.call(kind, caller.signal.aborted);
    const buffer = kind.buffer && Buffer.alloc(READ);
    const call: Call = { model, kind, caller, outcome: undefined, over: 0, taken: 0, buffer };
    this.#calls.push(call);
    if (kind.ends) this.#ending.set(fid.number, model);
    const other = pick([root, ...this.#held], step.pick) ?? root;
    kind
      .start({
        index: model.index,
        fid,
        other,
        signal: caller.signal,
        buffer,
        over: () => this.#over(call),
        taken: () => call.taken++,
        made: (made) => {
          if (made !== undefined) this.#held.push(made);
        },
      })
      .then(
        () => this.#settled(call, 'ok'),
        (error: unknown) => this.#settled(call, outcomeOf(error, client.error)),
      );
  }

  #settled(call: Call, outcome: Outcome | undefined): void {
    if (call.outcome !== undefined) this.#fault ??= new Error(`call ${call.model.index} settled twice`);
    if (outcome === undefined) this.#fault ??= new Error(`call ${call.model.index}: an outcome that is none`);
    call.outcome = outcome;
  }

  /** The client says that the buffer is free: whatever comes into it from now on would hit somebody else's data. */
  #over(call: Call): void {
    call.over++;
    call.buffer?.fill(FREE);
  }

  get #abortable(): Call[] {
    return this.#calls.filter(({ caller }) => !caller.signal.aborted);
  }

  #abort(call: Call | undefined, dying: boolean): void {
    if (call === undefined) return;
    const { caller } = call;
    for (const each of this.#calls) if (each.caller === caller) this.#model.abort(each.model, dying);
    caller.reason.dying = dying;
    caller.abort(caller.reason);
  }

  #die(call: Call | undefined): void {
    const caller = call?.caller;
    if (caller === undefined || !caller.signal.aborted || caller.reason.dying) return;
    for (const each of this.#calls) if (each.caller === caller) this.#model.die(each.model);
    caller.reason.dying = true;
    caller.reason.onDying?.();
  }

  /** Which call a request belongs to. */
  #of({ message }: Entry): ModelCall {
    const index = indexOf(message);
    const call = index === undefined ? this.#ending.get((message as { fid: number }).fid) : this.#calls[index]?.model;
    if (call === undefined) throw new Error(`${message.type} of no call`);
    return call;
  }

  // --- comparing ---

  /** Lets everything arrive and compares. */
  async #settle(): Promise<void> {
    await turn();
    for (const arrive of this.#arriving.splice(0)) if (!this.#model.ended) arrive();
    if (this.#fault !== undefined) throw this.#fault;
    this.#compare();
    this.#book.settled();
  }

  #compare(): void {
    const { client } = this.#there;
    const model = this.#model;
    same('ended', client.error !== undefined, model.ended);
    const { tags, reserveTags, queued, quarantine, lateReplies, flushes } = client.stats;
    same('tags', tags, model.tags);
    same('queued', queued, model.queued);
    same('quarantine', quarantine, model.quarantine);
    if (quarantine > 0) this.#count('looks at a quarantine');
    same('reserve tags', reserveTags, model.ended ? 0 : model.flushes + this.#book.clunks.length);
    same('late replies', lateReplies, model.lateReplies);
    same('flushes', flushes, model.flushed);
    for (const entry of this.#book.news) {
      const { index, tag } = this.#of(entry);
      same(`call ${index} (${entry.message.type}): tag`, entry.tag, tag);
    }
    for (const { model: wanted, outcome, over, taken, buffer, caller } of this.#calls) {
      const what = `call ${wanted.index} (${wanted.state}, ${caller.signal.aborted ? 'aborted' : 'not aborted'})`;
      same(`${what}: outcome`, outcome, wanted.outcome);
      if (buffer === undefined) continue;
      same(`${what}: over`, over, wanted.done ? 1 : 0);
      if (over > 0)
        same(
          `${what}: buffer untouched`,
          buffer.every((byte) => byte === FREE),
          true,
        );
      else same(`${what}: taken`, taken, 0);
    }
  }

  /** Everybody gets an outcome; then nothing may be left. */
  async #finish(): Promise<void> {
    const { client, root } = this.#there;
    if (this.#world.end === 'answers') await this.#answerAll();
    else await this.#giveUpAll();
    for (const { model, outcome } of this.#calls) {
      if (outcome === undefined) throw new Error(`call ${model.index} never settled`);
    }
    if (!this.#model.ended && this.#world.end === 'answers') {
      same('timers', vi.getTimerCount(), this.#world.limits.timeout > 0 ? 1 : 0);
      same('fids', client.stats.fids, { live: 1 + this.#held.length, quarantine: 0 });
      const mine = [root, ...this.#held].map((fid) => fid.number as number).sort((a, b) => a - b);
      same(
        'fids at the server',
        [...this.#book.fids].sort((a, b) => a - b),
        mine,
      );
    }
    client.close();
    await turn();
    const { tags, reserveTags, queued, quarantine } = client.stats;
    same('left', { tags, reserveTags, queued, quarantine }, { tags: 0, reserveTags: 0, queued: 0, quarantine: 0 });
    same('timers in the end', vi.getTimerCount(), 0);
  }

  /** The server answers after all. */
  async #answerAll(): Promise<void> {
    for (let rounds = 0; this.#isBusy; rounds++) {
      if (rounds > 1000) throw new Error('it does not come to an end');
      // every other flush that is still open is answered by the reply first
      for (const [i, entry] of this.#book.open.entries()) {
        if (entry.flushTag === undefined || (i + rounds) % 2 === 0)
          this.#whims.reply(entry, i % 3 !== 0 ? 'ok' : 'refused');
      }
      for (const entry of this.#book.flushing) this.#whims.rflush(entry, true);
      while (this.#book.clunks.length > 0) this.#whims.rclunk(0);
      await this.#settle();
    }
  }

  /** The server says nothing any more; whoever waits gives up, and has an answer in time all the same. */
  async #giveUpAll(): Promise<void> {
    // an abort is that of all who share the signal
    while (this.#abortable.length > 0) this.#abort(this.#abortable[0], false);
    await this.#settle();
    // what was queued may be sent when others go into quarantine, and has the same time then
    const { flushTimeout } = this.#world.limits;
    vi.advanceTimersByTime(flushTimeout);
    this.#model.advance(flushTimeout);
    await this.#settle();
  }

  get #isBusy(): boolean {
    if (this.#model.ended) return false;
    return this.#book.open.length + this.#book.flushing.length + this.#book.clunks.length + this.#model.queued > 0;
  }

  #take(from: Fid[], index: number): Fid | undefined {
    const fid = pick(from, index);
    if (fid !== undefined) from.splice(from.indexOf(fid), 1);
    return fid;
  }
}

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  'CancelledError EINTR': 'cancelled',
  'CancelledError ETIMEDOUT': 'timed out',
  'ErrnoError ENOENT': 'refused',
  'ErrnoError EINTR': 'refused',
  'ErrnoError ENAMETOOLONG': 'impossible',
};

function outcomeOf(error: unknown, ended: Error | undefined): Outcome | undefined {
  if (error === ended) return 'ended';
  if (error instanceof ErrnoError) return OUTCOMES[`${error.name} ${error.code}`];
  return undefined;
}

function same(what: string, got: unknown, wanted: unknown): void {
  if (got === wanted || JSON.stringify(got) === JSON.stringify(wanted)) return;
  throw new Error(`${what}: ${JSON.stringify(got)}, the model says ${JSON.stringify(wanted)}`);
}
