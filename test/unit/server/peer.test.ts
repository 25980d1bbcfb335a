// Whose the other end of a real socket is: also of one that was handed to another process, or that is no more.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { uidAt } from '../../../src/server/peer.ts';
import { type Listener, listenSocket } from '../../../src/transport/socket.ts';
import type { Transport } from '../../../src/transport/transport.ts';
import { makeTempDir, removeTempDir } from '../../support/tempdir.ts';

const asRoot = process.geteuid?.() === 0 && process.platform === 'linux';
const NOBODY = 65534;

let listener: Listener | undefined;
let dir: string | undefined;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await listener?.close();
  if (dir !== undefined) await removeTempDir(dir);
  dir = undefined;
});

/** Listens; the result is what connects to it, and the transport that it accepts next. */
async function listen(kind: 'tcp' | 'unix') {
  dir = await makeTempDir('peer');
  let accept: (transport: Transport) => void = () => {};
  const accepted = new Promise<Transport>((resolve) => {
    accept = resolve;
  });
  const address = kind === 'tcp' ? { kind, host: '127.0.0.1', port: 0 } : { kind, path: join(dir, 'socket') };
  listener = await listenSocket(address, (transport) => accept(transport));
  const bound = listener.address;
  return { target: bound.kind === 'tcp' ? { port: bound.port, host: bound.host } : { path: bound.path }, accepted };
}

describe.each(['tcp', 'unix'] as const)('%s', (kind) => {
  test('is who connected', async () => {
    const { target, accepted } = await listen(kind);
    sockets.push(connect(target as never));
    const transport = await accepted;
    expect(await uidAt(transport.accepted)).toBe(process.geteuid?.());
    transport.close();
  });

  test('is nobody once the socket is closed', async () => {
    const { target, accepted } = await listen(kind);
    sockets.push(connect(target as never));
    const transport = await accepted;
    transport.close();
    expect(await uidAt(transport.accepted)).toBeUndefined();
  });
});

test('a connection that is no more is nobody, whoever is between the same two ends by now', async () => {
  const { target, accepted } = await listen('tcp');
  sockets.push(connect(target as never));
  const transport = await accepted;
  const { ends, descriptor } = transport.accepted!;
  expect(await uidAt({ ends, descriptor, connected: true })).toBe(process.geteuid?.());
  expect(await uidAt({ ends, descriptor, connected: false })).toBeUndefined();
  transport.close();
});

test('a socket knows when the other end has reset it', async () => {
  const { target, accepted } = await listen('tcp');
  const client = connect(target as never);
  sockets.push(client);
  const transport = await accepted;
  expect(transport.accepted?.connected).toBe(true);
  client.resetAndDestroy();
  await once(client, 'close');
  expect(transport.accepted?.connected).toBe(false);
});

/** Connects as another user and hands the socket to its parent. */
const PASSER = `
  const { connect } = require('node:net');
  const socket = connect(JSON.parse(process.argv[1]), () => process.send('socket', socket, { keepOpen: false }));
  process.on('disconnect', () => process.exit());
`;

test.runIf(asRoot)('a socket that was handed to root is still the one of who made it', async () => {
  const { target, accepted } = await listen('tcp');
  const child = fork('-e', [PASSER, JSON.stringify(target)], { uid: NOBODY, gid: NOBODY, execArgv: [] });
  const [, socket] = (await once(child, 'message')) as [string, Socket];
  sockets.push(socket);
  const ended = once(child, 'exit');
  child.disconnect();
  await ended;
  const transport = await accepted;
  expect(await uidAt(transport.accepted)).toBe(NOBODY);
  transport.close();
});
