// What is mounted where, from /proc/self/mountinfo (proc(5)), which can be read whatever state a mount is in: nothing
// here touches a mount. A mount point is compared by its canonical path, so symlinks are resolved first.
// Guarantees: a table that cannot be read, since something covers /proc, is a ConfigError that says so, in bounded time. A
// table that is held open can be read whatever is mounted on /proc later.

import { type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigError } from '../common/errors.ts';
import { withoutWaiting } from './patience.ts';

const FILE = '/proc/self/mountinfo';
/** The kernel answers at once, unless something that hangs is mounted on /proc. */
const READ_MS = 3000;
const PIECE = 64 * 1024;

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

/** The kernel writes space, tab, newline, backslash and # as \ooo; a byte, not a character. fstab(5) does too. */
export function unquote(field: string): string {
  if (!field.includes('\\')) return field;
  const latin = Buffer.from(field, 'utf8').toString('latin1');
  const bytes = latin.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** A path as the kernel writes it in the table. */
export function quoted(path: string): string {
  return path.replace(/[ \t\n\\]/g, (letter) => `\\${letter.charCodeAt(0).toString(8).padStart(3, '0')}`);
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

/** Why the table cannot be read, and what helps. */
function unreadable(why: string): ConfigError {
  const dead = why === 'ENOTCONN' || why === 'ECONNABORTED';
  const cause = dead
    ? 'a dead mount covers /proc: "ninefs umount -l /proc" as root uncovers it'
    : why === 'no answer'
      ? 'what is mounted on /proc does not answer: "mount -t proc proc /proc" as root covers it'
      : 'is /proc mounted, and not covered? "mount -t proc proc /proc" as root mounts it';
  return new ConfigError(`cannot read ${FILE} (${why}): ${cause}`, 1);
}

async function patiently<T>(work: Promise<T>): Promise<T> {
  try {
    return await withoutWaiting(work, READ_MS, () => {
      throw unreadable('no answer');
    });
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw unreadable(error instanceof Error && 'code' in error ? String(error.code) : String(error));
  }
}

async function contents(file: FileHandle): Promise<MountInfo[]> {
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(PIECE), 0, PIECE, at);
    if (bytesRead === 0) break;
    at += bytesRead;
    pieces.push(buffer.subarray(0, bytesRead));
  }
  const text = Buffer.concat(pieces).toString('utf8');
  // something else than proc(5) is mounted there
  if (!text.endsWith('\n')) throw unreadable('not a mount table');
  return parseMountinfo(text);
}

/** As it is now. Rejects with ConfigError. */
export async function mounts(): Promise<MountInfo[]> {
  const file = await patiently(open(FILE, 'r'));
  try {
    return await patiently(contents(file));
  } finally {
    await file.close();
  }
}

/** The table, held open. */
export interface MountTable {
  /** As it is now, after close() too. Rejects with ConfigError. */
  read(): Promise<MountInfo[]>;
  close(): Promise<void>;
}

/** Rejects with ConfigError. */
export async function openMounts(): Promise<MountTable> {
  const file = await patiently(open(FILE, 'r'));
  let isOpen = true;
  return {
    read: () => (isOpen ? patiently(contents(file)) : mounts()),
    async close() {
      isOpen = false;
      await file.close();
    },
  };
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

/** What is mounted on exactly this path, the topmost. Rejects with ConfigError when that cannot be known. */
export async function findMount(mountpoint: string, read = mounts): Promise<MountInfo | undefined> {
  const path = await canonicalPath(mountpoint);
  return (await read()).findLast((info) => info.mountpoint === path);
}
