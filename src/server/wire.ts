// What a fault may do beside what requests do (fault.ts), on one connection.

import type { Transport } from '../transport/transport.ts';
import type { Body, ReplyName } from '../wire/p9/messages.ts';
import type { Wire } from './fault.ts';
import type { Request } from './flush.ts';
import type { Session } from './session.ts';
import type { ReadResult } from './tree.ts';

export function wireOf(transport: Transport, session: Session, request: Request): Wire {
  const { codec, refusal } = session.dialect;
  const encode: Wire['encode'] = (name, tag, body) => {
    const { head, payload } = codec.encode(name, tag, body);
    return payload === undefined ? head : Buffer.concat([head, payload]);
  };
  return {
    encode,
    refusal(ecode) {
      const { name, body } = refusal(ecode);
      return encode(name, request.tag, body);
    },
    frame: (body) => encode(request.traits.reply, request.tag, gathered(body)),
    send: (frame) => void transport.send(frame),
    sendLast: (frame) => void transport.send(frame, undefined, () => transport.close()),
    over: session.requests.over,
  };
}

/** A reply's body with the pieces of a read in one, and their memory given back. */
function gathered(body: object): Body<ReplyName> {
  if (!('data' in body)) return body as Body<ReplyName>;
  const { data, release } = body as ReadResult;
  const whole = data instanceof Uint8Array ? Buffer.from(data) : Buffer.concat(data);
  release?.();
  return { data: whole };
}
