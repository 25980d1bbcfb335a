// What the tests of the server's older dialects say most often in a word: a stage for each tree in each dialect, and the
// messages that 9P2000 and 9P2000.u have and .L has not. Every test ends with the check for leaks.

import { afterEach, beforeEach, describe } from 'vitest';
import { DM, OMODE } from '../../src/wire/p9/constants.ts';
import { type ListedStat, readStats, type Stat, UNTOUCHED } from '../../src/wire/p9/stat.ts';
import type { Raw9p } from './raw9p.ts';
import { type Served, serveTree, type TreeKind } from './served.ts';

export type Plan9Version = '9P2000.u' | '9P2000';

export async function stat(raw: Raw9p, fid: number): Promise<Stat> {
  return (await raw.call('Tstat', { fid })).stat;
}

export function wstat(raw: Raw9p, fid: number, changes: Partial<Stat>) {
  return raw.call('Twstat', { fid, stat: { ...UNTOUCHED, ...changes } });
}

/** The errno. */
export function wstatErrno(raw: Raw9p, fid: number, changes: Partial<Stat>): Promise<number> {
  return raw.errno('Twstat', { fid, stat: { ...UNTOUCHED, ...changes } });
}

export async function open(raw: Raw9p, path: string, mode: number = OMODE.READ): Promise<number> {
  const fid = await raw.walk(path);
  await raw.call('Topen', { fid, mode });
  return fid;
}

export interface CreateOptions {
  dir?: number;
  perm?: number;
  mode?: number;
  extension?: string;
}

/** The fid of what was made. */
export async function create(raw: Raw9p, name: string, options: CreateOptions = {}): Promise<number> {
  const { dir = 0, perm = 0o644, mode = OMODE.RDWR, extension = '' } = options;
  const fid = await raw.walk('', dir);
  try {
    await raw.call('Tcreate', { fid, name, perm: perm >>> 0, mode, extension });
  } catch (error) {
    await raw.clunk(fid);
    throw error;
  }
  return fid;
}

export function mkdir(raw: Raw9p, name: string, perm = 0o755, dir = 0): Promise<number> {
  return create(raw, name, { dir, perm: (DM.DIR | perm) >>> 0, mode: OMODE.READ });
}

/** The errno; nothing is left of a fid when it fails. */
export async function createErrno(raw: Raw9p, name: string, options: CreateOptions = {}): Promise<number> {
  const { dir = 0, perm = 0o644, mode = OMODE.RDWR, extension = '' } = options;
  const fid = await raw.walk('', dir);
  const errno = await raw.errno('Tcreate', { fid, name, perm: perm >>> 0, mode, extension });
  await raw.clunk(fid);
  return errno;
}

export async function put(raw: Raw9p, name: string, text: string, options: CreateOptions = {}): Promise<void> {
  const fid = await create(raw, name, options);
  await raw.write(fid, text);
  await raw.clunk(fid);
}

export async function get(raw: Raw9p, path: string): Promise<string> {
  const fid = await open(raw, path);
  const text = (await raw.read(fid)).toString();
  await raw.clunk(fid);
  return text;
}

/** The whole listing of an open directory, in reads of `count` bytes. */
export async function list(raw: Raw9p, fid: number, version: Plan9Version, count = 8192): Promise<ListedStat[]> {
  const all: ListedStat[] = [];
  for (let offset = 0; ; ) {
    const data = await raw.read(fid, offset, count);
    if (data.length === 0) return all;
    const { entries, fault } = readStats(data, version === '9P2000.u');
    if (fault !== undefined) throw new Error(fault);
    all.push(...entries);
    offset += data.length;
  }
}

export class Plan9Stage {
  readonly kind: TreeKind;
  readonly version: Plan9Version;
  readonly extended: boolean;
  #served: Served | undefined;
  #raw: Raw9p | undefined;

  constructor(kind: TreeKind, version: Plan9Version) {
    this.kind = kind;
    this.version = version;
    this.extended = version === '9P2000.u';
  }

  get served(): Served {
    if (this.#served === undefined) throw new Error('outside a test');
    return this.#served;
  }

  /** Root's client. Fid 0 is the root directory, where everybody may make what he likes. */
  get raw(): Raw9p {
    if (this.#raw === undefined) throw new Error('outside a test');
    return this.#raw;
  }

  /** Another client. */
  as(uid: number): Promise<Raw9p> {
    return this.served.connect({ uid, version: this.version });
  }

  async names(fid: number, count?: number): Promise<(string | undefined)[]> {
    return (await list(this.raw, fid, this.version, count)).map(({ name }) => name).sort();
  }

  async begin(): Promise<void> {
    this.#served = await serveTree(this.kind);
    this.#raw = await this.as(0);
    await wstat(this.#raw, 0, { mode: (DM.DIR | 0o777) >>> 0 });
  }

  async end(): Promise<void> {
    await this.#served?.end();
  }
}

export function eachPlan9(body: (stage: Plan9Stage) => void): void {
  describe.each<[Plan9Version, TreeKind]>([
    ['9P2000.u', 'memory'],
    ['9P2000.u', 'host'],
    ['9P2000', 'memory'],
    ['9P2000', 'host'],
  ])('%s, %s tree', (version, kind) => {
    const stage = new Plan9Stage(kind, version);
    beforeEach(() => stage.begin());
    afterEach(() => stage.end());
    body(stage);
  });
}
