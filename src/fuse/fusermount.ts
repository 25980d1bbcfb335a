// fusermount3, the setuid helper through which an ordinary user mounts: it opens /dev/fuse, mounts it, and passes the
// descriptor back over a socket that it finds through _FUSE_COMMFD.
// Guarantees: no descriptor and no child is left behind when it fails; what it says on stderr becomes the one error line.

import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, closeSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { within } from '../common/deadline.ts';
import { errno, errnoName } from '../common/errno.ts';
import { ConfigError } from '../common/errors.ts';
import { addon } from './drivers/addon.ts';

/** fusermount3 looks at the mount point and answers at once, unless something dead is mounted there. */
const PATIENCE_MS = 10_000;
/** The descriptor's number in the child: the first after the standard three. */
const CHILD_SOCKET = 3;

/** Where it is, or undefined. /sbin and the like are not in every user's PATH, and fusermount3 is not there either. */
export function findFusermount(path = process.env['PATH'] ?? ''): string | undefined {
  return [...path.split(delimiter), '/usr/bin', '/bin', '/usr/local/bin']
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, 'fusermount3'))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false; // not here; the next folder
      }
    });
}

function helper(): string {
  const file = findFusermount();
  if (file !== undefined) return file;
  throw new ConfigError('no fusermount3, which a user other than root needs to mount: install the package fuse3', 1);
}

/** Options are separated by commas, so a value's own commas and backslashes are escaped. */
export function escapeOption(value: string): string {
  return value.replace(/[\\,]/g, '\\$&');
}

interface Finished {
  code: number | null;
  stderr: string;
}

function finished(child: ChildProcess): Promise<Finished> {
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < 4096) stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stderr }));
  });
}

/** Its last words, without its own name. */
function complaint({ code, stderr }: Finished): string {
  const line = stderr.trim().split('\n').at(-1) ?? '';
  return line.replace(/^\S*fusermount3: /, '') || `fusermount3 failed with status ${code}`;
}

function ended(child: ChildProcess): Promise<Finished> {
  return within(finished(child), PATIENCE_MS, () => {
    child.kill('SIGKILL');
    throw new ConfigError('fusermount3 does not answer: something that hangs may be mounted there already', 1);
  });
}

const environment = (): NodeJS.ProcessEnv => ({ ...process.env, LC_ALL: 'C', _FUSE_COMMFD: String(CHILD_SOCKET) });

/** Mounts, and returns the open /dev/fuse. `options` as after -o. */
export async function fusermount(mountpoint: string, options: readonly string[]): Promise<number> {
  const file = helper();
  const pair = addon().socketpair();
  if (typeof pair === 'number') throw new ConfigError(`socketpair: ${errnoName(-pair)}`, 1);
  const [ours, theirs] = pair;
  try {
    let child: ChildProcess;
    try {
      child = spawn(file, ['-o', options.join(','), '--', mountpoint], {
        stdio: ['ignore', 'ignore', 'pipe', theirs],
        env: environment(),
      });
    } finally {
      closeSync(theirs);
    }
    const result = await ended(child);
    // It has sent the descriptor before it ended, so it lies in the socket now, or never will.
    const fd = addon().receiveFd(ours);
    if (fd < 0 || result.code !== 0) {
      if (fd >= 0) closeSync(fd);
      throw new ConfigError(`cannot mount on ${mountpoint}: ${complaint(result)}`, 1);
    }
    return fd;
  } finally {
    closeSync(ours);
  }
}

/** Unmounts. 0 or a positive errno; what has no errno of its own throws. */
export async function fusermountUnmount(mountpoint: string, lazy: boolean): Promise<number> {
  const child = spawn(helper(), ['-u', ...(lazy ? ['-z'] : []), '--', mountpoint], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: environment(),
  });
  // No deadline: without -z the kernel writes dirty pages back first, which may take as long as it takes.
  const result = await finished(child);
  if (result.code === 0) return 0;
  if (/Device or resource busy/.test(result.stderr)) return errno.EBUSY;
  throw new ConfigError(`cannot unmount ${mountpoint}: ${complaint(result)}`, 1);
}
