// Corners of the protocol: record locks, asked for without waiting at the server, and given up.

import { describe, expect, test, vi } from 'vitest';
import { Abort } from '../../src/common/abort.ts';
import { errno } from '../../src/common/errno.ts';
import { LOCK_EOF, LOCK_STATUS, LOCK_TYPE } from '../../src/common/locktable.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
import { turn } from '../support/scripted.ts';

const stage = bridgeStage();
const { answer, got, lookup, open, refuse } = stage;

describe('Tlock', () => {
  const range = (start: bigint, end: bigint, type: number = LOCK_TYPE.WRLCK) => ({ start, end, type, pid: 42 });

  async function locked(wait: boolean, signal = new Abort(), asked = range(0n, LOCK_EOF)) {
    const file = await lookup('file');
    const fh = await open(file);
    const locking = Promise.resolve(stage.at.ops.setlk(caller(signal), file, fh, 1n, asked, wait));
    return { file, fh, locking };
  }

  test('Tlock: it asks without BLOCK, for a length of 0 to the end, under a name that stays', async () => {
    answer({
      Tlock: (message) => stage.at.files.say(message, { status: LOCK_STATUS.SUCCESS }),
      Tgetlock: (message) => stage.at.files.say(message, { ...message, kind: LOCK_TYPE.UNLCK }),
    });
    const { locking, file, fh } = await locked(false);
    await locking;
    await stage.at.ops.setlk(caller(), file, fh, 1n, range(0n, LOCK_EOF, LOCK_TYPE.UNLCK), false);
    await stage.at.ops.setlk(caller(), file, fh, 2n, range(10n, 19n), false);
    await stage.at.ops.closeFlush(caller(), file, fh, 2n);
    const locks = got('Tlock');
    expect(locks.map(({ kind, start, length }) => [kind, start, length])).toEqual([
      [LOCK_TYPE.WRLCK, 0n, 0n],
      [LOCK_TYPE.UNLCK, 0n, 0n],
      [LOCK_TYPE.WRLCK, 10n, 10n],
      // and the close of a descriptor gives back what its owner has
      [LOCK_TYPE.UNLCK, 0n, 0n],
    ]);
    expect(locks.map(({ flags }) => flags)).toEqual([0, 0, 0, 0]);
    expect(new Set(locks.map(({ clientId, procId }) => `${clientId} ${procId}`)).size).toBe(1);
  });

  test.each([
    ['GRACE', LOCK_STATUS.GRACE],
    ['ERROR', LOCK_STATUS.ERROR],
  ])('Tlock: %s is ENOLCK', async (_name, status) => {
    answer({ Tlock: (message) => stage.at.files.say(message, { status }) });
    await expect((await locked(true)).locking).rejects.toMatchObject({ code: 'ENOLCK' });
  });

  test.each([errno.EOPNOTSUPP, errno.ENOSYS])('Tlock: errno %i is ENOLCK', async (ecode) => {
    answer({ Tlock: refuse(ecode) });
    await expect((await locked(false)).locking).rejects.toMatchObject({ code: 'ENOLCK' });
  });

  test('Tlock: BLOCKED is EAGAIN, or to who waits a reason to ask again, at growing intervals', async () => {
    let status: number = LOCK_STATUS.BLOCKED;
    answer({
      Tlock: (message) => stage.at.files.say(message, { status }),
      Tgetlock: (message) => stage.at.files.say(message, { ...message, kind: LOCK_TYPE.UNLCK }),
    });
    const first = await locked(false);
    await expect(first.locking).rejects.toMatchObject({ code: 'EAGAIN' });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { locking } = await locked(true);
    const asked: number[] = [];
    for (let ms = 0; ms <= 640; ms += 10) {
      const before = got('Tlock').length;
      if (ms > 0) vi.advanceTimersByTime(10);
      for (let i = 0; i < 10; i++) await turn();
      if (got('Tlock').length > before || ms === 0) asked.push(ms);
    }
    // pauses of 10, 20, 40, ... ms
    expect(asked).toEqual([0, 10, 30, 70, 150, 310, 630]);
    status = LOCK_STATUS.SUCCESS;
    vi.advanceTimersByTime(640);
    await locking;
  });

  test('Tlock: who waits can be interrupted, in a pause and while the server is asked', async () => {
    let hold = false;
    answer({ Tlock: (message) => hold || stage.at.files.say(message, { status: LOCK_STATUS.BLOCKED }) });
    for (hold of [false, true]) {
      const abort = new Abort();
      const { locking } = await locked(true, abort);
      for (let i = 0; i < 10; i++) await turn();
      abort.abort();
      await expect(locking).rejects.toMatchObject({ code: 'EINTR' });
    }
  });
});
