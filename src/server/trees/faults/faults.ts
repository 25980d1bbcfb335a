// The faults by name: what each does to a request, on which messages it makes sense, and what a client owes its user then.
// Guarantees: nothing waits longer than its session; what is flushed and said to be without effect has none.

import { Abort, type AbortSignalLike } from '../../../common/abort.ts';
import { pause, within } from '../../../common/deadline.ts';
import { errno } from '../../../common/errno.ts';
import { CancelledError } from '../../../common/errors.ts';
import type { Message } from '../../../wire/p9/messages.ts';
import type { ServedName } from '../../dialects/dialect.ts';
import { type Act, type Fault, NO_REPLY } from '../../fault.ts';

/** How long a reply waits for another to overtake it. */
const ALONE = 100;

export interface Kind {
  readonly name: string;
  /** What a good client does. */
  readonly right: string;
  /** Absent: any message. */
  readonly only?: readonly ServedName[];
  make(): Fault;
}

function once(signal: AbortSignalLike): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

/** Waits for the Tflush; throws when it is the session that ends. */
async function flushed({ signal, wire }: Act): Promise<void> {
  await once(signal);
  if (wire.over.aborted) throw new CancelledError();
}

async function hang(act: Act): Promise<never> {
  await flushed(act);
  throw new CancelledError();
}

function slow(ms: number): Fault {
  return async ({ signal, perform }) => {
    await pause(ms, signal);
    return perform();
  };
}

async function late(act: Act): Promise<object> {
  await flushed(act);
  return act.perform();
}

async function eintr(act: Act): Promise<typeof NO_REPLY> {
  await flushed(act);
  act.wire.send(act.wire.refusal(errno.EINTR));
  return NO_REPLY;
}

async function mute({ wire }: Act): Promise<never> {
  await once(wire.over);
  throw new CancelledError();
}

async function after(act: Act): Promise<typeof NO_REPLY> {
  await flushed(act);
  const frame = act.wire.frame(await act.perform());
  // the Rflush goes out when this has returned
  setImmediate(() => act.wire.send(frame));
  return NO_REPLY;
}

async function double({ wire, perform }: Act): Promise<typeof NO_REPLY> {
  const frame = wire.frame(await perform());
  wire.send(frame);
  wire.send(frame);
  return NO_REPLY;
}

/** Two by two, the second first. */
function reorder(): Fault {
  let waiting: Abort | undefined;
  return async ({ signal, perform }) => {
    const first = waiting;
    if (first !== undefined) {
      waiting = undefined;
      const body = await perform();
      setImmediate(() => first.abort());
      return body;
    }
    const turn = new Abort();
    waiting = turn;
    const end = () => turn.abort();
    signal.addEventListener('abort', end, { once: true });
    await within(once(turn), ALONE, () => {});
    signal.removeEventListener('abort', end);
    if (waiting === turn) waiting = undefined;
    if (signal.aborted) throw new CancelledError();
    return perform();
  };
}

async function wrongtag({ wire, message, perform }: Act): Promise<typeof NO_REPLY> {
  const frame = wire.frame(await perform());
  frame.writeUInt16LE(message.tag ^ 0x4000, 5);
  wire.send(frame);
  return NO_REPLY;
}

async function wrongtype({ wire, message }: Act): Promise<typeof NO_REPLY> {
  wire.send(wire.encode(message.type === 'Tremove' ? 'Rclunk' : 'Rremove', message.tag, {}));
  return NO_REPLY;
}

/** Half of what was asked for, and a byte at the least. */
function halved(message: Message): Message {
  if (message.type === 'Tread') return { ...message, count: Math.ceil(message.count / 2) };
  if (message.type === 'Twrite') {
    return { ...message, data: message.data.subarray(0, Math.ceil(message.data.length / 2)) };
  }
  return message;
}

function bigcount({ wire, message }: Act): typeof NO_REPLY {
  if (message.type === 'Tread') {
    wire.send(wire.frame({ data: Buffer.alloc(message.count + 1, 'x') }));
  } else if (message.type === 'Twrite') {
    wire.send(wire.encode('Rwrite', message.tag, { count: message.data.length + 1 }));
  }
  return NO_REPLY;
}

function refusal(ecode: number): Fault {
  return async ({ wire, message, perform }) => {
    // an error does not keep the fid (clunk(9P))
    if (message.type === 'Tclunk') await perform();
    wire.send(wire.refusal(ecode));
    return NO_REPLY;
  };
}

