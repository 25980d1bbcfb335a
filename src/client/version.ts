// version(9P), the client's side: Tversion, alone on the wire, and all that can come back instead of what was asked for.
// Guarantees: whatever a peer says, one line tells the user what was expected of it; it waits no longer than it is told to.
// Must not close the transport when it rejects: its caller does.

import type { AbortSignalLike } from '../common/abort.ts';
import { errnoName } from '../common/errno.ts';
import { CancelledError, ConfigError, ConnectionError, ProtocolError } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import type { Transport } from '../transport/transport.ts';
import { dotlCodec } from '../wire/p9/codec.ts';
import { MIN_MSIZE, NOTAG, VERSION } from '../wire/p9/constants.ts';
import type { Message } from '../wire/p9/messages.ts';

/** Who gets the frames of a transport: the negotiation first, then the connection. */
export interface Frames {
  frame(bytes: Buffer, start: number, end: number, payload: Uint8Array | undefined): void;
  sink(type: number, tag: number, length: number): Uint8Array | undefined;
  /** What one of the two has thrown. */
  fail(error: Error): void;
}

export interface VersionOptions {
  /** Bytes. */
  msize: number;
  /** Milliseconds; undefined: the signal, or the transport's end, is what ends the wait. */
  timeout: number | undefined;
  signal: AbortSignalLike | undefined;
  logger: Logger;
}

const HINT = 'is it a 9P server?';
/** Characters of a peer's own words that are shown. */
const SHOWN = 60;

/** Asks, and returns the msize on which both agree. `begin` starts the transport; frames then go to `handler.frames`. */
export async function exchangeVersion(
  transport: Transport,
  handler: { frames: Frames },
  options: VersionOptions,
  begin: () => void,
  opening: () => Buffer,
): Promise<number> {
  const { msize, timeout, signal, logger } = options;
  const { peer } = transport;
  let timer: NodeJS.Timeout | undefined;
  let cancel: (() => void) | undefined;
  let unasked: Error | undefined;
  try {
    const reply = await new Promise<Message>((resolve, reject) => {
      if (signal?.aborted) throw new CancelledError(`Tversion to ${peer}`);
      handler.frames = {
        frame(bytes, start, end, payload) {
          const message = dotlCodec.decode(bytes, start, end, payload);
          logger.trace({ tag: message.tag }, `< ${dotlCodec.format(message)}`);
          handler.frames = unaskedFor((error) => {
            unasked = error;
            transport.close(error); // also for the connection, should it be there before anybody looks
          });
          resolve(message);
        },
        sink() {
          throw new ProtocolError('a payload in answer to Tversion');
        },
        fail: (error) => reject(notOurs(peer, error, opening())),
      };
      if (timeout !== undefined) {
        const late = `${peer}: no answer to Tversion within ${timeout / 1000} s; ${HINT}`;
        timer = setTimeout(() => reject(new ConnectionError(late)), timeout);
      }
      cancel = () => reject(new CancelledError(`Tversion to ${peer}`));
      signal?.addEventListener('abort', cancel, { once: true });
      void transport.closed.then((error) => {
        // a reset says no more than an orderly end here, and less to whoever reads it
        const hungUp = new ConnectionError(`${peer}: the server hung up on Tversion; ${HINT}`, { cause: error });
        reject(error === undefined || error instanceof ConnectionError ? hungUp : error);
      });
      begin();
      const question = { msize, version: VERSION.dotl };
      logger.trace({ tag: NOTAG }, `> ${dotlCodec.format({ type: 'Tversion', tag: NOTAG, ...question })}`);
      transport.send(dotlCodec.encode('Tversion', NOTAG, question).head);
    });
    if (unasked !== undefined) throw notOurs(peer, unasked, Buffer.alloc(0));
    return agree(peer, msize, reply);
  } finally {
    clearTimeout(timer);
    if (cancel !== undefined) signal?.removeEventListener('abort', cancel);
  }
}

/** Between Rversion and the connection: nothing has been asked, so that nothing may come. */
function unaskedFor(fail: (error: Error) => void): Frames {
  const refuse = (): never => {
    throw new ProtocolError('a message that nobody asked for, behind Rversion');
  };
  return { frame: refuse, sink: refuse, fail };
}

/** The error of a peer whose first bytes were no frame: in its own words where they are text ("HTTP/1.1 400 ..."). */
function notOurs(peer: string, error: Error, opening: Buffer): ProtocolError {
  const words = /^[\x20-\x7e]{4,}/.exec(opening.toString('latin1'))?.[0];
  const what = words === undefined ? error.message : `the answer is not 9P, it begins with ${quote(words)}`;
  return new ProtocolError(`${peer}: ${what}; ${HINT}`, { cause: error });
}

/** Text of a peer as part of one line: JSON's escapes keep control characters out of it. */
function quote(text: string): string {
  return JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text);
}

/** Checks what the server chose and returns the msize. */
function agree(peer: string, asked: number, reply: Message): number {
  if (reply.type === 'Rlerror' || reply.type === 'Rerror') {
    throw new ConfigError(`${peer}: the server refuses ${VERSION.dotl} (${errnoName(reply.ecode)})`, 1);
  }
  if (reply.type !== 'Rversion') throw new ProtocolError(`${peer}: ${reply.type} in answer to Tversion; ${HINT}`);
  if (reply.tag !== NOTAG) throw new ProtocolError(`${peer}: Rversion with tag ${reply.tag}, not NOTAG`);
  if (reply.version !== VERSION.dotl) {
    const offer = reply.version === VERSION.unknown ? 'does not know it' : `offers ${quote(reply.version)}`;
    throw new ConfigError(`${peer}: ${VERSION.dotl} was asked for, the server ${offer}`, 1);
  }
  if (reply.msize > asked) throw new ProtocolError(`${peer}: msize ${reply.msize}, ${asked} was offered`);
  if (reply.msize < MIN_MSIZE) {
    throw new ConfigError(`${peer}: the server's msize is ${reply.msize}, at least ${MIN_MSIZE} is needed`, 1);
  }
  return reply.msize;
}
