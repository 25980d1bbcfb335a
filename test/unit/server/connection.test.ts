// Flow control of a server connection, on a transport that takes replies when the test says so.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { Server } from '../../../src/server/server.ts';
import { memoryTree } from '../../../src/server/trees/memory.ts';
import type { Receiver, Transport } from '../../../src/transport/transport.ts';
import { dotlCodec } from '../../../src/wire/p9/codec.ts';
import { NOFID, NOTAG } from '../../../src/wire/p9/constants.ts';
import type { Body, RequestName } from '../../../src/wire/p9/messages.ts';
import { slowTree } from '../../support/slowtree.ts';

const MSIZE = 1024 * 1024 + 24;
const MIB = 1024 * 1024;

/** The peer that does not read: what is sent stays here. */
class Stuck implements Transport {
  readonly peer = 'stuck';
  onDrain: (() => void) | undefined;
  receiver: Receiver | undefined;
  paused = false;
  queued = 0;
  stuck = false;
  replies: string[] = [];
  #taken: (() => void)[] = [];
  #end: (error: Error | undefined) => void = () => {};
  readonly closed = new Promise<Error | undefined>((resolve) => {
    this.#end = resolve;
  });

  start(receiver: Receiver): void {
    this.receiver = receiver;
  }

  send(head: Uint8Array, payload?: Uint8Array, taken?: () => void): boolean {
    const name = dotlCodec.nameOf(head[4] ?? 0);
    const whole = Buffer.from(head).readUInt32LE(0) >= head.length && name !== undefined;
    if (whole && head.length < 1000) this.replies.push(`${name} ${Buffer.from(head).readUInt16LE(5)}`);
    if (taken !== undefined) this.#taken.push(taken);
    if (!this.stuck) {
      this.#release();
      return true;
    }
    this.queued += head.length + (payload?.length ?? 0);
    return false;
  }

  #release(): void {
    for (const taken of this.#taken.splice(0)) taken();
  }

  drain(): void {
    this.queued = 0;
    this.#release();
    this.onDrain?.();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  close(error?: Error): void {
    this.#release();
    this.#end(error);
  }

  put<N extends RequestName>(name: N, tag: number, body: Body<N>): void {
    const { head, payload } = dotlCodec.encode(name, tag, body);
    this.receiver?.push(payload === undefined ? head : Buffer.concat([head, payload]));
  }
}

let transport: Stuck;
let server: Server;

function begin(tree = memoryTree() as ConstructorParameters<typeof Server>[0]['tree']): void {
  transport = new Stuck();
  server = new Server({ tree, msize: MSIZE });
  server.serveTransport(transport);
  transport.put('Tversion', NOTAG, { msize: MSIZE, version: '9P2000.L' });
  transport.put('Tattach', 0, { fid: 0, afid: NOFID, uname: '', aname: '', nUname: 0 });
}

beforeEach(() => begin());
afterEach(async () => {
  transport.close();
  await server.close();
});

function makeFile(): void {
  transport.put('Tlcreate', 0, { fid: 0, name: 'f', flags: 2, mode: 0o644, gid: 0 });
  transport.put('Twrite', 0, { fid: 0, offset: 0, data: Buffer.alloc(MIB, 1) });
}

test('a peer that takes no replies is not answered without end, and not read', () => {
  makeFile();
  transport.stuck = true;
  for (let tag = 0; tag < 100; tag++) transport.put('Tread', tag, { fid: 0, offset: 0, count: MIB });
  expect(transport.queued).toBeLessThan(6 * MIB);
  expect(transport.paused).toBe(true);
  let rounds = 0;
  for (; transport.paused && rounds < 100; rounds++) transport.drain();
  expect(rounds).toBeLessThan(100);
  expect(transport.replies.filter((reply) => reply.startsWith('Rread')).length).toBe(100);
});

test('what waits is dropped by a Tflush without a reply, the rest comes in order', () => {
  makeFile();
  transport.stuck = true;
  for (let tag = 0; tag < 20; tag++) transport.put('Tread', tag, { fid: 0, offset: 0, count: MIB });
  transport.replies.length = 0;
  transport.put('Tflush', 100, { oldtag: 18 });
  transport.put('Twrite', 18, { fid: 0, offset: 0, data: Buffer.alloc(3, 2) });
  transport.put('Tflush', 101, { oldtag: 18 });
  expect(transport.replies).toEqual(['Rflush 100', 'Rflush 101']);
  expect(server.stats.flushes).toMatchObject({ dropped: 2, aborted: 0 });
  transport.stuck = false;
  transport.drain();
  expect(transport.replies.at(-1)).toBe('Rread 19');
  expect(transport.replies).not.toContain('Rread 18');
  expect(transport.replies).not.toContain('Rwrite 18');
  expect(transport.paused).toBe(false);
  expect(server.stats.connections[0]?.tags).toBe(0);
});

test('of what is sent to it by one that reads nothing, most is not even looked at; it is answered all the same', () => {
  makeFile();
  transport.stuck = true;
  const reads = Array.from({ length: 2000 }, (_, tag) => {
    return dotlCodec.encode('Tread', tag, { fid: 0, offset: 0, count: MIB }).head;
  });
  const all = Buffer.concat(reads);
  for (let at = 0; at < all.length; at += 10_001) transport.receiver?.push(all.subarray(at, at + 10_001));
  expect(server.stats.connections[0]?.tags).toBeLessThan(80);
  transport.replies.length = 0;
  for (let rounds = 0; transport.paused && rounds < 2000; rounds++) transport.drain();
  const first = 2000 - transport.replies.length;
  expect(first).toBeLessThan(20);
  expect(transport.replies).toEqual(Array.from({ length: 2000 - first }, (_, i) => `Rread ${first + i}`));
  expect(server.stats.connections[0]?.tags).toBe(0);
});

test('payloads of writes that do not end stop the reading, and their end resumes it', async () => {
  const tree = slowTree();
  begin(tree);
  await turn();
  transport.put('Tlcreate', 0, { fid: 0, name: 'f', flags: 2, mode: 0o644, gid: 0 });
  await turn();
  let sent = 0;
  for (; !transport.paused && sent < 100; sent++) {
    transport.put('Twrite', sent, { fid: 0, offset: 0, data: Buffer.alloc(MIB) });
    await turn();
  }
  expect(sent).toBeGreaterThan(4);
  expect(sent).toBeLessThan(20);
  // the last one is not taken before there is memory for it
  expect(tree.calls.length).toBe(sent - 1);
  (await tree.next('write')).succeed(MIB);
  await turn();
  expect(tree.calls.length).toBe(sent - 1);
  expect(transport.paused).toBe(false);
  for (const call of tree.calls.splice(0)) call.succeed(MIB);
  await turn();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));
