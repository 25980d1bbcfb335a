// Every way in which the negotiation can end. What is shown to a user is one line that says what is wrong with which peer.

import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { negotiate } from '../../src/client/connection.ts';
import { DotL } from '../../src/client/dialects/dotl.ts';
import { DotU } from '../../src/client/dialects/dotu.ts';
import { Legacy } from '../../src/client/dialects/legacy.ts';
import { VERSIONS } from '../../src/client/dialects/versions.ts';
import { connect, openSession, type Session } from '../../src/client/session.ts';
import { Abort } from '../../src/common/abort.ts';
import { CancelledError, ConfigError, ConnectionError, ProtocolError } from '../../src/common/errors.ts';
import { memoryTree, Server } from '../../src/server/server.ts';
import { memoryPair, type PairOptions } from '../../src/transport/memory.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { dotlCodec } from '../../src/wire/p9/codec.ts';
import { NOTAG } from '../../src/wire/p9/constants.ts';
import { FrameReader } from '../../src/wire/p9/framing.ts';
import type { Body, Message, MessageName } from '../../src/wire/p9/messages.ts';
import { expectIdle } from '../support/leaks.ts';
import { scripted, turn } from '../support/scripted.ts';

const ASKED = 65536;

/** A peer that does `say` when Tversion has come. */
function peer(say: (theirs: Transport, question: Message) => void, shape: PairOptions = {}): Transport {
  const [ours, theirs] = memoryPair({}, shape);
  theirs.start(
    new FrameReader(ASKED, {
      frame: (bytes, start, end) => say(theirs, dotlCodec.decode(bytes, start, end)),
    }),
  );
  return ours;
}

function send<N extends MessageName>(to: Transport, tag: number, name: N, body: Body<N>): void {
  to.send(dotlCodec.encode(name, tag, body).head);
}

const rversion =
  (msize: number, version: string, tag: number = NOTAG) =>
  (theirs: Transport) =>
    send(theirs, tag, 'Rversion', { msize, version });

const bytes = (text: string | number[]) => (theirs: Transport) =>
  theirs.send(typeof text === 'string' ? Buffer.from(text) : Uint8Array.from(text));

type Ending = [what: string, say: (theirs: Transport) => void, error: new (...a: never[]) => Error, words: RegExp];

const endings: Ending[] = [
  [
    'HTTP',
    bytes('HTTP/1.1 400 Bad Request\r\n\r\n'),
    ProtocolError,
    /not 9P, it begins with "HTTP\/1.1 400 Bad Request"/,
  ],
  ['SSH', bytes('SSH-2.0-OpenSSH_9.2\r\n'), ProtocolError, /begins with "SSH-2.0-OpenSSH_9.2"; is it a 9P server\?/],
  ['a long text', bytes('x'.repeat(5000)), ProtocolError, /begins with "x{40,60}(\.\.\.)?"/],
  [
    'bytes of any kind',
    bytes([0xff, 0xfe, 0xfd, 0xfc, 1, 2, 3, 4, 5]),
    ProtocolError,
    /frame of \d+ bytes.*9P server\?/,
  ],
  ['a frame of three bytes', bytes([3, 0, 0, 0, 101, 0, 0]), ProtocolError, /frame of 3 bytes.*9P server\?/],
  ['an unknown type', bytes([7, 0, 0, 0, 250, 255, 255]), ProtocolError, /unknown type 250.*9P server\?/],
  ['a payload', bytes([12, 0, 0, 0, 117, 255, 255, 1, 0, 0, 0, 7]), ProtocolError, /payload in answer to Tversion/],
  ['another reply', (to) => send(to, NOTAG, 'Rclunk', {}), ProtocolError, /Rclunk in answer to Tversion/],
  ['a hang-up', (to) => to.close(), ConnectionError, /the server hung up on Tversion; is it a 9P server\?/],
  ['Rlerror', (to) => send(to, NOTAG, 'Rlerror', { ecode: 5 }), ConfigError, /refuses 9P2000\.L \(EIO\)/],
  ['Rlerror with tag 0', (to) => send(to, 0, 'Rlerror', { ecode: 22 }), ConfigError, /refuses 9P2000\.L \(EINVAL\)/],
  [
    'an error of type 107 with a number',
    bytes([11, 0, 0, 0, 107, 255, 255, 93, 0, 0, 0]),
    ConfigError,
    /EPROTONOSUPPORT/,
  ],
  ['an error of type 107 with a text', bytes([12, 0, 0, 0, 107, 255, 255, 3, 0, 98, 97, 100]), ConfigError, /\(EIO\)/],
  ['"unknown"', rversion(ASKED, 'unknown'), ConfigError, /: the server does not know 9P2000\.L$/],
  ['a lesser version', rversion(ASKED, '9P2000'), ConfigError, /the server offers "9P2000"/],
  ['.u', rversion(ASKED, '9P2000.u'), ConfigError, /the server offers "9P2000\.u"/],
  ['control characters', rversion(ASKED, '9P\n\u001b[2J'), ConfigError, /offers "9P\\n\\u001b\[2J"/],
  ['a larger msize', rversion(ASKED + 1, '9P2000.L'), ProtocolError, /msize 65537, 65536 was offered/],
  ['a tiny msize', rversion(4095, '9P2000.L'), ConfigError, /msize is 4095, at least 4096 is needed/],
  ['msize 0', rversion(0, '9P2000.L'), ConfigError, /msize is 0/],
  ['the wrong tag', rversion(ASKED, '9P2000.L', 1), ProtocolError, /Rversion with tag 1/],
  [
    'more than was asked for',
    (to) => {
      rversion(ASKED, '9P2000.L')(to);
      send(to, 3, 'Rclunk', {});
    },
    ProtocolError,
    /a message that nobody asked for/,
  ],
];

