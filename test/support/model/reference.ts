// What the table of states promises to callers, restated without messages or buffers: a request is queued, sent, flushing,
// answered, abandoned or over, has the next tag in the window that is free, and time passes. It knows nothing of src/client
// and is compared with it step by step.

export type State = 'queued' | 'sent' | 'flushing' | 'answered' | 'abandoned' | 'over';
export type Outcome = 'ok' | 'refused' | 'cancelled' | 'timed out' | 'impossible' | 'ended';

export interface Limits {
  tagWindow: number;
  maxInFlight: number;
  maxQuarantine: number;
  flushTimeout: number;
  dyingTimeout: number;
  /** 0: none. */
  timeout: number;
}

const WITH_TAG: readonly State[] = ['sent', 'flushing', 'answered', 'abandoned'];

/** How often requests are looked at that have waited too long. */
const sweepOf = (timeout: number): number => Math.max(10, timeout / 8);

/** What there is to know of a call beforehand. */
export interface CallKind {
  readonly effects: boolean;
  readonly unflushable?: 'Tremove' | 'Tclunk';
  readonly impossible?: true;
}

export interface ModelCall {
  readonly index: number;
  readonly kind: CallKind;
  state: State;
  /** That of an ordinary request that was sent. */
  tag: number | undefined;
  outcome: Outcome | undefined;
  /** What it comes to if its flush is answered by nothing else. */
  giveUp: Outcome;
  /** The server is done with it: its buffer is the caller's again. */
  done: boolean;
  /** Answered, and its flush is not in time. */
  overdue: boolean;
  /** When it was sent, and the order in which it was. */
  sentAt: number;
  place: number;
  /** Until when the flush (or what cannot be flushed) may be answered, and the order in which equal times come. */
  due: number;
  armed: number;
}

export class Reference {
  readonly calls: ModelCall[] = [];
  ended = false;
  lateReplies = 0;
  /** Tflushes ever. */
  flushed = 0;
  #queue: ModelCall[] = [];
  #now = 0;
  #order = 0;
  /** Where the search for a free tag begins: behind the tag that was taken last. */
  #nextTag: number;
  #sweep: number;
  readonly #limits: Limits;

  /** `sent`: how many requests there were before. */
  constructor(limits: Limits, sent: number) {
    this.#limits = limits;
    this.#nextTag = sent % limits.tagWindow;
    this.#sweep = limits.timeout > 0 ? sweepOf(limits.timeout) : Number.POSITIVE_INFINITY;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get tags(): number {
    return this.#ordinary(WITH_TAG).length;
  }

  get flushes(): number {
    return this.#ordinary(['flushing', 'answered', 'abandoned']).length;
  }

  get quarantine(): number {
    return this.#ordinary(['abandoned']).length + this.#ordinary(['answered']).filter(({ overdue }) => overdue).length;
  }

