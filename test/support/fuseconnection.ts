// The kernel's own view of a FUSE connection, /sys/fs/fuse/connections/N: how many requests wait, and the means to
// abort it from outside, whatever state its daemon is in.

import { readFile, writeFile } from 'node:fs/promises';
import { findMount } from '../../src/fuse/mountinfo.ts';

export interface Connection {
  /** The minor of the mount's st_dev. */
  readonly number: number;
  /** Requests that the kernel holds, queued or being served. 0 at rest; more at rest means that a reply was lost. */
  waiting(): Promise<number>;
  /** Fails every request with ENOTCONN or ECONNABORTED, and every later one: the mount is dead. */
  abort(): Promise<void>;
}

export function connection(number: number): Connection {
  const file = (name: string): string => `/sys/fs/fuse/connections/${number}/${name}`;
  return {
    number,
    waiting: async () => Number(await readFile(file('waiting'), 'latin1')),
    abort: () => writeFile(file('abort'), '1'),
  };
}

/** The connection of what is mounted there; undefined when no FUSE file system is. */
export async function connectionOf(mountpoint: string): Promise<Connection | undefined> {
  const info = await findMount(mountpoint);
  return info !== undefined && /^fuse(\.|$)/.test(info.type) ? connection(info.minor) : undefined;
}