afterEach(() => {
  vi.useRealTimers();
});

const shapes: [string, PairOptions][] = [
  ['as sent', {}],
  ['byte by byte', { chunks: [1] }],
];

describe.each(shapes)('%s, the negotiation fails at', (_how, shape) => {
  test.each(endings)('%s', async (what, say, type, words) => {
    const ours = peer(say, shape);
    const error = await negotiate(ours, { msize: ASKED, version: '9P2000.L' }).then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error).toBeInstanceOf(type);
    // of a text that comes byte by byte only the first four are seen
    if (shape.chunks === undefined || !['HTTP', 'SSH', 'a long text'].includes(what))
      expect(error?.message).toMatch(words);
    else expect(error?.message).toMatch(/begins with "(HTTP|SSH-|xxxx)"/);
    expect(error?.message).toMatch(/^memory b: /);
    expect(error?.message).not.toMatch(/\n/);
    if (error instanceof ConfigError) expect(error.exitCode).toBe(1);
    await ours.closed;
  });
});

/** What a server answers to each question. */
type Answers = (to: Transport, version: string, before: number) => void;
const says = (version: string) => (to: Transport) => rversion(8192, version)(to);
const error5 = (to: Transport) => send(to, NOTAG, 'Rlerror', { ecode: 5 });
const rerror = (to: Transport) =>
  to.send(Uint8Array.from([16, 0, 0, 0, 107, 255, 255, 7, 0, ...Buffer.from('unknown')]));
/** Speaks only these; `otherwise` is what it does when it is asked for another. */
const speaking =
  (known: readonly string[], otherwise: (to: Transport) => void): Answers =>
  (to, version) =>
    known.includes(version) ? says(version)(to) : otherwise(to);

const refusals: [string, (to: Transport) => void][] = [
  ['Rversion "unknown"', says('unknown')],
  ['Rversion of a version that nobody knows', says('9P1999')],
  ['Rlerror', error5],
  ['an error of type 107 with a text', rerror],
  ['an error of type 107 with a number', bytes([11, 0, 0, 0, 107, 255, 255, 93, 0, 0, 0])],
  ['hanging up', (to) => to.close()],
  [
    'an error, and hanging up',
    (to) => {
      error5(to);
      to.close();
    },
  ],
];

