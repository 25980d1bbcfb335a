// Which command a command line is for: our own words, or one of mount(8)'s two ways in (helper.ts).

import { basename } from 'node:path';
import { EXIT } from './report.ts';

export interface HelperFlags {
  sloppy?: true;
  fake?: true;
  nomtab?: true;
  verbose?: true;
  namespace?: string;
  option?: string[];
  type?: string;
}

/** Sub-commands that are for mount(8) alone. */
export const HELPER = 'mount-helper';
export const MOUNT_FUSE = 'mount-fuse';

/** mount(8), EXIT STATUS. */
const CODES: ReadonlyMap<number, number> = new Map([
  [EXIT.ok, 0],
  [EXIT.usage, 1],
  [EXIT.bug, 4],
  [EXIT.interrupted, 8],
  [EXIT.failure, 32],
]);

export const mountCode = (code: number): number => CODES.get(code) ?? 32;

/** The command line that is meant, for a program called by one of mount(8)'s names or in mount.fuse3's way. */
export function fromMount(argv: readonly string[], known: readonly string[]): readonly string[] {
  const [node = '', script = '', ...words] = argv;
  if (/^mount\.(fuse\.)?ninefs$/.test(basename(script))) return [node, script, HELPER, ...words];
  const [source = '', mountpoint = '', ...more] = words;
  if (source.startsWith('-') || known.includes(source) || !mountpoint.startsWith('/')) return argv;
  // mount.fuse3 passes -o alone; with other flags a person has left out the word mount
  const onlyLists = more.every((word, i) => i % 2 === 1 || word === '-o');
  return [node, script, onlyLists ? MOUNT_FUSE : 'mount', ...words];
}

/** mount.fuse3 adds `dev` and `suid` at the end for root, whatever its caller wants. */
export function withoutAdded(list: string): string {
  return list.replace(/(^|,)suid$/, '').replace(/(^|,)dev$/, '');
}
