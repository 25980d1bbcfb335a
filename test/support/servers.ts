// Servers that are wrong in one way each, for what a client says of them. They run in the test's own process.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface FakeServer {
  /** tcp!127.0.0.1!PORT */
  address: string;
  port: number;
  /** Settles when so many messages have come in; the n-th waits for the answer to the one before it. */
  heard(messages: number): Promise<void>;
  /** Settles when nobody is connected any more. */
  left(): Promise<void>;
  close(): Promise<void>;
}

async function listen(onConnection: (socket: Socket) => void): Promise<FakeServer> {
  const sockets = new Set<Socket>();
  const listeners: { messages: number; tell: () => void }[] = [];
  let heard = 0;
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined); // the client may leave as it likes
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', () => {
      heard++;
      for (const listener of listeners) if (heard >= listener.messages) listener.tell();
    });
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  return {
    address: `tcp!127.0.0.1!${port}`,
    port,
    heard: (messages) =>
      new Promise((tell) => {
        if (heard >= messages) tell();
        else listeners.push({ messages, tell });
      }),
    async left() {
      await Promise.all([...sockets].map((socket) => once(socket, 'close')));
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Rversion in the bytes of version(5): size[4] type[1] tag[2] msize[4] version[s]. */
function rversion(msize: number, version: string): Buffer {
  const frame = Buffer.alloc(13 + version.length);
  frame.writeUInt32LE(frame.length, 0);
  frame.writeUInt8(101, 4);
  frame.writeUInt16LE(0xffff, 5);
  frame.writeUInt32LE(msize, 7);
  frame.writeUInt16LE(version.length, 11);
  frame.write(version, 13, 'latin1');
  return frame;
}

/** Answers everything that it is sent with the same bytes. */
export function answering(bytes: string | Buffer): Promise<FakeServer> {
  return listen((socket) => socket.on('data', () => socket.write(bytes)));
}

/** Speaks first, as mail servers and ssh do. */
export function greeting(text: string): Promise<FakeServer> {
  return listen((socket) => socket.write(text));
}

/** Answers Tversion, and nothing after it. */
export function versionOnly(version: string, msize = 65536): Promise<FakeServer> {
  return listen((socket) => socket.once('data', () => socket.write(rversion(msize, version))));
}

/** Accepts, and never says a word. */
export function mute(): Promise<FakeServer> {
  return listen((socket) => socket.resume());
}

/**
 * Nobody listens there, and nobody can begin to: it is the near end of a connection. A port that was closed could be given
 * to anybody, also to the one who connects to it, who would then talk to himself.
 */
export async function nobody(): Promise<Pick<FakeServer, 'address' | 'port' | 'close'>> {
  const far = await listen((socket) => socket.resume());
  // an address of its own has the system bind it before it connects, and keep the port from others
  const near = connect({ host: '127.0.0.1', port: far.port, localAddress: '127.0.0.1' });
  await once(near, 'connect');
  const { localPort = 0 } = near;
  return {
    address: `tcp!127.0.0.1!${localPort}`,
    port: localPort,
    async close() {
      near.destroy();
      await far.close();
    },
  };
}

/** Accepts, and hangs up. */
export function hangingUp(): Promise<FakeServer> {
  return listen((socket) => socket.destroy());
}
