// One direction of a connection that is read along: takes bytes from one transport and gives them to the other, unchanged and in
// order, except for the messages that are to be held, dropped, delayed or cut.
// Guarantees: bytes are passed by reference; whole messages are held and dropped, so that what arrives is 9P if what was sent
// is; what waits here is bounded: above MOST nothing is read any more. The end of one side reaches the other behind its bytes.

import type { Receiver, Transport } from '../transport/transport.ts';
import type { Fate } from './format.ts';
import { Scanner } from './scan.ts';

/** Memory for what a connecting socket reads; the next one is begun when LEAST is left. */
const SLAB = 64 * 1024;
const LEAST = 8 * 1024;
/** Bytes that may wait, held or delayed, in one direction. */
const MOST = 64 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);

export interface LaneOptions {
  readonly from: Transport;
  readonly to: Transport;
  /** Milliseconds that everything waits here. */
  readonly delay: number;
  /** The connection is lost when so many bytes have gone through. */
  readonly cutAfter: number;
  /** What becomes of the message that begins here. */
  judge(head: Buffer, size: number): Fate;
  /** The stream is not 9P from here on. */
  lost(head: Buffer): void;
  /** `within`: the stream ended in the middle of a message. */
  ended(error: Error | undefined, within: boolean): void;
  cut(): void;
  /** As much is held as may be: nothing is read any more. */
  full(): void;
}

interface Delayed {
  readonly due: number;
  readonly piece: Buffer;
}

type Stop = 'peer' | 'queue' | 'output';

export class Lane implements Receiver {
  readonly scanner: Scanner;
  readonly #options: LaneOptions;
  /** Why nothing is read now. */
  readonly #stops = new Set<Stop>();
  #slab = NOTHING;
  /** What becomes of the bytes that come now. */
  #fate: Fate = 'passed';
  /** A message has begun to go through and has not ended. */
  #within = false;
  #held: Buffer[] = [];
  #delayed: Delayed[] = [];
  #waiting = 0;
  /** release() was called within another message. */
  #releasing = false;
  #clock: NodeJS.Timeout | undefined;
  #sent = 0;
  #state: 'open' | 'ending' | 'over' = 'open';

  constructor(options: LaneOptions) {
    this.#options = options;
    this.scanner = new Scanner({
      message: (head, size) => {
        this.#fate = options.judge(head, size);
      },
      bytes: (piece, ends) => this.#bytes(piece, ends),
      lost: (head) => {
        this.#fate = 'passed';
        options.lost(head);
      },
    });
    options.to.onDrain = () => this.#go('peer');
    options.from.start(this);
    void options.from.closed.then((error) => this.#end(error));
  }

  window(): Buffer {
    if (this.#slab.length < LEAST) this.#slab = Buffer.allocUnsafeSlow(SLAB);
    return this.#slab;
  }

  filled(count: number): void {
    const bytes = this.#slab.subarray(0, count);
    this.#slab = this.#slab.subarray(count);
    this.push(bytes);
  }

  push(chunk: Buffer): void {
    if (this.#state === 'open') this.scanner.push(chunk);
  }

  /** The output of the trace takes no more, or takes more again. */
  set blocked(blocked: boolean) {
    if (blocked) this.#stop('output');
    else this.#go('output');
  }

  /** Lets go what is held, behind the message that is going through. Bytes. */
  release(): number {
    const bytes = this.#held.reduce((sum, piece) => sum + piece.length, 0);
    if (bytes === 0) return 0;
    if (this.#within && this.#fate === 'passed') this.#releasing = true;
    else this.#letGo();
    return bytes;
  }

  #letGo(): void {
    this.#releasing = false;
    // the last one held may be on its way still: what comes of it goes through
    if (this.#within && this.#fate === 'held') this.#fate = 'passed';
    for (const piece of this.#held.splice(0)) {
      this.#waiting -= piece.length;
      this.#out(piece);
    }
    this.#measure();
  }

  #bytes(piece: Buffer, ends: boolean): void {
    this.#within = !ends;
    if (this.#fate === 'held') {
      this.#held.push(piece);
      this.#waiting += piece.length;
      this.#measure();
    } else if (this.#fate === 'passed') this.#out(piece);
    if (ends && this.#releasing) this.#letGo();
  }

  #out(piece: Buffer): void {
    if (this.#options.delay === 0) {
      this.#send(piece);
      return;
    }
    this.#delayed.push({ due: performance.now() + this.#options.delay, piece });
    this.#waiting += piece.length;
    this.#measure();
    this.#wind();
  }

  #wind(): void {
    const first = this.#delayed[0];
    if (first === undefined || this.#clock !== undefined) return;
    this.#clock = setTimeout(() => this.#due(), Math.max(0, Math.ceil(first.due - performance.now())));
  }

  #due(): void {
    this.#clock = undefined;
    const now = performance.now();
    const later = this.#delayed.findIndex(({ due }) => due > now);
    for (const { piece } of this.#delayed.splice(0, later < 0 ? this.#delayed.length : later)) {
      this.#waiting -= piece.length;
      this.#send(piece);
    }
    this.#measure();
    if (this.#delayed.length > 0) this.#wind();
    else if (this.#state === 'ending') this.#finish();
  }

  #send(piece: Buffer): void {
    if (this.#state === 'over') return;
    const { to, from, cutAfter, cut } = this.#options;
    const left = cutAfter - this.#sent;
    this.#sent += piece.length;
    if (piece.length >= left) {
      this.stop();
      to.send(piece.subarray(0, left), undefined, () => {
        to.close();
        from.close();
      });
      cut();
    } else if (!to.send(piece)) this.#stop('peer');
  }

  #measure(): void {
    if (this.#waiting < MOST) this.#go('queue');
    else if (!this.#stops.has('queue')) {
      this.#stop('queue');
      if (this.#held.length > 0) this.#options.full();
    }
  }

  #stop(why: Stop): void {
    this.#stops.add(why);
    this.#options.from.pause();
  }

  #go(why: Stop): void {
    if (!this.#stops.delete(why) || this.#stops.size > 0) return;
    this.#options.from.resume();
  }

  #end(error: Error | undefined): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    if (!this.#within) this.#fate = 'passed'; // the beginning of a message goes on as it is
    this.#options.ended(error, this.scanner.end());
    if (this.#delayed.length === 0) this.#finish();
  }

  /**
   * All that was to go through has been sent: the other side ends when the system has taken it. No deadline: one that does not
   * read is left to it, as a sender that ends leaves it to the kernel.
   */
  #finish(): void {
    this.stop();
    this.#options.to.send(NOTHING, undefined, () => this.#options.to.close());
  }

  /** Nothing more goes through. */
  stop(): void {
    this.#state = 'over';
    clearTimeout(this.#clock);
    this.#held = [];
    this.#delayed = [];
  }
}
