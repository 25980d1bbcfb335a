// Sockets on loopback, TCP and unix, from either side, keep the promises of a transport; what cannot be connected or
// listened to says why in words; bytes go straight into the receiver's window.

import dns from 'node:dns';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Abort } from '../../../src/common/abort.ts';
import { CancelledError, ConfigError, ConnectionError } from '../../../src/common/errors.ts';
import { type Address, formatAddress, parseAddress } from '../../../src/transport/address.ts';
import { connectSocket, type Listener, listenSocket } from '../../../src/transport/socket.ts';
import type { Receiver, Transport } from '../../../src/transport/transport.ts';
import { nobody } from '../../support/servers.ts';
import { type Pair, transportContract } from './contract.ts';
import { Condition, content, frame, inbox, sent } from './kit.ts';

const LOOPBACK: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 };
let folder: string;
let serial = 0;
const path = (): string => join(folder, `s${serial++}`);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ninefs-socket-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A connected pair over a fresh listener: the end that connected, the end that was accepted. */
async function connected(address: Address): Promise<{ ends: [Transport, Transport]; listener: Listener }> {
  let accepted: (transport: Transport) => void = () => {};
  const other = new Promise<Transport>((resolve) => {
    accepted = resolve;
  });
  const listener = await listenSocket(address, (transport) => accepted(transport));
  return { ends: [await connectSocket(listener.address), await other], listener };
}

function pairOver(address: () => Address, swap: boolean): () => Promise<Pair> {
  return async () => {
    const { ends, listener } = await connected(address());
    const [near, far] = ends;
    return { ends: swap ? [far, near] : [near, far], dispose: () => listener.close() };
  };
}

transportContract(
  'tcp, from the connecting end',
  pairOver(() => LOOPBACK, false),
);
transportContract(
  'tcp, from the accepted end',
  pairOver(() => LOOPBACK, true),
);
transportContract(
  'unix, from the connecting end',
  pairOver(() => ({ kind: 'unix', path: path() }), false),
);
transportContract(
  'unix, from the accepted end',
  pairOver(() => ({ kind: 'unix', path: path() }), true),
);

