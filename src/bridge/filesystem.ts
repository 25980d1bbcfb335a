// The file system that the kernel sees: every operation of fuse/operations.ts, put together from the families in ops/.

import type { Operations } from '../fuse/operations.ts';
import type { Bridge } from './context.ts';
import { attrOps } from './ops/attr.ts';
import { dirOps } from './ops/dir.ts';
import { ioOps } from './ops/io.ts';
import { linkOps } from './ops/link.ts';
import { lockOps } from './ops/lock.ts';
import { openOps } from './ops/open.ts';
import { walkOps } from './ops/walk.ts';
import { xattrOps } from './ops/xattr.ts';

export function fileSystem(fs: Bridge): Operations {
  return {
    ...walkOps(fs),
    ...attrOps(fs),
    ...openOps(fs),
    ...ioOps(fs),
    ...dirOps(fs),
    ...linkOps(fs),
    ...lockOps(fs),
    ...xattrOps(fs),
    destroy() {
      // the connection's end takes every fid with it
      fs.session.close();
    },
  };
}
