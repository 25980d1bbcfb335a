// version(9P), the client's side: Tversion, alone on the wire, and all that can come back instead of what was asked for.
// A server that does not speak the first version is asked for the next one on the same connection, or, where it hangs up,
// on another (HungUp says for which).
// Guarantees: whatever a peer says, one line tells the user what was expected of it; it waits no longer than it is told to.
// Must not close the transport when it rejects: its caller does.

import type { AbortSignalLike } from '../common/abort.ts';
import { errnoName } from '../common/errno.ts';
import { CancelledError, ConfigError, ConnectionError, ProtocolError } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import { quoteStart } from '../common/text.ts';
import type { Transport } from '../transport/transport.ts';
import { dotlCodec } from '../wire/p9/codec.ts';
import { MIN_MSIZE, NOTAG, VERSION } from '../wire/p9/constants.ts';
import type { Message } from '../wire/p9/messages.ts';
import { isRefusal } from '../wire/p9/traits.ts';
import type { Version } from './dialects/versions.ts';

/** Who gets the frames of a transport: the negotiation first, then the connection. */
export interface Frames {
  frame(bytes: Buffer, start: number, end: number, payload: Uint8Array | undefined): void;
  sink(type: number, tag: number, length: number): Uint8Array | undefined;
  /** What one of the two has thrown. */
  fail(error: Error): void;
}

export interface VersionOptions {
  /** In this order; a server may answer with the next one instead of the one it is asked for. */
  versions: readonly Version[];
  /** Bytes. */
  msize: number;
  /** Milliseconds for all questions; undefined: the signal, or the transport's end, is what ends the wait. */
  timeout: number | undefined;
  signal: AbortSignalLike | undefined;
  logger: Logger;
}

export interface Agreed {
  version: Version;
  /** Bytes. */
  msize: number;
}

/** The server hung up on a question. */
export class HungUp extends ConnectionError {
  /** What it has not been asked for on a connection of its own. */
  readonly left: readonly Version[];

  constructor(peer: string, left: readonly Version[], cause: Error | undefined) {
    // a reset says no more than an orderly end here, and less to whoever reads it
    super(`${peer}: the server hung up on Tversion; ${HINT}`, { cause });
    this.left = left;
  }
}

const HINT = 'is it a 9P server?';
/** Characters of a peer's own words that are shown. */
const SHOWN = 60;

/** Asks, and returns what both agree on. `begin` starts the transport; frames then go to `handler.frames`. */
export async function exchangeVersion(
  transport: Transport,
  handler: { frames: Frames },
  options: VersionOptions,
  begin: () => void,
  opening: () => Buffer,
): Promise<Agreed> {
  const { versions, msize, timeout, signal, logger } = options;
  const { peer } = transport;
  /** Ends the wait for the answer that is due. */
  let giveUp: (error: Error) => void = () => {};
  let unasked: Error | undefined;
  let begun = false;

  function ask(version: Version, left: readonly Version[]): Promise<Message> {
    return new Promise<Message>((resolve, reject) => {
      if (signal?.aborted) throw new CancelledError(`Tversion to ${peer}`);
      giveUp = reject;
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
      void transport.closed.then((error) => {
        const hungUp = error === undefined || error instanceof ConnectionError;
        reject(hungUp ? new HungUp(peer, left, error) : error);
      });
      if (!begun) begin();
      begun = true;
      const question = { msize, version };
      logger.trace({ tag: NOTAG }, `> ${dotlCodec.format({ type: 'Tversion', tag: NOTAG, ...question })}`);
      transport.send(dotlCodec.encode('Tversion', NOTAG, question).head);
    });
  }

  const cancel = () => giveUp(new CancelledError(`Tversion to ${peer}`));
  signal?.addEventListener('abort', cancel, { once: true });
  const late = () =>
    giveUp(new ConnectionError(`${peer}: no answer to Tversion within ${(timeout ?? 0) / 1000} s; ${HINT}`));
  const timer = timeout === undefined ? undefined : setTimeout(late, timeout);
  try {
    let refusal = '';
    for (const [i, version] of versions.entries()) {
      // one that hangs up at a second question may have been put off by there being a second one
      const reply = await ask(version, i === 0 ? versions.slice(1) : versions.slice(i));
      if (unasked !== undefined) throw notOurs(peer, unasked, Buffer.alloc(0));
      const offer = offerOf(peer, reply);
      // go9p offers 9P2000 to whoever asks for .L, and speaks .u to whoever asks for that
      if (offer !== undefined && (offer === version || offer === versions[i + 1])) {
        return { version: offer as Version, msize: agree(peer, msize, reply) };
      }
      refusal = refusalOf(version, reply);
      logger.debug({ peer, version }, `the server ${refusal}`);
    }
    const all = versions.length === 1 ? '' : ` speaks none of ${versions.join(', ')}: it`;
    throw new ConfigError(`${peer}: the server${all} ${refusal}`, 1);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
  }
}

/** Between Rversion and what follows: nothing has been asked, so that nothing may come. */
function unaskedFor(fail: (error: Error) => void): Frames {
  const refuse = (): never => {
    throw new ProtocolError('a message that nobody asked for, behind Rversion');
  };
  return { frame: refuse, sink: refuse, fail };
}

/** The error of a peer whose first bytes were no frame: in its own words where they are text ("HTTP/1.1 400 ..."). */
function notOurs(peer: string, error: Error, opening: Buffer): ProtocolError {
  const words = /^[\x20-\x7e]{4,}/.exec(opening.toString('latin1'))?.[0];
  const what = words === undefined ? error.message : `the answer is not 9P, it begins with ${quoteStart(words, SHOWN)}`;
  return new ProtocolError(`${peer}: ${what}; ${HINT}`, { cause: error });
}

/** The version that a reply names; undefined for an error. */
function offerOf(peer: string, reply: Message): string | undefined {
  if (isRefusal(reply)) return undefined;
  if (reply.type !== 'Rversion') throw new ProtocolError(`${peer}: ${reply.type} in answer to Tversion; ${HINT}`);
  if (reply.tag !== NOTAG) throw new ProtocolError(`${peer}: Rversion with tag ${reply.tag}, not NOTAG`);
  return reply.version;
}

/** What the server does instead of agreeing, as the end of a sentence. */
function refusalOf(version: Version, reply: Message): string {
  if (isRefusal(reply)) return `refuses ${version} (${errnoName(reply.ecode)})`;
  if (reply.type !== 'Rversion' || reply.version === VERSION.unknown) return `does not know ${version}`;
  return `offers ${quoteStart(reply.version, SHOWN)} instead of ${version}`;
}

/** Checks the msize that the server chose. */
function agree(peer: string, asked: number, reply: Message): number {
  const msize = reply.type === 'Rversion' ? reply.msize : 0;
  if (msize > asked) throw new ProtocolError(`${peer}: msize ${msize}, ${asked} was offered`);
  if (msize < MIN_MSIZE) {
    throw new ConfigError(`${peer}: the server's msize is ${msize}, at least ${MIN_MSIZE} is needed`, 1);
  }
  return msize;
}
