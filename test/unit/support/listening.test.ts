// Whether a process listens on a port is seen from outside, also when another process does.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { listensOn } from '../../support/listening.ts';

test.each(['127.0.0.1', '0.0.0.0'])('a port of %s is taken for the process that listens there', async (host) => {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const other = spawn('sleep', ['60']);
  await once(other, 'spawn');
  try {
    expect(await listensOn(process.pid, port)).toBe(true);
    expect(await listensOn(other.pid ?? 0, port)).toBe(false);
    server.close();
    await once(server, 'close');
    expect(await listensOn(process.pid, port)).toBe(false);
  } finally {
    server.close();
    const gone = once(other, 'exit');
    other.kill();
    await gone;
  }
  expect(await listensOn(other.pid ?? 0, port)).toBe(false);
});
