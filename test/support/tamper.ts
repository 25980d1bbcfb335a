// A proxy between a real client and a real server that changes what the server says: for tests of what a client must
// survive. It forwards whole frames, so that a change is made to a message and not to a piece of one.

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { parseAddress } from '../../src/transport/address.ts';

/** What becomes of a frame from the server: other bytes, in one piece or several, or some last ones and the end. */
export type Tamper = (frame: Buffer) => Buffer | Buffer[] | { last: Buffer };

export interface TamperProxy {
  readonly address: string;
  /** Applied to every frame while it is set. */
  tamper: Tamper | undefined;
  /** Connections that are open now. */
  readonly connections: number;
  close(): Promise<void>;
}

/** Calls `each` with every whole frame of a stream. */
export function frames(socket: Socket, each: (frame: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= rest.readUInt32LE(0)) {
      const size = rest.readUInt32LE(0);
      each(rest.subarray(0, size));
      rest = rest.subarray(size);
    }
  });
}

export async function tamperProxy(target: string): Promise<TamperProxy> {
  const to = parseAddress(target);
  if (to.kind !== 'tcp') throw new Error(`${target}: only tcp`);
  const open = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect(to.port, to.host);
    const end = () => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.on('error', end);
      socket.on('close', () => {
        open.delete(socket);
        end();
      });
    }
    client.pipe(server);
    frames(server, (frame) => {
      const changed = self.tamper === undefined ? frame : self.tamper(frame);
      if ('last' in changed) client.end(changed.last, end);
      else for (const piece of [changed].flat()) client.write(piece);
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const bound = proxy.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  const self: TamperProxy = {
    address: `tcp!127.0.0.1!${bound.port}`,
    tamper: undefined,
    get connections() {
      return open.size / 2;
    },
    async close() {
      for (const socket of open) socket.destroy();
      proxy.close();
      await once(proxy, 'close');
    },
  };
  return self;
}
