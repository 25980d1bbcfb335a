// Whether fuse-native can be used here.

import { fuseNative } from '../../src/fuse/drivers/fuse-native/binding.ts';

/** Why not, or undefined. Under CI it must be there: a skip is a failure. */
export function whyNoFuseNative(): string | undefined {
  try {
    fuseNative();
    return undefined;
  } catch (error) {
    if (process.env['CI'] === 'true') throw error;
    return (error as Error).message;
  }
}
