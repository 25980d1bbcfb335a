// The file system that the kernel would see, without a kernel: a bridge over an in-process connection to a server of made-up
// files (files9p.ts), its operations called directly.

import { type Bridge, makeBridge } from '../../src/bridge/context.ts';
import { cachePolicy } from '../../src/bridge/files/cache.ts';
import { fileSystem } from '../../src/bridge/filesystem.ts';
import type { KernelPort } from '../../src/bridge/kernel.ts';
import { sameIds } from '../../src/bridge/owners/ids.ts';
import { Users } from '../../src/bridge/owners/users.ts';
import type { CacheMode } from '../../src/bridge/settings.ts';
import type { Connection } from '../../src/client/connection.ts';
import { Session } from '../../src/client/session.ts';
import { Abort, type AbortSignalLike } from '../../src/common/abort.ts';
import type { Unique } from '../../src/common/brand.ts';
import { silent } from '../../src/common/log.ts';
import type { Operations, RequestContext } from '../../src/fuse/operations.ts';
import { Files9p } from './files9p.ts';
import { type ScriptedOptions, scripted } from './scripted.ts';

export interface Bridged {
  client: Connection;
  files: Files9p;
  bridge: Bridge;
  /** What the bridge tells the kernel; for tests to listen to. */
  kernel: { -readonly [K in keyof KernelPort]: KernelPort[K] };
  /** All of them: the bridge has those that a file system need not have. */
  ops: Required<Operations>;
}

export async function bridged(options: ScriptedOptions = {}, cache: CacheMode = 'auto'): Promise<Bridged> {
  const { client, server } = await scripted(options);
  const files = new Files9p(server);
  const session = new Session(client);
  const users = new Users(session, { access: 'client', uname: 'me', uid: 0, aname: '' });
  const rootStat = await session.dialect.stat(await users.root(0));
  const owners = { uids: sameIds, gids: sameIds, dfltuid: 0, dfltgid: 0 };
  const kernel: { -readonly [K in keyof KernelPort]: KernelPort[K] } = {
    expireAttr: async () => {},
    dropPages: async () => {},
  };
  const bridge = makeBridge({
    kernel,
    remoteLocks: true,
    session,
    users,
    rootStat,
    policy: cachePolicy(cache),
    owners,
    logger: silent,
    flushTimeout: 1000,
  });
  return { client, files, bridge, kernel, ops: fileSystem(bridge) as Required<Operations> };
}

/** A caller, root unless told otherwise. */
export function caller(signal: AbortSignalLike = new Abort(), uid = 0): RequestContext {
  return { unique: 1 as Unique, uid, gid: uid, pid: 1, signal };
}
