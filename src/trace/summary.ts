// What a whole trace amounts to: messages by type with their latencies, what became of flushes, what was held, dropped, or wrong.

import { milliseconds, type TraceEvent } from './format.ts';
import { Histogram } from './histogram.ts';

interface Row {
  count: number;
  readonly latency: Histogram;
}

/** Types that no dialect has are counted together: a peer could invent 256 of them. */
const OTHER = 'other';

export class Summary {
  readonly #types = new Map<string, Row>();
  readonly #flushes = { sent: 0, cancelled: 0, answered: 0, unknown: 0 };
  #connections = 0;
  #held = 0;
  #dropped = 0;
  #wrong = 0;

  add(event: TraceEvent): void {
    if (event.kind === 'note') {
      if (event.what === 'connected') this.#connections++;
      return;
    }
    const { record, fate } = event;
    const { type } = record.decoded;
    const row = this.#row(/^[TR][a-z]+$/.test(type) ? type : OTHER);
    row.count++;
    // the latency of a request is counted with the request, whatever answered it
    if (record.latency !== undefined && record.request !== undefined) {
      this.#row(record.request.type).latency.add(record.latency);
    }
    if (fate === 'held') this.#held++;
    if (fate === 'dropped') this.#dropped++;
    if (record.wrong !== undefined) this.#wrong++;
    if (type === 'Tflush') this.#flushes.sent++;
    if (type === 'Rflush' && record.flush !== undefined) {
      const { state } = record.flush;
      if (state !== 'outstanding') this.#flushes[state]++;
    }
  }

  #row(type: string): Row {
    const found = this.#types.get(type);
    if (found !== undefined) return found;
    const row = { count: 0, latency: new Histogram() };
    this.#types.set(type, row);
    return row;
  }

  asLines(): string[] {
    const rows = [...this.#types].map(([type, { count, latency }]) => {
      const times = [latency.least, latency.median, latency.greatest].map((ms) => milliseconds(ms).padStart(14));
      return `${type.padEnd(14)}${String(count).padStart(9)}${latency.count === 0 ? '' : times.join('')}`;
    });
    const heading = `${'message'.padEnd(14)}${'count'.padStart(9)}${['least', 'median', 'most'].map((each) => each.padStart(14)).join('')}`;
    const { sent, cancelled, answered, unknown } = this.#flushes;
    return [
      ...(rows.length === 0 ? [] : [heading, ...rows]),
      `${this.#connections} connections, ${this.#held} held, ${this.#dropped} dropped, ${this.#wrong} wrong`,
      ...(sent === 0
        ? []
        : [
            `${sent} flushes: ${cancelled} cancelled, ${answered} answered first, ${unknown} of nothing, ${sent - cancelled - answered - unknown} without an answer`,
          ]),
    ];
  }

  asJson(): string {
    const types = [...this.#types].map(([type, { count, latency }]) => [
      type,
      {
        count,
        ...(latency.count === 0
          ? {}
          : { latency: { least: latency.least, median: latency.median, most: latency.greatest } }),
      },
    ]);
    return JSON.stringify({
      event: 'summary',
      connections: this.#connections,
      types: Object.fromEntries(types),
      flushes: this.#flushes,
      held: this.#held,
      dropped: this.#dropped,
      wrong: this.#wrong,
    });
  }
}