describe('connectSocket', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** Makes names resolve as `answer` says; net looks lookup() up on the module at every connection. */
  function resolveNames(answer: (done: (error: NodeJS.ErrnoException | null, address?: string) => void) => void): void {
    const lookup = (...args: unknown[]): void => answer(args.at(-1) as () => void);
    vi.spyOn(dns, 'lookup').mockImplementation(lookup as typeof dns.lookup);
  }
  const failure = (code: string): NodeJS.ErrnoException => Object.assign(new Error(`getaddrinfo ${code}`), { code });

  test('nothing listens there', async () => {
    const { address, close } = await nobody();
    await expect(connectSocket(parseAddress(address))).rejects.toMatchObject({
      name: 'ConnectionError',
      message: `${address}: nothing is listening there`,
      cause: { code: 'ECONNREFUSED' },
    });
    await close();
  });

  test('nothing listens at any of the addresses of a name', async () => {
    const { port, close } = await nobody();
    const failed = connectSocket({ kind: 'tcp', host: 'localhost', port }, { timeout: 20_000 });
    await expect(failed).rejects.toThrow(`tcp!localhost!${port}: nothing is listening there`);
    await close();
  });

  test('no such socket, one that nobody serves, and a file that is none', async () => {
    const missing = path();
    await expect(connectSocket({ kind: 'unix', path: missing })).rejects.toThrow(
      `unix!${missing}: there is no such socket`,
    );
    const plain = path();
    writeFileSync(plain, '');
    await expect(connectSocket({ kind: 'unix', path: plain })).rejects.toThrow(/nothing is listening|not a socket/);
  });

  test.each([
    ['ENOTFOUND', 'the name does not resolve'],
    ['EAI_AGAIN', 'the name does not resolve (no answer from the resolver)'],
    ['ESOMETHING', 'getaddrinfo ESOMETHING'],
  ])('a name for which the resolver says %s', async (code, why) => {
    resolveNames((done) => process.nextTick(done, failure(code)));
    await expect(connectSocket({ kind: 'tcp', host: 'files.example', port: 564 })).rejects.toMatchObject({
      name: 'ConnectionError',
      message: `tcp!files.example!564: ${why}`,
      cause: { code },
    });
  });

  test('a port that is none', async () => {
    const wrong = connectSocket({ kind: 'tcp', host: '127.0.0.1', port: 70_000 }, { timeout: 60_000 });
    await expect(wrong).rejects.toBeInstanceOf(ConnectionError);
  });

  test('no connection within the timeout', async () => {
    resolveNames(() => {});
    const waiting = connectSocket({ kind: 'tcp', host: 'files.example', port: 564 }, { timeout: 20 });
    await expect(waiting).rejects.toThrow('tcp!files.example!564: no connection within 0.02 s');
    await expect(waiting).rejects.toBeInstanceOf(ConnectionError);
  });

  test('an abort ends the attempt at any point, and leaves nothing on the signal', async () => {
    const address: Address = { kind: 'tcp', host: 'files.example', port: 564 };
    await expect(connectSocket(address, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(CancelledError);

    resolveNames(() => {});
    const abort = new Abort();
    const removed = vi.spyOn(abort, 'removeEventListener');
    const waiting = connectSocket(address, { signal: abort, timeout: 60_000 });
    abort.abort();
    await expect(waiting).rejects.toMatchObject({
      code: 'EINTR',
      message: 'connecting to tcp!files.example!564: EINTR',
    });
    expect(removed).toHaveBeenCalledTimes(1);
  });

  test('an answer of the resolver after the abort is of no interest', async () => {
    let answer: (error: NodeJS.ErrnoException | null, address?: string) => void = () => {};
    const asked = new Promise<void>((resolve) => {
      resolveNames((done) => {
        answer = done;
        resolve();
      });
    });
    const abort = new Abort();
    const waiting = connectSocket({ kind: 'tcp', host: 'files.example', port: 564 }, { signal: abort });
    await asked;
    abort.abort();
    await expect(waiting).rejects.toBeInstanceOf(CancelledError);
    answer(failure('ENOTFOUND'));
  });

  test('an abort after the connection changes nothing', async () => {
    const listener = await listenSocket(LOOPBACK, (transport) => transport.start(inbox().receiver));
    const abort = new Abort();
    const transport = await connectSocket(listener.address, { signal: abort, timeout: 60_000 });
    transport.start(inbox().receiver);
    abort.abort();
    await sent(transport, frame(1, 10));
    transport.close();
    expect(await transport.closed).toBeUndefined();
    await listener.close();
  });
});

describe('what a connecting socket receives', () => {
  /** A plain server that writes the pieces, each when the receiver has taken the one before it. */
  async function serveBytes(bytes: Buffer, sizes: readonly number[], windows: readonly number[]) {
    let peer: Socket | undefined;
    const server: Server = createServer((socket) => {
      peer = socket.setNoDelay(true);
      next();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };

    let written = 0;
    let pieces = 0;
    const next = (): void => {
      if (written >= bytes.length) return;
      const size = sizes[pieces++ % sizes.length]!;
      const piece = bytes.subarray(written, written + size);
      written += piece.length;
      peer?.write(piece);
    };

    const own = Buffer.alloc(bytes.length);
    const condition = new Condition();
    const state = { at: 0, windows: 0, pushed: 0, overruns: 0 };
    const arrived = (count: number): void => {
      state.at += count;
      condition.check();
      if (state.at === written) next();
    };
    let length = 0;
    const receiver: Receiver = {
      window() {
        // a window that is never larger than what is missing, never empty
        length = Math.max(1, Math.min(windows[state.windows++ % windows.length]!, own.length - state.at));
        return state.at < own.length ? own.subarray(state.at, state.at + length) : Buffer.alloc(1);
      },
      filled(count) {
        if (count > length) state.overruns++;
        arrived(count);
      },
      push(chunk) {
        own.set(chunk, state.at);
        state.pushed += chunk.length;
        arrived(chunk.length);
      },
    };
    const transport = await connectSocket({ kind: 'tcp', host: '127.0.0.1', port });
    transport.start(receiver);
    await condition.until(() => state.at >= bytes.length);
    transport.close();
    await transport.closed;
    server.close();
    return { own, state };
  }

  test.each([
    ['a byte at a time', 300, [1], [4096]],
    ['in pieces of many sizes', 300_000, [1, 7, 23, 4096, 65_536, 100_001], [1, 11, 65_536, 4096]],
    ['in large pieces into small windows', 200_000, [200_000], [100, 4096]],
    ['in pieces as large as the windows', 400_000, [4096], [4096]],
  ])('%s lies in its windows', async (_what, length, sizes, windows) => {
    const bytes = content(5, length);
    const { own, state } = await serveBytes(bytes, sizes, windows);
    expect(own.equals(bytes)).toBe(true);
    expect(state.overruns).toBe(0);
    // only the read that node prepared before start() goes another way
    expect(state.pushed).toBeLessThanOrEqual(64);
  });

  test('a stream that the server cuts within a frame ends without an error: the receiver knows', async () => {
    const server = createServer((socket) => socket.end(Buffer.concat(frame(1, 100)).subarray(0, 50)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const transport = await connectSocket({ kind: 'tcp', host: '127.0.0.1', port });
    const at = inbox();
    transport.start(at.receiver);
    expect(await transport.closed).toBeUndefined();
    expect(at.frames).toHaveLength(0);
    server.close();
  });

  test('a reset is an error that names the peer and keeps the cause', async () => {
    const server = createServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const transport = await connectSocket({ kind: 'tcp', host: '127.0.0.1', port });
    transport.start(inbox().receiver);
    transport.send(Buffer.alloc(7));
    const error = await transport.closed;
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error?.message).toContain(`tcp!127.0.0.1!${port}: `);
    expect(error?.cause).toMatchObject({ code: 'ECONNRESET' });
    server.close();
  });
});

describe('frames of one tick', () => {
  test('leave in one write to the system', async () => {
    const { ends, listener } = await connected(LOOPBACK);
    const [near, far] = ends;
    const atFar = inbox();
    far.start(atFar.receiver);
    const writev = vi.spyOn(Socket.prototype as unknown as { _writev: () => void }, '_writev');
    const write = vi.spyOn(Socket.prototype, '_write');
    try {
      for (let tag = 0; tag < 10; tag++) near.send(...frame(tag, 100));
      await atFar.count(10);
      expect([writev.mock.calls.length, write.mock.calls.length]).toEqual([1, 0]);
    } finally {
      writev.mockRestore();
      write.mockRestore();
    }
    near.start(inbox().receiver);
    near.close();
    await Promise.all(ends.map((end) => end.closed));
    await listener.close();
  });
});

describe('listenSocket', () => {
  test('port 0 becomes a real port, under which peers know each other', async () => {
    const { ends, listener } = await connected(LOOPBACK);
    const [near, far] = ends;
    expect(listener.address).toMatchObject({ kind: 'tcp', host: '127.0.0.1' });
    expect((listener.address as { port: number }).port).toBeGreaterThan(0);
    expect(near.peer).toBe(formatAddress(listener.address));
    expect(far.peer).toMatch(/^tcp!127\.0\.0\.1!\d+$/);
    for (const end of ends) end.close();
    await Promise.all(ends.map((end) => end.closed));
    await listener.close();
  });

  test('close() settles while connections live, which go on; nobody new comes in', async () => {
    const { ends, listener } = await connected(LOOPBACK);
    await listener.close();
    await listener.close();
    await expect(connectSocket(listener.address)).rejects.toThrow('nothing is listening there');
    const [near, far] = ends;
    const atFar = inbox();
    near.start(inbox().receiver);
    far.start(atFar.receiver);
    near.send(...frame(1, 5));
    await atFar.count(1);
    near.close();
    await Promise.all(ends.map((end) => end.closed));
    // and the port is free for the next
    const again = await listenSocket(listener.address, () => {});
    await again.close();
  });

  test('a unix socket is gone from the directory when its listener is closed', async () => {
    const address: Address = { kind: 'unix', path: path() };
    const listener = await listenSocket(address, () => {});
    expect(listener.address).toEqual(address);
    await listener.close();
    await expect(connectSocket(address)).rejects.toThrow('there is no such socket');
    const again = await listenSocket(address, () => {});
    await again.close();
  });

  test('the longest path that an address may have can be listened on', async () => {
    const long = join(folder, 'x'.repeat(107 - folder.length - 1));
    const { ends, listener } = await connected({ kind: 'unix', path: long });
    for (const end of ends) end.close();
    await Promise.all(ends.map((end) => end.closed));
    await listener.close();
  });

  test('an address in use, or not ours, is the user\u2019s to mend', async () => {
    const listener = await listenSocket(LOOPBACK, () => {});
    const inUse = listenSocket(listener.address, () => {});
    await expect(inUse).rejects.toMatchObject({ name: 'ConfigError', exitCode: 1, cause: { code: 'EADDRINUSE' } });
    await expect(inUse).rejects.toThrow(`cannot listen on ${formatAddress(listener.address)}: `);
    await expect(inUse).rejects.toBeInstanceOf(ConfigError);
    await listener.close();
    const missing: Address = { kind: 'unix', path: join(folder, 'no', 'such', 'folder') };
    await expect(listenSocket(missing, () => {})).rejects.toBeInstanceOf(ConfigError);
  });

  test('a connection that cannot be accepted is reported and ends nothing', async () => {
    const listen = vi.spyOn((await import('node:net')).Server.prototype, 'listen');
    const failures: Error[] = [];
    const listener = await listenSocket(
      LOOPBACK,
      () => {},
      (error) => failures.push(error),
    );
    const server = listen.mock.contexts[0] as Server;
    listen.mockRestore();
    for (let i = 0; i < 3; i++) server.emit('error', new Error(`accept EMFILE ${i}`));
    expect(failures.map(({ message }) => message)).toEqual([0, 1, 2].map((i) => `accept EMFILE ${i}`));
    const transport = await connectSocket(listener.address);
    transport.close();
    await transport.closed;
    await listener.close();
  });
});
