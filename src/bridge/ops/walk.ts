// Names to nodes: lookup and forget.

import { errno } from '../../common/errno.ts';
import { ErrnoError, isErrno } from '../../common/errors.ts';
import { byteLength } from '../../common/text.ts';
import type { Operations } from '../../fuse/operations.ts';
import type { Bridge } from '../context.ts';
import { entryOf, look } from '../names/look.ts';

/** NAME_MAX: longer names are refused here, as a local file system would, whatever the server thinks of them. */
const NAME_MAX = 255;

export function checkName(name: string): void {
  if (isTooLong(name)) throw new ErrnoError(errno.ENAMETOOLONG, 'name');
}

/** One character is at most three bytes here, so that most names need no count. */
export function isTooLong(name: string): boolean {
  return name.length * 3 > NAME_MAX && byteLength(name) > NAME_MAX;
}

export function walkOps(fs: Bridge): Pick<Operations, 'lookup' | 'forget'> {
  return {
    async lookup(ctx, parentId, name) {
      checkName(name);
      const parent = fs.nodes.get(parentId);
      try {
        return entryOf(fs, await look(fs, ctx, parent, name));
      } catch (error) {
        if (!isErrno(error, errno.ENOENT)) throw error;
        const { negativeTtl } = fs.policy;
        if (negativeTtl === 0) throw error;
        return { nodeid: 0, entryTtl: negativeTtl };
      }
    },

    forget(nodeid, nlookup) {
      fs.nodes.forget(nodeid, nlookup);
    },
  };
}
