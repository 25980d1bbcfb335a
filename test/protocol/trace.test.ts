// A trace between a client and the embedded server, in one process: what is not held, dropped or cut arrives as it was sent, and
// what is arrives as it should. Every test ends with nothing open in the proxy and nothing left at the server.

import { afterEach, describe, expect, test } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import { ConnectionError } from '../../src/common/errors.ts';
import { faultsTree, memoryTree, Server, type Tree } from '../../src/server/server.ts';
import { asLine, type TraceEvent } from '../../src/trace/format.ts';
import { parsePattern } from '../../src/trace/pattern.ts';
import { TraceProxy, type Trouble } from '../../src/trace/proxy.ts';
import { memoryPair, type PairOptions } from '../../src/transport/memory.ts';
import { dotlCodec } from '../../src/wire/p9/codec.ts';
import { NOTAG, OPEN } from '../../src/wire/p9/constants.ts';
import { Raw9p } from '../support/raw9p.ts';
import { until } from '../support/until.ts';

class Traced {
  readonly server: Server;
  readonly proxy: TraceProxy;
  readonly events: TraceEvent[] = [];
  /** What the reader of the trace says to each event. */
  reader = true;
  refuse = false;
  readonly #ends: Promise<unknown>[] = [];
  readonly #raws: Raw9p[] = [];
  readonly #shape: PairOptions;

  constructor(trouble: Trouble = {}, { tree = memoryTree() as Tree, shape = {} as PairOptions } = {}) {
    this.#shape = shape;
    this.server = new Server({ tree });
    this.proxy = new TraceProxy({
      dial: async () => {
        if (this.refuse) throw new ConnectionError('nothing is listening there');
        const [ours, theirs] = memoryPair(shape, shape);
        this.#ends.push(this.server.serveTransport(theirs));
        return ours;
      },
      trouble,
      signal: new Abort(),
      tell: (event) => {
        this.events.push(event);
        return this.reader;
      },
    });
  }

