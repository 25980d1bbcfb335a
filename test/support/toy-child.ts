// Serves a ToyFs in a process of its own and does what its parent says over the IPC channel. A test must not touch its
// own mount; this is the process that serves, the test is the one that touches.

import { pino } from 'pino';
import { childLogger, silent } from '../../src/common/log.ts';
import { type ServeOptions, serveDevice } from '../../src/fuse/drivers/device.ts';
import { ToyFs, type ToyOptions } from './toyfs.ts';

export interface ToySetup extends Omit<ServeOptions, 'operations' | 'logger'> {
  toy?: ToyOptions;
  loglevel?: string;
}

export interface ToyReport {
  stats: ReturnType<() => import('../../src/fuse/session.ts').SessionStats>;
  seen: ToyFs['seen'];
  owed: number;
  openFiles: number;
}

export type ToyCommand = 'report' | 'unmount' | 'unmount-lazy' | 'stop' | 'incEpoch' | 'invalRoot';

const setup = JSON.parse(process.argv[2] ?? '{}') as ToySetup;
const say = (message: object): void => {
  if (process.connected) process.send?.(message);
};

const toy = new ToyFs(setup.toy);
const logger =
  setup.loglevel === undefined
    ? silent
    : childLogger(pino({ level: setup.loglevel }, pino.destination({ dest: 2, sync: true })), 'fuse');
try {
  const served = await serveDevice({ ...setup, operations: toy, logger });
  const report = (): ToyReport => ({
    stats: served.session.stats,
    seen: toy.seen,
    owed: toy.owed,
    openFiles: toy.openFiles,
  });
  const commands: Record<ToyCommand, () => unknown> = {
    report,
    unmount: () => served.unmount(),
    'unmount-lazy': () => served.unmount({ lazy: true }),
    stop: () => served.session.stop(),
    incEpoch: () => served.session.notifier.incEpoch(),
    invalRoot: () => served.session.notifier.invalInode(1 as never),
  };
  const asked = new Set<Promise<void>>();
  const obey = async (id: number, command: ToyCommand): Promise<void> => {
    try {
      say({ id, result: (await commands[command]()) ?? null });
    } catch (error) {
      say({ id, error: (error as Error).message });
    }
  };
  process.on('message', ({ id, command }: { id: number; command: ToyCommand }) => {
    const running = obey(id, command);
    asked.add(running);
    void running.finally(() => asked.delete(running));
  });
  say({ ready: { ...served.negotiated, flags: [...served.negotiated.flags], connection: served.connection } });
  const end = await served.done;
  say({ done: { how: end.how, error: end.error?.message, report: report() } });
  await Promise.all(asked);
  process.disconnect();
} catch (error) {
  say({ failed: (error as Error).message });
  process.disconnect?.();
}
