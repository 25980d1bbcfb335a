// Which dialect a Tversion leads to (version(9P)).
// What stands before a period names the version: one that is not known is asked for again without its last part, so that
// `9P2000.L.x` is 9P2000.L and `9P2000.x` is 9P2000, where these are offered.

import { ConfigError } from '../../common/errors.ts';
import type { Dialect } from './dialect.ts';
import { dotl } from './dotl.ts';
import { dotu } from './dotu.ts';
import { legacy } from './legacy.ts';

export type DialectName = '9P2000.L' | '9P2000.u' | '9P2000';

/** All of them; a server may offer fewer. */
export const DIALECTS: readonly Dialect[] = [dotl, dotu, legacy];

/** The dialect, or undefined where the answer is "unknown". */
export function agree(asked: string, offered: readonly Dialect[]): Dialect | undefined {
  for (let version = asked; ; version = version.slice(0, version.lastIndexOf('.'))) {
    const found = offered.find((dialect) => dialect.version === version);
    if (found !== undefined || !version.includes('.')) return found;
  }
}

/** The dialects of these versions, as users write them; all where none is named. Throws ConfigError. */
export function dialectsOf(versions: readonly string[] | undefined): readonly Dialect[] {
  if (versions === undefined) return DIALECTS;
  return versions.map((version) => {
    const found = DIALECTS.find((dialect) => dialect.version.toLowerCase() === version.toLowerCase());
    if (found !== undefined) return found;
    throw new ConfigError(`there is no dialect '${version}'; name ${DIALECTS.map((each) => each.version).join(', ')}`);
  });
}
