// Corners of the protocol: extended attributes, which travel through fids of their own, and servers that have none.

import { describe, expect, test } from 'vitest';
import { errno } from '../../src/common/errno.ts';
import { caller } from '../support/bridged.ts';
import { bridgeStage } from '../support/bridgestage.ts';

const stage = bridgeStage();
const { answer, got, lookup, refuse } = stage;

describe('xattr', () => {
  const value = Buffer.from('value');

  test('xattr: the list is that of an empty name, read in pieces, and its fid is let go', async () => {
    const names = Buffer.from('user.a\0'.repeat(2000));
    stage.at.files.before = (message) => {
      if (message.type === 'Txattrwalk') return stage.at.files.xattr(message, names.length);
      if (message.type === 'Tread') {
        return stage.at.files.say(message, { data: names.subarray(message.offset, message.offset + message.count) });
      }
      return false;
    };
    const file = await lookup('file');
    const list = await stage.at.ops.listxattr(caller(), file);
    expect(Buffer.from(list).equals(names)).toBe(true);
    expect(got('Txattrwalk')).toMatchObject([{ name: '' }]);
    expect(got('Tread').every(({ count }) => count <= 8192 - 24)).toBe(true);
  });

  test('xattr: it is set through a clone, and the result is that of the clunk', async () => {
    const file = await lookup('file');
    answer({
      Tclunk: (message) => got('Txattrcreate').some(({ fid }) => fid === message.fid) && refuse(errno.ENOSPC)(message),
    });
    const setting = Promise.resolve(stage.at.ops.setxattr(caller(), file, 'user.a', value, 0));
    await expect(setting).rejects.toMatchObject({ code: 'ENOSPC' });
    const [created] = got('Txattrcreate');
    expect(got('Twalk').some(({ newfid, names }) => newfid === created?.fid && names.length === 0)).toBe(true);
    // the server of this test keeps a fid whose clunk it refuses
    stage.at.files.forget(created?.fid ?? 0);
  });

  test('xattr: a value of which the server takes a part only is not set', async () => {
    let first = true;
    stage.at.files.before = (message) => {
      if (message.type !== 'Twrite') return false;
      const count = first ? 2 : 0;
      first = false;
      return stage.at.files.say(message, { count });
    };
    const file = await lookup('file');
    const setting = Promise.resolve(stage.at.ops.setxattr(caller(), file, 'user.a', value, 0));
    await expect(setting).rejects.toMatchObject({ code: 'EIO' });
  });

  test('xattr: size 0 removes', async () => {
    const file = await lookup('file');
    await stage.at.ops.removexattr(caller(), file, 'user.a');
    expect(got('Txattrcreate')).toMatchObject([{ name: 'user.a', size: 0, flags: 2 }]);
    expect(got('Twrite')).toEqual([]);
  });

  test('xattr: security.capability is asked for once in a while, not at every write', async () => {
    answer({ Txattrwalk: refuse(errno.ENODATA) });
    const file = await lookup('file');
    for (let i = 0; i < 5; i++) {
      const asking = Promise.resolve().then(() => stage.at.ops.getxattr(caller(), file, 'security.capability'));
      await expect(asking).rejects.toMatchObject({ code: 'ENODATA' });
    }
    expect(got('Txattrwalk')).toHaveLength(1);
  });

  async function asks(count: number): Promise<void> {
    const file = await lookup('file');
    for (let i = 0; i < count; i++) {
      const asking = Promise.resolve().then(() => stage.at.ops.getxattr(caller(), file, 'user.a'));
      await expect(asking).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
    }
  }

  test('xattr: a server that does not know the message is not asked again', async () => {
    answer({ Txattrwalk: refuse(errno.ENOSYS) });
    await asks(3);
    expect(got('Txattrwalk')).toHaveLength(1);
  });

  test('xattr: a server that has none, nor a list of them, is not asked again', async () => {
    answer({ Txattrwalk: refuse(errno.EOPNOTSUPP) });
    await asks(5);
    // of the file, and of the root
    expect(got('Txattrwalk').map(({ name }) => name)).toEqual(['user.a', '', '']);
  });

  test('xattr: one that has a list, or one file system of several that has them, is', async () => {
    answer({ Txattrwalk: (message) => message.name !== '' && refuse(errno.EOPNOTSUPP)(message) });
    await asks(5);
    expect(got('Txattrwalk').filter(({ name }) => name === 'user.a')).toHaveLength(5);
    expect(got('Txattrwalk').filter(({ name }) => name === '')).toHaveLength(1);
  });
});
