// A server whose fids are paths, made of the embedded one and of somebody in the middle: after a rename or a removal a
// fid means what has its old name now, and nothing where nothing has it. What is asked through such a fid is asked
// through another one that leads there, which the client must have: so a rule that finds this out keeps one of the
// other file.

import { errno } from '../../src/common/errno.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import type { Asked, Tampering } from './middle.ts';

interface PathFid {
  readonly path: string;
  /** What had the path when the fid was made. */
  readonly file: number;
  readonly isOpen: boolean;
}

const join = (dir: string, ...names: string[]) => [dir, ...names].join('/');
const isBelow = (path: string, top: string) => path === top || path.startsWith(`${top}/`);

/** Which file has which path, as far as the client has named them. */
class Names {
  readonly #files = new Map<string, number>();
  #last = 0;

  now(path: string): number | undefined {
    return this.#files.get(path);
  }

  make(path: string): number {
    this.#last++;
    this.#files.set(path, this.#last);
    return this.#last;
  }

  find(path: string): number {
    return this.now(path) ?? this.make(path);
  }

  remove(top: string): void {
    for (const path of [...this.#files.keys()]) if (isBelow(path, top)) this.#files.delete(path);
  }

  move(from: string, to: string): void {
    this.remove(to);
    for (const [path, file] of [...this.#files]) {
      if (!isBelow(path, from)) continue;
      this.#files.delete(path);
      this.#files.set(`${to}${path.slice(from.length)}`, file);
    }
  }
}

class Client {
  readonly #names: Names;
  readonly #fids = new Map<number, PathFid>();
  #speaksDotl = true;

  constructor(names: Names) {
    this.#names = names;
  }

  #path(fid: number): string {
    return this.#fids.get(fid)?.path ?? '';
  }

  /** The fid through which the path is reached now; undefined where nothing has it, or no fid leads there. */
  redirected(fid: number): number | undefined {
    const known = this.#fids.get(fid);
    if (known === undefined) return fid;
    const now = this.#names.now(known.path);
    if (now === known.file) return fid;
    const there = [...this.#fids].filter(([, { file }]) => file === now);
    const found = there.find(([, { isOpen }]) => isOpen === known.isOpen) ?? there.find(() => !known.isOpen);
    return now === undefined ? undefined : found?.[0];
  }

  notFound(tag: number): Message {
    const ecode = errno.ENOENT;
    return this.#speaksDotl
      ? { type: 'Rlerror', tag, ecode }
      : { type: 'Rerror', tag, ename: 'No such file or directory', ecode };
  }

  /** What a request has done that was not refused. */
  learn(request: Message, reply: Message): void {
    const names = this.#names;
    switch (request.type) {
      case 'Tversion':
        this.#speaksDotl = reply.type === 'Rversion' && reply.version === '9P2000.L';
        break;
      case 'Tattach':
        this.#fids.set(request.fid, { path: '', file: names.find(''), isOpen: false });
        break;
      case 'Twalk':
        if (reply.type !== 'Rwalk' || reply.qids.length < request.names.length) break;
        this.#put(request.newfid, join(this.#path(request.fid), ...request.names), false);
        break;
      case 'Tlopen':
      case 'Topen':
        this.#put(request.fid, this.#path(request.fid), true);
        break;
      case 'Tlcreate':
      case 'Tcreate':
        names.make(join(this.#path(request.fid), request.name));
        this.#put(request.fid, join(this.#path(request.fid), request.name), true);
        break;
      case 'Tmkdir':
        names.make(join(this.#path(request.dfid), request.name));
        break;
      case 'Trename':
        names.move(this.#path(request.fid), join(this.#path(request.dfid), request.name));
        break;
      case 'Trenameat': {
        const { olddirfid, oldname, newdirfid, newname } = request;
        names.move(join(this.#path(olddirfid), oldname), join(this.#path(newdirfid), newname));
        break;
      }
      case 'Twstat': {
        const from = this.#path(request.fid);
        if (request.stat.name !== '') names.move(from, join(from.slice(0, from.lastIndexOf('/')), request.stat.name));
        break;
      }
      case 'Tunlinkat':
        names.remove(join(this.#path(request.dirfid), request.name));
        break;
      case 'Tremove':
        names.remove(this.#path(request.fid));
        this.#fids.delete(request.fid);
        break;
      case 'Tclunk':
        this.#fids.delete(request.fid);
        break;
      default:
    }
  }

  #put(fid: number, path: string, isOpen: boolean): void {
    this.#fids.set(fid, { path, file: this.#names.find(path), isOpen });
  }
}

/** Of a request, the fields that hold a fid through which it reaches its file; a clunk is of the number itself. */
const FIELDS = ['fid', 'dfid', 'dirfid', 'olddirfid', 'newdirfid'] as const;
const OF_THE_NUMBER = ['Tattach', 'Tclunk', 'Tremove'];

/** For one run of one rule. */
export function pathFids(): Tampering {
  const names = new Names();
  const clients = new Map<number, Client>();
  const clientOf = ({ connection }: Asked): Client => {
    const client = clients.get(connection) ?? new Client(names);
    clients.set(connection, client);
    return client;
  };
  return {
    request(asked) {
      const { request } = asked;
      if (OF_THE_NUMBER.includes(request.type)) return request;
      const changed: Record<string, unknown> = { ...request };
      for (const field of FIELDS) {
        if (typeof changed[field] !== 'number') continue;
        const fid = clientOf(asked).redirected(changed[field]);
        if (fid === undefined) return { answer: [clientOf(asked).notFound(request.tag)] };
        changed[field] = fid;
      }
      return changed as unknown as Message;
    },
    reply(reply, asked) {
      if (reply.type !== 'Rlerror' && reply.type !== 'Rerror') clientOf(asked).learn(asked.request, reply);
      return [reply];
    },
  };
}
