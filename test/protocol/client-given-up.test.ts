// What a request that was given up comes to, in every way in which it may settle: by its caller it is EINTR, by timeout= it is
// ETIMEDOUT, and what the server did first is what counts. The same in all dialects; time is faked, the event loop is not.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Connection } from '../../src/client/connection.ts';
import type { Version } from '../../src/client/dialects/versions.ts';
import type { Fid } from '../../src/client/fids.ts';
import { Abort } from '../../src/common/abort.ts';
import { errno } from '../../src/common/errno.ts';
import { ProtocolError } from '../../src/common/errors.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { expectEnded, expectIdle, expectNothingAfterEnd } from '../support/leaks.ts';
import { attached, type Scripted, turn } from '../support/scripted.ts';

const TIMEOUT = 5000;
const DATA = Buffer.from('hello');

let client: Connection;
let server: Scripted;
let root: Fid;
let version: Version;

/** What a server says, by its words and its number where it has one. */
function refuse(tag: number, ename: string, ecode: number): void {
  if (version === '9P2000.L') server.reply(tag, 'Rlerror', { ecode });
  else server.reply(tag, 'Rerror', { ename, ecode });
}

const rflush = ({ flush }: Asked) => server.reply(flush.tag, 'Rflush', {});

interface Asked {
  request: Extract<Message, { type: 'Tread' | 'Twrite' }>;
  flush: Message;
}

interface Way {
  what: string;
  answer(asked: Asked): void;
  /** Undefined: the errno of who gave it up. */
  code?: string;
}

const ways: Way[] = [
  { what: 'its Rflush', answer: rflush },
  {
    what: 'a reply before the Rflush',
    answer: (asked) => {
      const { tag, type } = asked.request;
      if (type === 'Tread') server.reply(tag, 'Rread', { data: DATA });
      else server.reply(tag, 'Rwrite', { count: DATA.length });
      rflush(asked);
    },
    code: 'done',
  },
  {
    what: 'an error of its own before the Rflush',
    answer: (asked) => {
      refuse(asked.request.tag, 'permission denied', errno.EACCES);
      rflush(asked);
    },
    code: 'EACCES',
  },
  {
    what: 'the old mistake, EINTR before the Rflush',
    answer: (asked) => {
      refuse(asked.request.tag, 'interrupted', errno.EINTR);
      rflush(asked);
    },
  },
  { what: 'an error in place of the Rflush', answer: ({ flush }) => refuse(flush.tag, 'unknown tag', errno.EINVAL) },
];

/** Has it given up; what is asked and what the caller gets in the end. */
async function givenUp(
  type: 'Tread' | 'Twrite',
  by: 'caller' | 'timeout',
): Promise<{ asked: Asked; end: Promise<string> }> {
  const abort = new Abort();
  const fid = { fid: root.number, offset: 0 };
  const options = { fids: [root], signal: abort };
  const { requests } = client;
  const call =
    type === 'Tread'
      ? requests.call('Tread', { ...fid, count: DATA.length }, { ...options, buffer: Buffer.alloc(DATA.length) })
      : requests.call('Twrite', { ...fid, data: DATA }, options);
  const end = (call as Promise<unknown>).then(
    () => 'done',
    (error: { code: string }) => error.code,
  );
  const request = await server.next(type);
  if (by === 'caller') abort.abort({ dying: false });
  else vi.advanceTimersByTime(TIMEOUT * 1.25);
  return { asked: { request, flush: await server.next('Tflush') }, end };
}

const given = { caller: 'EINTR', timeout: 'ETIMEDOUT' } as const;

describe.each<Version>(['9P2000.L', '9P2000.u', '9P2000'])('in %s', (speaks) => {
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
    version = speaks;
    ({ client, server, root } = await attached({ version, requests: { timeout: TIMEOUT } }));
  });
  afterEach(async () => {
    vi.useRealTimers();
    await expectNothingAfterEnd(client);
  });

  describe.each(['caller', 'timeout'] as const)('given up by its %s', (by) => {
    describe.each(['Tread', 'Twrite'] as const)('a %s', (type) => {
      test.each(ways)('settles by $what', async ({ answer, code }) => {
        const { asked, end } = await givenUp(type, by);
        answer(asked);
        expect(await end).toBe(code ?? given[by]);
        await expectIdle(client, 1);
        expect(client.stats).toMatchObject({ flushes: 1, cancelled: code === undefined ? 1 : 0 });
      });
    });

    test('a Tread that is never answered is forgotten, and comes back when it is', async () => {
      const { asked, end } = await givenUp('Tread', by);
      vi.advanceTimersByTime(10_000);
      expect(await end).toBe(given[by]);
      expect(client.stats).toMatchObject({ tags: 1, quarantine: 1 });
      server.reply(asked.request.tag, 'Rread', { data: DATA });
      rflush(asked);
      await expectIdle(client, 1);
    });

    test('a Twrite that is never answered takes the connection along', async () => {
      const { end } = await givenUp('Twrite', by);
      vi.advanceTimersByTime(10_000);
      expect(await end).toBe('ERR_9P_PROTOCOL');
      await expectEnded(client, ProtocolError);
    });
  });

  test('who is interrupted while his request times out gets ETIMEDOUT, and one Tflush is enough', async () => {
    const abort = new Abort();
    const call = client.requests.call(
      'Tread',
      { fid: root.number, offset: 0, count: 5 },
      { fids: [root], signal: abort },
    );
    const end = call.then(
      () => 'done',
      ({ code }: { code: string }) => code,
    );
    await server.next('Tread');
    vi.advanceTimersByTime(TIMEOUT * 1.25);
    const flush = await server.next('Tflush');
    abort.abort({ dying: false });
    await server.quiet();
    server.reply(flush.tag, 'Rflush', {});
    expect(await end).toBe('ETIMEDOUT');
    await turn();
    await expectIdle(client, 1);
  });
});
