// Tlock and Tgetlock: record locks between clients, who are told apart by client_id and proc_id. Two connections play the
// two clients. A server without locks answers ERROR, or with an error; then nothing here applies.

import { LOCK_FLAGS, LOCK_STATUS, LOCK_TYPE, OPEN } from '../../wire/p9/constants.ts';
import { type Answer, isError } from '../answers.ts';
import { Probe } from '../probe.ts';
import {
  type Finding,
  fail,
  must,
  mustFail,
  notApplicable,
  type Place,
  pass,
  type Rule,
  rulesOf,
  unclear,
} from '../rule.ts';
import { create, open, walk } from '../steps.ts';

const rule = rulesOf('9P2000.L Tlock');
const { HOME } = Probe;
const [READ, WRITE, UNLOCK] = [LOCK_TYPE.RDLCK, LOCK_TYPE.WRLCK, LOCK_TYPE.UNLCK];
/** How long a hang-up may take to be noticed, in tries. */
const TRIES = 20;
const PAUSE = 50;
/** A request that is not answered by then is taken to wait. */
const WAITS = 500;

interface Range {
  start?: number;
  length?: number;
}

/** A client with the file open. */
class Client {
  readonly probe: Probe;
  readonly fid: number;
  readonly id: string;
  readonly procId: number;

  constructor(probe: Probe, fid: number, id: string, procId: number) {
    this.probe = probe;
    this.fid = fid;
    this.id = id;
    this.procId = procId;
  }

