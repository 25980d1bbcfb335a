// The versions of 9P that the client speaks, the richest first, and in which order a server is asked for them.

import { VERSION } from '../../wire/p9/constants.ts';

export const VERSIONS = [VERSION.dotl, VERSION.dotu, VERSION.legacy] as const;
export type Version = (typeof VERSIONS)[number];
/** auto: the richest that the server speaks. */
export type VersionChoice = Version | 'auto';

/** What a server is asked for, in this order. */
export function candidates(choice: VersionChoice): readonly Version[] {
  return choice === 'auto' ? VERSIONS : [choice];
}
