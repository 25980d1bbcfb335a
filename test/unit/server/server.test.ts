// The server as a whole: real sockets, its statistics, its log, its end.

import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError } from '../../../src/common/errors.ts';
import { type Logger, silent } from '../../../src/common/log.ts';
import { hostTree, memoryTree, Server, serve } from '../../../src/server/server.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import { connectSocket } from '../../../src/transport/socket.ts';
import { Raw9p } from '../../support/raw9p.ts';
import { withTempDir } from '../../support/tempdir.ts';

const loopback = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

test('over TCP: the address has the real port, large reads and writes arrive whole', async () => {
  const serving = await serve({ address: loopback, tree: memoryTree() });
  const { address } = serving;
  expect(address.kind === 'tcp' && address.port).toBeGreaterThan(0);
  const raw = new Raw9p(await connectSocket(address));
  await raw.version(1024 * 1024 + 24);
  await raw.attach(0, 0);
  const fid = await raw.create(0, 'f');
  const data = Buffer.alloc(8 * 1024 * 1024);
  for (let i = 0; i < data.length; i++) data[i] = (i * 7 + (i >> 12)) & 0xff;
  const step = 1024 * 1024;
  await Promise.all(
    Array.from({ length: 8 }, (_, i) => raw.write(fid, data.subarray(i * step, (i + 1) * step), i * step)),
  );
  const parts = await Promise.all(Array.from({ length: 8 }, (_, i) => raw.read(fid, i * step, step)));
  expect(Buffer.concat(parts).equals(data)).toBe(true);
  expect(serving.stats).toMatchObject({ accepted: 1, connections: [{ tags: 0, fids: 2 }] });
  await serving.close();
  await raw.closed;
});

test('over a unix socket, which goes with the server', () =>
  withTempDir(async (dir) => {
    const path = join(dir, 'socket');
    const serving = await serve({ address: { kind: 'unix', path }, tree: memoryTree() });
    const [one, two] = await Promise.all(
      [1, 2].map(async () => new Raw9p(await connectSocket({ kind: 'unix', path }))),
    );
    for (const raw of [one!, two!]) {
      await raw.version();
      await raw.attach(0, 0);
    }
    await one!.write(await one!.create(0, 'f'), 'text');
    expect((await two!.read(await two!.open('f'))).toString()).toBe('text');
    await serving.close();
    expect(existsSync(path)).toBe(false);
    await Promise.all([one!.closed, two!.closed]);
  }));

test('an address in use is a ConfigError', async () => {
  const serving = await serve({ address: loopback, tree: memoryTree() });
  await expect(serve({ address: serving.address, tree: memoryTree() })).rejects.toThrow(ConfigError);
  await serving.close();
});

test('closing does not wait for clients that say nothing', async () => {
  const serving = await serve({ address: loopback, tree: memoryTree() });
  if (serving.address.kind !== 'tcp') throw new Error('not TCP');
  const socket = connect(serving.address.port, serving.address.host);
  const ended = new Promise((resolve) => socket.on('close', resolve));
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.on('connect', resolve));
  await serving.close();
  await serving.close();
  await ended;
});

test('what a client did wrong is logged once, at warn, with its address', async () => {
  const lines: { level: string; fields: object; message: string }[] = [];
  const at = (level: string) => (fields: object, message: string) => lines.push({ level, fields, message });
  const logger: Logger = {
    ...silent,
    warn: at('warn'),
    error: at('error'),
    trace: at('trace'),
    isLevelEnabled: () => true,
  };
  const server = new Server({ tree: memoryTree(), logger });
  const [ours, theirs] = memoryPair();
  const done = server.serveTransport(theirs);
  const raw = new Raw9p(ours);
  await raw.version();
  await raw.attach(0, 0);
  raw.bytes(Buffer.from('03000000' + '78' + '0100', 'hex'));
  await done;
  const warnings = lines.filter(({ level }) => level !== 'trace');
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatchObject({
    level: 'warn',
    fields: { peer: 'memory a', error: expect.stringContaining('3 bytes') },
  });
  const trace = lines.filter(({ level }) => level === 'trace').map(({ message }) => message);
  expect(trace).toContain('<- Tversion tag 65535 msize 65560 version "9P2000.L"');
  expect(trace.some((line) => line.startsWith('-> Rattach tag 1 qid (80 v'))).toBe(true);
  await server.close();
});

test('a directory that is not there is a ConfigError', () => {
  expect(() => hostTree('/nowhere/at/all')).toThrow(ConfigError);
  expect(() => hostTree('/etc/passwd')).toThrow(ConfigError);
});

test('a connection that comes after close() is ended', async () => {
  const server = new Server({ tree: memoryTree() });
  await server.close();
  const [ours, theirs] = memoryPair();
  const raw = new Raw9p(ours);
  await server.serveTransport(theirs);
  await raw.closed;
});
