// Twstats that leave the mode alone, on a server that does so and on one that takes "don't touch" for a mode: what they
// cost, and that every mode is in the end what it was.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Connection } from '../../../src/client/connection.ts';
import type { Dialect } from '../../../src/client/dialects/dialect.ts';
import type { Version } from '../../../src/client/dialects/versions.ts';
import type { Fid } from '../../../src/client/fids.ts';
import { Session } from '../../../src/client/session.ts';
import { Abort } from '../../../src/common/abort.ts';
import { errno } from '../../../src/common/errno.ts';
import { DM, QT } from '../../../src/wire/p9/constants.ts';
import type { Message } from '../../../src/wire/p9/messages.ts';
import { type Stat, UNTOUCHED } from '../../../src/wire/p9/stat.ts';
import { expectCancelled, expectIdle, expectNothingAfterEnd } from '../../support/leaks.ts';
import { keepingLogger, type Line } from '../../support/notes.ts';
import { type Scripted, scripted } from '../../support/scripted.ts';
import { stat } from '../../support/spoken.ts';

/** What becomes of a file's mode when a server takes "don't touch" for one. */
const MISTAKEN = 0x7fffffff;
const OLD = DM.TMP + 0o640;

let client: Connection;
let server: Scripted;
let dialect: Dialect;
let fid: Fid;
/** Another fid of the same file. */
let other: Fid;

/** One file, of every fid. */
let mode: number;
/** Takes "don't touch" for a mode. */
let mistakes: boolean;
/** qid.path of the file. */
let path: bigint;
/** What came, and to be answered. */
let asked: string[];
/** Sees a message first; true: the answer is its affair. */
let before: (message: Message) => boolean;

function answer(message: Message): void {
  if (before(message)) return;
  const { tag, type } = message;
  const qid = { type: 0, version: 1, path };
  if (type === 'Tstat') server.reply(tag, 'Rstat', { stat: { ...stat, qid, mode } satisfies Stat });
  else if (type === 'Twstat') {
    // what ramfs makes of it: all but the bit of a directory
    if (mistakes || message.stat.mode !== UNTOUCHED.mode) mode = (message.stat.mode & MISTAKEN) >>> 0;
    server.reply(tag, 'Rwstat', {});
  } else if (type === 'Tattach') server.reply(tag, 'Rattach', { qid: { ...qid, type: QT.DIR } });
  else if (type === 'Twalk') server.reply(tag, 'Rwalk', { qids: message.names.map(() => qid) });
  else if (type === 'Tclunk') server.reply(tag, 'Rclunk', {});
  else if (type === 'Tflush') server.reply(tag, 'Rflush', {});
  else throw new Error(`not expected: ${type}`);
}

/** In a letter or two each: s a Tstat, w a Twstat that says "don't touch", m one that names a mode. */
function note(message: Message): void {
  if (message.type === 'Tstat') asked.push('s');
  if (message.type === 'Twstat') asked.push(message.stat.mode === UNTOUCHED.mode ? 'w' : 'm');
}

/** What has come since the last time. */
const came = () => asked.splice(0).join('');

let notes: Line[];

async function begin(version: Version): Promise<void> {
  const { logger, lines } = keepingLogger();
  notes = lines;
  mode = OLD;
  mistakes = false;
  path = 7n;
  asked = [];
  before = () => false;
  ({ client, server } = await scripted({ version, logger }));
  server.answer = (message) => {
    note(message);
    answer(message);
  };
  ({ dialect } = new Session(client));
  const root = await dialect.attach('me', '', 0);
  fid = await dialect.walk(root, ['file']);
  other = await dialect.walk(root, ['file']);
}

afterEach(async () => {
  vi.useRealTimers();
  await expectNothingAfterEnd(client);
});

/** Truncates: a Twstat that leaves the mode alone. */
const cut = (which = fid, signal?: Abort) => dialect.change(which, { size: 0 }, signal);

/** Holds back the n-th message of a type; the promise is that message. */
function hold(type: Message['type'], n = 1): Promise<Message> {
  let left = n;
  return new Promise((resolve) => {
    before = (message) => {
      if (message.type !== type || --left > 0) return false;
      before = () => false;
      resolve(message);
      return true;
    };
  });
}

