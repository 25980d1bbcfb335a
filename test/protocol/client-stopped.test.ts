// A client whose process did not run for a while, stopped or without a processor: its deadlines have passed when it goes on,
// and what the server said in time lies in the socket. The server is a thread of its own, which runs meanwhile.

import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Connection, negotiate } from '../../src/client/connection.ts';
import { DotLCalls } from '../../src/client/dialects/dotl-calls.ts';
import type { Fid } from '../../src/client/fids.ts';
import { Abort } from '../../src/common/abort.ts';
import { connectSocket } from '../../src/transport/socket.ts';
import { expectCancelled, expectIdle, expectNothingAfterEnd } from '../support/leaks.ts';
import { turn } from '../support/scripted.ts';

const FLUSH_TIMEOUT = 2000;
/** What the thread and the test tell each other. */
const [TFLUSH, GO, SAID] = [0, 1, 2];

/** Agrees to a version, lets anybody attach, and answers nothing else but a Tflush, and that when it is told to. */
const SERVER = `
const { createServer } = require('node:net');
const { parentPort, workerData } = require('node:worker_threads');
const flags = new Int32Array(workerData);
const raise = (flag) => { Atomics.store(flags, flag, 1); Atomics.notify(flags, flag); };
createServer((socket) => {
  let rest = Buffer.alloc(0);
  const say = (type, request, body, said) => {
    const reply = Buffer.concat([Buffer.alloc(7), body]);
    reply.writeUInt32LE(reply.length, 0);
    reply.writeUInt8(type, 4);
    request.copy(reply, 5, 5, 7);
    socket.write(reply, said);
  };
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= rest.readUInt32LE(0)) {
      const size = rest.readUInt32LE(0);
      const request = rest.subarray(0, size);
      rest = rest.subarray(size);
      if (request[4] === 100) say(101, request, request.subarray(7));
      if (request[4] === 104) say(105, request, Buffer.alloc(13));
      if (request[4] !== 108) continue;
      raise(${TFLUSH});
      Atomics.wait(flags, ${GO}, 0);
      say(109, request, Buffer.alloc(0), () => raise(${SAID}));
    }
  });
}).listen(0, '127.0.0.1', function () { parentPort.postMessage(this.address().port); });
`;

let flags: Int32Array;
let worker: Worker;
let client: Connection;
let calls: DotLCalls;
let root: Fid;

beforeEach(async () => {
  const shared = new SharedArrayBuffer(12);
  flags = new Int32Array(shared);
  worker = new Worker(SERVER, { eval: true, workerData: shared });
  const port = await new Promise<number>((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
  const transport = await connectSocket({ kind: 'tcp', host: '127.0.0.1', port });
  client = await negotiate(transport, { requests: { flushTimeout: FLUSH_TIMEOUT, dyingTimeout: FLUSH_TIMEOUT } });
  calls = new DotLCalls(client);
  root = await calls.attach('me', '', 0);
});
afterEach(async () => {
  await expectNothingAfterEnd(client);
  await worker.terminate();
});

/** Nothing runs in this thread until the Tflush has been answered, and should have been a while ago. */
function stopped(since: number): void {
  Atomics.wait(flags, TFLUSH, 0, 60_000);
  Atomics.store(flags, GO, 1);
  Atomics.notify(flags, GO);
  Atomics.wait(flags, SAID, 0, 60_000);
  const left = since + FLUSH_TIMEOUT + 100 - performance.now();
  if (left > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, left);
}

test.each([
  ['what has effects does not cost the connection', () => (abort: Abort) => calls.mkdir(root, 'd', 0o755, 0, abort)],
  ['what has none leaves nothing in quarantine', () => (abort: Abort) => calls.fsync(root, false, abort)],
])('a flush that was answered in time: %s', async (_what, make) => {
  const abort = new Abort();
  const call = make()(abort);
  call.catch(() => undefined);
  const since = performance.now();
  abort.abort();
  await turn(); // it leaves with what else this tick has to say
  stopped(since);
  await expectCancelled(call);
  expect(client.stats).toMatchObject({ cancelled: 1, quarantine: 0 });
  await expectIdle(client, 1);
});
