// What the table of states promises to callers, restated without tags, messages or buffers: a request is queued, sent,
// flushing, answered, abandoned or over, and time passes. It knows nothing of src/client and is compared with it step by step.

export type State = 'queued' | 'sent' | 'flushing' | 'answered' | 'abandoned' | 'over';
export type Outcome = 'ok' | 'refused' | 'cancelled' | 'ended';

export interface Limits {
  tagWindow: number;
  maxInFlight: number;
  maxQuarantine: number;
  flushTimeout: number;
  dyingTimeout: number;
}

export interface ModelCall {
  readonly index: number;
  readonly hasSideEffects: boolean;
  state: State;
  outcome: Outcome | undefined;
  /** The server is done with it: its buffer is the caller's again. */
  done: boolean;
  /** Answered, and its flush is not in time. */
  overdue: boolean;
  /** Until when the flush may be answered, and the order in which equal times come. */
  due: number;
  armed: number;
}

export class Reference {
  readonly calls: ModelCall[] = [];
  ended = false;
  lateReplies = 0;
  #queue: ModelCall[] = [];
  #now = 0;
  #armed = 0;
  readonly #limits: Limits;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get queued(): number {
    return this.#queue.length;
  }

  count(...states: State[]): number {
    return this.calls.filter(({ state }) => states.includes(state)).length;
  }

  get tags(): number {
    return this.count('sent', 'flushing', 'answered', 'abandoned');
  }

  get flushes(): number {
    return this.count('flushing', 'answered', 'abandoned');
  }

  get quarantine(): number {
    return this.count('abandoned') + this.calls.filter(({ state, overdue }) => state === 'answered' && overdue).length;
  }

  /** A call; with a signal that was aborted before, or on a dead connection, it is over at once. */
  call(hasSideEffects: boolean, aborted: boolean): ModelCall {
    const index = this.calls.length;
    const call: ModelCall = {
      index,
      hasSideEffects,
      state: 'queued',
      outcome: undefined,
      done: false,
      overdue: false,
      due: Number.POSITIVE_INFINITY,
      armed: 0,
    };
    this.calls.push(call);
    if (this.ended) this.#over(call, 'ended');
    else if (aborted) this.#over(call, 'cancelled');
    else {
      this.#queue.push(call);
      this.#pump();
    }
    return call;
  }

  abort(call: ModelCall, dying: boolean): void {
    if (call.state === 'queued') {
      this.#queue.splice(this.#queue.indexOf(call), 1);
      this.#over(call, 'cancelled');
    } else if (call.state === 'sent') {
      call.state = 'flushing';
      this.#arm(call, this.#now + this.#limits.flushTimeout);
      if (dying) this.die(call);
    }
  }

  /** The caller of an aborted call is being killed. */
  die(call: ModelCall): void {
    const soon = this.#now + this.#limits.dyingTimeout;
    if (call.state === 'flushing' && !call.hasSideEffects && soon < call.due) this.#arm(call, soon);
  }

  /** The client has got the reply. */
  reply(call: ModelCall, outcome: 'ok' | 'refused'): void {
    if (call.state === 'sent') this.#over(call, outcome);
    else if (call.state === 'flushing') {
      call.state = 'answered';
      call.outcome = outcome;
      call.done = true;
    } else if (call.state === 'abandoned') {
      call.state = 'answered';
      call.done = true;
      this.lateReplies++;
    } else throw new Error(`the model has no reply in ${call.state}`);
    this.#pump();
  }

  /** The client has got Rflush. */
  flushed(call: ModelCall): void {
    this.#over(call, 'cancelled');
    this.#pump();
  }

  advance(ms: number): void {
    const until = this.#now + ms;
    while (!this.ended) {
      const next = this.calls
        .filter(({ state, due }) => (state === 'flushing' || state === 'answered') && due <= until)
        .sort((a, b) => a.due - b.due || a.armed - b.armed)[0];
      if (next === undefined) break;
      this.#now = next.due;
      this.#late(next);
    }
    this.#now = until;
  }

  end(): void {
    this.ended = true;
    this.#queue = [];
    for (const call of this.calls) if (call.state !== 'over') this.#over(call, 'ended');
  }

  #late(call: ModelCall): void {
    call.due = Number.POSITIVE_INFINITY;
    if (call.state === 'flushing' && call.hasSideEffects) {
      this.end();
      return;
    }
    if (call.state === 'flushing') {
      call.state = 'abandoned';
      call.outcome = 'cancelled';
    }
    call.overdue = true;
    if (this.quarantine > this.#limits.maxQuarantine) this.end();
    else this.#pump();
  }

  #arm(call: ModelCall, due: number): void {
    call.due = due;
    call.armed = this.#armed++;
  }

  #over(call: ModelCall, outcome: Outcome): void {
    call.state = 'over';
    call.outcome ??= outcome;
    call.done = true;
  }

  #pump(): void {
    const { tagWindow, maxInFlight } = this.#limits;
    while (this.#queue.length > 0 && this.tags < tagWindow && this.tags - this.quarantine < maxInFlight) {
      const call = this.#queue.shift();
      if (call !== undefined) call.state = 'sent';
    }
  }
}
