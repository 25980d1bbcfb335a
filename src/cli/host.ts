// What this machine must be for the sub-commands that mount.

import { platform } from 'node:os';
import type { Driver } from '../bridge/settings.ts';
import { ConfigError } from '../common/errors.ts';

/** Throws ConfigError where there is no kernel side for the driver; undefined is the system's own. */
export function checkSystem(driver: Driver | undefined, system: string = platform()): void {
  if (system === 'linux' || (system === 'darwin' && driver !== 'device')) return;
  if (system === 'darwin') throw new ConfigError('--driver device needs Linux: on macOS it is fuse-native', 1);
  throw new ConfigError(`mounting needs Linux or macOS, this is ${system}; ninefs serve works here`, 1);
}
