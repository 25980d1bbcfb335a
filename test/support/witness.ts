// Tells which file a request hits: the files are watched through the tree itself, behind the server and its fids.
// Guarantees: end() gives back every reference and every open file that a witness holds.

import { Abort } from '../../src/common/abort.ts';
import { errnoName } from '../../src/common/errno.ts';
import { LOCK_EOF, type OpenFile, type Tree, type TreeNode, type User } from '../../src/server/tree.ts';
import { GETATTR, OPEN } from '../../src/wire/p9/constants.ts';
import { Refused } from './raw9p.ts';

const root: User = { uid: 0, gid: 0, groups: [0], uname: 'root', newGroup: 'any' };
const signal = new Abort();
const lend = (size: number) => ({ bytes: Buffer.alloc(size), release() {} });

/** All that can be seen of a file: any change of the file changes this text. */
async function seen(node: TreeNode): Promise<string> {
  const { mode, uid, gid, size, nlink, mtime, mtimeNsec } = await node.getattr(GETATTR.ALL, root, signal);
  const file = await node.open(OPEN.RDONLY, root, signal);
  try {
    const { data } = await file.read(0, 1000, lend, signal);
    const text = Buffer.concat(data instanceof Uint8Array ? [data] : data).toString();
    const xattrs = Buffer.from(await node.listxattr(root, signal)).toString();
    return JSON.stringify({ mode, uid, gid, size, nlink, mtime, mtimeNsec, text, xattrs });
  } finally {
    await file.close();
  }
}

export class Witness {
  readonly #tree: Tree;
  readonly #nodes = new Map<string, TreeNode>();
  readonly #held: OpenFile[] = [];

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /** Watches what stands at a path now, under a name of the test's. */
  async watch(name: string, ...path: string[]): Promise<TreeNode> {
    let node = await this.#tree.attach(root, '', signal);
    for (const each of path) {
      const next = await node.walk(each, root, signal);
      node.release();
      node = next;
    }
    this.#nodes.set(name, node);
    return node;
  }

  /** Holds a lock on a watched file: of that kind, by a client of the file's name. */
  async lock(name: string, kind: number): Promise<void> {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    const file = await node.open(OPEN.RDWR, root, signal);
    this.#held.push(file);
    await file.lock({ kind, start: 0n, end: LOCK_EOF, procId: 1, clientId: name }, signal);
  }

  /** The name of the watched file that has this qid. */
  named({ path }: { path: bigint }): string {
    for (const [name, { qid }] of this.#nodes) if (qid.path === path) return name;
    return 'another';
  }

  /** The names of the watched files that `act` changes, or the name of its error. */
  async changedBy(act: () => Promise<unknown>): Promise<string> {
    const before = new Map<string, string>();
    for (const [name, node] of this.#nodes) before.set(name, await seen(node));
    const refusal = await hit(async () => {
      await act();
      return '';
    });
    const changed: string[] = [];
    for (const [name, node] of this.#nodes) if ((await seen(node)) !== before.get(name)) changed.push(name);
    return [...(refusal === '' ? [] : [refusal]), ...changed].join(' and ') || 'nothing';
  }

  async end(): Promise<void> {
    for (const file of this.#held.splice(0)) await file.close();
    for (const node of this.#nodes.values()) node.release();
    this.#nodes.clear();
  }
}

/** What `act` says, or the name of the error with which the server refuses it. */
export async function hit(act: () => Promise<string>): Promise<string> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refused) return errnoName(error.ecode);
    throw error;
  }
}