function cut(bytes: number): Fault {
  return async ({ wire, perform }) => {
    wire.sendLast(wire.frame(await perform()).subarray(0, bytes));
    return NO_REPLY;
  };
}

const BYTES: readonly ServedName[] = ['Tread', 'Twrite'];

const plain: readonly Kind[] = [
  {
    name: 'hang',
    right:
      'Nothing is answered until the request is flushed; then it has had no effect. The caller waits, and when a signal ends ' +
      'the wait it gets EINTR at once, or is gone at once when it was killed.',
    make: () => hang,
  },
  {
    name: 'late',
    right:
      'The request is carried out when the Tflush arrives, and its reply comes before the Rflush. The caller gets that reply, ' +
      'as if nothing had been flushed: data, the count written, an open file.',
    make: () => late,
  },
  {
    name: 'eintr',
    right:
      'An old mistake of servers: a flushed request is answered with Rlerror EINTR, and then the Rflush comes. The caller ' +
      'gets EINTR, once; the tag is free after the Rflush.',
    make: () => eintr,
  },
  {
    name: 'mute',
    right:
      'Neither the request nor its Tflush is ever answered. A caller that reads is let go at the deadline for flushes, and ' +
      'sooner when it is being killed; for one that writes the connection has to be given up, since nobody knows what happened.',
    make: () => mute,
  },
  {
    name: 'after',
    right:
      'Forbidden: the reply comes after the Rflush. The request counts as cancelled; the reply is dropped and does not answer ' +
      'whoever has the tag by then.',
    make: () => after,
  },
  {
    name: 'double',
    right: 'Forbidden: every reply comes twice. The first one counts; the second ends the connection, or is dropped.',
    make: () => double,
  },
  {
    name: 'reorder',
    right: 'Replies come two by two, the second first, which 9P allows: each caller gets its own.',
    make: reorder,
  },
  {
    name: 'wrongtag',
    right:
      'Forbidden: the reply bears a tag that nobody uses. The connection cannot be trusted and ends; callers get EIO.',
    make: () => wrongtag,
  },
  {
    name: 'wrongtype',
    right: 'Forbidden: the reply is of another type than the request. The connection ends; callers get EIO.',
    make: () => wrongtype,
  },
  {
    name: 'short',
    right:
      'Reads and writes do half of what they were asked for, which 9P allows. Nothing is lost, and no half is the end.',
    only: BYTES,
    make:
      () =>
      ({ message, perform }) =>
        perform(halved(message)),
  },
  {
    name: 'zero',
    right:
      'Every Rwrite says that 0 bytes were written. A client that only asks again does so for ever; it has to be EIO.',
    only: ['Twrite'],
    make: () => () => ({ count: 0 }),
  },
  {
    name: 'bigcount',
    right: 'Forbidden: a byte more comes than was asked for, or counts as written. Nobody may be given it.',
    only: BYTES,
    make: () => bigcount,
  },
];

interface Numbered {
  readonly name: string;
  readonly unit: string;
  readonly most: number;
  readonly examples: readonly number[];
  readonly right: string;
  of(n: number): Fault;
}

/** Those that have a number: `slow/200` is a file, `ops/slow,200` a directory. */
export const numbered: readonly Numbered[] = [
  {
    name: 'slow',
    unit: 'milliseconds',
    most: 3_600_000,
    examples: [10, 200, 2000, 60_000],
    right: 'Every answer takes so long, and a flushed request has no effect. Callers wait, and can be interrupted.',
    of: slow,
  },
  {
    name: 'errno',
    unit: 'the ecode of an Rlerror',
    most: 0xffff_ffff,
    examples: [0, 4, 5, 38, 511, 512, 4095, 4096, 2 ** 31],
    right:
      'The caller gets the error where it is one (1 to 4095) and EIO or a like one where it is none; never success.',
    of: refusal,
  },
  {
    name: 'cut',
    unit: 'bytes of the reply',
    most: 1 << 24,
    examples: [0, 1, 4, 7, 10],
    right: 'The connection is dropped after so many bytes of the reply. Callers get EIO at once, all of them.',
    of: cut,
  },
];

export const kinds: readonly Kind[] = plain;

/** `slow,200` and the like, or undefined. */
export function numberedFault(text: string): Kind | undefined {
  const [, name, digits] = /^([a-z]+)[,/](\d{1,10})$/.exec(text) ?? [];
  const found = numbered.find((each) => each.name === name);
  const n = Number(digits);
  if (found === undefined || n > found.most) return undefined;
  return { name: text, right: found.right, make: () => found.of(n) };
}
