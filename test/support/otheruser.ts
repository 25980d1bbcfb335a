// A raw 9P client that is another user of this machine: a process of its own under that uid. Root starts it.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type Address, formatAddress } from '../../src/transport/address.ts';
import { NOFID, NONUNAME } from '../../src/wire/p9/constants.ts';
import type { Body, Message, ReplyTo, RequestName } from '../../src/wire/p9/messages.ts';
import { Refused } from './raw9p.ts';

export interface Asked {
  readonly id: number;
  readonly name: string;
  readonly body: object;
}

export type Told = { readonly id: number } & (
  | { readonly reply: object }
  | { readonly ecode: number }
  | { readonly failed: string }
);

/** In every Linux there is, and without rights anywhere. */
export const NOBODY = 65534;

export class OtherUser {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (told: Told) => void>();
  readonly #ended: Promise<unknown>;
  #next = 1;
  #nextFid = 1;

  private constructor(child: ChildProcess) {
    this.#process = child;
    this.#ended = once(child, 'exit').then(() => {
      for (const [id, tell] of this.#waiting) tell({ id, failed: 'the process ended' });
    });
    child.on('message', (told: Told) => {
      this.#waiting.get(told.id)?.(told);
      this.#waiting.delete(told.id);
    });
  }

  /** Connected, with a session begun. */
  static async connect(address: Address, uid = NOBODY, version = '9P2000.L'): Promise<OtherUser> {
    const child = fork(join(import.meta.dirname, 'otheruser-child.ts'), [formatAddress(address)], {
      execArgv: ['--import', join(import.meta.dirname, 'ts.mjs')],
      serialization: 'advanced',
      uid,
      gid: uid,
    });
    const other = new OtherUser(child);
    const connected = new Promise<Told>((resolve) => other.#waiting.set(0, resolve));
    await other.#result('connecting', connected);
    await other.call('Tversion' as RequestName, { msize: 65536, version } as never);
    return other;
  }

  async #result(what: string, told: Promise<Told>): Promise<object> {
    const result = await told;
    if ('reply' in result) return result.reply;
    throw 'ecode' in result ? new Refused(what, result.ecode) : new Error(`${what}: ${result.failed}`);
  }

  async call<N extends RequestName>(name: N, body: Body<N>): Promise<Message<ReplyTo<N>>> {
    const id = this.#next++;
    const told = new Promise<Told>((resolve) => this.#waiting.set(id, resolve));
    this.#process.send({ id, name, body } satisfies Asked);
    return (await this.#result(name, told)) as Message<ReplyTo<N>>;
  }

  /** The errno of a call that fails, 0 of one that does not. */
  async errno<N extends RequestName>(name: N, body: Body<N>): Promise<number> {
    try {
      await this.call(name, body);
      return 0;
    } catch (error) {
      if (error instanceof Refused) return error.ecode;
      throw error;
    }
  }

  /** The errno of an attach of fid 0. */
  attach(nUname = NONUNAME, uname = ''): Promise<number> {
    return this.errno('Tattach', { fid: 0, afid: NOFID, uname, aname: '', nUname });
  }

  async walk(...names: string[]): Promise<number> {
    const newfid = this.#nextFid++;
    const { qids } = await this.call('Twalk', { fid: 0, newfid, names });
    if (qids.length < names.length) throw new Refused(`Twalk ${names.join('/')}`, 2);
    return newfid;
  }

  async end(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.#ended;
  }
}