describe.each<Version>(['9P2000.u', '9P2000'])('%s', (version) => {
  beforeEach(() => begin(version));

  describe('a server that leaves the mode alone', () => {
    test('is asked for the mode once more after the first Twstat, and never again', async () => {
      await dialect.stat(fid);
      came();
      await cut();
      expect(came()).toBe('ws');
      await cut();
      await dialect.fsync(other, false);
      await dialect.change(fid, { uid: 1 });
      expect(came()).toBe('www');
      expect(mode).toBe(OLD);
      await expectIdle(client, 3);
    });

    test('is asked before as well where the mode was not seen, or may have been changed since', async () => {
      await cut();
      expect(came()).toBe('sws');

      await begin(version);
      await dialect.stat(fid);
      await dialect.change(other, { mode: 0o600 });
      expect(came()).toBe('ssm');
      await cut();
      expect(came()).toBe('sws');
      expect(mode).toBe(DM.TMP + 0o600);
    });

    test('is asked once by Twstats that are made at once', async () => {
      await Promise.all([cut(), cut(other), dialect.fsync(other, false)]);
      expect(came()).toBe('swsww');
    });

    test('has shown nothing where it refused, or could not be asked afterwards', async () => {
      const refused = hold('Twstat');
      const cutting = cut();
      server.reply((await refused).tag, 'Rerror', { ename: 'permission denied', ecode: errno.EACCES });
      await expect(cutting).rejects.toMatchObject({ code: 'EACCES' });
      expect(came()).toBe('sw');

      // the fid is a path that another client has taken the file away from
      const unasked = hold('Tstat');
      const again = cut();
      server.reply((await unasked).tag, 'Rerror', { ename: 'file does not exist', ecode: errno.ENOENT });
      await again;
      expect(came()).toBe('ws');
      expect(notes).toContainEqual(expect.objectContaining({ level: 'warn', errno: 'ENOENT' }));
      await cut();
      expect(came()).toBe('ws');
      await cut();
      expect(came()).toBe('w');
    });
  });

  describe('a server that takes it for a mode', () => {
    beforeEach(() => {
      mistakes = true;
    });

    test('gets the old mode back, and is told the mode in every further Twstat', async () => {
      await dialect.stat(fid);
      came();
      await cut();
      expect(came()).toBe('wsm');
      expect(mode).toBe(OLD);
      await cut(other);
      expect(came()).toBe('sm');
      await dialect.fsync(fid, false);
      expect(came()).toBe('sm');
      expect(mode).toBe(OLD);
      expect(notes).toContainEqual(expect.objectContaining({ level: 'info', mode: MISTAKEN }));
      await expectIdle(client, 3);
    });

    test('keeps what another client makes of the mode', async () => {
      await dialect.stat(fid);
      await cut();
      mode = 0o600;
      await cut();
      expect(mode).toBe(0o600);
      await dialect.change(fid, { mode: 0o644 });
      expect(mode).toBe(0o644);
    });

    test('renames without a change of the mode', async () => {
      const root = await dialect.walk(fid, []);
      root.qid = { ...root.qid, type: QT.DIR };
      await dialect.rename(root, 'a', root, 'b');
      expect(came()).toBe('swsm');
      await dialect.rename(root, 'b', root, 'c');
      expect(came()).toBe('sm');
      expect(mode).toBe(OLD);
      await expectIdle(client, 4);
    });

    test('shows nothing by a file that has such a mode already', async () => {
      mode = MISTAKEN;
      await cut();
      expect(came()).toBe('sw');
      mode = OLD;
      await dialect.stat(fid);
      came();
      await cut();
      expect(came()).toBe('wsm');
      expect(mode).toBe(OLD);
    });

    test('is not told the old mode by a fid that is a path, and reaches another file meanwhile', async () => {
      await dialect.stat(fid);
      came();
      const second = hold('Tstat');
      const cutting = cut();
      const { tag } = await second;
      server.reply(tag, 'Rstat', { stat: { ...stat, qid: { ...stat.qid, path: 99n }, mode: MISTAKEN } });
      await cutting;
      expect(came()).toBe('ws');
    });

    test('is not told a mode by others while it has the mistaken one', async () => {
      await dialect.stat(fid);
      const asking = hold('Tstat');
      const cutting = cut();
      const asked = await asking;
      const changing = dialect.change(other, { mode: 0o600 });
      const syncing = dialect.fsync(other, false);
      answer(asked);
      await Promise.all([cutting, changing, syncing]);
      expect(mode).toBe(DM.TMP + 0o600);
    });

    test('gets the old mode back also where the caller gives up in the middle', async () => {
      await dialect.stat(fid);
      const abort = new Abort();
      const asking = hold('Tstat');
      const cutting = cut(fid, abort);
      const asked = await asking;
      abort.abort();
      answer(asked);
      await cutting;
      expect(mode).toBe(OLD);
      await expectIdle(client, 3);
    });

    test('is given up by a caller that has waited long enough, who is not told that nothing has happened', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
      await dialect.stat(fid);
      const abort = new Abort();
      const asking = hold('Tstat');
      const ending = cut(fid, abort).catch((error: { code: string }) => error.code);
      await asking;
      abort.abort();
      vi.advanceTimersByTime(client.flushTimeout);
      expect(await ending).toBe('ETIMEDOUT');
      // the next one finds it out
      mode = OLD;
      await cut();
      expect(mode).toBe(OLD);
      await expectIdle(client, 3);
    });

    test('gets nothing from a caller that gave up before it had an effect', async () => {
      const abort = new Abort();
      const held = hold('Twstat');
      const cutting = cut(fid, abort);
      await held;
      abort.abort();
      await expectCancelled(cutting);
      expect(came()).toBe('sw');
      // one that waited for the first takes its place
      await cut(other);
      expect(came()).toBe('swsm');
      expect(mode).toBe(OLD);
      await expectIdle(client, 3);
    });

    test('that refuses the old mode is complained of, and the call has done what it was to do', async () => {
      await dialect.stat(fid);
      const putting = hold('Twstat', 2);
      const cutting = cut();
      server.reply((await putting).tag, 'Rerror', { ename: 'not owner', ecode: errno.EPERM });
      await cutting;
      expect(notes).toContainEqual(expect.objectContaining({ level: 'warn', errno: 'EPERM', mode: OLD }));
    });
  });
});
