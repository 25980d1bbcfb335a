// Random programs of calls, aborts, time and a server's whims, run on a real client and on the model side by side. After
// each step that lets messages arrive, both must agree on every caller's outcome and on every count; the server's book
// checks each message. At the end everything is answered, and nothing may be left.

import { vi } from 'vitest';
import type { Fid } from '../../../src/client/fids.ts';
import { Abort } from '../../../src/common/abort.ts';
import { CancelledError, ErrnoError } from '../../../src/common/errors.ts';
import { type Attached, attached, getattr, qid, turn } from '../scripted.ts';
import { Book, type Entry } from './book.ts';
import { type Limits, type ModelCall, type Outcome, Reference } from './reference.ts';

export type Kind = 'getattr' | 'walk' | 'read' | 'write' | 'mkdir';

/** Numbers choose among what there is; where there is nothing, the step is none. `now`: before anything sent arrives. */
export type Step = { now: boolean; pick: number } & (
  | { do: 'call'; kind: Kind; shares: boolean; fid: number }
  | { do: 'abort'; dying: boolean }
  | { do: 'die' | 'clunk' | 'late' | 'rflush' | 'rclunk' | 'hangUp' | 'again' | 'stray' }
  | { do: 'reply'; ok: boolean }
  | { do: 'time'; ms: number }
);

export interface World {
  limits: Limits;
  chunks: [number[], number[]];
  steps: Step[];
}

/** A caller's signal, and what may be learnt later of its caller: it is being killed. */
interface Caller {
  signal: Abort;
  reason: { dying: boolean; onDying?: () => void };
}

interface Call {
  model: ModelCall;
  caller: Caller;
  outcome: Outcome | undefined;
  over: number;
  taken: number;
  buffer: Buffer | undefined;
}

/** What a server does on purpose with what the client has seen, and what takes time. */
const AFTER_ALL: ReadonlySet<Step['do']> = new Set(['time', 'late', 'again', 'stray', 'hangUp']);

const READ = 64;
const FREE = 0xee;

export class Program {
  readonly #world: World;
  readonly #model: Reference;
  #there!: Attached;
  #book!: Book;
  #calls: Call[] = [];
  #held: Fid[] = [];
  /** What the client will have seen when the messages on their way have arrived. */
  #arriving: (() => void)[] = [];
  #fault: Error | undefined;

  constructor(world: World) {
    this.#world = world;
    this.#model = new Reference(world.limits);
  }

  async run(): Promise<void> {
    const { limits, chunks, steps } = this.#world;
    const cut = { chunks: chunks[0] };
    this.#there = await attached({ msize: 4096, requests: limits, cut: [cut, { chunks: chunks[1] }] });
    this.#book = new Book(this.#there.root.number);
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
  }

  #step(step: Step): void {
    const { server, client } = this.#there;
    switch (step.do) {
      case 'call':
        this.#call(step.kind, step.shares, step.fid);
        return;
      case 'abort':
        this.#abort(pick(this.#abortable, step.pick), step.dying);
        return;
      case 'die':
        this.#die(pick(this.#calls, step.pick));
        return;
      case 'clunk': {
        const fid = pick(this.#held, step.pick);
        if (fid === undefined) return;
        this.#held.splice(this.#held.indexOf(fid), 1);
        this.#there.calls.clunk(fid);
        return;
      }
      case 'reply':
        this.#reply(pick(this.#book.open, step.pick), step.ok);
        return;
      case 'rflush':
        this.#rflush(pick(this.#book.flushing, step.pick));
        return;
      case 'rclunk':
        this.#rclunk(step.pick);
        return;
      case 'time':
        vi.advanceTimersByTime(step.ms);
        this.#model.advance(step.ms);
        return;
      case 'late':
        this.#late(pick(this.#book.flushed, step.pick));
        return;
      case 'again':
        this.#again(pick(this.#answeredTwice, step.pick));
        return;
      case 'stray':
        if (client.error !== undefined) return;
        server.reply(60_000, 'Rclunk', {});
        this.#arriving.push(() => this.#model.end());
        return;
      case 'hangUp':
        server.hangUp();
        this.#arriving.push(() => this.#model.end());
    }
  }

