// A server on a tree of any kind, with raw clients over in-process transports, and the check that nothing leaks: when
// the clients are gone, no fid, no node and no place is left, and the memory tree is charged for what it holds only.

import { readdirSync, readlinkSync } from 'node:fs';
import { expect } from 'vitest';
import {
  type BehaviourOptions,
  type DialectName,
  hostTree,
  memoryTree,
  Server,
  type Tree,
} from '../../src/server/server.ts';
import type { Users } from '../../src/server/users.ts';
import { memoryPair, type PairOptions } from '../../src/transport/memory.ts';
import { delayedTree } from './delayedtree.ts';
import { Raw9p } from './raw9p.ts';
import { makeTempDir, removeTempDir } from './tempdir.ts';

export interface Served {
  readonly server: Server;
  readonly tree: Tree;
  /** The directory that is served; undefined for the memory tree. */
  readonly directory: string | undefined;
  /** A client with fid 0 attached. */
  connect(options?: { uid?: number; msize?: number; pair?: PairOptions; version?: DialectName }): Promise<Raw9p>;
  /** A client that has said nothing yet. */
  dial(pair?: PairOptions): Raw9p;
  /** Ends the clients, checks for leaks, ends the server. */
  end(): Promise<void>;
}

export interface ServedOptions extends BehaviourOptions {
  readOnly?: boolean;
  msize?: number;
  users?: Users;
  capacity?: number;
}

/**
 * A tight host tree may hold very few descriptors, so that nearly every call has to find its file again. A delayed one
 * answers nothing at once.
 */
export type TreeKind = 'memory' | 'delayed memory' | 'host' | 'tight host';

export async function serveTree(kind: TreeKind, options: ServedOptions = {}): Promise<Served> {
  const { readOnly = false, capacity } = options;
  const directory = kind.endsWith('memory') ? undefined : await makeTempDir('host');
  const tight = kind === 'tight host' ? { descriptors: 3 } : {};
  const memory = memoryTree(capacity === undefined ? {} : { capacity });
  const host = directory === undefined ? undefined : hostTree(directory, { readOnly, ...tight });
  const served = serveAny(host ?? (kind === 'memory' ? memory : delayedTree(memory)), options);
  return {
    ...served,
    directory,
    async end() {
      try {
        await served.end(() => {
          if (host === undefined) expect(memory.root.refs).toBe(1);
          else expect(host).toMatchObject({ nodes: 1, descriptors: 1 });
        });
        if (directory !== undefined) expect(openBelow(directory)).toEqual([]);
      } finally {
        if (directory !== undefined) await removeTempDir(directory);
      }
    },
  };
}

/** What this process has open in a directory. */
export function openBelow(directory: string): string[] {
  const open: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (target.startsWith(directory)) open.push(target);
    } catch {
      // the descriptor of the listing itself is gone by now
    }
  }
  return open;
}

export function serveAny(
  tree: Tree,
  { msize, users, readOnly: _, capacity: __, ...behaviour }: ServedOptions = {},
): Omit<Served, 'end'> & { end(check?: () => void): Promise<void> } {
  const server = new Server({
    tree,
    ...(msize === undefined ? {} : { msize }),
    ...(users === undefined ? {} : { accounts: users }),
    ...behaviour,
  });
  const raws: Raw9p[] = [];
  const ends: Promise<void>[] = [];
  const dial = (pair: PairOptions = {}) => {
    const [ours, theirs] = memoryPair(pair, pair);
    ends.push(server.serveTransport(theirs));
    const raw = new Raw9p(ours);
    raws.push(raw);
    return raw;
  };
  return {
    server,
    tree,
    directory: undefined,
    dial,
    async connect({ uid = 0, msize: wanted, pair, version } = {}) {
      const raw = dial(pair);
      await raw.version(wanted, version);
      await raw.attach(0, uid);
      return raw;
    },
    async end(check = () => {}) {
      for (const { tags, peer } of server.stats.connections) expect(`${peer} ${tags}`).toBe(`${peer} 0`);
      for (const raw of raws) raw.transport.close();
      await Promise.all(ends);
      expect(server.stats).toMatchObject({ connections: [], places: 0 });
      check();
      await server.close();
    },
  };
}
