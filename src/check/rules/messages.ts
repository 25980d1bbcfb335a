// Messages as such: frames, sizes, types, tags, and the form of an error. What is malformed may be answered with an error or
// with a hang-up; what it must not do is go unanswered, since then neither side knows where the next message begins.

import { NOFID, NOTAG } from '../../wire/p9/constants.ts';
import { type Answer, isError, isRefusal, show } from '../answers.ts';
import { Probe, Silence } from '../probe.ts';
import { type Finding, fail, must, type Place, pass, type Rule, rulesOf } from '../rule.ts';

const rule = rulesOf('intro(9P)');
const error = rulesOf('error(9P)');
const { ROOT } = Probe;
const HEADER = 7;
const TWALK = 110;
const TWRITE = 118;
const TCLUNK = 120;
/** No dialect has it. */
const NO_TYPE = 255;
const MAX_ERRNO = 4095;
const PIPELINED = 200;
const ROOT_GETATTR = { fid: ROOT, mask: 0x7ff } as const;

function frame(type: number, body: Uint8Array, tag: number, size = HEADER + body.length): Buffer {
  const head = Buffer.alloc(HEADER);
  head.writeUInt32LE(size, 0);
  head.writeUInt8(type, 4);
  head.writeUInt16LE(tag, 5);
  return Buffer.concat([head, body]);
}

/** Whatever the server does next: a message that cannot be read has no tag to answer to. */
async function reaction(probe: Probe, place: Place, what: string): Promise<Answer> {
  const before = probe.heard.length;
  await probe.wait(place.timeout, () => probe.heard.length > before);
  const heard = probe.heard[before];
  if (heard !== undefined) return heard;
  if (!probe.over) throw new Silence(`no answer to ${what}`);
  return probe.answer(NOTAG);
}

/** A malformed message: refused, and the server is there for others. */
async function malformed(probe: Probe, place: Place, what: string, bytes: Buffer): Promise<Finding> {
  probe.raw(bytes, what);
  const answer = await reaction(probe, place, what);
  if (!isRefusal(answer)) return fail(answer);
  const other = await (await place.open('session')).ask('Tgetattr', ROOT_GETATTR);
  return must(other.type === 'Rgetattr', answer);
}

export const messageRules: readonly Rule[] = [
  rule('message-pieces', 'session', 'a message that arrives byte by byte is one message', async (probe) => {
    const tag = probe.tag();
    const body = Buffer.alloc(12);
    body.writeUInt32LE(ROOT, 0);
    body.writeUInt32LE(0x7ff, 4);
    const bytes = frame(24, body, tag);
    for (const byte of bytes) {
      probe.raw(Buffer.of(byte), 'Tgetattr in pieces', tag);
      await new Promise((resolve) => setImmediate(resolve)); // a segment of its own
    }
    const answer = await probe.answer(tag);
    return must(answer.type === 'Rgetattr', answer);
  }),

  rule('message-pipelined', 'session', 'requests that are sent together are answered, each once', async (probe) => {
    const tags = Array.from({ length: PIPELINED }, () => probe.send('Tgetattr', ROOT_GETATTR));
    for (const tag of tags) {
      const answer = await probe.answer(tag);
      if (answer.type !== 'Rgetattr') return fail(answer);
    }
    await probe.quiet();
    const twice = tags.filter((tag) => probe.untaken(tag).length > 0).length;
    return twice === 0 ? pass(`${PIPELINED} Rgetattr`) : fail('more answers than requests');
  }),

  rule('message-tags', 'session', 'every tag but NOTAG can be used', async (probe) => {
    for (const tag of [0, 1, NOTAG - 1]) {
      const answer = await probe.answer(probe.send('Tgetattr', ROOT_GETATTR, tag));
      if (answer.type !== 'Rgetattr') return fail(`tag ${tag}:`, answer);
    }
    return pass('Rgetattr with each');
  }),

  rule(
    'message-unknown-type',
    'session',
    'a message of a type that does not exist is refused',
    async (probe, place) => {
      return malformed(probe, place, `a message of type ${NO_TYPE}`, frame(NO_TYPE, Buffer.alloc(4), probe.tag()));
    },
  ),

  rule('message-size-small', 'session', 'a size below that of the header is refused', async (probe, place) => {
    return malformed(probe, place, 'a message of size 5', frame(TCLUNK, Buffer.alloc(0), probe.tag(), 5));
  }),

  rule(
    'message-size-huge',
    'session',
    'a size above msize is refused, before the bytes have come',
    async (probe, place) => {
      const bytes = frame(TWRITE, Buffer.alloc(16), probe.tag(), 0x7fffffff);
      return malformed(probe, place, 'a message of size 2^31-1', bytes);
    },
  ),

  rule('message-cut', 'session', 'a message without all its fields is refused', async (probe, place) => {
    return malformed(probe, place, 'a Tclunk with half a fid', frame(TCLUNK, Buffer.alloc(2), probe.tag()));
  }),

  rule('message-string-beyond', 'session', 'a string that ends beyond its message is refused', async (probe, place) => {
    const body = Buffer.alloc(14);
    body.writeUInt32LE(ROOT, 0);
    body.writeUInt32LE(NOFID - 1, 4);
    body.writeUInt16LE(1, 8);
    body.writeUInt16LE(1000, 10);
    return malformed(probe, place, 'a Twalk with a name that ends beyond it', frame(TWALK, body, probe.tag()));
  }),

  rule('message-count-beyond', 'session', 'a Twrite that says more than it brings is refused', async (probe, place) => {
    const body = Buffer.alloc(20);
    body.writeUInt32LE(ROOT, 0);
    body.writeUInt32LE(1000, 12);
    return malformed(probe, place, 'a Twrite of 1000 bytes with 4', frame(TWRITE, body, probe.tag()));
  }),

  error('error-type', 'session', 'an error is Rlerror, type 7', async (probe) => {
    const answer = await probe.ask('Tgetattr', { fid: probe.fid(), mask: 0x7ff });
    return must(answer.type === 'Rlerror', answer);
  }),

  error('error-number', 'session', 'the number in an error is a Linux errno', async (probe) => {
    const answer = await probe.ask('Twalk', { fid: ROOT, newfid: probe.fid(), names: ['ninefs-check-no-such-name'] });
    if (!isError(answer)) return fail(answer);
    const ecode = answer.type === 'Rlerror' || answer.type === 'Rerror' ? answer.ecode : 0;
    return must(ecode > 0 && ecode <= MAX_ERRNO, answer);
  }),

  error('error-goes-on', 'session', 'after an error the connection goes on', async (probe) => {
    const answer = await probe.ask('Tgetattr', { fid: probe.fid(), mask: 0x7ff });
    const after = await probe.ask('Tgetattr', ROOT_GETATTR);
    return must(isError(answer) && after.type === 'Rgetattr', `${show(answer)}, then`, after);
  }),
];
