// Stands between clients and a server: each client gets a connection of its own to the server, and every message of both
// is told to a reader of the trace. What trouble it makes on the way is given once, for all connections.
// Guarantees: what is not held, dropped or cut arrives as it was sent; a reader that takes no more stops the traffic, so that
// nothing is missing in the trace and nothing piles up; when one side ends the other does.

import type { AbortSignalLike } from '../common/abort.ts';
import { CancelledError } from '../common/errors.ts';
import type { Transport } from '../transport/transport.ts';
import type { Fate, TraceEvent } from './format.ts';
import { Lane } from './lane.ts';
import type { Pattern } from './pattern.ts';
import { type Side, Tracer } from './tracer.ts';

/** Requests that are named when a connection ends without having answered them. */
const NAMED = 8;

export interface Trouble {
  /** Milliseconds that every message waits, both ways. */
  readonly delay?: number;
  /** Kept back until release(). */
  readonly hold?: readonly Pattern[];
  readonly drop?: readonly Pattern[];
  /** Of each connection: it is lost when the server has sent so many bytes. */
  readonly cutAfter?: number;
}

export interface ProxyOptions {
  dial(signal: AbortSignalLike): Promise<Transport>;
  readonly trouble?: Trouble;
  /** Every event, in the order in which it happened. False: no more until unblock(). */
  tell(event: TraceEvent): boolean;
  readonly signal: AbortSignalLike;
}

interface Open {
  readonly tracer: Tracer;
  readonly client: Transport;
  readonly server: Transport;
  lanes: Partial<Record<Side, Lane>>;
}

const lanesOf = ({ lanes }: Open) => Object.values(lanes);
const OTHER = { client: 'server', server: 'client' } as const;

/** Milliseconds since 1970, to the microsecond, of a clock that is never set back. */
const now = () => performance.timeOrigin + performance.now();

export class TraceProxy {
  readonly #options: ProxyOptions;
  readonly #trouble: Required<Trouble>;
  readonly #open = new Set<Open>();
  readonly #dialling = new Set<Transport>();
  #accepted = 0;
  #blocked = false;

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#trouble = { delay: 0, hold: [], drop: [], cutAfter: Number.POSITIVE_INFINITY, ...options.trouble };
  }

  /** How many connections there are, and how many there have been. */
  get connections(): { open: number; accepted: number } {
    return { open: this.#open.size + this.#dialling.size, accepted: this.#accepted };
  }

  /** Serves one client; settles when its connection and the one behind it have ended. */
  async accept(client: Transport): Promise<void> {
    const connection = ++this.#accepted;
    const note = (what: string, text: string) => this.#tell({ kind: 'note', connection, at: now(), what, text });
    note('connected', `connected: ${client.peer}`);
    let server: Transport;
    this.#dialling.add(client);
    try {
      server = await this.#options.dial(this.#options.signal);
    } catch (error) {
      if (!(error instanceof CancelledError)) note('refused', `no server: ${(error as Error).message}`);
      client.close();
      await client.closed;
      return;
    } finally {
      this.#dialling.delete(client);
    }
    const tracer = new Tracer();
    const open: Open = { tracer, client, server, lanes: {} };
    this.#open.add(open);
    for (const from of ['client', 'server'] as const) open.lanes[from] = this.#lane(open, from, connection, note);
    if (this.#blocked) for (const lane of lanesOf(open)) lane.blocked = true;
    await Promise.all([client.closed, server.closed]);
    this.#open.delete(open);
  }

  #lane(open: Open, from: Side, connection: number, note: (what: string, text: string) => void): Lane {
    const { tracer } = open;
    const { delay, cutAfter } = this.#trouble;
    return new Lane({
      from: open[from],
      to: from === 'client' ? open.server : open.client,
      delay,
      cutAfter: from === 'server' ? cutAfter : Number.POSITIVE_INFINITY,
      judge: (head, size) => {
        const record = tracer.see(from, head, size, now());
        if (record.decoded.type === 'Rversion' && tracer.msize > 0) {
          for (const { scanner } of lanesOf(open)) scanner.maxFrame = tracer.msize;
        }
        const meant = (patterns: readonly Pattern[]) => patterns.some((pattern) => pattern(record));
        const fate: Fate = meant(this.#trouble.drop) ? 'dropped' : meant(this.#trouble.hold) ? 'held' : 'passed';
        this.#tell({ kind: 'message', connection, record, fate });
        return fate;
      },
      lost: (head) => note('lost', `not 9P from the ${from}: ${head.toString('hex')}...; it is passed on unread`),
      ended: (error, within) => {
        note('ended', `ended by the ${from}${ending(tracer, error, within)}`);
        open.lanes[OTHER[from]]?.stop(); // nobody is left to take its bytes
      },
      cut: () => {
        note('cut', `cut after ${cutAfter} bytes from the server${ending(tracer, undefined, false)}`);
        open.lanes.client?.stop();
      },
      full: () => note('full', `too much is held: nothing is read from the ${from} until it is released`),
    });
  }

  #tell(event: TraceEvent): void {
    if (this.#options.tell(event) || this.#blocked) return;
    this.#blocked = true;
    for (const open of this.#open) for (const lane of lanesOf(open)) lane.blocked = true;
  }

  /** The reader takes more. */
  unblock(): void {
    this.#blocked = false;
    for (const open of this.#open) for (const lane of lanesOf(open)) lane.blocked = false;
  }

  /** Lets go all that is held. How many bytes that was. */
  release(): number {
    let bytes = 0;
    for (const open of this.#open) for (const lane of lanesOf(open)) bytes += lane.release();
    return bytes;
  }

  /** Ends every connection. */
  close(): void {
    for (const open of this.#open) {
      for (const lane of lanesOf(open)) lane.stop();
      open.client.close();
      open.server.close();
    }
    for (const client of this.#dialling) client.close();
  }
}

function ending({ outstanding }: Tracer, error: Error | undefined, within: boolean): string {
  const parts: string[] = [];
  if (error !== undefined) parts.push(error.message);
  if (within) parts.push('in the middle of a message');
  if (outstanding.length > 0) {
    const named = outstanding.slice(0, NAMED).map(({ type, tag }) => `${type} tag=${tag}`);
    const more = outstanding.length > NAMED ? ', ...' : '';
    parts.push(`${outstanding.length} without an answer (${named.join(', ')}${more})`);
  }
  return parts.map((part) => `; ${part}`).join('');
}
