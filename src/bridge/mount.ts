// A mount from nothing to its end: connect, attach, look at the root, mount the device, serve, let go.
// Guarantees: resolves only when the root has answered and the kernel has begun to use the mount; when it rejects,
// nothing stays mounted or connected. A lost connection ends no mount: it answers EIO until it is unmounted.

import type { ConnectionStats } from '../client/connection.ts';
import type { FidFacts } from '../client/fidfacts.ts';
import { connect, type Session } from '../client/session.ts';
import { ConfigError, ConnectionError, ErrnoError } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import type { UnmountOptions } from '../fuse/mount.ts';
import type { SessionEnd, SessionStats } from '../fuse/session.ts';
import { formatAddress } from '../transport/address.ts';
import { VERSION } from '../wire/p9/constants.ts';
import { isDirectory, toAttr } from './attributes/attrs.ts';
import { type Bridge, makeBridge } from './context.ts';
import { serveMount } from './driver.ts';
import { cachePolicy } from './files/cache.ts';
import { fileSystem } from './filesystem.ts';
import type { KernelPort } from './kernel.ts';
import { keepsAcls } from './owners/acls.ts';
import { accountsOf, type IdMaps, ownersOf, readMaps } from './owners/owners.ts';
import { Users } from './owners/users.ts';
import { checkSettings, completeSettings, type GivenSettings, type MountSettings } from './settings.ts';

export type MountEnd = SessionEnd;

export interface MountStats {
  client: ConnectionStats;
  fuse: SessionStats;
  /** Files that the kernel knows. */
  nodes: number;
  /** Open files and directories. */
  handles: number;
  /** Uids that are attached. */
  users: number;
  /** What the server's fids turned out to be, as far as that is known: client/fidfacts.ts. */
  fids: FidFacts['all'];
}

export interface Mount {
  /** Canonical path. */
  readonly mountpoint: string;
  /** How it ended, by whoever's hand; never rejects. */
  readonly done: Promise<MountEnd>;
  /**
   * Rejects with ConfigError when the mount is busy; `lazy` does not fail. `detached` is called when nobody new can enter,
   * which may be long before the end.
   */
  unmount(options?: UnmountOptions): Promise<MountEnd>;
  stats(): MountStats;
}

/** Rejects with ConfigError, ConnectionError, ProtocolError or CancelledError, each with the one line that says why. */
export async function mount(given: GivenSettings): Promise<Mount> {
  const settings = completeSettings(given);
  checkSettings(settings);
  const log = settings.childLogger ?? ((): Logger => settings.logger);
  const maps = readMaps(settings, log('bridge'));
  const session = await connect(settings.address, {
    version: settings.version,
    msize: settings.msize,
    rxPool: settings.rxPool,
    timeout: settings.connectTimeout,
    logger: log('client'),
    requests: { timeout: settings.timeout, flushTimeout: settings.flushTimeout },
    accounts: accountsOf(settings),
    ...(settings.signal && { signal: settings.signal }),
  });
  try {
    return await mountSession(session, settings, maps, log);
  } catch (error) {
    session.close();
    throw error;
  }
}

async function mountSession(
  session: Session,
  settings: MountSettings,
  maps: IdMaps,
  log: (component: string) => Logger,
): Promise<Mount> {
  checkDialect(session, settings);
  const { access, uname, uid, aname } = settings;
  const atServer = (id: number) => maps.uids.toServer(id);
  if (typeof access !== 'number') checkMapped('you', () => atServer(uid));
  const users = new Users(session, { access, uname, uid, aname, atServer });
  const rootStat = await lookAtRoot(session, users, settings);
  const owners = ownersOf(settings, maps, rootStat, session.dialect.attachesByName);
  checkMapped('the owner of the tree', () => toAttr(rootStat, owners));
  const { posixAcl, noatime, locks: remoteLocks } = settings;
  const policy = cachePolicy(settings.cache);
  const logger = log('bridge');
  const { flushTimeout } = settings;
  let bridge: Bridge | undefined;
  const operations = (kernel: KernelPort) => {
    bridge = makeBridge({
      session,
      users,
      rootStat,
      policy,
      owners,
      kernel,
      remoteLocks,
      posixAcl,
      noatime,
      logger,
      flushTimeout,
    });
    return fileSystem(bridge);
  };
  const served = await serveMount({ settings, session, policy, operations, logger: log('fuse') });
  void session.closed.then((error) => logger.info({ reason: error.message }, 'no connection: every call gets EIO'));
  const stats = (): MountStats => ({
    client: session.stats,
    fuse: served.stats(),
    nodes: bridge?.nodes.size ?? 0,
    handles: bridge?.handles.size ?? 0,
    users: users.attached,
    fids: session.fidFacts.all,
  });
  void served.done.then(() => logger.debug(stats(), 'mount ended'));
  return {
    mountpoint: served.mountpoint,
    done: served.done,
    unmount: (options) => served.unmount(options),
    stats,
  };
}

/** What was asked for and this server's dialect cannot give. */
function checkDialect({ dialect, connection }: Session, { idmap, flock, posixAcl }: MountSettings): void {
  const cannot = (option: string, why: string): never => {
    throw new ConfigError(`${option}: the server speaks ${connection.version}, ${why}`, 1);
  };
  if (idmap === 'file' && dialect.attachesByName) cannot('idmap=file', 'where owners are names, not numbers');
  if (flock === 'remote' && !dialect.hasLocks) cannot('flock=remote', 'which has no locks');
  if (posixAcl && connection.version !== VERSION.dotl) cannot('posixacl', 'which has no extended attributes');
}

/** What the files of idmap=file must not leave out: who mounts, who else could not attach, and the tree's owner, who has to be shown. */
function checkMapped(whose: string, map: () => unknown): void {
  try {
    map();
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error;
    throw new ConfigError(`${whose}: ${error.message}; nomap=ignore leaves such ids as they are`, 1);
  }
}

/** Attaches and asks for the root's attributes, within the time that connecting may take. */
async function lookAtRoot(session: Session, users: Users, settings: MountSettings) {
  const where = formatAddress(settings.address);
  const seconds = settings.connectTimeout / 1000;
  // nothing but this start uses the connection yet, so ending it is how a server that says nothing is given up
  const giveUp = (why: string) => session.connection.fail(new ConnectionError(`${where}: ${why}`));
  const clock = setTimeout(
    () => giveUp(`the server did not answer the attach within ${seconds} s`),
    settings.connectTimeout,
  );
  const cancel = () => giveUp('given up');
  if (settings.signal?.aborted) cancel();
  settings.signal?.addEventListener('abort', cancel, { once: true });
  try {
    const root = await users.root(users.owner);
    const stat = await session.dialect.stat(root);
    if (!isDirectory(stat))
      throw new ConfigError(`${where}: the root of aname '${settings.aname}' is not a directory`, 1);
    if (settings.posixAcl && !(await keepsAcls((name) => session.dialect.getxattr(root, name))))
      throw new ConfigError(`${where}: posixacl: the server stores no POSIX ACLs there`, 1);
    return stat;
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error;
    const who = `${settings.uname} (uid ${users.owner})`;
    throw new ConfigError(`${where}: aname '${settings.aname}' is refused to ${who}: ${error.code}`, 1, {
      cause: error,
    });
  } finally {
    clearTimeout(clock);
    settings.signal?.removeEventListener('abort', cancel);
  }
}
