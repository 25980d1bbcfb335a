// What attributes alone tell of whether two looks are at one file. names/tellapart.ts asks the server where they do not suffice.

import type { FileStat } from '../../client/dialects/dialect.ts';
import { isDirectory, S_IFMT } from '../attributes/attrs.ts';

export function sameKind(a: FileStat, b: FileStat): boolean {
  return a.qid.path === b.qid.path && a.qid.type === b.qid.type && (a.mode & S_IFMT) === (b.mode & S_IFMT);
}

/** As far as attributes can tell. */
export function alike(a: FileStat, b: FileStat): boolean {
  return sameKind(a, b) && a.size === b.size && a.mtime === b.mtime && a.mtimeNsec === b.mtimeNsec && a.uid === b.uid;
}

/** Two of several names of one file, without a doubt. */
export function linked(a: FileStat, b: FileStat): boolean {
  return a.nlink > 1 && b.nlink > 1 && !isDirectory(a) && alike(a, b);
}
