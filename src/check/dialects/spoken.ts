// Owns: which dialects there are, and by which versions a server is asked for each.
// Guarantees: a probe that has agreed to a version has the dialect of that version.

import { VERSION } from '../../wire/p9/constants.ts';
import type { Probe } from '../probe.ts';
import type { Dialect, DialectName } from './dialect.ts';
import { dotl } from './dotl.ts';
import { plan9 } from './plan9.ts';

/** The versions of each dialect, the one with more in it first. */
export const VERSIONS: Readonly<Record<DialectName, readonly string[]>> = {
  dotl: [VERSION.dotl],
  plan9: [VERSION.dotu, VERSION.legacy],
};

/** The dialect of what the server agreed to. */
export function dialectOf(probe: Probe): Dialect {
  return probe.agreed === VERSION.dotl ? dotl : plan9;
}
