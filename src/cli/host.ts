// What this machine must be for the sub-commands that mount.

import { platform } from 'node:os';
import { ConfigError } from '../common/errors.ts';

/** Throws ConfigError where there is no kernel side yet. */
export function checkLinux(): void {
  if (platform() === 'linux') return;
  throw new ConfigError(`mounting needs Linux so far, this is ${platform()}; ninefs serve works here`, 1);
}
