// What is mounted where, from /proc/self/mountinfo (proc(5)), which can be read whatever state a mount is in: nothing
// here touches a mount. A mount point is compared by its canonical path, so symlinks are resolved first.

import { readFile, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

export interface MountInfo {
  id: number;
  /** st_dev's halves; for FUSE the minor is the connection's number under /sys/fs/fuse/connections. */
  major: number;
  minor: number;
  mountpoint: string;
  options: string[];
  /** `fuse.ninefs`. */
  type: string;
  source: string;
  superOptions: string[];
}

/** The kernel writes space, tab, newline, backslash and # as \ooo; a byte, not a character. */
function unquote(field: string): string {
  if (!field.includes('\\')) return field;
  const latin = Buffer.from(field, 'utf8').toString('latin1');
  const bytes = latin.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function parseLine(line: string): MountInfo | undefined {
  // The optional fields in the middle end with a lone "-".
  const [left, right] = line.split(' - ', 2);
  if (left === undefined || right === undefined) return undefined;
  const [id, , device, , mountpoint, options] = left.split(' ');
  const [type, source, superOptions] = right.split(' ');
  if (device === undefined || mountpoint === undefined || type === undefined || source === undefined) return undefined;
  const [major, minor] = device.split(':');
  return {
    id: Number(id),
    major: Number(major),
    minor: Number(minor),
    mountpoint: unquote(mountpoint),
    options: (options ?? '').split(','),
    type: unquote(type),
    source: unquote(source),
    superOptions: (superOptions ?? '').split(','),
  };
}

/** In the order of the file: of several mounts on one place the last is the visible one. */
export function parseMountinfo(text: string): MountInfo[] {
  return text
    .split('\n')
    .map(parseLine)
    .filter((info) => info !== undefined);
}

export async function mounts(): Promise<MountInfo[]> {
  return parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
}

/**
 * The path with symlinks resolved, without asking what is mounted at its end: only the folder above is resolved by
 * realpath, and readlink of a mount's root is answered by the kernel alone. A path whose folder does not exist is
 * returned absolute, and not more.
 */
export async function canonicalPath(path: string): Promise<string> {
  let at = resolve(path);
  for (let links = 0; links < 40; links++) {
    const folder = await realpath(dirname(at)).catch(() => undefined);
    if (folder === undefined) return at;
    at = join(folder, basename(at));
    const target = await readlink(at).catch(() => undefined);
    if (target === undefined) return at;
    at = resolve(folder, target);
  }
  return at; // a loop of symlinks; whoever opens it is told ELOOP
}

/** What is mounted on exactly this path, the topmost. */
export async function findMount(mountpoint: string): Promise<MountInfo | undefined> {
  const path = await canonicalPath(mountpoint);
  return (await mounts()).findLast((info) => info.mountpoint === path);
}