  dial(): Raw9p {
    const [ours, theirs] = memoryPair(this.#shape, this.#shape);
    this.#ends.push(this.proxy.accept(theirs));
    const raw = new Raw9p(ours);
    this.#raws.push(raw);
    return raw;
  }

  async connect(): Promise<Raw9p> {
    const raw = this.dial();
    await raw.version();
    await raw.attach(0, 0);
    return raw;
  }

  get lines(): string[] {
    return this.events.map(asLine).map((line) => line.replace(/^\S+ /, '').replace(/\d+\.\d+ ms/, 'N ms'));
  }

  names(from: 'client' | 'server'): string[] {
    return this.events.flatMap((event) =>
      event.kind === 'message' && event.record.from === from ? [event.record.decoded.type] : [],
    );
  }

  async end(): Promise<void> {
    for (const raw of this.#raws) raw.transport.close();
    await Promise.all(this.#ends);
    expect(this.proxy.connections.open).toBe(0);
    expect(this.server.stats).toMatchObject({ connections: [], places: 0 });
    await this.server.close();
  }
}

let traced: Traced;
afterEach(() => traced.end());

async function openFile(raw: Raw9p, name: string): Promise<number> {
  const fid = raw.fid();
  await raw.call('Twalk', { fid: 0, newfid: fid, names: name.split('/') });
  await raw.call('Tlopen', { fid, flags: OPEN.RDONLY });
  return fid;
}

async function newFile(raw: Raw9p, data: Buffer): Promise<number> {
  const fid = raw.fid();
  await raw.call('Twalk', { fid: 0, newfid: fid, names: [] });
  await raw.call('Tlcreate', { fid, name: `f${fid}`, flags: OPEN.RDWR, mode: 0o644, gid: 0 });
  await raw.call('Twrite', { fid, offset: 0, data });
  return fid;
}

describe('without trouble', () => {
  test.each([[[]], [[1]], [[3, 100, 7, 5000]]])(
    'everything arrives as it was sent, in chunks of %j',
    async (chunks) => {
      traced = new Traced({}, { shape: { chunks } });
      const data = Buffer.from(Array.from({ length: chunks[0] === 1 ? 2000 : 60_000 }, (_, at) => at % 251));
      const [one, two] = [await traced.connect(), await traced.connect()];
      const fids = [await newFile(one, data), await newFile(two, data)];
      const reads = [one, two].map((raw, at) =>
        raw.call('Tread', { fid: fids[at] ?? 0, offset: 0, count: data.length }),
      );
      for (const { data: back } of await Promise.all(reads)) expect(Buffer.from(back).equals(data)).toBe(true);
      expect(traced.names('client').length).toBe(12);
      expect(traced.names('server').length).toBe(12);
      expect(traced.lines.filter((line) => line.includes('WRONG'))).toEqual([]);
      expect(traced.lines.find((line) => line.startsWith('2 <- Rread'))).toMatch(
        new RegExp(
          `^2 <- Rread tag=\\d+ data=${data.length}:"\\\\x00.*"\\.\\.\\. \\| of=Tread fid=\\d+ offset=0 count=\\d+ \\| N ms$`,
        ),
      );
    },
  );

  test('what is no message goes on all the same, and is the server’s to judge', async () => {
    traced = new Traced();
    const raw = await traced.connect();
    raw.bytes(Buffer.from([9, 0, 0, 0, 99, 1, 0, 1, 2]));
    raw.bytes(Buffer.from([3, 0, 0, 0, 1, 2, 3]));
    await raw.closed;
    expect(traced.lines).toContainEqual(
      expect.stringMatching(/^1 -> type 99 tag=1 bytes=0102 \| WRONG: message of unknown/),
    );
    await until('the end', () => traced.lines.some((line) => line.startsWith('1 -- ended by the server')));
    expect(traced.lines).toContain('1 -- not 9P from the client: 03000000...; it is passed on unread');
  });

  test('one that ends in the middle of a message, and with requests unanswered, is told', async () => {
    traced = new Traced({}, { tree: faultsTree() });
    const raw = await traced.connect();
    const fid = await openFile(raw, 'hang');
    raw.send('Tread', { fid, offset: 0, count: 10 }, 77);
    raw.bytes(dotlCodec.encode('Tclunk', 78, { fid }).head.subarray(0, 9));
    await until('the read', () => traced.names('client').includes('Tread'));
    raw.transport.close();
    await until('the end', () => traced.lines.some((line) => line.includes('ended by the client')));
    expect(traced.lines.at(-1)).toBe(
      '1 -- ended by the client; in the middle of a message; 1 without an answer (Tread tag=77)',
    );
  });

  test('a flush that cancels is followed to its end', async () => {
    traced = new Traced({}, { tree: faultsTree() });
    const raw = await traced.connect();
    const fid = await openFile(raw, 'hang');
    const tag = raw.send('Tread', { fid, offset: 0, count: 10 }, 77);
    await raw.call('Tflush', { oldtag: tag }, 78);
    const what = `Tread tag=77 fid=${fid} offset=0 count=10`;
    expect(traced.lines).toContain(`1 -> Tflush tag=78 oldtag=77 | flushes ${what}`);
    expect(traced.lines).toContain(`1 <- Rflush tag=78 | of=Tflush oldtag=77 | N ms | cancelled: ${what}`);
  });

  test('servers that break the rules are caught at it', async () => {
    traced = new Traced({}, { tree: faultsTree() });
    for (const [name, says] of [
      ['after', 'a reply after the Rflush for Tread'],
      ['double', 'a second reply to Tread'],
      ['wrongtag', 'no request had tag'],
      ['wrongtype', 'is no answer to Tread'],
    ] as const) {
      const raw = await traced.connect();
      const fid = await openFile(raw, name);
      raw.send('Tread', { fid, offset: 0, count: 10 }, 77);
      raw.send('Tflush', { oldtag: 77 }, 78);
      await until(`${name}: ${says}`, () =>
        traced.lines.some((line) => line.includes(`WRONG: `) && line.includes(says)),
      );
    }
  });
});

describe('trouble', () => {
  test('--hold keeps a message until it is released, and lets the others pass', async () => {
    traced = new Traced({ hold: [parsePattern('Tread offset=5')] });
    const raw = await traced.connect();
    const fid = await newFile(raw, Buffer.from('0123456789'));
    const held = raw.send('Tread', { fid, offset: 5, count: 2 });
    const { data } = await raw.call('Tread', { fid, offset: 1, count: 2 });
    expect(Buffer.from(data).toString()).toBe('12');
    expect(raw.arrived).toEqual([]);
    expect(traced.lines.filter((line) => line.endsWith('| HELD')).length).toBe(1);
    expect(traced.proxy.release()).toBe(23);
    expect(await raw.reply(held)).toMatchObject({ type: 'Rread' });
    expect(traced.proxy.release()).toBe(0);
  });

  test('--hold of an Rflush leaves the client waiting for it', async () => {
    traced = new Traced({ hold: [parsePattern('Rflush')] });
    const raw = await traced.connect();
    raw.send('Tflush', { oldtag: 5 }, 9);
    await raw.call('Tstatfs', { fid: 0 });
    expect(raw.log.some((line) => line.startsWith('Rflush'))).toBe(false);
    traced.proxy.release();
    await raw.reply(9);
  });

  test('what is released in the middle of another message waits for its end', async () => {
    traced = new Traced({ hold: [parsePattern('Tclunk')] });
    const raw = await traced.connect();
    const fid = await newFile(raw, Buffer.alloc(0));
    raw.send('Tclunk', { fid: 12345 }, 50);
    const { head } = dotlCodec.encode('Twrite', 51, { fid, offset: 0, data: Buffer.alloc(1000, 'x') });
    raw.bytes(head);
    raw.bytes(Buffer.alloc(500, 'x'));
    await until('the write', () => traced.names('client').filter((name) => name === 'Twrite').length === 2);
    expect(traced.proxy.release()).toBe(11);
    raw.bytes(Buffer.alloc(500, 'x'));
    expect(await raw.reply(51)).toMatchObject({ type: 'Rwrite', count: 1000 });
    expect(await raw.reply(50)).toMatchObject({ type: 'Rlerror' });
  });

  test('what is released while it is still coming goes on as it comes', async () => {
    traced = new Traced({ hold: [parsePattern('Twrite offset=7')] });
    const raw = await traced.connect();
    const fid = await newFile(raw, Buffer.alloc(0));
    const { head } = dotlCodec.encode('Twrite', 51, { fid, offset: 7, data: Buffer.alloc(1000, 'x') });
    raw.bytes(head);
    raw.bytes(Buffer.alloc(500, 'x'));
    await until('the write', () => traced.lines.some((line) => line.endsWith('HELD')));
    expect(traced.proxy.release()).toBe(523);
    raw.bytes(Buffer.alloc(500, 'x'));
    expect(await raw.reply(51)).toMatchObject({ type: 'Rwrite', count: 1000 });
  });

  test('--drop lets a message vanish, and what comes behind it arrives', async () => {
    traced = new Traced({ drop: [parsePattern('Rwrite'), parsePattern('/^Tclunk .*fid=99\\b/')] });
    const raw = await traced.connect();
    raw.send('Tclunk', { fid: 99 }, 60);
    const fid = raw.fid();
    await raw.call('Twalk', { fid: 0, newfid: fid, names: [] });
    await raw.call('Tlcreate', { fid, name: 'f', flags: OPEN.RDWR, mode: 0o644, gid: 0 });
    raw.send('Twrite', { fid, offset: 0, data: Buffer.from('abc') }, 61);
    expect(await raw.call('Tgetattr', { fid, mask: 0x3fff })).toMatchObject({ size: 3 });
    expect(raw.log.filter((line) => /Rwrite|Rclunk|Rlerror/.test(line))).toEqual([]);
    expect(traced.lines.filter((line) => line.endsWith('| DROPPED')).length).toBe(2);
    traced.server.stats.connections.forEach(({ tags }) => void expect(tags).toBe(0));
  });

  test('--delay keeps the order', async () => {
    traced = new Traced({ delay: 5 }, { shape: { chunks: [13, 400] } });
    const raw = await traced.connect();
    const fid = await newFile(raw, Buffer.alloc(3000, 'x'));
    const tags = Array.from({ length: 20 }, (_, at) => raw.send('Tread', { fid, offset: at, count: 2000 }));
    for (const tag of tags) expect(await raw.reply(tag)).toMatchObject({ type: 'Rread' });
    const rtt = traced.events.flatMap((event) =>
      event.kind === 'message' && event.record.latency !== undefined ? [event.record.latency] : [],
    );
    expect(Math.min(...rtt)).toBeGreaterThan(4); // there is one delay in it
  });

  test.each([1, 30, 60, 200])('--cut-after %i bytes: those arrive, and nothing behind them', async (cutAfter) => {
    traced = new Traced({ cutAfter });
    const [ours, theirs] = memoryPair();
    const done = traced.proxy.accept(theirs);
    const got: Buffer[] = [];
    const window = Buffer.alloc(4096);
    const take = (bytes: Buffer) => void got.push(Buffer.from(bytes));
    ours.start({ window: () => window, filled: (count) => take(window.subarray(0, count)), push: take });
    const { head } = dotlCodec.encode('Tversion', NOTAG, { msize: 8192, version: '9P2000.L' });
    for (let i = 0; i < 20; i++) ours.send(head);
    await ours.closed;
    await done;
    expect(Buffer.concat(got).length).toBe(cutAfter);
    expect(traced.lines.some((line) => line.startsWith(`1 -- cut after ${cutAfter} bytes from the server`))).toBe(true);
    expect(traced.lines.some((line) => line.includes('ended'))).toBe(false);
  });

  test('a server that is not there ends the client, and is told', async () => {
    traced = new Traced();
    traced.refuse = true;
    await expect(traced.dial().version()).rejects.toThrow();
    expect(traced.lines).toContain('1 -- no server: nothing is listening there');
    traced.refuse = false;
    await traced.connect();
  });
});

test('a reader that takes no more stops the traffic, until it does', async () => {
  traced = new Traced();
  const raw = await traced.connect();
  traced.reader = false;
  const first = raw.send('Tstatfs', { fid: 0 });
  await until('the request', () => traced.names('client').includes('Tstatfs'));
  const told = traced.events.length;
  const more = Array.from({ length: 10 }, () => raw.send('Tstatfs', { fid: 0 }));
  await new Promise((resolve) => setImmediate(resolve));
  expect(traced.events.length).toBe(told);
  traced.reader = true;
  traced.proxy.unblock();
  for (const tag of [first, ...more]) await raw.reply(tag);
});

test('a client that does not read stops what the server sends, and nothing piles up in between', async () => {
  traced = new Traced();
  const raw = await traced.connect();
  const data = Buffer.alloc(60_000, 'x');
  const fid = await newFile(raw, data);
  raw.transport.pause();
  const tags = Array.from({ length: 300 }, () => raw.send('Tread', { fid, offset: 0, count: data.length }));
  await until(
    'the last request',
    () => traced.names('client').filter((name) => name === 'Tread').length === tags.length,
  );
  // what the proxy has taken is what fits into the queues of both transports, a mebibyte each, and a chunk more
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(traced.names('server').filter((name) => name === 'Rread').length).toBeLessThan(60);
  raw.transport.resume();
  for (const tag of tags) expect(await raw.reply(tag)).toMatchObject({ type: 'Rread' });
});

test('closing ends both sides of every connection', async () => {
  traced = new Traced({ hold: [parsePattern('Tstatfs')], delay: 50 });
  const raw = await traced.connect();
  raw.send('Tstatfs', { fid: 0 });
  await until('the request', () => traced.names('client').includes('Tstatfs'));
  traced.proxy.close();
  await raw.closed;
});
