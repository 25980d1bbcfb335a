// The stage of the server's conformance suite: for each kind of tree a fresh server with one client as root, in a root
// directory that is everybody's, and what the tests say most often in a word. Every test ends with the check for leaks.

import { afterEach, beforeEach, describe } from 'vitest';
import { SETATTR } from '../../src/wire/p9/constants.ts';
import type { Raw9p } from './raw9p.ts';
import { type Served, serveTree, type TreeKind } from './served.ts';

/** Acting as other users needs it, in a host tree. */
export const asRoot = process.geteuid?.() === 0;

export class Stage {
  readonly kind: TreeKind;
  #served: Served | undefined;
  #raw: Raw9p | undefined;

  constructor(kind: TreeKind) {
    this.kind = kind;
  }

  get served(): Served {
    if (this.#served === undefined) throw new Error('outside a test');
    return this.#served;
  }

  /** Fid 0 is the root directory. */
  get raw(): Raw9p {
    if (this.#raw === undefined) throw new Error('outside a test');
    return this.#raw;
  }

  async begin(): Promise<void> {
    this.#served = await serveTree(this.kind);
    this.#raw = await this.#served.connect();
    await this.#raw.setattr(0, { valid: SETATTR.MODE, mode: 0o1777 });
  }

  async end(): Promise<void> {
    await this.#served?.end();
  }

  /** A fid of the new directory. */
  async mkdir(name: string, options: { dir?: number; mode?: number; gid?: number; as?: Raw9p } = {}): Promise<number> {
    const { dir: dfid = 0, mode = 0o755, gid = 0, as = this.raw } = options;
    await as.call('Tmkdir', { dfid, name, mode, gid });
    return as.walk(name, dfid);
  }

  async put(name: string, text: string, dir = 0, as = this.raw, mode = 0o644): Promise<void> {
    const fid = await as.create(dir, name, { mode });
    await as.write(fid, text);
    await as.clunk(fid);
  }

  async get(path: string, as = this.raw): Promise<string> {
    const fid = await as.open(path);
    const text = (await as.read(fid)).toString();
    await as.clunk(fid);
    return text;
  }

  /** The errno. */
  unlink(name: string, flags = 0, dirfid = 0, as = this.raw): Promise<number> {
    return as.errno('Tunlinkat', { dirfid, name, flags });
  }

  async names(fid: number): Promise<string[]> {
    return (await this.raw.list(fid)).map(({ name }) => name).sort();
  }
}

export function eachTree(body: (stage: Stage) => void): void {
  describe.each<TreeKind>(['memory', 'host', 'tight host'])('%s tree', (kind) => {
    const stage = new Stage(kind);
    beforeEach(() => stage.begin());
    afterEach(() => stage.end());
    body(stage);
  });
}
