// `ninefs mount`: from the words of the command line to the settings of a mount, in the foreground or in the background.
// Everything that can be judged without the server is judged in the process that the user started, before a daemon is.

import { resolve } from 'node:path';
import { readMaps } from '../bridge/owners/owners.ts';
import {
  checkSettings,
  completeSettings,
  type Driver,
  defaultSettings,
  type MountSettings,
} from '../bridge/settings.ts';
import { ConfigError } from '../common/errors.ts';
import { canonicalPath } from '../fuse/mountinfo.ts';
import { checkCovered } from '../fuse/mountpoint.ts';
import { daemonReporter, type Reporter, startInBackground } from './background.ts';
import type { Ending } from './foreground.ts';
import { checkSystem } from './host.ts';
import { keepDescriptors, shedDescriptors } from './inherited.ts';
import { type Level, type Log, type LogTarget, noLog, openLog } from './logging.ts';
import { parseOptions } from './optionlist.ts';
import type { Choices } from './options.ts';
import { complain, describe, EXIT, type Failure, oneLine } from './report.ts';
import { dieBy } from './signals.ts';
import { addressOf } from './source.ts';

export interface MountFlags {
  option?: string[];
  foreground?: true;
  log?: string;
  driver?: Driver;
  loglevel?: Level;
}

/** The settings that the command line asks for. Throws ConfigError. */
function mountSettings(source: string, mountpoint: string, choices: Choices, log: Log, driver?: Driver): MountSettings {
  if (mountpoint === '') throw new ConfigError('the mountpoint is empty: name a directory');
  const { timeout } = choices.settings;
  const settings = completeSettings({
    // who will not wait for an answer will not wait longer for the connection
    ...(timeout ? { connectTimeout: Math.min(timeout, defaultSettings.connectTimeout) } : {}),
    ...choices.settings,
    ...(driver === undefined ? {} : { driver }),
    address: addressOf(source, choices.port),
    source: choices.fsname ?? source,
    mountpoint,
    logger: log.logger,
    childLogger: log.child,
  });
  checkSettings(settings);
  readMaps(settings, log.child('bridge'));
  return settings;
}

const debugging = (level: Level | undefined) => level === 'debug' || level === 'trace';

/** What nofail makes of a failure: a missing server is a warning, as a missing device is to mount(8). */
function forgive(failure: Failure, choices: Choices): Failure {
  if (!choices.nofail || !failure.unreachable) return failure;
  return { ...failure, message: `warning: not mounted, as nofail allows: ${failure.message}`, exitCode: EXIT.ok };
}

/** What would take the mount's own process down with it, or the machine. */
async function checkPlace({ mountpoint, force, address }: MountSettings): Promise<void> {
  await checkCovered(mountpoint, force);
  if (address.kind !== 'unix') return;
  const [place, socket] = [await canonicalPath(mountpoint), await canonicalPath(address.path)];
  if (!socket.startsWith(`${place}/`)) return;
  // connecting again would look for the socket in the mount, and wait for itself
  throw new ConfigError(`the server's socket ${socket} is below the mountpoint, which would cover it: mount elsewhere`);
}

interface Process {
  settings(log: Log): MountSettings;
  choices: Choices;
  daemon: Reporter | undefined;
  log: LogTarget;
}

/** Mounts in this process and stays until the mount is gone. */
async function stay({ settings: settingsFor, choices, daemon, log: target }: Process): Promise<Ending> {
  let log = noLog;
  try {
    log = daemon !== undefined && target.file === undefined ? noLog : openLog(target);
    const settings = settingsFor(log);
    await checkPlace(settings);
    if (daemon !== undefined) process.chdir('/'); // a daemon keeps no directory busy
    const { runMount } = await import('./foreground.ts'); // the waiting parent needs none of it
    return await runMount(settings, {
      logger: log.logger,
      keepDead: choices.keepDead ?? false,
      live(mount) {
        if (daemon !== undefined) daemon({ state: 'live' });
        else process.stdout.write(`mounted ${oneLine(settings.source)} on ${mount.mountpoint}\n`);
      },
    });
  } catch (error) {
    const failure = forgive(describe(error), choices);
    // the terminal gets the one line below; a log is read later, by somebody who did not see it
    if (target.file !== undefined) log.logger.error(failure.stack === undefined ? {} : { err: error }, failure.message);
    if (daemon !== undefined) daemon({ state: 'failed', failure });
    else if (failure.exitCode !== EXIT.ok) throw error;
    else complain(failure.message);
    return { code: failure.exitCode };
  } finally {
    log.flush();
  }
}

/** Judges a mount as far as that can be done without the server. Rejects with ConfigError. */
export async function checkMount(source: string, mountpoint: string, flags: MountFlags): Promise<void> {
  checkSystem(flags.driver);
  await checkPlace(mountSettings(source, mountpoint, parseOptions(flags.option ?? []), noLog, flags.driver));
}

/** Settles with the exit code. Rejects with what describe() turns into the user's line. */
export async function mountCommand(
  source: string,
  mountpoint: string,
  flags: MountFlags,
  argv: readonly string[],
): Promise<number> {
  const choices = parseOptions(flags.option ?? []);
  checkSystem(flags.driver);
  const file = flags.log ?? choices.log;
  const level = flags.loglevel ?? choices.loglevel;
  const settings = (log: Log) => mountSettings(source, mountpoint, choices, log, flags.driver);
  const daemon = daemonReporter();
  if (daemon === undefined && !flags.foreground) {
    await checkPlace(settings(noLog));
    return startInBackground(argv, debugging(level));
  }
  if (daemon === undefined) {
    shedDescriptors(argv);
    // the mount goes on when the reader of what it says has gone
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  }
  keepDescriptors();
  const log = { level: level ?? 'info', ...(file === undefined ? {} : { file: resolve(file) }) };
  const { code, signal } = await stay({ settings, choices, daemon, log });
  if (signal !== undefined) dieBy(signal);
  return code;
}
