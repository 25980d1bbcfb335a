// A man in the middle between a probe and a server, in one process: it sees every message of both, and a test says what
// it changes. What the probe sends goes on byte for byte, decoded or not, unless the test asks for the messages.

import { memoryPair } from '../../src/transport/memory.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { type Codec, dotlCodec, dotuCodec, legacyCodec } from '../../src/wire/p9/codec.ts';
import { FrameReader } from '../../src/wire/p9/framing.ts';
import type { Message } from '../../src/wire/p9/messages.ts';

const MAX_FRAME = 4 * 1024 * 1024;
const codecs: Readonly<Record<string, Codec>> = { '9P2000.u': dotuCodec, '9P2000': legacyCodec };

/** A request as the middle saw it. */
export interface Asked {
  readonly request: Message;
  /** The how many-th of its type on its connection, from 1. */
  readonly nth: number;
  /** The how many-th connection, from 1. */
  readonly connection: number;
  /** For replies that are kept back; one list a connection. */
  readonly held: Message[];
  /** Tags of the requests before it, by type. */
  readonly tagOf: (type: string) => number | undefined;
}

export interface Tampering {
  /** What the server gets instead: another message; or what the probe gets at once, while the server gets nothing. */
  request?(asked: Asked): Message | { answer: Message[] };
  /** What the probe gets instead of a reply. */
  reply?(reply: Message, asked: Asked): Message[];
  /** What the probe gets instead of a hang-up; the last request is undefined where it could not be decoded. */
  keep?(last: Message | undefined): Message[];
}

/** A function that connects through the middle, for as many connections as are wanted. */
export function inTheMiddle(serve: (transport: Transport) => void, tampering: Tampering): () => Transport {
  let connections = 0;
  return () => {
    connections++;
    const connection = connections;
    const [probe, ours] = memoryPair();
    const [toServer, server] = memoryPair();
    serve(server);

    const asked = new Map<number, Asked>();
    const counts = new Map<string, number>();
    const tags = new Map<string, number>();
    const held: Message[] = [];
    let last: Message | undefined;
    let codec = dotlCodec;
    let over = false;
    const say = (transport: Transport, message: Message) => {
      const { type, tag, ...body } = message;
      const { head, payload } = codec.encode(type, tag, body as never);
      transport.send(head, payload);
    };
    const note = (request: Message): Asked => {
      const nth = (counts.get(request.type) ?? 0) + 1;
      counts.set(request.type, nth);
      const before = new Map(tags);
      tags.set(request.type, request.tag);
      const entry = { request, nth, connection, held, tagOf: (type: string) => before.get(type) };
      asked.set(request.tag, entry);
      last = request;
      return entry;
    };
    const requests = new FrameReader(MAX_FRAME, {
      frame(bytes, start, end, payload) {
        let request: Message;
        try {
          request = codec.decode(bytes, start, end, payload);
        } catch {
          last = undefined;
          return;
        }
        const entry = note(request);
        if (tampering.request === undefined) return;
        const instead = tampering.request(entry);
        if ('answer' in instead) for (const message of instead.answer) say(ours, message);
        else say(toServer, instead);
      },
    });
    ours.start(
      receiver((chunk) => {
        try {
          requests.push(Buffer.from(chunk));
        } catch {
          last = undefined; // what is no frame is the server's to judge
        }
        if (tampering.request !== undefined) return;
        if (over && last !== undefined) for (const message of tampering.keep?.(last) ?? []) say(ours, message);
        else toServer.send(chunk);
      }),
    );
    toServer.start(
      new FrameReader(MAX_FRAME, {
        frame(bytes, start, end, payload) {
          const reply = codec.decode(bytes, start, end, payload);
          if (reply.type === 'Rversion') codec = codecs[reply.version] ?? dotlCodec;
          const entry = asked.get(reply.tag);
          const changed = entry === undefined ? [reply] : (tampering.reply?.(reply, entry) ?? [reply]);
          for (const message of changed) say(ours, message);
        },
      }),
    );
    void ours.closed.then(() => toServer.close());
    void toServer.closed.then(() => {
      over = true;
      if (tampering.keep === undefined) ours.close();
      else for (const message of tampering.keep(last)) say(ours, message);
    });
    return probe;
  };
}

function receiver(take: (chunk: Buffer) => void) {
  const window = Buffer.alloc(64 * 1024);
  return {
    window: () => window,
    filled: (count: number) => take(Buffer.from(window.subarray(0, count))),
    push: take,
  };
}
