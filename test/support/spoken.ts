// A client's session in any dialect with a server of rules: what it answers to a message is a function of the message. For
// tests of what a client sends in 9P2000 and 9P2000.u (scripted.ts is for .L), and of what it makes of an answer.
// The server has one file, of the fids that are walked to; what no rule answers is answered as if nothing were wrong.

import { Accounts } from '../../src/client/accounts.ts';
import type { Version } from '../../src/client/dialects/versions.ts';
import { openSession, type Session } from '../../src/client/session.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { dotlCodec, dotuCodec, legacyCodec } from '../../src/wire/p9/codec.ts';
import { NONUNAME } from '../../src/wire/p9/constants.ts';
import { FrameReader } from '../../src/wire/p9/framing.ts';
import type { Body, Message, MessageName } from '../../src/wire/p9/messages.ts';
import type { Stat } from '../../src/wire/p9/stat.ts';
import { getattr, qid } from './scripted.ts';

export type Answer = { [N in MessageName]: [name: N, body: Body<N>] }[MessageName];

export interface Spoken {
  readonly session: Session;
  /** Everything but Tversion, in its order. */
  readonly received: Message[];
  /** Of one type. */
  got<N extends MessageName>(type: N): Extract<Message, { type: N }>[];
}

export const stat: Stat = {
  type: 0,
  dev: 0,
  qid,
  mode: 0o644,
  atime: 1,
  mtime: 2,
  length: 5,
  name: 'file',
  uid: 'root',
  gid: 'root',
  muid: 'root',
  extension: '',
  nUid: 0,
  nGid: 0,
  nMuid: NONUNAME,
};

const codecs = { '9P2000.L': dotlCodec, '9P2000.u': dotuCodec, '9P2000': legacyCodec };

function usual(message: Message): Answer {
  switch (message.type) {
    case 'Tattach':
      return ['Rattach', { qid: { ...qid, type: 0x80 } }];
    case 'Twalk':
      return ['Rwalk', { qids: message.names.map(() => qid) }];
    case 'Tmkdir':
    case 'Tmknod':
    case 'Tsymlink':
      return [`R${message.type.slice(1)}`, { qid }] as Answer;
    case 'Tgetattr':
      return ['Rgetattr', getattr];
    case 'Tstat':
      return ['Rstat', { stat }];
    case 'Tread':
      return ['Rread', { data: Buffer.alloc(0) }];
    case 'Twrite':
      return ['Rwrite', { count: message.data.length }];
    case 'Topen':
    case 'Tcreate':
    case 'Tlopen':
    case 'Tlcreate':
      return [`R${message.type.slice(1)}`, { qid, iounit: 0 }] as Answer;
    default:
      return [`R${message.type.slice(1)}`, {}] as Answer;
  }
}

export async function spoken(
  version: Version,
  rule: (message: Message) => Answer | undefined = () => undefined,
  msize = 65536,
): Promise<Spoken> {
  const [ours, theirs] = memoryPair();
  const codec = codecs[version];
  const received: Message[] = [];
  const reader = new FrameReader(msize, {
    frame(bytes, start, end, payload) {
      const message = codec.decode(bytes, start, end, payload);
      if (message.type !== 'Tversion') received.push(message);
      const answer: Answer =
        message.type === 'Tversion' ? ['Rversion', { msize, version }] : (rule(message) ?? usual(message));
      const frame = codec.encode(answer[0], message.tag, answer[1] as never);
      theirs.send(frame.head, frame.payload);
    },
  });
  theirs.start({
    window: () => reader.window(),
    filled: (count) => reader.filled(count),
    push: (chunk) => reader.push(chunk),
  });
  const session = await openSession(ours, { version, msize, accounts: new Accounts() });
  return {
    session,
    received,
    got: (type) => received.filter((message) => message.type === type) as never,
  };
}
