// The mountpoint of fuse-native on systems with and without /proc: whether it is fit, how it is unmounted, when it is gone.

import { spawn } from 'node:child_process';
import { readdir, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigError } from '../../../common/errors.ts';
import { FS_TYPE, type MountOptions, unmount } from '../../mount.ts';
import { canonicalPath, findMount } from '../../mountinfo.ts';
import { checkCovered, checkHost, checkMountpoint } from '../../mountpoint.ts';

/** Nothing tells this process that its mount has gone: libfuse's thread ends without a word. So it is looked at. */
const LOOK_MS = 500;
const MOST_SAID = 256 * 1024;

export interface Place {
  /** Canonical. */
  readonly mountpoint: string;
  /** Rejects with ConfigError when it is busy; `lazy` does not. */
  unmount(lazy: boolean): Promise<void>;
  /** Settles when it is no longer mounted; stop() ends the looking. */
  watch(): { gone: Promise<void>; stop(): void };
}

function watch(isThere: () => Promise<boolean>): { gone: Promise<void>; stop(): void } {
  let clock: NodeJS.Timeout | undefined;
  let stopped = false;
  const gone = new Promise<void>((resolve) => {
    const look = async () => {
      if (!(await isThere().catch(() => true))) resolve();
      else if (!stopped) clock = setTimeout(look, LOOK_MS);
    };
    clock = setTimeout(look, LOOK_MS);
  });
  return {
    gone,
    stop() {
      stopped = true;
      clearTimeout(clock);
    },
  };
}

export async function linuxPlace(options: MountOptions): Promise<Place> {
  const { mountpoint: given, force = false, allowOther = false } = options;
  await checkCovered(given, force);
  const verdict = await checkMountpoint(given, FS_TYPE, force);
  await checkHost(allowOther, process.geteuid?.() === 0);
  if (verdict === 'clear') {
    await unmount(given, { lazy: true });
    await checkMountpoint(given, FS_TYPE, false);
  }
  const mountpoint = await canonicalPath(given);
  // libfuse 2 refuses it, and the word that would permit it is not known to fusermount3
  if (process.geteuid?.() !== 0 && (await readdir(mountpoint)).length > 0) {
    throw new ConfigError(`mountpoint ${mountpoint} is not empty, as libfuse 2 wants it of users other than root`, 1);
  }
  return {
    mountpoint,
    unmount: (lazy) => unmount(mountpoint, { lazy }),
    watch: () => watch(async () => (await findMount(mountpoint))?.type === FS_TYPE),
  };
}

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

function run(program: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        said[stream] = (said[stream] + text).slice(-MOST_SAID);
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...said }));
  });
}

/** What mount(8) of macOS prints: `SOURCE on PATH (TYPE, OPTION, ...)`. The type of what is mounted on the path, topmost. */
export function macMountType(text: string, path: string): string | undefined {
  const lines = text.split('\n').flatMap((line) => {
    const at = line.lastIndexOf(` on ${path} (`);
    return at < 0 ? [] : [line.slice(at + ` on ${path} (`.length)];
  });
  return /^([^,)]+)/.exec(lines.at(-1) ?? '')?.[1];
}

/** Throws ConfigError for what is not a FUSE mount, and for a busy one. */
export async function macUnmount(path: string, lazy: boolean): Promise<void> {
  const mountpoint = await realpath(path).catch(() => path);
  const type = macMountType((await run('/sbin/mount', [])).stdout, mountpoint);
  if (type === undefined) throw new ConfigError(`nothing is mounted on ${path}`, 1);
  if (!/fuse/.test(type)) throw new ConfigError(`what is mounted on ${path} is of type ${type}: use umount`, 1);
  const { code, stderr } = await run('/sbin/umount', lazy ? ['-f', mountpoint] : [mountpoint]);
  if (code !== 0) throw new ConfigError(`cannot unmount ${path}: ${stderr.trim().split('\n').at(-1) ?? code}`, 1);
}

/** macOS: a mount's root is on another device than the directory that it is in. */
export async function macPlace({ mountpoint: given, force = false }: MountOptions): Promise<Place> {
  await checkCovered(given, force);
  const device = async (path: string): Promise<number> => (await stat(path)).dev;
  let mountpoint: string;
  try {
    mountpoint = await realpath(given);
    if (!(await stat(mountpoint)).isDirectory()) throw new ConfigError(`mountpoint ${given} is not a directory`, 1);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ConfigError(`mountpoint ${given}: ${code === 'ENOENT' ? 'there is no such directory' : code}`, 1);
  }
  const isMounted = async () => (await device(mountpoint)) !== (await device(dirname(mountpoint)));
  if (await isMounted()) throw new ConfigError(`something is already mounted on ${mountpoint}: unmount it first`, 1);
  return {
    mountpoint,
    unmount: (lazy) => macUnmount(mountpoint, lazy),
    watch: () => watch(isMounted),
  };
}
