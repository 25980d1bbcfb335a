// Which dialect a Tversion leads to (version(9P)).
// What stands before a period names the version: one that is not known is asked for again without its last part, so that
// `9P2000.L.x` is 9P2000.L and `9P2000.x` is 9P2000, where these are offered.

import { VERSION } from '../../wire/p9/constants.ts';
import type { Dialect } from './dialect.ts';
import { dotl } from './dotl.ts';
import { dotu } from './dotu.ts';
import { legacy } from './legacy.ts';

export const DIALECT_NAMES = [VERSION.dotl, VERSION.dotu, VERSION.legacy] as const;
export type DialectName = (typeof DIALECT_NAMES)[number];

const dialects: readonly Dialect[] = [dotl, dotu, legacy];

/** The dialect, or undefined where the answer is "unknown". */
export function agree(asked: string, offered: readonly Dialect[]): Dialect | undefined {
  for (let version = asked; ; version = version.slice(0, version.lastIndexOf('.'))) {
    const found = offered.find((dialect) => dialect.version === version);
    if (found !== undefined || !version.includes('.')) return found;
  }
}

/** The dialects of these names. */
export function dialectsOf(names: readonly DialectName[]): readonly Dialect[] {
  return dialects.filter(({ version }) => names.some((name) => name === version));
}
