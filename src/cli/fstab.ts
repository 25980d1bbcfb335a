// /etc/fstab (fstab(5)), of which mount(8) tells its helpers a part only: it keeps `suid` and `dev` to itself, since they are
// what the kernel does anyway, and older ways in lose `nofail`.

import { readFile } from 'node:fs/promises';
import { canonicalPath, unquote } from '../fuse/mountinfo.ts';

const FSTAB = '/etc/fstab';
/** What is looked up: the words that stand for protections here, and nofail. */
const WORDS: ReadonlySet<string> = new Set([
  'dev',
  'nodev',
  'suid',
  'nosuid',
  'user',
  'users',
  'owner',
  'group',
  'nofail',
]);

export interface FstabLine {
  source: string;
  mountpoint: string;
  type: string;
  options: readonly string[];
}

export function parseFstab(text: string): FstabLine[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [source = '', mountpoint = '', type = '', options = ''] = line.split(/[ \t]+/).map(unquote);
      return { source, mountpoint, type, options: options.split(',') };
    });
}

/** Those of the words that the line of a mount has, in its order; empty where it has no line. */
export async function fstabWords(source: string, mountpoint: string, file = FSTAB): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const place = await canonicalPath(mountpoint);
  for (const line of parseFstab(text)) {
    if (line.source !== source || !/^(fuse\.)?ninefs$/.test(line.type)) continue;
    if ((await canonicalPath(line.mountpoint)) === place) return line.options.filter((word) => WORDS.has(word));
  }
  return [];
}
