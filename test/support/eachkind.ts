// The stage of the tests of the kinds of fids: for each kind and each tree a server, a client with the fids that are
// tried, another client that moves the files meanwhile, and a witness. Every test ends with the check for leaks.

import { afterEach, beforeEach, describe } from 'vitest';
import type { FidKindName } from '../../src/server/server.ts';
import { SETATTR } from '../../src/wire/p9/constants.ts';
import type { Raw9p } from './raw9p.ts';
import { type Served, serveTree, type TreeKind } from './served.ts';
import { Witness } from './witness.ts';

export const KINDS: readonly FidKindName[] = ['file', 'path', 'path-io', 'path-unopened'];
/** Kinds that have Trenameat and Tunlinkat. */
export const WITH_AT: readonly FidKindName[] = ['file', 'path-unopened'];

interface Scene {
  served: Served;
  raw: Raw9p;
  other: Raw9p;
  witness: Witness;
}

export class KindStage {
  readonly kind: FidKindName;
  readonly tree: TreeKind;
  #scene: Scene | undefined;

  constructor(kind: FidKindName, tree: TreeKind) {
    this.kind = kind;
    this.tree = tree;
  }

  get #here(): Scene {
    if (this.#scene === undefined) throw new Error('outside a test');
    return this.#scene;
  }

  get served(): Served {
    return this.#here.served;
  }

  /** The client with the fids that are tried. Fid 0 is the root directory, here and of the other one. */
  get raw(): Raw9p {
    return this.#here.raw;
  }

  get other(): Raw9p {
    return this.#here.other;
  }

  get witness(): Witness {
    return this.#here.witness;
  }

  async begin(): Promise<void> {
    const served = await serveTree(this.tree, { fids: this.kind });
    const [raw, other] = [await served.connect(), await served.connect()];
    await other.setattr(0, { valid: SETATTR.MODE, mode: 0o777 });
    this.#scene = { served, raw, other, witness: new Witness(served.tree) };
  }

  async end(): Promise<void> {
    await this.#scene?.witness.end();
    await this.#scene?.served.end();
  }

  async mkdir(path: string): Promise<void> {
    const [dir, name] = split(path);
    const dfid = await this.other.walk(dir);
    await this.other.call('Tmkdir', { dfid, name, mode: 0o755, gid: 0 });
    await this.other.clunk(dfid);
  }

  async put(path: string, text: string): Promise<void> {
    const [dir, name] = split(path);
    const dfid = await this.other.walk(dir);
    const fid = await this.other.create(dfid, name);
    await this.other.write(fid, text);
    for (const each of [fid, dfid]) await this.other.clunk(each);
  }

  /** By the other client, with fids of its own; every kind has Trename. */
  async rename(path: string, to: string): Promise<void> {
    const [dir, name] = split(to);
    const [fid, dfid] = [await this.other.walk(path), await this.other.walk(dir)];
    await this.other.call('Trename', { fid, dfid, name });
    for (const each of [fid, dfid]) await this.other.clunk(each);
  }

  async remove(path: string): Promise<void> {
    await this.other.call('Tremove', { fid: await this.other.walk(path) });
  }

  /** The text of what has the path now; '' if nothing has. */
  async text(path: string): Promise<string> {
    const fid = this.other.fid();
    const reply = await this.other.reply(this.other.send('Twalk', { fid: 0, newfid: fid, names: path.split('/') }));
    if (reply.type !== 'Rwalk' || reply.qids.length < path.split('/').length) return '';
    await this.other.call('Tlopen', { fid, flags: 0 });
    const text = (await this.other.read(fid)).toString();
    await this.other.clunk(fid);
    return text;
  }
}

function split(path: string): [dir: string, name: string] {
  const at = path.lastIndexOf('/');
  return [path.slice(0, Math.max(at, 0)), path.slice(at + 1)];
}

export function eachKind(body: (stage: KindStage) => void): void {
  for (const kind of KINDS) {
    describe.each<TreeKind>(['memory', 'delayed memory', 'host', 'tight host'])(`fids=${kind}, %s tree`, (tree) => {
      const stage = new KindStage(kind, tree);
      beforeEach(() => stage.begin());
      afterEach(() => stage.end());
      body(stage);
    });
  }
}
