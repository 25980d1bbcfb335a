// One mount's life in this process: start, serve, unmount on a signal, end. The daemon runs this too.
// Guarantees: a signal while it starts gives the start up; on a live mount the first unmounts (lazily when it is busy),
// the second detaches at once, the third leaves those who still use it. A mount that somebody else unmounted ends well.
// Whatever this process dies of, its mount is detached: by itself where it can, by its watcher where it cannot.
// SIGUSR2 puts what the mount counts into the log, so that one that waits for something can be asked what for.

import { type Mount, mount } from '../bridge/mount.ts';
import type { MountSettings } from '../bridge/settings.ts';
import { Abort } from '../common/abort.ts';
import { deferred, within } from '../common/deadline.ts';
import { ConfigError } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import { usersOf } from '../fuse/busy.ts';
import { FS_TYPE } from '../fuse/mount.ts';
import { findMount } from '../fuse/mountinfo.ts';
import { complain, EXIT } from './report.ts';
import { type Deadly, onDeadly } from './signals.ts';
import { noWatcher, startWatcher, type Watcher } from './watcher.ts';

/** How long a broken daemon may take to detach its mount before it ends anyway. */
const LAST_DEADLINE = 2_000;

type State =
  | { kind: 'starting' }
  | { kind: 'live'; mount: Mount }
  | { kind: 'unmounting'; mount: Mount }
  /** `away` settles when it is out of the tree. */
  | { kind: 'detached'; away: Promise<void> };

interface Watch {
  /** Called when the mount is live and its root answered. */
  live(mount: Mount): void;
  logger: Logger;
  /** A mount whose process was killed stays where it is. */
  keepDead: boolean;
}

/** How the process is to end. */
export interface Ending {
  code: number;
  /** The first signal that came, where it is one that ends no process well. */
  signal?: Deadly;
}

/** Mounts and stays until the mount is gone. Rejects when it cannot be mounted. */
export async function runMount(settings: MountSettings, { live, logger, keepDead }: Watch): Promise<Ending> {
  const start = new Abort();
  let state: State = { kind: 'starting' };
  let first: Deadly | undefined;
  let bug: { error: unknown } | undefined;
  let pending: Promise<Mount> | undefined;
  let watcher: Watcher = noWatcher;
  let cutOff: (code: number) => void = () => undefined;
  let breakOff: (error: unknown) => void = () => undefined;
  const cut = new Promise<number>((resolve, reject) => {
    cutOff = resolve;
    breakOff = reject;
  });
  cut.catch(() => undefined); // a bug during the start is reported by what it broke

  const detach = async (mounted: Mount) => {
    const away = deferred<void>();
    state = { kind: 'detached', away: away.promise };
    await mounted.unmount({ lazy: true, detached: away.resolve });
  };
  const unmount = async (mounted: Mount) => {
    state = { kind: 'unmounting', mount: mounted };
    try {
      await mounted.unmount();
    } catch (error) {
      if (state.kind !== 'unmounting') return; // detached meanwhile
      if (!(error instanceof ConfigError)) throw error;
      complain(await whyNot(mounted.mountpoint));
      await detach(mounted);
    }
  };
  const trouble = (error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    complain(`cannot unmount ${settings.mountpoint}: ${why}`);
    logger.error({ err: error }, 'unmount failed');
  };
  const onSignal = (signal: Deadly) => {
    first ??= signal;
    logger.info({ signal: signal.name, state: state.kind }, 'signal');
    switch (state.kind) {
      case 'starting':
        return start.abort(signal.name);
      case 'live':
        return void unmount(state.mount).catch(trouble);
      case 'unmounting':
        return void detach(state.mount).catch(trouble);
      case 'detached':
        // not in such a hurry that a stale mount is left
        return void within(state.away, LAST_DEADLINE, () => {}).then(() => cutOff(EXIT.ok));
    }
  };
  /** Whatever there is of the mount, gone. */
  const giveUp = async () => {
    if ('mount' in state) return detach(state.mount);
    start.abort('an unexpected error');
    const mounted = await pending?.catch(() => undefined);
    if (mounted !== undefined) await detach(mounted);
  };
  // a daemon that dies with its mount in place leaves a stale one: "Transport endpoint is not connected"
  const onBug = (error: unknown) => {
    logger.error({ err: error }, 'unexpected error');
    bug ??= { error };
    void within(giveUp().catch(trouble), LAST_DEADLINE, () => {}).then(() => breakOff(error));
  };
  const tellStats = () => {
    if ('mount' in state) logger.info(state.mount.stats(), 'statistics');
  };
  const ending = (code: number): Ending =>
    first === undefined || first.asks ? { code } : { code: 128 + first.number, signal: first };
  process.on('uncaughtException', onBug);
  process.on('SIGUSR2', tellStats);
  const deaf = onDeadly(onSignal);
  try {
    if (!keepDead && process.platform === 'linux') watcher = await startWatcher(settings.mountpoint, logger);
    pending = mount({ ...settings, signal: start });
    const mounted = await Promise.race([pending, cut.then(() => never())]);
    state = { kind: 'live', mount: mounted };
    await watcher.mounted();
    logger.info({ source: settings.source, mountpoint: mounted.mountpoint }, 'mounted');
    live(mounted);
    // a signal may have come in the very last moment of the start
    if (start.aborted) await unmount(mounted);
    const end = await Promise.race([mounted.done, cut]);
    logger.info({ end }, 'ended');
    if (bug !== undefined) throw bug.error; // it is what has detached the mount
    if (typeof end === 'number') return ending(end);
    if (end.how === 'unmounted' || end.how === 'stopped') {
      watcher.done();
      return ending(EXIT.ok);
    }
    // the connection ended under the mount, which is dead now, but still in everybody's way
    complain(`${mounted.mountpoint}: the kernel's connection ended (${end.error?.message ?? 'aborted'}); detached`);
    await detach(mounted);
    return ending(EXIT.failure);
  } catch (error) {
    if (start.aborted && state.kind === 'starting') return ending(EXIT.interrupted);
    // nobody serves it any more
    if (state.kind === 'live') await detach(state.mount).catch(trouble);
    throw error;
  } finally {
    process.off('uncaughtException', onBug);
    process.off('SIGUSR2', tellStats);
    deaf();
  }
}

/** What is told of a mount that cannot just be unmounted. */
async function whyNot(mountpoint: string): Promise<string> {
  const isLinux = process.platform === 'linux';
  // where there is no /proc it is taken for busy
  const isThere =
    !isLinux ||
    (await findMount(mountpoint).then(
      (info) => info?.type === FS_TYPE,
      () => true,
    ));
  if (!isThere) return `${mountpoint} was detached before: its users are cut off`;
  const users = (await usersOf(mountpoint)).join(', ');
  return `${mountpoint} is busy${users === '' ? '' : `, in use by ${users}`}: detached all the same`;
}

/** Nothing cuts off a mount that is not live yet; only a bug ends that wait early. */
function never(): never {
  throw new Error('a mount was cut off before it was live');
}
