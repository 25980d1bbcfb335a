// Commands in a mount namespace of their own, where devices and files of the machine can be covered without it noticing.
// Root only. What is mounted in it goes when its last process does.

import { ninefsPath } from './cli.ts';
import { type ShellOptions, type ShellResult, shell } from './shell.ts';

/** For a script run in a namespace: /dev/fuse open to all, as udev makes it, whatever this machine has. */
export const OPEN_DEVICE =
  'mount -t tmpfs none /media; mknod -m 666 /media/fuse c 10 229; mount --bind /media/fuse /dev/fuse';

/** Words that run a command as a user without rights. */
export const as = (uid: number): string => `setpriv --reuid=${uid} --regid=${uid} --clear-groups`;

/** Text as one word of a shell script. */
export const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Runs a shell script (set -e) in a new namespace. */
export function inNamespace(script: string, options?: ShellOptions): Promise<ShellResult> {
  return shell(`exec unshare -m --propagation private sh -ec ${quote(script)}`, options);
}

/**
 * For a script: `ninefs` is the built command, run by `user` (words as of as()) where one is given; `become_ninefs ... &` is it
 * in the background, with the pid that $! says.
 */
export function ninefsIn(user = ''): string {
  const command = `${user} ${quote(process.execPath)} ${quote(ninefsPath)} "$@"`;
  return `ninefs() { ${command}; }; become_ninefs() { exec ${command}; }`;
}