describe('version=auto', () => {
  const server = createServer();
  afterEach(() => new Promise((resolve) => (server.listening ? server.close(resolve) : resolve(undefined))));

  /** Connects to a TCP server, which may hang up and be connected to again; what it was asked for, by connection. */
  async function connectTo(answers: Answers): Promise<{ asked: string[][]; session: Promise<Session> }> {
    const asked: string[][] = [];
    const over = (socket: Socket) => {
      const questions: string[] = [];
      asked.push(questions);
      const to = { send: (frame: Uint8Array) => socket.write(frame), close: () => socket.end() };
      const reader = new FrameReader(ASKED, {
        frame: (data, start, end) => {
          const question = dotlCodec.decode(data, start, end);
          if (question.type !== 'Tversion') throw new Error(question.type);
          questions.push(question.version);
          answers(to as unknown as Transport, question.version, questions.length - 1);
        },
      });
      socket.on('data', (chunk) => reader.push(chunk)).on('error', () => undefined);
    };
    server.removeAllListeners('connection').on('connection', over);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return { asked, session: connect({ kind: 'tcp', host: '127.0.0.1', port }, { msize: ASKED }) };
  }

  const dialects = { '9P2000.L': DotL, '9P2000.u': DotU, '9P2000': Legacy } as const;

  describe.each(refusals)('where a server answers what it does not speak by %s', (_what, refuse) => {
    test.each(VERSIONS)('%s is what is spoken with one that knows only that', async (version) => {
      const { session } = await connectTo(speaking([version], refuse));
      const { connection, dialect, close } = await session;
      expect(connection).toMatchObject({ version, msize: 8192 });
      expect(dialect).toBeInstanceOf(dialects[version]);
      await expectIdle(connection, 0);
      close.call(await session);
    });

    test('and speaks nothing, one line says so', async () => {
      const { asked, session } = await connectTo(speaking([], refuse));
      const error = await session.then(
        () => undefined,
        (reason: Error) => reason,
      );
      expect(error).toMatchObject({ name: expect.stringMatching(/^(ConfigError|ConnectionError)$/) });
      expect(error?.message).toMatch(
        /speaks none of 9P2000\.L, 9P2000\.u, 9P2000: it|hung up on Tversion|refuses 9P2000 \(EIO\)/,
      );
      expect(error?.message).not.toMatch(/\n/);
      expect(new Set(asked.flat())).toEqual(new Set(VERSIONS));
      expect(asked.length).toBeLessThanOrEqual(VERSIONS.length);
    });
  });

  test('a downgrade to the next version is taken at once', async () => {
    const { asked, session } = await connectTo(says('9P2000.u'));
    const { connection } = await session;
    expect(connection.version).toBe('9P2000.u');
    expect(asked).toEqual([['9P2000.L']]);
    connection.close();
  });

  test('one to 9P2000 is taken when .u was asked for, too: go9p offers it to whoever asks for .L', async () => {
    const { asked, session } = await connectTo(speaking(['9P2000.u', '9P2000'], says('9P2000')));
    const { connection } = await session;
    expect(connection.version).toBe('9P2000.u');
    expect(asked).toEqual([['9P2000.L', '9P2000.u']]);
    connection.close();
  });

  test('and again where that makes the server hang up', async () => {
    const { asked, session } = await connectTo((to, _version, before) =>
      before === 0 ? says('9P2000')(to) : to.close(),
    );
    const { connection } = await session;
    expect(connection.version).toBe('9P2000');
    expect(asked).toEqual([['9P2000.L', '9P2000.u'], ['9P2000.u']]);
    connection.close();
  });

  test('a server that is none is not asked again', async () => {
    const { asked, session } = await connectTo(bytes('HTTP/1.1 400 Bad Request\r\n\r\n') as Answers);
    await expect(session).rejects.toThrow(/it begins with "HTTP/);
    expect(asked.length).toBe(1);
  });

  test.each(VERSIONS)(
    '%s is what is spoken with the embedded server where it is told to speak only that',
    async (version) => {
      const embedded = new Server({ tree: memoryTree(), dialects: [version] });
      const [ours, theirs] = memoryPair();
      const ended = embedded.serveTransport(theirs);
      const { connection, dialect } = await openSession(ours);
      expect(connection.version).toBe(version);
      expect((await dialect.stat(await dialect.attach('root', '', 0))).mode & 0o170000).toBe(0o040000);
      connection.close();
      await ended;
      await embedded.close();
    },
  );

  test('one version that was asked for is asked for once', async () => {
    const ours = peer(rversion(8192, '9P2000.L'));
    await expect(negotiate(ours, { version: '9P2000.u' })).rejects.toThrow(
      'the server offers "9P2000.L" instead of 9P2000.u',
    );
    await ours.closed;
  });
});

describe('the negotiation is given up', () => {
  test('when nothing comes in time', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const ours = peer(() => undefined);
    const failing = expect(negotiate(ours, { timeout: 20_000 })).rejects.toThrow(
      'memory b: no answer to Tversion within 20 s; is it a 9P server?',
    );
    await turn();
    vi.advanceTimersByTime(20_000);
    await failing;
    await ours.closed;
    expect(vi.getTimerCount()).toBe(0);
  });

  test('when half an answer comes in time', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const failing = expect(openSession(peer(bytes([21, 0, 0, 0, 101, 255])))).rejects.toBeInstanceOf(ConnectionError);
    await turn();
    vi.advanceTimersByTime(20_000);
    await failing;
  });

  test('by an abort while it waits', async () => {
    const abort = new Abort();
    const ours = peer(() => abort.abort());
    await expect(negotiate(ours, { signal: abort })).rejects.toBeInstanceOf(CancelledError);
    await ours.closed;
  });

  test('by an abort before, without a message', async () => {
    const heard = vi.fn();
    const ours = peer(heard);
    await expect(negotiate(ours, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(CancelledError);
    await ours.closed;
    await turn();
    expect(heard).not.toHaveBeenCalled();
  });

  test.each([0, 4095, 5000.5, 2 ** 31, Number.NaN])('for an msize of %s, which nobody can use', async (msize) => {
    const ours = peer(rversion(ASKED, '9P2000.L'));
    await expect(negotiate(ours, { msize })).rejects.toMatchObject({ name: 'ConfigError', exitCode: 2 });
    await ours.closed;
  });

  test.each([
    [{ tagWindow: 0 }, /tagWindow 0/],
    [{ tagWindow: 40_000 }, /tagWindow 40000: 1 to 32735/],
    [{ tagWindow: 8, maxInFlight: 9 }, /maxInFlight 9: 1 to 8/],
  ])('for limits that cannot be kept: %j', async (requests, words) => {
    const ours = peer(rversion(ASKED, '9P2000.L'));
    await expect(negotiate(ours, { requests })).rejects.toThrow(words);
    await ours.closed;
  });
});

describe('the negotiation succeeds', () => {
  test('and settles on the msize of the server', async () => {
    const question: Message[] = [];
    const ours = peer((theirs, message) => {
      question.push(message);
      rversion(8192, '9P2000.L')(theirs);
    });
    const client = await negotiate(ours, { msize: ASKED });
    expect(question).toEqual([{ type: 'Tversion', tag: NOTAG, msize: ASKED, version: '9P2000.L' }]);
    expect(client).toMatchObject({ msize: 8192, chunk: 8192 - 24 });
    await expectIdle(client, 0);
    client.close();
  });

  test('and takes no frame beyond that msize afterwards', async () => {
    const client = await negotiate(
      peer((theirs) => {
        rversion(8192, '9P2000.L')(theirs);
        setImmediate(bytes([1, 32, 0, 0, 25, 0, 0]), theirs);
      }),
      { msize: ASKED },
    );
    expect((await client.closed).message).toMatch(/frame of 8193 bytes, msize is 8192/);
  });

  test('leaving no timer and no listener behind', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    const signal = new Abort();
    const removed = vi.spyOn(signal, 'removeEventListener');
    const { client } = await scripted({ timeout: 5000, signal });
    expect(vi.getTimerCount()).toBe(0);
    expect(removed).toHaveBeenCalledOnce();
    signal.abort();
    await expectIdle(client, 0);
    client.close();
  });

  test('with a pool for one chunk at the least, however little is allowed', async () => {
    const { client } = await scripted({ msize: 8192, rxPool: 1 });
    (await client.pool.take(client.chunk)).release();
    await expectIdle(client, 0);
    client.close();
  });
});

describe('over a socket', () => {
  /** Connects to a TCP server that does `say` with each connection. */
  async function connectTo(say: (socket: Socket) => void) {
    const server = createServer(say);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      return await connect({ kind: 'tcp', host: '127.0.0.1', port: (server.address() as AddressInfo).port });
    } finally {
      server.close();
    }
  }

  test('a web server is named as what it says', async () => {
    const answer = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n';
    const failing = connectTo((socket) => socket.once('data', () => socket.end(answer)));
    await expect(failing).rejects.toThrow(/^tcp!127.0.0.1!\d+: the answer is not 9P, it begins with "HTTP\/1.1 400/);
  });

  test('an ssh server, which speaks first, too', async () => {
    const failing = connectTo((socket) => socket.on('error', () => undefined).end('SSH-2.0-OpenSSH_9.2\r\n'));
    await expect(failing).rejects.toThrow(/begins with "SSH-2.0-OpenSSH_9.2"/);
  });

  test('a reset is a hang-up', async () => {
    const failing = connectTo((socket) => socket.once('data', () => socket.resetAndDestroy()));
    await expect(failing).rejects.toThrow(/the server hung up on Tversion/);
  });
});
