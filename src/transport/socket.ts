// Transport over net.Socket: TCP and unix sockets, connecting and listening.
// Frames of one tick leave in one writev. A connecting socket reads straight into the receiver's memory (onread);
// an accepted one cannot (node:net has no such option there) and hands its chunks over.

import { type ListenOptions, Server, Socket } from 'node:net';
import { CancelledError, ConfigError, ConnectionError } from '../common/errors.ts';
import { type Address, formatAddress } from './address.ts';
import type { AcceptedSocket, ConnectOptions, Receiver, Transport } from './transport.ts';

/** What node keeps beneath a socket, as far as it is needed here. */
interface Handle {
  readonly fd: number;
  /** Bytes that the system has not taken of what was written. */
  readonly writeQueueSize: number;
  /** Asks the kernel; 0 when it is connected. Unix sockets lack it. */
  getpeername?(out: object): number;
}

function handleOf(socket: Socket): Handle | null {
  return (socket as unknown as { readonly _handle: Handle | null })._handle;
}

class Accepted implements AcceptedSocket {
  readonly ends: AcceptedSocket['ends'];
  readonly #socket: Socket;

  constructor(socket: Socket) {
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    this.#socket = socket;
    this.ends =
      localAddress === undefined || localPort === undefined || remoteAddress === undefined || remotePort === undefined
        ? undefined
        : [
            { host: localAddress, port: localPort },
            { host: remoteAddress, port: remotePort },
          ];
  }

  get descriptor(): number | undefined {
    const fd = handleOf(this.#socket)?.fd ?? -1;
    return fd < 0 ? undefined : fd;
  }

  get connected(): boolean {
    // node's own remoteAddress is what it was told once
    return handleOf(this.#socket)?.getpeername?.({}) === 0;
  }
}

class SocketTransport implements Transport {
  readonly peer: string;
  readonly accepted?: AcceptedSocket;
  readonly closed: Promise<Error | undefined>;
  onDrain: (() => void) | undefined;
  readonly #socket: Socket;
  #corked = false;
  #error: Error | undefined;
  readonly #begin: (receiver: Receiver) => void;

  constructor(
    socket: Socket,
    peer: string,
    begin: (receiver: Receiver, guard: (deliver: () => void) => void) => void,
    accepted?: AcceptedSocket,
  ) {
    this.#socket = socket;
    this.peer = peer;
    if (accepted !== undefined) this.accepted = accepted;
    this.#begin = (receiver) => begin(receiver, (deliver) => this.#guard(deliver));
    socket.on('drain', () => this.onDrain?.());
    socket.on('error', (error) => {
      this.#error ??= new ConnectionError(`${peer}: ${error.message}`, { cause: error });
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', () => resolve(this.#error));
    });
    if (socket.remotePort !== undefined) socket.setNoDelay(true);
  }

  get unsent(): number {
    return handleOf(this.#socket)?.writeQueueSize ?? 0;
  }

  start(receiver: Receiver): void {
    this.#begin(receiver);
  }

  send(head: Uint8Array, payload?: Uint8Array, taken?: () => void): boolean {
    const socket = this.#socket;
    if (!socket.writable) {
      if (taken !== undefined) process.nextTick(taken);
      return false;
    }
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        socket.uncork();
      });
    }
    if (payload === undefined) return socket.write(head, taken);
    socket.write(head);
    return socket.write(payload, taken);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #guard(deliver: () => void): void {
    if (this.#socket.destroyed) return;
    try {
      deliver();
    } catch (error) {
      this.close(error as Error);
    }
  }
}

function target(address: Address): { host: string; port: number } | { path: string } {
  return address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
}

const REFUSALS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing is listening there',
  ENOENT: 'there is no such socket',
  ENOTFOUND: 'the name does not resolve',
  EAI_AGAIN: 'the name does not resolve (no answer from the resolver)',
  EHOSTUNREACH: 'the host is not reachable',
  ENETUNREACH: 'the network is not reachable',
  EACCES: 'permission denied',
  ENOTSOCK: 'that is not a socket',
};

