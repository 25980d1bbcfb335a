// The narrow waist between 9P and whatever carries bytes: send whole frames, receive bytes, end once.
// Guarantees of every implementation: frames leave in the order of send(), each completely; `closed` settles exactly
// once; after it nothing is delivered and nothing is sent.

import type { AbortSignalLike } from '../common/abort.ts';

/** Where a transport puts the bytes that it receives. */
export interface Receiver {
  /** The memory for the next read; never empty. With it, filled() is called; a transport that cannot use it calls push(). */
  window(): Buffer;
  filled(count: number): void;
  /** Bytes in memory that the transport will not touch again. */
  push(chunk: Buffer): void;
}

/** One end of a TCP connection. */
export interface SocketEnd {
  readonly host: string;
  readonly port: number;
}

/** What is known of a socket that was accepted, for asking the kernel who is at its other end. */
export interface AcceptedSocket {
  /** Both ends of a TCP connection, ours first; undefined of a unix socket. */
  readonly ends: readonly [ours: SocketEnd, theirs: SocketEnd] | undefined;
  /** Undefined when it is closed. */
  readonly descriptor: number | undefined;
  /** Whether the kernel still has it connected; a closed socket, or one that was reset a moment ago, is not. */
  readonly connected: boolean;
}

export interface Transport {
  /** How the peer is called in logs, an address as the user would write it. */
  readonly peer: string;
  /** Of a socket that a listener has accepted; nothing else has one. */
  readonly accepted?: AcceptedSocket;
  /** Begins to deliver; what receiver throws ends the transport with that error. */
  start(receiver: Receiver): void;
  /**
   * Queues one frame. `taken` runs when the system has taken its bytes or the transport has ended: until then `payload`
   * must not be changed. False: the queue is above its mark, wait for onDrain before sending more that can wait.
   */
  send(head: Uint8Array, payload?: Uint8Array, taken?: () => void): boolean;
  /** Bytes that were sent and that the system has not taken, where that is known. */
  readonly unsent?: number;
  /** Runs whenever a queue that was above its mark has become empty. */
  onDrain: (() => void) | undefined;
  /** Stops and goes on reading, for flow control. */
  pause(): void;
  resume(): void;
  /** Ends it; frames that were sent before but not taken may be lost. Harmless when it has ended. */
  close(error?: Error): void;
  /** With the error that ended it, or undefined after an orderly end by either side. */
  readonly closed: Promise<Error | undefined>;
}

export interface ConnectOptions {
  /** Milliseconds to wait for the connection. */
  timeout?: number;
  signal?: AbortSignalLike;
}
