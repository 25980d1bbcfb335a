// A server's book of what it was asked and what it has said: checks, message by message, what a client owes to every
// server. No tag again before its reply and the reply of its flush, one Tflush a request and none for Tclunk or Tremove, both
// with tags of their own, one after the other, no fid that the server does not know, no Tclunk while a request names the fid,
// no number again before Rclunk or Rremove.

import type { Message } from '../../../src/wire/p9/messages.ts';

export interface Entry {
  readonly tag: number;
  readonly message: Message;
  readonly fids: readonly number[];
  readonly newfid: number | undefined;
  answered: boolean;
  flushTag: number | undefined;
  flushAnswered: boolean;
  /** A reply after Rflush, which no server should send, was sent. */
  late: boolean;
}

/** Tags for Tflush and Tclunk. */
export interface Reserve {
  first: number;
  size: number;
}

const isOver = (entry: Entry): boolean => (entry.flushTag === undefined ? entry.answered : entry.flushAnswered);
/** Whether the request may still be carried out. */
const isOpen = (entry: Entry): boolean => !entry.answered && !entry.flushAnswered;

function fidsOf(message: Message): { fids: number[]; newfid?: number } {
  if (message.type === 'Tattach') return { fids: [], newfid: message.fid };
  if (message.type === 'Twalk' || message.type === 'Txattrwalk') return { fids: [message.fid], newfid: message.newfid };
  if (message.type === 'Tmkdir') return { fids: [message.dfid] };
  if (message.type === 'Trename') return { fids: [message.fid, message.dfid] };
  return 'fid' in message && typeof message.fid === 'number' ? { fids: [message.fid] } : { fids: [] };
}

export class Book {
  /** The last request of each tag. */
  readonly byTag = new Map<number, Entry>();
  readonly fids = new Set<number>();
  /** Tclunks that are not answered. */
  readonly clunks: { tag: number; fid: number }[] = [];
  /** Requests that came since settled() was called. */
  readonly news: Entry[] = [];
  /** Flush tag -> the request. */
  readonly #flushes = new Map<number, Entry>();
  readonly #reserve: Reserve;
  /** The tag of the last Tflush or Tclunk. */
  #last: number | undefined;
  /** Tags of the reserve that are not known to have been free when what comes was sent. */
  #busy = new Set<number>();

  constructor(root: number, reserve: Reserve) {
    this.fids.add(root);
    this.#reserve = reserve;
  }

  /** Both sides have got all that was on its way. */
  settled(): void {
    this.news.length = 0;
    this.#busy = new Set([...this.#flushes.keys(), ...this.clunks.map(({ tag }) => tag)]);
  }

  /** Requests to reply to, oldest first. */
  get open(): Entry[] {
    return [...this.byTag.values()].filter(isOpen);
  }

  /** Requests whose Tflush is to be answered. */
  get flushing(): Entry[] {
    return [...this.#flushes.values()];
  }

  /** Requests that were flushed without a reply, whose tag has not been used since. */
  get flushed(): Entry[] {
    return [...this.byTag.values()].filter((entry) => entry.flushAnswered && !entry.answered && !entry.late);
  }

  receive(message: Message): void {
    if (message.type === 'Tflush') this.#flush(message.tag, message.oldtag);
    else if (message.type === 'Tclunk') this.#clunk(message.tag, message.fid);
    else this.#request(message);
  }

  /** `made`: the fid that the request was to make exists. */
  answer(entry: Entry, ok: boolean, made = ok): void {
    entry.answered = true;
    if (made && entry.newfid !== undefined) this.fids.add(entry.newfid);
    if (ok && entry.message.type === 'Tremove') this.fids.delete(entry.message.fid);
  }

  answerFlush(entry: Entry): void {
    entry.flushAnswered = true;
    this.#flushes.delete(entry.flushTag as number);
  }

  answerClunk(at: number): { tag: number; fid: number; known: boolean } {
    const [clunk] = this.clunks.splice(at, 1);
    if (clunk === undefined) throw new Error('no such clunk');
    return { ...clunk, known: this.fids.delete(clunk.fid) };
  }

  /** The next of the reserve that is free, in a circle. */
  #nextInReserve(tag: number, type: string): void {
    const { first, size } = this.#reserve;
    check(tag >= first && tag < first + size, `${type} has tag ${tag}, which is none of the reserve`);
    for (let at = this.#last; at !== undefined; ) {
      at = first + ((at - first + 1) % size);
      if (at === tag) break;
      check(this.#busy.has(at), `${type} has tag ${tag}, although ${at} is free and comes before`);
    }
    this.#last = tag;
    this.#busy.add(tag);
  }

  #request(message: Message): void {
    const { tag, type } = message;
    this.#freeTag(tag, type);
    check(tag < this.#reserve.first, `${type} has tag ${tag} of the reserve`);
    const { fids, newfid } = fidsOf(message);
    for (const fid of fids) {
      check(this.fids.has(fid), `${type} names fid ${fid}, which does not exist`);
      check(!this.#isClunking(fid), `${type} names fid ${fid}, whose Tclunk came before`);
      check(!this.#isBeingRemoved(fid), `${type} names fid ${fid}, whose Tremove came before`);
    }
    if (newfid !== undefined) {
      check(!this.fids.has(newfid), `newfid ${newfid} is in use`);
      check(!this.#isClunking(newfid), `newfid ${newfid} is being clunked`);
      check(!this.open.some((entry) => entry.newfid === newfid), `newfid ${newfid} is being made`);
    }
    const entry: Entry = {
      tag,
      message,
      fids,
      newfid,
      answered: false,
      flushTag: undefined,
      flushAnswered: false,
      late: false,
    };
    this.byTag.delete(tag);
    this.byTag.set(tag, entry);
    this.news.push(entry);
  }

  #flush(tag: number, oldtag: number): void {
    this.#freeTag(tag, 'Tflush');
    this.#nextInReserve(tag, 'Tflush');
    const entry = this.byTag.get(oldtag);
    if (entry === undefined) throw new Error(`Tflush of tag ${oldtag}, which was never used`);
    check(entry.flushTag === undefined, `a second Tflush of tag ${oldtag}`);
    check(entry.message.type !== 'Tremove', `a Tflush of a Tremove`);
    entry.flushTag = tag;
    this.#flushes.set(tag, entry);
  }

  #clunk(tag: number, fid: number): void {
    this.#freeTag(tag, 'Tclunk');
    this.#nextInReserve(tag, 'Tclunk');
    check(!this.#isClunking(fid), `a second Tclunk of fid ${fid}`);
    const user = this.open.find((entry) => entry.fids.includes(fid) || entry.newfid === fid);
    check(user === undefined, `Tclunk of fid ${fid}, which ${user?.message.type} still names`);
    this.clunks.push({ tag, fid });
  }

  #isClunking(fid: number): boolean {
    return this.clunks.some((clunk) => clunk.fid === fid);
  }

  #isBeingRemoved(fid: number): boolean {
    return this.open.some(({ message }) => message.type === 'Tremove' && message.fid === fid);
  }

  #freeTag(tag: number, type: string): void {
    const last = this.byTag.get(tag);
    check(last === undefined || isOver(last), `${type} uses tag ${tag} too early`);
    check(!this.#flushes.has(tag), `${type} uses tag ${tag} of a Tflush that is not answered`);
    check(!this.clunks.some((clunk) => clunk.tag === tag), `${type} uses tag ${tag} of a Tclunk that is not answered`);
  }
}

function check(right: boolean, what: string): void {
  if (!right) throw new Error(what);
}