  // --- the client's side ---

  #call(kind: Kind, shares: boolean, fidIndex: number): void {
    const last = this.#calls.at(-1)?.caller;
    const caller = shares && last !== undefined ? last : { signal: new Abort(), reason: { dying: false } };
    const { calls, root, client } = this.#there;
    const fid = pick([root, ...this.#held], fidIndex) ?? root;
    // the end of a connection is noticed with the message that causes it
    const model = this.#model.call(kind === 'write' || kind === 'mkdir', caller.signal.aborted);
    const call: Call = { model, caller, outcome: undefined, over: 0, taken: 0, buffer: undefined };
    this.#calls.push(call);
    const index = model.index;
    const { signal } = caller;
    const name = `n${index}`;
    const data = Buffer.alloc(5, index);
    const over = () => this.#over(call);
    const taken = () => call.taken++;
    const make: Record<Kind, () => Promise<unknown>> = {
      getattr: () => calls.getattr(fid, index, signal),
      walk: async () => {
        const walked = await calls.walk(fid, [name], signal);
        if (walked.fid !== undefined) this.#held.push(walked.fid);
      },
      read: async () => {
        call.buffer = Buffer.alloc(READ);
        const count = await calls.read(fid, index, call.buffer, over, signal);
        if (count !== READ) throw new Error(`read ${count} bytes`);
      },
      write: () =>
        client.requests.call('Twrite', { fid: fid.number, offset: index, data }, { fids: [fid], taken, over, signal }),
      mkdir: () => calls.mkdir(fid, name, index, 0, signal),
    };
    make[kind]().then(
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
    caller.signal.abort(caller.reason);
  }

  #die(call: Call | undefined): void {
    const caller = call?.caller;
    if (caller === undefined || !caller.signal.aborted || caller.reason.dying) return;
    for (const each of this.#calls) if (each.caller === caller) this.#model.die(each.model);
    caller.reason.dying = true;
    caller.reason.onDying?.();
  }

  // --- the server's side ---

  /** Which call a request belongs to: each carries its index in a field that the server ignores. */
  #of({ message }: Entry): ModelCall {
    let index: number;
    if (message.type === 'Tgetattr') index = message.mask;
    else if (message.type === 'Twalk') index = Number(message.names[0]?.slice(1));
    else if (message.type === 'Tread' || message.type === 'Twrite') index = message.offset;
    else if (message.type === 'Tmkdir') index = message.mode;
    else throw new Error(`nobody asked ${message.type}`);
    return this.#calls[index]!.model;
  }

  #reply(entry: Entry | undefined, ok: boolean): void {
    if (entry === undefined) return;
    this.#book.answer(entry, ok);
    this.#say(entry, ok);
    this.#arriving.push(() => this.#model.reply(this.#of(entry), ok ? 'ok' : 'refused'));
  }