  #ordinary(states: readonly State[]): ModelCall[] {
    return this.calls.filter(({ state, kind }) => states.includes(state) && kind.unflushable !== 'Tclunk');
  }

  /** A call; with a signal that was aborted before, or on a dead connection, it is over at once. */
  call(kind: CallKind, aborted: boolean): ModelCall {
    const call: ModelCall = {
      index: this.calls.length,
      kind,
      state: 'queued',
      tag: undefined,
      outcome: undefined,
      giveUp: 'cancelled',
      done: false,
      overdue: false,
      sentAt: 0,
      place: 0,
      due: Number.POSITIVE_INFINITY,
      armed: 0,
    };
    this.calls.push(call);
    if (this.ended) this.#over(call, 'ended');
    else if (aborted && kind.unflushable === undefined) this.#over(call, 'cancelled');
    else {
      if (aborted) this.#arm(call, this.#now + this.#limits.flushTimeout);
      // clunks have tags of their own, and do not wait for others
      if (kind.unflushable === 'Tclunk') this.#send(call);
      else this.#queue.push(call);
      this.#pump();
    }
    return call;
  }

  abort(call: ModelCall, dying: boolean): void {
    if (call.kind.unflushable !== undefined) {
      if (call.state !== 'over') this.#arm(call, this.#now + this.#limits.flushTimeout);
    } else if (call.state === 'queued') {
      this.#queue.splice(this.#queue.indexOf(call), 1);
      this.#over(call, 'cancelled');
    } else {
      if (call.state === 'sent') this.#flush(call, 'cancelled');
      if (dying) this.die(call);
    }
  }

  #flush(call: ModelCall, giveUp: Outcome): void {
    call.state = 'flushing';
    call.giveUp = giveUp;
    this.flushed++;
    this.#arm(call, this.#now + this.#limits.flushTimeout);
  }

  /** The caller of an aborted call is being killed. */
  die(call: ModelCall): void {
    const soon = this.#now + this.#limits.dyingTimeout;
    if (call.state === 'flushing' && !call.kind.effects && soon < call.due) this.#arm(call, soon);
  }

  /** The client has got the reply. */
  reply(call: ModelCall, outcome: 'ok' | 'refused' | 'interrupted'): void {
    if (call.state === 'sent') this.#over(call, outcome === 'interrupted' ? 'refused' : outcome);
    else if (call.state === 'flushing') {
      call.state = 'answered';
      // what was flushed and says so has no other outcome
      call.outcome = outcome === 'interrupted' ? call.giveUp : outcome;
      call.done = true;
    } else if (call.state === 'abandoned') {
      call.state = 'answered';
      call.done = true;
      this.lateReplies++;
    } else throw new Error(`the model has no reply in ${call.state}`);
    this.#pump();
  }

  /** The client has got Rflush. */
  rflush(call: ModelCall): void {
    this.#over(call, call.giveUp);
    this.#pump();
  }

  advance(ms: number): void {
    const until = this.#now + ms;
    while (!this.ended) {
      const next = this.calls
        .filter(({ state, due }) => state !== 'over' && due <= until)
        .sort((a, b) => a.due - b.due || a.armed - b.armed)[0];
      const at = Math.min(next?.due ?? Number.POSITIVE_INFINITY, this.#sweep);
      if (at > until) break;
      this.#now = at;
      // the clock of the sweep is the older one
      if (this.#sweep === at) this.#sweepNow();
      else if (next !== undefined) this.#late(next);
    }
    this.#now = until;
  }

  end(): void {
    this.ended = true;
    this.#queue = [];
    for (const call of this.calls) if (call.state !== 'over') this.#over(call, 'ended');
  }

  /** `timeout` flushes what has waited too long. */
  #sweepNow(): void {
    const { timeout } = this.#limits;
    this.#sweep += sweepOf(timeout);
    const late = this.#ordinary(['sent']).filter(({ sentAt }) => sentAt < this.#now - timeout);
    for (const call of late.sort((a, b) => a.place - b.place)) {
      if (call.kind.unflushable === undefined) this.#flush(call, 'timed out');
      else {
        this.end();
        return;
      }
    }
  }

  #late(call: ModelCall): void {
    call.due = Number.POSITIVE_INFINITY;
    if (call.kind.unflushable !== undefined || (call.state === 'flushing' && call.kind.effects)) {
      this.end();
      return;
    }
    if (call.state === 'flushing') {
      call.state = 'abandoned';
      call.outcome = call.giveUp;
    }
    call.overdue = true;
    if (this.quarantine > this.#limits.maxQuarantine) this.end();
    else this.#pump();
  }

  #arm(call: ModelCall, due: number): void {
    call.due = due;
    call.armed = this.#order++;
  }

  #over(call: ModelCall, outcome: Outcome): void {
    call.state = 'over';
    call.outcome ??= outcome;
    call.done = true;
  }

  #takeTag(): number {
    const taken = new Set(this.#ordinary(WITH_TAG).map(({ tag }) => tag));
    let tag = this.#nextTag;
    while (taken.has(tag)) tag = (tag + 1) % this.#limits.tagWindow;
    this.#nextTag = (tag + 1) % this.#limits.tagWindow;
    return tag;
  }

  #send(call: ModelCall): void {
    if (call.kind.unflushable !== 'Tclunk') call.tag = this.#takeTag();
    call.state = 'sent';
    call.sentAt = this.#now;
    call.place = this.#order++;
    if (call.kind.impossible) this.#over(call, 'impossible');
  }

  #pump(): void {
    const { tagWindow, maxInFlight } = this.#limits;
    while (this.#queue.length > 0 && this.tags < tagWindow && this.tags - this.quarantine < maxInFlight) {
      const call = this.#queue.shift();
      if (call !== undefined) this.#send(call);
    }
  }
}