  #body(kind: number, { start = 0, length = 0 }: Range) {
    return {
      fid: this.fid,
      kind,
      start: BigInt(start),
      length: BigInt(length),
      procId: this.procId,
      clientId: this.id,
    };
  }

  send(kind: number, range: Range = {}, flags = 0): number {
    return this.probe.send('Tlock', { ...this.#body(kind, range), flags });
  }

  lock(kind: number, range: Range = {}, flags = 0): Promise<Answer> {
    return this.probe.answer(this.send(kind, range, flags));
  }

  getlock(kind: number, range: Range = {}): Promise<Answer> {
    return this.probe.ask('Tgetlock', this.#body(kind, range));
  }
}

/** Two clients with one file open each. */
async function clients(probe: Probe, place: Place): Promise<[Client, Client]> {
  const name = place.name();
  const fid = await create(probe, name);
  await probe.must('Twrite', { fid, offset: 0, data: Buffer.alloc(100) });
  const other = await place.open('home');
  return [
    new Client(probe, fid, 'ninefs-check-one', 1),
    new Client(other, await open(other, HOME, name, OPEN.RDWR), 'ninefs-check-two', 2),
  ];
}

const got = (answer: Answer, status: number) => answer.type === 'Rlock' && answer.status === status;
const granted = (answer: Answer) => got(answer, LOCK_STATUS.SUCCESS);
const blocked = (answer: Answer) => got(answer, LOCK_STATUS.BLOCKED);

/** Why the rules do not apply: the server has no locks. */
function without(answer: Answer): Finding | undefined {
  const none = isError(answer) || got(answer, LOCK_STATUS.ERROR);
  return none ? notApplicable('Tlock:', answer) : undefined;
}

/** A rule about two clients, the first of which has locked the range. */
function contended(
  id: string,
  text: string,
  kind: number,
  range: Range,
  run: (holder: Client, other: Client, place: Place) => Promise<Finding>,
): Rule {
  return rule(id, 'home', text, async (probe, place) => {
    const [holder, other] = await clients(probe, place);
    const answer = await holder.lock(kind, range);
    const none = without(answer);
    if (none !== undefined) return none;
    return granted(answer) ? run(holder, other, place) : unclear('a first lock:', answer);
  });
}

const conflict = async (other: Client, range: Range = {}, kind: number = WRITE): Promise<Finding> => {
  const answer = await other.lock(kind, range);
  return must(blocked(answer), answer);
};

const free = async (other: Client, range: Range = {}, kind: number = WRITE): Promise<Finding> => {
  const answer = await other.lock(kind, range);
  return must(granted(answer), answer);
};

export const lockRules: readonly Rule[] = [
  rule('lock', 'home', 'a lock that nobody is in the way of is granted', async (probe, place) => {
    const [one] = await clients(probe, place);
    const answer = await one.lock(WRITE);
    return without(answer) ?? must(granted(answer), answer);
  }),

  contended('lock-conflict', 'a lock that another client is in the way of is BLOCKED', WRITE, {}, (_, other) =>
    conflict(other),
  ),

  contended('lock-shared', 'two clients can lock for reading', READ, {}, async (_, other) => {
    const shared = await free(other, {}, READ);
    return shared.verdict === 'pass' ? shared : fail(shared.did);
  }),

  contended('lock-shared-exclusive', 'a lock for reading keeps out one for writing', READ, {}, (_, other) =>
    conflict(other),
  ),

  contended('lock-ranges', 'ranges that do not touch do not conflict', WRITE, { start: 0, length: 10 }, (_, other) =>
    free(other, { start: 10, length: 10 }),
  ),

  contended('lock-overlap', 'ranges that share a byte conflict', WRITE, { start: 0, length: 10 }, (_, other) =>
    conflict(other, { start: 9, length: 10 }),
  ),

  contended(
    'lock-to-end',
    'a length of 0 reaches to the end of the file and beyond',
    WRITE,
    { start: 10 },
    async (_, other) => {
      const before = await free(other, { start: 0, length: 10 });
      return before.verdict === 'pass' ? conflict(other, { start: 100_000, length: 1 }) : before;
    },
  ),

  contended(
    'lock-same-owner',
    'a client is not in its own way: a lock can be changed',
    WRITE,
    {},
    async (holder, other) => {
      const changed = await holder.lock(READ);
      if (!granted(changed)) return fail(changed);
      return free(other, {}, READ);
    },
  ),

  contended('lock-unlock', 'UNLCK ends the lock', WRITE, {}, async (holder, other) => {
    const answer = await holder.lock(UNLOCK);
    return granted(answer) ? free(other) : fail('UNLCK:', answer);
  }),

  contended(
    'lock-split',
    'UNLCK in the middle leaves both ends locked',
    WRITE,
    { start: 0, length: 30 },
    async (holder, other) => {
      const answer = await holder.lock(UNLOCK, { start: 10, length: 10 });
      if (!granted(answer)) return fail('UNLCK:', answer);
      const middle = await free(other, { start: 10, length: 10 });
      if (middle.verdict !== 'pass') return fail('in the middle', middle.did);
      const left = await conflict(other, { start: 9, length: 1 });
      return left.verdict === 'pass' ? conflict(other, { start: 20, length: 1 }) : left;
    },
  ),

  contended('lock-clunk', 'the lock ends with the fid', WRITE, {}, async (holder, other) => {
    await holder.probe.must('Tclunk', { fid: holder.fid });
    return free(other);
  }),

  contended('lock-hang-up', 'the lock ends with the connection', WRITE, {}, async (holder, other) => {
    holder.probe.close();
    for (let i = 0; ; i++) {
      const answer = await other.lock(WRITE);
      if (granted(answer)) return pass(answer);
      if (!blocked(answer) || i >= TRIES) return fail(answer);
      await other.probe.wait(PAUSE, () => false); // the server's own reading of the hang-up is no event here
    }
  }),

  contended(
    'lock-block',
    'with the BLOCK flag it is BLOCKED as well, or waits and can be flushed',
    WRITE,
    {},
    async (_, other) => {
      const { probe } = other;
      const tag = other.send(WRITE, {}, LOCK_FLAGS.BLOCK);
      if (await probe.wait(WAITS, () => probe.untaken(tag).length > 0)) {
        const answer = await probe.answer(tag);
        return must(blocked(answer), answer);
      }
      const flush = await probe.ask('Tflush', { oldtag: tag });
      return must(flush.type === 'Rflush', 'it waits, and Tflush is answered with', flush);
    },
  ),

  contended(
    'getlock',
    'Tgetlock names the lock in the way and its owner',
    WRITE,
    { start: 5, length: 10 },
    async (holder, other) => {
      const answer = await other.getlock(WRITE);
      if (answer.type !== 'Rgetlock') return isError(answer) ? fail('Tgetlock:', answer) : fail(answer);
      const { kind, start, length, procId, clientId } = answer;
      const right = kind === WRITE && start === 5n && length === 10n;
      if (!right) return fail(answer, 'with another type or range');
      return must(
        procId === holder.procId && clientId === holder.id,
        answer,
        clientId === holder.id ? 'with its owner' : 'with another owner',
      );
    },
  ),

  contended(
    'getlock-free',
    'Tgetlock says UNLCK where nothing is in the way',
    WRITE,
    { start: 0, length: 10 },
    async (_, other) => {
      const answer = await other.getlock(WRITE, { start: 50, length: 10 });
      if (answer.type !== 'Rgetlock') return fail(answer);
      return must(answer.kind === UNLOCK, answer, answer.kind === UNLOCK ? 'with UNLCK' : 'with a lock');
    },
  ),

  rule('lock-not-open', 'home', 'a fid that is not open cannot be locked', async (probe, place) => {
    const name = place.name();
    const opened = new Client(probe, await create(probe, name), 'ninefs-check-one', 1);
    const none = without(await opened.lock(WRITE));
    if (none !== undefined) return none;
    await opened.lock(UNLOCK);
    const answer = await new Client(probe, await walk(probe, HOME, name), 'ninefs-check-one', 1).lock(WRITE);
    return got(answer, LOCK_STATUS.ERROR) ? pass(answer) : mustFail(answer);
  }),
];
