// Corners of the protocol: what is removed and renamed where the server lacks the message for it, and servers that do not know one.

import { describe, expect, test, vi } from 'vitest';
import { ROOT } from '../../src/bridge/nodes/node.ts';
import { errno } from '../../src/common/errno.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';
import { turn } from '../support/scripted.ts';

const stage = bridgeStage();
const { answer, got, lookup, refuse } = stage;

describe.each([errno.EOPNOTSUPP, errno.ENOSYS])('on a server that answers errno %i', (ecode) => {
  test('unlinkat -> remove fallback: the kind is looked at first, and the server is not asked twice', async () => {
    answer({ Tunlinkat: refuse(ecode) });
    await expect(stage.at.ops.unlink(caller(), ROOT, 'dir')).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(stage.at.ops.rmdir(caller(), ROOT, 'file')).rejects.toMatchObject({ code: 'ENOTDIR' });
    expect(got('Tremove')).toEqual([]);
    await stage.at.ops.unlink(caller(), ROOT, 'file');
    await stage.at.ops.rmdir(caller(), ROOT, 'dir');
    expect(got('Tremove')).toHaveLength(2);
    expect(got('Tunlinkat')).toHaveLength(1);
  });

  test('renameat -> rename -> wstat: a Trename by a fid of the file, and the server is not asked twice', async () => {
    answer({ Trenameat: refuse(ecode) });
    const dir = await lookup('dir');
    await stage.at.ops.rename(caller(), ROOT, 'a', dir, 'b', 0);
    await stage.at.ops.rename(caller(), dir, 'b', ROOT, 'c', 0);
    expect(got('Trenameat')).toHaveLength(1);
    expect(got('Trename').map(({ name }) => name)).toEqual(['b', 'c']);
  });

  test('renameat -> rename -> wstat: without that there is EXDEV, for which mv copies', async () => {
    answer({ Trenameat: refuse(ecode), Trename: refuse(ecode) });
    const renaming = Promise.resolve(stage.at.ops.rename(caller(), ROOT, 'a', ROOT, 'b', 0));
    await expect(renaming).rejects.toMatchObject({ code: 'EXDEV' });
  });
});

test.each([1, 2, 4])('No RENAME_NOREPLACE/EXCHANGE in .L: flags %i are EINVAL, and nothing is sent', async (flags) => {
  const before = stage.at.files.received.length;
  const renaming = Promise.resolve().then(() => stage.at.ops.rename(caller(), ROOT, 'a', ROOT, 'b', flags));
  await expect(renaming).rejects.toMatchObject({ code: 'EINVAL' });
  expect(stage.at.files.received).toHaveLength(before);
});

describe('Unknown message replies', () => {
  test('Unknown message replies: an error that says nothing of the message is the answer', async () => {
    answer({ Tunlinkat: refuse(errno.EIO) });
    for (let i = 0; i < 2; i++) {
      await expect(stage.at.ops.unlink(caller(), ROOT, 'file')).rejects.toMatchObject({ code: 'EIO' });
    }
    expect(got('Tunlinkat')).toHaveLength(2);
    expect(got('Tremove')).toEqual([]);
  });

  test('Unknown message replies: a hang-up is EIO to all', async () => {
    answer({
      Tstatfs: () => {
        stage.at.client.close();
        return true;
      },
    });
    await expect(Promise.resolve(stage.at.ops.statfs(caller(), ROOT))).rejects.toMatchObject({ errno: errno.EIO });
  });

  test('Unknown message replies: silence ends with timeout=, where that is set, and costs the one call', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
    await stage.again({ requests: { timeout: 3000 } });
    answer({ Tstatfs: () => true });
    const asking = Promise.resolve(stage.at.ops.statfs(caller(), ROOT));
    const failed = expect(asking).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    for (let i = 0; i < 10; i++) await turn();
    vi.advanceTimersByTime(4000);
    await failed;
    expect(got('Tflush')).toHaveLength(1);
    answer({});
    await lookup('file');
  });
});
