// The library as its users see it: what is exported, and that its parts fit together.

import { expect, test } from 'vitest';
import * as ninefs from '../../src/index.ts';

test('the public surface is this, and changes on purpose only', () => {
  expect(Object.keys(ninefs).sort()).toEqual([
    'Abort',
    'Accounts',
    'CancelledError',
    'ConfigError',
    'ConnectionError',
    'ErrnoError',
    'ProtocolError',
    'Server',
    'Session',
    'connect',
    'decodeText',
    'defaultSettings',
    'encodeText',
    'errno',
    'errnoName',
    'formatAddress',
    'hostTree',
    'memoryTree',
    'mount',
    'parseAddress',
    'parseUserMap',
    'read',
    'serve',
    'silent',
    'write',
  ]);
});

test('a client writes and reads what the embedded server keeps', async () => {
  const { connect, memoryTree, parseAddress, read, serve, write } = ninefs;
  const server = await serve({ address: parseAddress('tcp!127.0.0.1!0'), tree: memoryTree() });
  try {
    const session = await connect(server.address);
    try {
      const root = await session.dialect.attach('me', '', 0);
      const file = await session.dialect.walk(root, []);
      await session.dialect.create(file, 'greeting', 2, 0o644, 0);
      expect(await write(session.calls, file, 0, Buffer.from('hello'), { inOrder: false })).toBe(5);
      const { data, release } = await read(session.calls, file, 0, 100, { whole: true });
      expect(Buffer.from(data).toString()).toBe('hello');
      release();
      await expect(session.dialect.walk(root, ['nothing'])).rejects.toMatchObject({ code: 'ENOENT' });
    } finally {
      session.close();
    }
  } finally {
    await server.close();
  }
});

test('a mount that cannot be is refused with the class that says whose fault it is', async () => {
  const address = ninefs.parseAddress('unix!/nowhere/at/all');
  await expect(ninefs.mount({ address, mountpoint: '/tmp' })).rejects.toBeInstanceOf(ninefs.ConnectionError);
});
