// Readers that share little receive memory, and give up at any moment: each slab comes back once, whoever lets go of it last,
// and until then nobody else's bytes are in it. In any order of reads, aborts, answers, flushes and releases.

import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { read } from '../../../src/client/io.ts';
import { Abort } from '../../../src/common/abort.ts';
import { CancelledError } from '../../../src/common/errors.ts';
import type { Message } from '../../../src/wire/p9/messages.ts';
import { expectIdle, expectNothingAfterEnd } from '../../support/leaks.ts';
import { type Attached, attached, turn } from '../../support/scripted.ts';

type Tread = Extract<Message, { type: 'Tread' }>;

const CHUNK = 4096 - 24;
const ROOM = 32 * 1024;

type Step = { pick: number } & (
  | { do: 'read'; chunks: number; platform: boolean }
  | { do: 'abort' | 'reply' | 'refuse' | 'release' | 'turn' }
  | { do: 'flush'; late: boolean }
);

const pick = fc.nat(20);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      chunks: fc.integer({ min: 1, max: 5 }),
      platform: fc.boolean(),
      pick,
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('reply', 'turn'), pick }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('abort', 'release', 'refuse'), pick }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('flush' as const), late: fc.boolean(), pick }) },
);

/** What the file holds from a place on: each place tells where it is, and who asked. */
function content(offset: number, count: number): Buffer {
  const bytes = Buffer.alloc(count);
  for (let i = 0; i < count; i++) bytes[i] = (offset + i) * 31 + ((offset + i) >> 8);
  return bytes;
}

interface Reader {
  abort: () => void;
  offset: number;
  state: 'waits' | 'has' | 'done';
  data?: Uint8Array;
  release?: () => void;
}

let there: Attached | undefined;
afterEach(async () => {
  if (there !== undefined) await expectNothingAfterEnd(there.client);
});

class World {
  readonly #there: Attached;
  readonly readers: Reader[] = [];
  readonly #open: Tread[] = [];
  readonly #flushes: { tag: number; oldtag: number }[] = [];

  constructor(made: Attached) {
    this.#there = made;
    made.server.answer = (message) => {
      if (message.type === 'Tread') this.#open.push(message);
      else if (message.type === 'Tflush') this.#flushes.push(message);
      else throw new Error(`not expected: ${message.type}`);
    };
  }

  get busy(): boolean {
    return this.#open.length + this.#flushes.length > 0 || this.readers.some(({ state }) => state !== 'done');
  }

  async do(step: Step): Promise<void> {
    const at = step.pick;
    if (step.do === 'read') this.#read(step.chunks, step.platform);
    else if (step.do === 'abort') this.readers[at % Math.max(1, this.readers.length)]?.abort();
    else if (step.do === 'reply') this.#reply(take(this.#open, at), false);
    else if (step.do === 'refuse') this.#reply(take(this.#open, at), true);
    else if (step.do === 'flush') this.#flush(take(this.#flushes, at), step.late);
    else if (step.do === 'turn') await turn();
    else this.#release(at);
    expect(this.#there.client.stats.pool.most).toBeLessThanOrEqual(ROOM);
  }

  #read(chunks: number, platform: boolean): void {
    const { calls, root } = this.#there;
    const signal = platform ? new AbortController() : new Abort();
    const offset = this.readers.length * 100_003;
    const reader: Reader = { abort: () => signal.abort(), offset, state: 'waits' };
    this.readers.push(reader);
    const options = { whole: true, end: offset + chunks * CHUNK, signal: 'signal' in signal ? signal.signal : signal };
    read(calls, root, offset, chunks * CHUNK, options).then(
      ({ data, release }) => Object.assign(reader, { state: 'has', data, release }),
      (error: Error) => {
        if (!(error instanceof CancelledError) && (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        reader.state = 'done';
      },
    );
  }

  #reply(request: Tread | undefined, refused: boolean): void {
    if (request === undefined) return;
    const { server } = this.#there;
    if (refused) server.reply(request.tag, 'Rlerror', { ecode: 2 });
    else server.reply(request.tag, 'Rread', { data: content(request.offset, request.count) });
  }

  #flush(flush: { tag: number; oldtag: number } | undefined, late: boolean): void {
    if (flush === undefined) return;
    const at = this.#open.findIndex(({ tag }) => tag === flush.oldtag);
    const flushed = at < 0 ? undefined : this.#open.splice(at, 1)[0];
    if (late) this.#reply(flushed, false);
    this.#there.server.reply(flush.tag, 'Rflush', {});
  }

  #release(at: number): void {
    const having = this.readers.filter(({ state }) => state === 'has');
    const reader = having[at % Math.max(1, having.length)];
    if (reader?.data === undefined || reader.release === undefined) return;
    // nobody has written into it since it came
    expect(content(reader.offset, reader.data.length).equals(reader.data)).toBe(true);
    reader.release();
    expect(reader.release).toThrow('twice');
    reader.state = 'done';
  }
}

function take<T>(from: T[], at: number): T | undefined {
  return from.splice(at % Math.max(1, from.length), 1)[0];
}

describe('a slab', () => {
  test('comes back once, whenever its reader gives up', async () => {
    let waits = 0;
    let flushes = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        there?.client.close();
        there = await attached({ msize: 4096, rxPool: ROOM });
        const world = new World(there);
        for (const each of steps) await world.do(each);
        // whoever is left gets his bytes or gives up, and gives them back
        for (let i = 0; world.busy; i++) {
          if (i > 2000) throw new Error('it does not come to an end');
          const ways = [
            { do: 'reply' },
            { do: 'flush', late: i % 3 === 0 },
            { do: 'turn' },
            { do: 'release' },
          ] as const;
          for (const way of ways) await world.do({ ...way, pick: i });
        }
        await expectIdle(there.client, 1);
        waits += there.client.stats.pool.waits;
        flushes += there.client.stats.flushes;
      }),
      { numRuns: 300 },
    );
    // a run in which nobody had to wait, or nobody was flushed, would show nothing
    expect(Math.min(waits, flushes)).toBeGreaterThan(100);
  });
});