  #say({ tag, message }: Entry, ok: boolean): void {
    const { server } = this.#there;
    if (!ok) server.reply(tag, 'Rlerror', { ecode: 2 });
    else if (message.type === 'Tgetattr') server.reply(tag, 'Rgetattr', getattr);
    else if (message.type === 'Twalk') server.reply(tag, 'Rwalk', { qids: [qid] });
    else if (message.type === 'Tread') server.reply(tag, 'Rread', { data: Buffer.alloc(message.count, 1) });
    else if (message.type === 'Twrite') server.reply(tag, 'Rwrite', { count: message.data.length });
    else server.reply(tag, 'Rmkdir', { qid });
  }

  #rflush(entry: Entry | undefined): void {
    if (entry === undefined) return;
    this.#book.answerFlush(entry);
    this.#there.server.reply(entry.flushTag as number, 'Rflush', {});
    this.#arriving.push(() => this.#model.flushed(this.#of(entry)));
  }

  #rclunk(at: number): void {
    const { clunks } = this.#book;
    if (clunks.length === 0) return;
    const { tag, known } = this.#book.answerClunk(at % clunks.length);
    if (known) this.#there.server.reply(tag, 'Rclunk', {});
    else this.#there.server.reply(tag, 'Rlerror', { ecode: 9 });
  }

  #late(entry: Entry | undefined): void {
    if (entry === undefined) return;
    entry.late = true;
    this.#say(entry, true);
    this.#arriving.push(() => {
      this.#model.lateReplies++;
    });
  }

  /** Answered, with the flush still open: a second reply is one too many. */
  get #answeredTwice(): Entry[] {
    return this.#book.flushing.filter(({ answered }) => answered);
  }

  #again(entry: Entry | undefined): void {
    if (entry === undefined) return;
    this.#say(entry, true);
    this.#arriving.push(() => this.#model.end());
  }

  // --- comparing ---

  /** Lets everything arrive and compares. */
  async #settle(): Promise<void> {
    await turn();
    for (const arrive of this.#arriving.splice(0)) if (!this.#model.ended) arrive();
    if (this.#fault !== undefined) throw this.#fault;
    this.#compare();
  }

  #compare(): void {
    const { client } = this.#there;
    const model = this.#model;
    same('ended', client.error !== undefined, model.ended);
    const { tags, reserveTags, queued, quarantine, lateReplies } = client.stats;
    same('tags', tags, model.tags);
    same('queued', queued, model.queued);
    same('quarantine', quarantine, model.quarantine);
    same('reserve tags', reserveTags, model.ended ? 0 : model.flushes + this.#book.clunks.length);
    same('late replies', lateReplies, model.lateReplies);
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

  /** Everything is answered after all; then nothing may be left. */
  async #finish(): Promise<void> {
    const { client, root } = this.#there;
    for (let rounds = 0; this.#isBusy; rounds++) {
      if (rounds > 1000) throw new Error('it does not come to an end');
      // every other flush that is still open is answered by the reply first
      for (const [i, entry] of this.#book.open.entries()) {
        if (entry.flushTag === undefined || (i + rounds) % 2 === 0) this.#reply(entry, i % 3 !== 0);
      }
      for (const entry of this.#book.flushing) this.#rflush(entry);
      while (this.#book.clunks.length > 0) this.#rclunk(0);
      await this.#settle();
    }
    for (const { model, outcome } of this.#calls) {
      if (outcome === undefined) throw new Error(`call ${model.index} never settled`);
    }
    same('timers', vi.getTimerCount(), 0);
    if (!this.#model.ended) {
      same('fids', client.stats.fids, { live: 1 + this.#held.length, quarantine: 0 });
      const mine = [root, ...this.#held].map((fid) => fid.number as number).sort((a, b) => a - b);
      same(
        'fids at the server',
        [...this.#book.fids].sort((a, b) => a - b),
        mine,
      );
    }
    client.close();
  }

  get #isBusy(): boolean {
    if (this.#model.ended) return false;
    return this.#book.open.length + this.#book.flushing.length + this.#book.clunks.length + this.#model.queued > 0;
  }
}

function outcomeOf(error: unknown, ended: Error | undefined): Outcome | undefined {
  if (error instanceof CancelledError) return error.code === 'EINTR' ? 'cancelled' : undefined;
  if (error instanceof ErrnoError) return error.code === 'ENOENT' ? 'refused' : undefined;
  return error === ended ? 'ended' : undefined;
}

function pick<T>(from: readonly T[], index: number): T | undefined {
  return from[index % Math.max(1, from.length)];
}

function same(what: string, got: unknown, wanted: unknown): void {
  if (got === wanted || JSON.stringify(got) === JSON.stringify(wanted)) return;
  throw new Error(`${what}: ${JSON.stringify(got)}, the model says ${JSON.stringify(wanted)}`);
}
