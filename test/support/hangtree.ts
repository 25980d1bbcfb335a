// A tree of one file, `hang`, whose reads wait until they are flushed: a request that runs, for who needs one.

import { CancelledError } from '../../src/common/errors.ts';
import type { Tree } from '../../src/server/server.ts';
import { directory, file, synthTree } from '../../src/server/trees/synth.ts';

export function hangTree(): Tree {
  return synthTree(
    directory({
      hang: file(() => ({
        read: (_offset, _count, signal) =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(new CancelledError()), { once: true });
          }),
      })),
    }),
  );
}