/** Connects, within options.timeout milliseconds where given. Rejects with ConnectionError (says why), or CancelledError. */
export function connectSocket(address: Address, options: ConnectOptions = {}): Promise<Transport> {
  const peer = formatAddress(address);
  const { signal, timeout } = options;
  if (signal?.aborted) return Promise.reject(new CancelledError(`connecting to ${peer}`));
  return new Promise((resolve, reject) => {
    let receiver: Receiver | undefined;
    let guard: ((deliver: () => void) => void) | undefined;
    // node asks for the first window when it makes the handle, long before start(): that one read comes in here
    const first = Buffer.alloc(64);
    const socket = new Socket({
      allowHalfOpen: false,
      onread: {
        buffer: () => receiver?.window() ?? first,
        callback: (count: number, buffer: Uint8Array) => {
          guard?.(() => {
            if (buffer === first) receiver?.push(Buffer.from(first.subarray(0, count)));
            else receiver?.filled(count);
          });
          return true;
        },
      },
    } as ConstructorParameters<typeof Socket>[0]);
    const clock =
      timeout === undefined
        ? undefined
        : setTimeout(() => fail(new ConnectionError(`${peer}: no connection within ${timeout / 1000} s`)), timeout);
    const cancel = () => fail(new CancelledError(`connecting to ${peer}`));
    const settle = () => {
      clearTimeout(clock);
      signal?.removeEventListener('abort', cancel);
      socket.off('error', refuse);
    };
    const fail = (error: Error) => {
      settle();
      socket.on('error', () => undefined); // what a destroyed socket still says is of no interest
      socket.destroy();
      reject(error);
    };
    const refuse = (error: NodeJS.ErrnoException) => {
      fail(new ConnectionError(`${peer}: ${REFUSALS[error.code ?? ''] ?? error.message}`, { cause: error }));
    };
    signal?.addEventListener('abort', cancel, { once: true });
    socket.pause(); // or node would begin to read as soon as it is connected
    socket.once('error', refuse);
    socket.once('connect', () => {
      settle();
      resolve(
        new SocketTransport(socket, peer, (to, guarded) => {
          receiver = to;
          guard = guarded;
          socket.resume();
        }),
      );
    });
    try {
      socket.connect(target(address));
    } catch (error) {
      refuse(error as Error); // a port that is none
    }
  });
}

export interface Listener {
  /** The address with the real port. */
  readonly address: Address;
  /** Accepts no more, from now on: the port is free, the unix socket's name removed. Connections that exist go on. */
  close(): Promise<void>;
}

/**
 * Listens; each connection is handed over as a transport that has not started. Rejects with ConfigError (exit 1).
 * `failed` hears of connections that could not be accepted (too many open files); listening goes on.
 */
export function listenSocket(
  address: Address,
  accept: (transport: Transport) => void,
  failed: (error: Error) => void = process.emitWarning,
): Promise<Listener> {
  const server = new Server({ pauseOnConnect: true, noDelay: true });
  let serial = 0;
  server.on('connection', (socket) => {
    serial++;
    const peer =
      socket.remotePort === undefined ? `unix client ${serial}` : `tcp!${socket.remoteAddress}!${socket.remotePort}`;
    const begin = (receiver: Receiver, guard: (deliver: () => void) => void) => {
      socket.on('data', (chunk: Buffer) => guard(() => receiver.push(chunk)));
      socket.resume();
    };
    accept(new SocketTransport(socket, peer, begin, new Accepted(socket)));
  });
  return new Promise((resolve, reject) => {
    const refuse = (error: Error) => {
      reject(new ConfigError(`cannot listen on ${formatAddress(address)}: ${error.message}`, 1, { cause: error }));
    };
    server.once('error', refuse);
    server.listen(target(address) as ListenOptions, () => {
      server.off('error', refuse);
      server.on('error', failed);
      const bound = server.address();
      resolve({
        address:
          bound !== null && typeof bound === 'object' && address.kind === 'tcp'
            ? { ...address, port: bound.port }
            : address,
        // the listening socket is closed when this returns; what node reports later is that the last connection has ended
        close: async () => void server.close(),
      });
    });
  });
}
