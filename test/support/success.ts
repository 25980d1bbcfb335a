// The reply that would say that a request was carried out, for servers that say so when they should not.

import type { Body, Message, ReplyName } from '../../src/wire/p9/messages.ts';
import { getattr, qid } from './scripted.ts';

const statfs: Body<'Rstatfs'> = {
  fsType: 0,
  bsize: 4096,
  blocks: 1,
  bfree: 1,
  bavail: 1,
  files: 1,
  ffree: 1,
  fsid: 0n,
  namelen: 255,
};

const bodies: Readonly<Record<string, (request: Message) => object>> = {
  Tversion: (t) => (t.type === 'Tversion' ? { msize: t.msize, version: t.version } : {}),
  Tauth: () => ({ aqid: qid }),
  Tattach: () => ({ qid }),
  Twalk: (t) => ({ qids: t.type === 'Twalk' ? t.names.slice(0, 16).map(() => qid) : [] }),
  Tlopen: () => ({ qid, iounit: 0 }),
  Tlcreate: () => ({ qid, iounit: 0 }),
  Tsymlink: () => ({ qid }),
  Tmknod: () => ({ qid }),
  Tmkdir: () => ({ qid }),
  Treadlink: () => ({ target: 'x' }),
  Tgetattr: () => getattr,
  Tstatfs: () => statfs,
  Tread: () => ({ data: Buffer.from('x') }),
  Treaddir: () => ({ data: Buffer.alloc(0) }),
  Twrite: (t) => ({ count: t.type === 'Twrite' ? t.data.length : 0 }),
  Tlock: () => ({ status: 0 }),
  Txattrwalk: () => ({ size: 0 }),
};

export function successOf(request: Message): Message {
  const body = bodies[request.type]?.(request) ?? {};
  return { type: `R${request.type.slice(1)}` as ReplyName, tag: request.tag, ...body } as Message;
}
