// A tree of the embedded server on a port of the loopback, with as many mounts of it as a test wants, served by this
// process. In the end every mount has passed its leak check and the server has let everything go; whatever fails of
// that, nothing stays mounted and no file stays behind.

import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { GivenSettings } from '../../src/bridge/settings.ts';
import {
  type BehaviourOptions,
  hostTree,
  memoryTree,
  type Serving,
  serve,
  type Tree,
} from '../../src/server/server.ts';
import type { Users } from '../../src/server/users.ts';
import { formatAddress } from '../../src/transport/address.ts';
import { type Mounted, mounted } from './mounted.ts';
import { makeTempDir, removeTempDir } from './tempdir.ts';
import { until } from './until.ts';

const LOOPBACK = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

/** A server for tests that take the embedded one as well as Debian's (debian.ts). */
export interface PeerServer {
  readonly address: string;
  readonly aname: string;
  stop(): Promise<void>;
}

export async function embeddedPeer(tree: Tree, behaviour: BehaviourOptions = {}): Promise<PeerServer> {
  const serving = await serve({ address: LOOPBACK, tree, ...behaviour });
  return { address: formatAddress(serving.address), aname: '', stop: () => serving.close() };
}

export type ExportedTree = 'memory' | 'host';

export interface Exported {
  /** Of this test alone; every user may enter it. */
  readonly dir: string;
  /** What the host tree shows; with the memory tree it stays empty. */
  readonly directory: string;
  readonly serving: Serving;
  /** One after the other, as they were made. What a test has ended itself it takes out. */
  readonly mounts: Mounted[];
  mount(settings?: Partial<GivenSettings>): Promise<Mounted>;
  end(): Promise<void>;
}

/** With what the server is told to behave like others: `fids`, `append`, `fsync`, `wstat`. */
export interface ExportedOptions extends BehaviourOptions {
  /** Whom the server knows, in files that may be written into `dir`; this machine's users if not given. */
  users?: (dir: string) => Promise<Users>;
}

export async function exported(label: string, tree: ExportedTree, options: ExportedOptions = {}): Promise<Exported> {
  const dir = await makeTempDir(label);
  await chmod(dir, 0o755);
  const directory = join(dir, 'export');
  await mkdir(directory);
  const { users: makeUsers, ...behaviour } = options;
  const users = await makeUsers?.(dir);
  const serving = await serve({
    address: LOOPBACK,
    tree: tree === 'memory' ? memoryTree() : hostTree(directory, {}),
    ...(users && { accounts: users }),
    ...behaviour,
  });
  const mounts: Mounted[] = [];
  let made = 0;
  return {
    dir,
    directory,
    serving,
    mounts,
    async mount(settings = {}) {
      const live = await mounted(join(dir, `${made++}`), { address: serving.address, ...settings });
      mounts.push(live);
      return live;
    },
    async end() {
      try {
        for (const live of mounts) await live.end();
        await until('the server to have let everything go', () => serving.stats.connections.length === 0);
        expect(serving.stats.places).toBe(0);
      } finally {
        // those that were not come to; the others are unmounted, and that is no harm
        for (const { mount } of mounts) await mount.unmount({ lazy: true });
        await serving.close();
        await removeTempDir(dir);
      }
    },
  };
}
