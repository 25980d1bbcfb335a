// One mount's life in this process: start, serve, unmount on a signal, end. The daemon runs this too.
// Guarantees: a signal while it starts gives the start up; on a live mount the first unmounts (lazily when it is busy),
// the second detaches at once, the third leaves those who still use it. A mount that somebody else unmounted ends well.
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

/** How long a broken daemon may take to detach its mount before it ends anyway. */
const LAST_DEADLINE = 2_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

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
}

/** Mounts and stays until the mount is gone. Rejects when it cannot be mounted. */
export async function runMount(settings: MountSettings, { live, logger }: Watch): Promise<number> {
  const start = new Abort();
  let state: State = { kind: 'starting' };
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
  const onSignal = (signal: NodeJS.Signals) => {
    logger.info({ signal, state: state.kind }, 'signal');
    switch (state.kind) {
      case 'starting':
        return start.abort(signal);
      case 'live':
        return void unmount(state.mount).catch(trouble);
      case 'unmounting':
        return void detach(state.mount).catch(trouble);
      case 'detached':
        // not in such a hurry that a stale mount is left
        return void within(state.away, LAST_DEADLINE, () => {}).then(() => cutOff(EXIT.ok));
    }
  };
  // a daemon that dies with its mount in place leaves a stale one: "Transport endpoint is not connected"
  const onBug = (error: unknown) => {
    logger.error({ err: error }, 'unexpected error');
    const clock = setTimeout(() => breakOff(error), LAST_DEADLINE);
    const gone = 'mount' in state ? detach(state.mount).catch(trouble) : Promise.resolve();
    void gone.then(() => {
      clearTimeout(clock);
      breakOff(error);
    });
  };
  const tellStats = () => {
    if ('mount' in state) logger.info(state.mount.stats(), 'statistics');
  };
  process.on('uncaughtException', onBug);
  process.on('SIGUSR2', tellStats);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    const mounted = await Promise.race([mount({ ...settings, signal: start }), cut.then(() => never())]);
    state = { kind: 'live', mount: mounted };
    logger.info({ source: settings.source, mountpoint: mounted.mountpoint }, 'mounted');
    live(mounted);
    // a signal may have come in the very last moment of the start
    if (start.aborted) await unmount(mounted);
    const end = await Promise.race([mounted.done, cut]);
    logger.info({ end }, 'ended');
    if (typeof end === 'number') return end;
    if (end.how === 'unmounted' || end.how === 'stopped') return EXIT.ok;
    // the connection ended under the mount, which is dead now, but still in everybody's way
    complain(`${mounted.mountpoint}: the kernel's connection ended (${end.error?.message ?? 'aborted'}); detached`);
    await detach(mounted);
    return EXIT.failure;
  } catch (error) {
    if (start.aborted && state.kind === 'starting') return EXIT.interrupted;
    throw error;
  } finally {
    process.off('uncaughtException', onBug);
    process.off('SIGUSR2', tellStats);
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

/** What is told of a mount that cannot just be unmounted. */
async function whyNot(mountpoint: string): Promise<string> {
  const isLinux = process.platform === 'linux';
  if (isLinux && (await findMount(mountpoint))?.type !== FS_TYPE)
    return `${mountpoint} was detached before: its users are cut off`;
  const users = (await usersOf(mountpoint)).join(', ');
  return `${mountpoint} is busy${users === '' ? '' : `, in use by ${users}`}: detached all the same`;
}

/** Nothing cuts off a mount that is not live yet; only a bug ends that wait early. */
function never(): never {
  throw new Error('a mount was cut off before it was live');
}
